/**
 * The last lines of level warn and above that the threads of a server logged, in shared memory: each thread adds
 * its own, and any thread reads them all. They begin with the server, and take 51 kB.
 *
 * A ring of slots of 1 kB. A writer takes the number of its line, and with it a slot, by an atomic addition;
 * what does not fit is cut off. The version of a slot is odd while it is written, and says then and afterwards
 * which line it is. A reader skips a slot that does not have the version it expects, before and after it was read:
 * a thread that dies while it writes costs one line, until the slot is used again.
 *
 *     bytes 0..3: lines ever written | from 1024 on, each slot: version | bytes of text | text
 *
 * Text: when, level, thread, message and details, in lines.
 */

export const WARNINGS_MAX = 50;

const SLOT_BYTES = 1024;
const HEAD_WORDS = 2;
const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
const TEXT_BYTES = SLOT_BYTES - HEAD_WORDS * WORD_BYTES;
const KEPT = /^\{"level":"(warn|error|fatal)"/;

export interface Warning {
  /** RFC 3339. */
  readonly at: string;
  readonly level: 'warn' | 'error' | 'fatal';
  readonly thread: string;
  readonly message: string;
  /** The fields of the line, `name=value`, with spaces between; '' for none. */
  readonly details: string;
}

export class LastWarnings {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(buffer = new SharedArrayBuffer((1 + WARNINGS_MAX) * SLOT_BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  /** Any thread. A line of the log, in JSON; those of other levels are passed over. */
  note(line: string): void {
    if (!KEPT.test(line)) return;
    const { level, time, thread, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const details = detailsOf(fields);
    const parts = [time, level, thread, msg, details].map((part) => oneLine(String(part ?? '')));
    const encoded = new TextEncoder().encode(parts.join('\n'));
    const text = encoded.subarray(0, TEXT_BYTES);
    const number = Atomics.add(this.#words, 0, 1);
    const at = wordOf(number);
    Atomics.store(this.#words, at, versionOf(number) - 1);
    Atomics.store(this.#words, at + 1, text.length);
    this.#bytes.set(text, (at + HEAD_WORDS) * WORD_BYTES);
    Atomics.store(this.#words, at, versionOf(number));
  }

  /** Any thread. The newest first. */
  read(): Warning[] {
    const count = Atomics.load(this.#words, 0);
    const warnings: Warning[] = [];
    for (let number = count - 1; number >= Math.max(0, count - WARNINGS_MAX); number--) {
      const text = this.#text(number);
      if (text === undefined) continue;
      const [at = '', level, thread = '', message = '', details = ''] = text.split('\n');
      warnings.push({ at, level: level as Warning['level'], thread, message, details });
    }
    return warnings;
  }

  #text(number: number): string | undefined {
    const at = wordOf(number);
    if (Atomics.load(this.#words, at) !== versionOf(number)) return undefined;
    const from = (at + HEAD_WORDS) * WORD_BYTES;
    const bytes = this.#bytes.slice(from, from + Atomics.load(this.#words, at + 1));
    if (Atomics.load(this.#words, at) !== versionOf(number)) return undefined;
    // A character that was cut in two is left out.
    return new TextDecoder().decode(bytes).replace(/\uFFFD$/, '');
  }
}

function detailsOf(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : shown(value)}`)
    .join(' ');
}

/** Of an error its message alone. */
function shown(value: unknown): string {
  const isError = typeof value === 'object' && value !== null && 'stack' in value;
  return isError && 'message' in value ? String(value.message) : JSON.stringify(value);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ');
}

/** The first word of the slot of a line. */
function wordOf(number: number): number {
  return (1 + (number % WARNINGS_MAX)) * (SLOT_BYTES / WORD_BYTES);
}

/** When it is whole. A server would have to log for months without a pause to use them up. */
function versionOf(number: number): number {
  return 2 * number + 2;
}
