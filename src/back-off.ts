/**
 * How long to wait before something that failed is tried again: 100 ms, doubled with each failure up
 * to a bound, until it succeeds. Any thread may use it.
 */
const FIRST_MS = 100;
const LONGEST_MS = 10_000;

export class BackOff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #nextMs: number;

  constructor(firstMs = FIRST_MS, longestMs = LONGEST_MS) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#nextMs = firstMs;
  }

  /** After one more failure. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(2 * ms, this.#longestMs);
    return ms;
  }

  succeeded(): void {
    this.#nextMs = this.#firstMs;
  }
}
