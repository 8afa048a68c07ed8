/**
 * A board: a few whole numbers that one thread writes and every thread reads, in shared memory,
 * always as one consistent snapshot. Status pages and metrics are read from boards, so that they
 * ask no other thread and no database.
 *
 * One SharedArrayBuffer of 64-bit words: word 0 is the version, the others are the fields in the
 * order of their names. The writer makes the version odd, stores the fields, and makes it even
 * again; a reader that sees an odd version, or another one after than before, reads again. All
 * accesses are atomic, since plain ones may be reordered around the version. A writer that dies in
 * between leaves the version odd: a reader then takes what is there after a bounded number of tries, and
 * after the first time at once. The next write makes it even again.
 */

/** More than any writer's time slice lasts; a writer is between its two steps for microseconds. */
const TRIES = 100_000;

export type Figures<F extends string> = Readonly<Record<F, number>>;

export class Board<F extends string> {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #fields: readonly F[];
  readonly #words: BigInt64Array;
  /** An odd version that this reader has waited for in vain. */
  #abandoned: bigint | undefined;

  /** A new board, all 0, or the one in `buffer` with the same fields in the same order. */
  constructor(fields: readonly F[], buffer?: SharedArrayBuffer) {
    const bytes = (1 + fields.length) * BigInt64Array.BYTES_PER_ELEMENT;
    if (buffer !== undefined && buffer.byteLength !== bytes) {
      throw new TypeError(`buffer: holds no board with the fields ${fields.join(', ')}`);
    }
    this.buffer = buffer ?? new SharedArrayBuffer(bytes);
    this.#fields = fields;
    this.#words = new BigInt64Array(this.buffer);
  }

  /** Any thread. Grows with each write that changes a figure, and with no other. */
  get version(): number {
    return Number(Atomics.load(this.#words, 0));
  }

  /** One thread only. Whole numbers; fields that are not named keep their value. */
  write(figures: Partial<Figures<F>>): void {
    // What is no whole number throws here, before anything is touched.
    const words = this.#fields.map((field) => BigInt(figures[field] ?? this.#load(field)));
    const version = Atomics.load(this.#words, 0);
    const isWhole = isEven(version);
    if (isWhole && words.every((word, index) => word === this.#words[1 + index])) return;
    const begun = version + (isWhole ? 1n : 2n);
    Atomics.store(this.#words, 0, begun);
    for (const [index, word] of words.entries()) Atomics.store(this.#words, 1 + index, word);
    Atomics.store(this.#words, 0, begun + 1n);
  }

  /** Any thread. */
  read(): Figures<F> {
    return this.readWith(() => undefined).figures;
  }

  /**
   * Any thread. A snapshot, and what `also` returned at a moment at which it was the newest one:
   * for values outside the board that are to agree with it.
   */
  readWith<T>(also: () => T): { figures: Figures<F>; value: T } {
    for (let tries = 1; ; tries++) {
      const version = Atomics.load(this.#words, 0);
      const figures = {} as Record<F, number>;
      for (const field of this.#fields) figures[field] = this.#load(field);
      const value = also();
      const isSame = Atomics.load(this.#words, 0) === version;
      if (isSame && isEven(version)) return { figures, value };
      if (tries === TRIES && isSame) this.#abandoned = version;
      if (tries === TRIES || version === this.#abandoned) return { figures, value };
    }
  }

  /** Any thread. One field, as it is now: a tenth of the cost of `read`. */
  get(field: F): number {
    return this.#load(field);
  }

  #load(field: F): number {
    return Number(Atomics.load(this.#words, 1 + this.#fields.indexOf(field)));
  }
}

function isEven(version: bigint): boolean {
  return version % 2n === 0n;
}
