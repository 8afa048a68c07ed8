/**
 * What each grinder thread is and gets, in shared memory: the main thread writes, any thread reads.
 * Each figure is whole by itself; two need not be of one moment.
 *
 * Three words of 32 bits for each thread: the place of its priority in `PRIORITIES`, its share in
 * thousandths, or -1, and its attempts a second, or -1.
 */
import { PRIORITIES, type Priority } from '../system/priority.ts';

export interface GrinderThreadFigures {
  readonly priority: Priority;
  /** Of a core, 0 to 1, to a thousandth; undefined while it has nothing to grind. */
  readonly share: number | undefined;
  /** Undefined as `share` is. */
  readonly attemptsPerSecond: number | undefined;
}

const WORDS_PER_THREAD = 3;
const NONE = -1;
const RATE_MAX = 2 ** 31 - 1;
const SHARE_UNIT = 1000;

export class GrinderThreads {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  static of(threads: number): GrinderThreads {
    const bytes = threads * WORDS_PER_THREAD * Int32Array.BYTES_PER_ELEMENT;
    const made = new GrinderThreads(new SharedArrayBuffer(bytes));
    const idle = { priority: 'normal', share: undefined, attemptsPerSecond: undefined } as const;
    made.write(Array(threads).fill(idle));
    return made;
  }

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Main thread only. */
  write(figures: readonly GrinderThreadFigures[]): void {
    for (const [index, { priority, share, attemptsPerSecond: rate }] of figures.entries()) {
      const at = index * WORDS_PER_THREAD;
      Atomics.store(this.#words, at, PRIORITIES.indexOf(priority));
      Atomics.store(this.#words, at + 1, wordOf(share && share * SHARE_UNIT));
      Atomics.store(this.#words, at + 2, wordOf(rate && Math.min(rate, RATE_MAX)));
    }
  }

  read(): GrinderThreadFigures[] {
    return Array.from({ length: this.#words.length / WORDS_PER_THREAD }, (_, index) => {
      const at = index * WORDS_PER_THREAD;
      const share = figureOf(Atomics.load(this.#words, at + 1));
      return {
        priority: PRIORITIES[Atomics.load(this.#words, at)]!,
        share: share && share / SHARE_UNIT,
        attemptsPerSecond: figureOf(Atomics.load(this.#words, at + 2)),
      };
    });
  }
}

function wordOf(figure: number | undefined): number {
  return figure === undefined ? NONE : Math.round(figure);
}

function figureOf(word: number): number | undefined {
  return word === NONE ? undefined : word;
}
