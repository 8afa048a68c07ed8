/**
 * The dispense journal of one thread for one pool: a list of parts (journal.ts), to which the store
 * thread adds one before it leases more addresses than the journal has slots for. So a default
 * pool takes 108 kB a thread and not the 6.3 MB of its largest ready queue.
 *
 * The store thread publishes a part, and the thread that hands out finds it when it needs it: nobody
 * sends or waits for a message. What both know of the parts is one SharedArrayBuffer, made in full
 * with the journal:
 *
 *   word             what                                                  written by
 *   0                how many parts there are                              the store thread
 *   64 (p + 1)       records written into part p                           the thread that hands out
 *   64 (p + 1) + 32  records of part p that the store has                  the store thread
 *          ... + 33  number of part p, which with its directory is a path  the store thread
 *          ... + 34  directory of part p: 0 in memory, 1 on disk           the store thread
 *
 * A part is never taken away from a journal: it is removed with all others when the thread or the
 * pool is gone.
 */
import { join } from 'node:path';
import type { HandOut } from '../store/hand-out.ts';
import { type JournalPart, PartWriter, PROGRESS_WORDS, unavailable } from './journal.ts';
import { SLOT_BYTES } from './journal-layout.ts';

/** The 12th ends above the 2^20 cells of the largest ready queue, however it came to grow. */
const PARTS_MAX = 16;
/** A page holds no whole number of slots; three of them hold 128. */
const SLOTS_STEP = (3 * 4096) / SLOT_BYTES;
/**
 * Of a first part, the slot of its header included: for the largest request (1000), and beyond a
 * power of two, so that a ready queue that is as large as one does not make its journals twice that
 * for the few records that are written during a turn.
 */
export const SLOTS_MIN = 1024 + SLOTS_STEP;
const COUNT_WORD = 0;
const NUMBER_WORD = 33;
const DIRECTORY_WORD = 34;

const SUFFIX = '.journal';

/** A journal as the thread that writes it gets it; can be sent to a thread as it is. */
export interface SharedJournal {
  readonly epoch: number;
  /** Those of `DIRECTORY_WORD`, in its order. */
  readonly directories: readonly string[];
  readonly board: SharedArrayBuffer;
}

/** Of the first part of a journal that is to have room for as many records as others of its pool. */
export function slotsFor(records: number): number {
  return Math.max(Math.ceil((1 + records) / SLOTS_STEP) * SLOTS_STEP, SLOTS_MIN);
}

/** Of one more part: it about doubles what is there, so that parts are few. */
export function slotsOfNext(capacity: number, records: number): number {
  const missing = Math.ceil(Math.log2(records - capacity + 1));
  return 2 ** Math.max(missing, Math.floor(Math.log2(capacity)));
}

/** The file of a part. */
export function partPath(directory: string, epoch: number, number: number): string {
  return join(directory, `${epoch}-${number}${SUFFIX}`);
}

/** Whether a file of this name may be a part. */
export function isPartName(name: string): boolean {
  return name.endsWith(SUFFIX);
}

/** A journal in the store thread, which makes its parts. */
export class GrowingJournal {
  readonly shared: SharedJournal;
  readonly parts: JournalPart[] = [];
  /** Records for which there are slots. */
  capacity = 0;
  readonly #words: Int32Array;

  constructor(epoch: number, directories: readonly string[]) {
    const bytes = (1 + PARTS_MAX) * PROGRESS_WORDS * Int32Array.BYTES_PER_ELEMENT;
    this.shared = { epoch, directories, board: new SharedArrayBuffer(bytes) };
    this.#words = new Int32Array(this.shared.board);
  }

  /** Whether there is room in shared memory for one more part. */
  get canGrow(): boolean {
    return this.parts.length < PARTS_MAX;
  }

  /** The part in that file, as the next one of this journal. */
  next(number: number, path: string): JournalPart {
    return { number, path, progress: progressOf(this.#words, this.parts.length) };
  }

  /** From now on the writer may use it; `directory` is its place in `SharedJournal.directories`. */
  publish(part: JournalPart, directory: number, records: number): void {
    Atomics.store(part.progress, NUMBER_WORD, part.number);
    Atomics.store(part.progress, DIRECTORY_WORD, directory);
    this.parts.push(part);
    this.capacity += records;
    Atomics.store(this.#words, COUNT_WORD, this.parts.length);
  }
}

/** The journal of this thread for one pool. */
export class JournalWriter {
  readonly #shared: SharedJournal;
  readonly #words: Int32Array;
  readonly #parts: PartWriter[] = [];
  #current: PartWriter | undefined;

  /** If the first part is already gone, `prepare` reports it, until the thread has another journal. */
  constructor(shared: SharedJournal) {
    this.#shared = shared;
    this.#words = new Int32Array(shared.board);
    try {
      this.#current = this.#free();
    } catch {
      // Tried again with each hand-out.
    }
  }

  /**
   * Throws when a record would fail: while the journal is full or cannot be opened, and after a
   * failure until a slot can be written again. Error: JOURNAL_UNAVAILABLE.
   */
  prepare(): void {
    if (this.#current === undefined || this.#current.isFull) this.#current = this.#free();
    this.#current.prepare();
  }

  /** After `prepare`. When this returns the record outlives the process. Error: JOURNAL_UNAVAILABLE. */
  write(handOut: HandOut): void {
    this.#current!.write(handOut);
  }

  close(): void {
    for (const part of this.#parts) part.close();
  }

  #free(): PartWriter {
    const known = this.#parts.find(({ isFull }) => !isFull);
    if (known !== undefined) return known;
    if (this.#parts.length === Atomics.load(this.#words, COUNT_WORD)) {
      throw unavailable('the journal is full: the store records nothing');
    }
    try {
      return this.#open();
    } catch (cause) {
      throw unavailable(`the journal cannot be opened: ${(cause as Error).message}`, cause);
    }
  }

  /** The next part that is published. */
  #open(): PartWriter {
    const { epoch, directories } = this.#shared;
    const progress = progressOf(this.#words, this.#parts.length);
    const number = Atomics.load(progress, NUMBER_WORD);
    const directory = directories[Atomics.load(progress, DIRECTORY_WORD)]!;
    const part = new PartWriter({ number, path: partPath(directory, epoch, number), progress });
    this.#parts.push(part);
    return part;
  }
}

function progressOf(words: Int32Array, part: number): Int32Array {
  return words.subarray((part + 1) * PROGRESS_WORDS, (part + 2) * PROGRESS_WORDS);
}
