/**
 * What each grinder thread is and gets, in shared memory: the main thread writes, any thread reads.
 * Each figure is whole by itself; two need not be of one moment.
 *
 * Two words of 32 bits for each thread: the place of its priority in `PRIORITIES`, and its share in
 * thousandths, or -1.
 */
import { PRIORITIES, type Priority } from '../system/priority.ts';

export interface GrinderThreadFigures {
  readonly priority: Priority;
  /** Of a core, 0 to 1, to a thousandth; undefined while it has nothing to grind. */
  readonly share: number | undefined;
}

const WORDS_PER_THREAD = 2;
const NO_SHARE = -1;
const SHARE_UNIT = 1000;

export class GrinderThreads {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  static of(threads: number): GrinderThreads {
    const bytes = threads * WORDS_PER_THREAD * Int32Array.BYTES_PER_ELEMENT;
    const made = new GrinderThreads(new SharedArrayBuffer(bytes));
    made.write(Array(threads).fill({ priority: 'normal', share: undefined }));
    return made;
  }

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Main thread only. */
  write(figures: readonly GrinderThreadFigures[]): void {
    for (const [index, { priority, share }] of figures.entries()) {
      const at = index * WORDS_PER_THREAD;
      const word = share === undefined ? NO_SHARE : Math.round(share * SHARE_UNIT);
      Atomics.store(this.#words, at, PRIORITIES.indexOf(priority));
      Atomics.store(this.#words, at + 1, word);
    }
  }

  read(): GrinderThreadFigures[] {
    return Array.from({ length: this.#words.length / WORDS_PER_THREAD }, (_, index) => {
      const at = index * WORDS_PER_THREAD;
      const word = Atomics.load(this.#words, at + 1);
      const share = word === NO_SHARE ? undefined : word / SHARE_UNIT;
      return { priority: PRIORITIES[Atomics.load(this.#words, at)]!, share };
    });
  }
}
