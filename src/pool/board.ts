/**
 * A board: a few whole numbers that one thread writes and every thread reads, in shared memory,
 * always as one consistent snapshot. Status pages and metrics are read from boards, so that they
 * ask no other thread and no database.
 *
 * One SharedArrayBuffer of 64-bit words: word 0 is the version, behind it are two places, each with the
 * fields in the order of their names. The writer fills the place that nobody reads, then adds one to the
 * version, whose lowest bit says which place holds. A reader reads again if the version changed meanwhile.
 * All accesses are atomic, since plain ones may be reordered around the version. Nobody waits for a
 * writer: one that gets no core, or dies between the two steps, leaves the snapshot before as it is.
 */

export type Figures<F extends string> = Readonly<Record<F, number>>;

export class Board<F extends string> {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #fields: readonly F[];
  readonly #words: BigInt64Array;

  /** A new board, all 0, or the one in `buffer` with the same fields in the same order. */
  constructor(fields: readonly F[], buffer?: SharedArrayBuffer) {
    const bytes = (1 + 2 * fields.length) * BigInt64Array.BYTES_PER_ELEMENT;
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
    const words = this.#fields.map((field) => BigInt(figures[field] ?? this.get(field)));
    const version = Atomics.load(this.#words, 0);
    const held = this.#placeOf(version);
    if (words.every((word, index) => word === this.#words[held + index])) return;
    const free = this.#placeOf(version + 1n);
    for (const [index, word] of words.entries()) Atomics.store(this.#words, free + index, word);
    Atomics.store(this.#words, 0, version + 1n);
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
    for (;;) {
      const version = Atomics.load(this.#words, 0);
      const figures = {} as Record<F, number>;
      const place = this.#placeOf(version);
      for (const [index, field] of this.#fields.entries())
        figures[field] = this.#load(place + index);
      const value = also();
      if (Atomics.load(this.#words, 0) === version) return { figures, value };
    }
  }

  /** Any thread. One field, as it is now: a tenth of the cost of `read`. */
  get(field: F): number {
    const place = this.#placeOf(Atomics.load(this.#words, 0));
    return this.#load(place + this.#fields.indexOf(field));
  }

  #load(word: number): number {
    return Number(Atomics.load(this.#words, word));
  }

  #placeOf(version: bigint): number {
    return 1 + Number(version & 1n) * this.#fields.length;
  }
}
