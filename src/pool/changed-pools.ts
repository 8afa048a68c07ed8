/**
 * Which pools something happened to since a reader looked last: a bit for each pool and reader, in
 * shared memory. So who looks 40 times a second costs nothing while nothing happens, however many
 * pools there are.
 *
 * Any thread marks, after what it did stands in shared memory; a reader takes the marks before it
 * looks. So a change is seen by this look, or its mark by the next. A mark that is there already
 * is only read: its reader has not taken it, and looks after that. A thread that dies between the two
 * leaves no mark: who hears of its end marks what it could have changed.
 *
 *   word       what
 *   0..15      for the refill, bit p of word w: the pool of place 32 w + p changed
 *   32..47     for the steering of the grinder
 */

/** Who looks. */
const READERS = { refill: 0, steering: 1 } as const;
export type ChangeReader = keyof typeof READERS;

/** Twice what a configuration may have: as many can have been made at run time before. */
export const PLACES = 512;
const BITS = 32;
const WORDS = PLACES / BITS;
/** Those of one reader stand 128 bytes apart from those of the other. */
const STRIDE = 32;
const NONE: readonly number[] = [];

export class ChangedPools {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer?: SharedArrayBuffer) {
    const bytes = Object.keys(READERS).length * STRIDE * Int32Array.BYTES_PER_ELEMENT;
    this.buffer = buffer ?? new SharedArrayBuffer(bytes);
    this.#words = new Int32Array(this.buffer);
  }

  /** Any thread: for both readers. `place` is from 0 to `PLACES` - 1. */
  mark(place: number): void {
    const bit = 1 << (place % BITS);
    for (let word = Math.floor(place / BITS); word < this.#words.length; word += STRIDE) {
      if ((Atomics.load(this.#words, word) & bit) === 0) Atomics.or(this.#words, word, bit);
    }
  }

  /** The reader alone: places that were marked since it asked last. */
  take(reader: ChangeReader): readonly number[] {
    let places = NONE;
    const first = READERS[reader] * STRIDE;
    for (let word = 0; word < WORDS; word++) {
      if (Atomics.load(this.#words, first + word) === 0) continue;
      const bits = Atomics.exchange(this.#words, first + word, 0);
      const found = Array.from({ length: BITS }, (_, bit) => bit).filter(
        (bit) => bits & (1 << bit),
      );
      places = [...places, ...found.map((bit) => word * BITS + bit)];
    }
    return places;
  }
}
