/**
 * What several threads count together, in one shared memory: how long hand-outs and commits took,
 * errors by their code, repeated replies, what the system refused, what webhooks got. Any thread adds, with atomic additions, and any thread
 * reads the sums of all: those of a thread that has died are kept. They begin at 0 with the server.
 *
 * Where one thread writes alone a board is simpler (board.ts). An addition is 50 ns. A reader sees
 * each word whole, though not all words of one moment.
 *
 * Words of 64 bits; each part begins 128 bytes or a multiple behind the one before, because
 * different threads write them:
 *
 *     dispense times | commit times | errors, one word for each code | repeats | unstarted, one for each |
 *     webhooks, one for each outcome
 *
 * Times: one word for each bound, one for what took longer, and one with the sum in ns.
 */
import { ERRORS, type ErrorCode } from '../errors.ts';

/** In seconds, the largest of each bucket. */
const DISPENSE_BOUNDS = [
  1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
] as const;
const COMMIT_BOUNDS = [
  2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
const CODES = Object.keys(ERRORS) as ErrorCode[];
/** What the system may refuse to start: threads, and the process that checks the store. */
export const STARTED = ['http', 'grinder', 'reader', 'check'] as const;
export type Started = (typeof STARTED)[number];
/** Messages of webhooks that were accepted, attempts that failed, and messages that were given up. */
export const WEBHOOK_OUTCOMES = ['sent', 'failed', 'dropped'] as const;
export type WebhookOutcome = (typeof WEBHOOK_OUTCOMES)[number];
const PART_WORDS = 16;
const NS_PER_MS = 1e6;

export class Tallies {
  /** From a request for addresses that was read to its reply. */
  readonly dispenseTimes: Times;
  /** From the begin of a write transaction to when it is on disk. */
  readonly commitTimes: Times;
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #errors: BigInt64Array;
  readonly #repeats: BigInt64Array;
  readonly #unstarted: BigInt64Array;
  readonly #webhooks: BigInt64Array;

  /** New ones, all 0, or those in `buffer`. */
  constructor(buffer?: SharedArrayBuffer) {
    const times = [DISPENSE_BOUNDS, COMMIT_BOUNDS].map((bounds) => bounds.length + 2);
    const sizes = [...times, CODES.length, 1, STARTED.length, WEBHOOK_OUTCOMES.length];
    const parts = sizes.map((words) => Math.ceil(words / PART_WORDS) * PART_WORDS);
    const words = parts.reduce((sum, part) => sum + part, 0);
    this.buffer = buffer ?? new SharedArrayBuffer(words * BigInt64Array.BYTES_PER_ELEMENT);
    let offset = 0;
    const [dispense, commit, errors, repeats, unstarted, webhooks] = parts.map((part, index) => {
      const view = new BigInt64Array(this.buffer, offset, sizes[index]);
      offset += part * BigInt64Array.BYTES_PER_ELEMENT;
      return view;
    });
    this.dispenseTimes = new Times(DISPENSE_BOUNDS, dispense!);
    this.commitTimes = new Times(COMMIT_BOUNDS, commit!);
    this.#errors = errors!;
    this.#repeats = repeats!;
    this.#unstarted = unstarted!;
    this.#webhooks = webhooks!;
  }

  countError(code: ErrorCode): void {
    Atomics.add(this.#errors, CODES.indexOf(code), 1n);
  }

  /** A reply that an idempotency key had before. */
  countRepeat(): void {
    Atomics.add(this.#repeats, 0, 1n);
  }

  /** Of every code, also those that never occurred. */
  get errors(): Readonly<Record<ErrorCode, number>> {
    const errors = {} as Record<ErrorCode, number>;
    for (const [index, code] of CODES.entries()) {
      errors[code] = Number(Atomics.load(this.#errors, index));
    }
    return errors;
  }

  get repeats(): number {
    return Number(Atomics.load(this.#repeats, 0));
  }

  /** The system gave no thread, process or descriptors for it. */
  countUnstarted(what: Started): void {
    Atomics.add(this.#unstarted, STARTED.indexOf(what), 1n);
  }

  unstarted(what: Started): number {
    return Number(Atomics.load(this.#unstarted, STARTED.indexOf(what)));
  }

  countWebhook(outcome: WebhookOutcome): void {
    Atomics.add(this.#webhooks, WEBHOOK_OUTCOMES.indexOf(outcome), 1n);
  }

  webhooks(outcome: WebhookOutcome): number {
    return Number(Atomics.load(this.#webhooks, WEBHOOK_OUTCOMES.indexOf(outcome)));
  }
}

export class Times {
  /** In seconds. */
  readonly bounds: readonly number[];
  readonly #boundsMs: readonly number[];
  readonly #words: BigInt64Array;

  /** `words`: two more than bounds. */
  constructor(bounds: readonly number[], words: BigInt64Array) {
    this.bounds = bounds;
    this.#boundsMs = bounds.map((seconds) => seconds * 1000);
    this.#words = words;
  }

  /** One more that took so many milliseconds. */
  add(ms: number): void {
    const bounds = this.#boundsMs;
    let bucket = 0;
    while (bucket < bounds.length && ms > bounds[bucket]!) bucket++;
    Atomics.add(this.#words, bucket, 1n);
    Atomics.add(this.#words, bounds.length + 1, BigInt(Math.round(ms * NS_PER_MS)));
  }

  /** How many took no longer than each bound, and last how many there are; the sum in seconds. */
  read(): { readonly upTo: readonly number[]; readonly sum: number } {
    let total = 0;
    const upTo = Array.from({ length: this.bounds.length + 1 }, (_, bucket) => {
      total += Number(Atomics.load(this.#words, bucket));
      return total;
    });
    const ns = Number(Atomics.load(this.#words, this.bounds.length + 1));
    return { upTo, sum: ns / (1000 * NS_PER_MS) };
  }
}
