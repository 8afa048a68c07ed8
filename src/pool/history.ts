/**
 * What a pool was over the last hour and the last day: samples in shared memory, which the main thread writes
 * and every thread reads, always as a whole. They begin with the server, and end with it.
 *
 * Two rings of rows, one for each span. A row is seven words of 32 bits: when (tenths of a second, of the clock that
 * all threads share), stock, ready, and the totals `dispensed` and `ground` in two words each, the lower
 * first. 14,852 bytes a pool:
 *
 *     word      what
 *     0         version: odd while the writer is at work
 *     1, 2      how many rows were ever written for the hour, for the day
 *     3..       the rows of the hour, then those of the day
 *
 * The version is used as that of a board (board.ts).
 */

const ROW_WORDS = 7;
const HEADER_WORDS = 3;
/** One more than fits the span, so that the first and the last row are the span apart. */
const SPANS = {
  hour: { everyMs: 15_000, rows: 241, count: 1, first: HEADER_WORDS },
  day: { everyMs: 300_000, rows: 289, count: 2, first: HEADER_WORDS + 241 * ROW_WORDS },
} as const;
const WORDS = SPANS.day.first + SPANS.day.rows * ROW_WORDS;
const TENTH_MS = 100;
const WORD = 2 ** 32;
/** A writer is between its two steps for microseconds. */
const TRIES = 100_000;

/** How far two samples of the last hour are apart, at least. */
export const SAMPLE_MS = SPANS.hour.everyMs;

export interface Sample {
  readonly stock: number;
  readonly ready: number;
  /** Of all time. */
  readonly dispensed: number;
  /** Of all time. */
  readonly ground: number;
}

/** As columns of the same length, the oldest sample first. */
export interface Samples {
  secondsAgo: number[];
  stock: number[];
  ready: number[];
  dispensed: number[];
  ground: number[];
}

type Span = (typeof SPANS)[keyof typeof SPANS];

export class History {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Uint32Array;

  constructor(buffer = new SharedArrayBuffer(WORDS * Uint32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#words = new Uint32Array(buffer);
  }

  /** Main thread only. Does nothing while no sample is due. `nowMs`: of `monotonicMs`. */
  write(sample: Sample, nowMs: number): void {
    const at = Math.floor(nowMs / TENTH_MS);
    const due = Object.values(SPANS).filter((span) => this.#isDue(span, at));
    if (due.length === 0) return;
    Atomics.add(this.#words, 0, 1);
    for (const span of due) this.#put(span, at, sample);
    Atomics.add(this.#words, 0, 1);
  }

  /** Any thread. `nowMs`: of `monotonicMs`. */
  read(nowMs: number): { hour: Samples; day: Samples } {
    const now = Math.floor(nowMs / TENTH_MS);
    for (let tries = 1; ; tries++) {
      const version = Atomics.load(this.#words, 0);
      const samples = { hour: this.#samples(SPANS.hour, now), day: this.#samples(SPANS.day, now) };
      const isWhole = version % 2 === 0 && Atomics.load(this.#words, 0) === version;
      if (isWhole || tries === TRIES) return samples;
    }
  }

  /** A time in tenths may be one short of what has passed. */
  #isDue(span: Span, at: number): boolean {
    const count = this.#load(span.count);
    if (count === 0) return true;
    return at - this.#load(rowAt(span, count - 1)) >= span.everyMs / TENTH_MS - 1;
  }

  #put(span: Span, at: number, { stock, ready, dispensed, ground }: Sample): void {
    const count = this.#load(span.count);
    const row = [at, stock, ready, ...halves(dispensed), ...halves(ground)];
    const first = rowAt(span, count);
    for (const [index, word] of row.entries()) Atomics.store(this.#words, first + index, word);
    Atomics.store(this.#words, span.count, count + 1);
  }

  #samples(span: Span, now: number): Samples {
    const count = this.#load(span.count);
    const samples: Samples = { secondsAgo: [], stock: [], ready: [], dispensed: [], ground: [] };
    for (let index = Math.max(0, count - span.rows); index < count; index++) {
      const row = rowAt(span, index);
      samples.secondsAgo.push(Math.max(0, now - this.#load(row)) / 10);
      samples.stock.push(this.#load(row + 1));
      samples.ready.push(this.#load(row + 2));
      samples.dispensed.push(this.#load(row + 3) + WORD * this.#load(row + 4));
      samples.ground.push(this.#load(row + 5) + WORD * this.#load(row + 6));
    }
    return samples;
  }

  #load(word: number): number {
    return Atomics.load(this.#words, word);
  }
}

function rowAt({ first, rows }: Span, index: number): number {
  return first + (index % rows) * ROW_WORDS;
}

function halves(total: number): [number, number] {
  return [total % WORD, Math.floor(total / WORD)];
}
