/**
 * The ids of events: whole numbers that only grow, whatever the clock says, whichever HTTP thread
 * sends the
 * event, and over restarts. An id is the epoch of the store, which no two starts share and which grows with each,
 * and behind it twelve digits that count the events of this start.
 *
 * The count is in shared memory, for a reader may come back to another thread. Any thread takes ids; the main
 * thread sets the epoch, before anything listens.
 */
const EPOCH = 0;
const COUNT = 1;
/** A million events a second take 11 days; a thread makes one a second for each kind of reader. */
const COUNT_DIGITS = 12;

export class EventIds {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: BigInt64Array;

  constructor(buffer = new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#words = new BigInt64Array(buffer);
  }

  /** `epoch` is higher than that of any start before. */
  begin(epoch: number): void {
    Atomics.store(this.#words, EPOCH, BigInt(epoch));
  }

  /** Higher than all before. */
  next(): string {
    const count = Atomics.add(this.#words, COUNT, 1n);
    return `${Atomics.load(this.#words, EPOCH)}${String(count).padStart(COUNT_DIGITS, '0')}`;
  }
}
