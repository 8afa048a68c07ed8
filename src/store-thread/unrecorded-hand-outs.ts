/**
 * What left a pool and is not recorded in the store yet, and for whom: read from the dispense
 * journals of all threads, or, where every reply waits for the disk, noted in memory. Runs in the
 * store thread; a turn takes what there is, and confirms it when it is durable.
 */

import { type JournalPart, PartReader, unavailable } from '../pool/journal.ts';
import type { MadeHandOut } from '../pool/pool.ts';
import type { HandOuts } from '../store/hand-out.ts';
import type { Refusal } from '../store/store.ts';

/**
 * Makes room in the journals of all threads, as far as it can be had: for how many records each of
 * them has a slot then.
 */
export type MakeRoom = (records: number) => Promise<number>;

export class UnrecordedHandOuts {
  readonly #parts = new Map<number, PartReader>();
  readonly #makeRoom: MakeRoom;
  #noted: MadeHandOut[] = [];
  #taken = 0;

  /** Without journals there is room for whatever leaves. */
  constructor(makeRoom: MakeRoom = async () => Number.POSITIVE_INFINITY) {
    this.#makeRoom = makeRoom;
  }

  /** Reads one more part of a thread's journal. Errors are the system's. */
  follow(part: JournalPart): void {
    this.#parts.set(part.number, new PartReader(part));
  }

  /** Reads it no longer: nobody writes it, and nothing of it is pending. */
  unfollow({ number }: JournalPart): void {
    this.#parts.get(number)!.close();
    this.#parts.delete(number);
  }

  isPendingIn({ number }: JournalPart): boolean {
    return this.#parts.get(number)!.isPending;
  }

  /** Whether no start would find it. */
  isLost({ number }: JournalPart): boolean {
    return this.#parts.get(number)!.isLost;
  }

  /**
   * After `take`, and after the head was read of which the turn is to record all that is before it:
   * makes sure that each thread could write a record for each of `addresses` that wait in the
   * queue, and says for how many there is room. What was written since `take` stays in its slot
   * until the next turn, and one pop of a thread may not be written yet.
   */
  async roomFor(addresses: number): Promise<number> {
    let late = 1;
    for (const part of this.#parts.values()) late += part.unread;
    return (await this.#makeRoom(addresses + late)) - late;
  }

  /** Of this thread: what stands in no journal, and reservations, of which a journal has the position alone. */
  note(handOut: MadeHandOut): void {
    this.#noted.push(handOut);
  }

  get isPending(): boolean {
    return this.#noted.length > 0 || this.#parts.values().some(({ isPending }) => isPending);
  }

  take(): HandOuts {
    const records = [...this.#noted];
    const journals = new Map<number, number>();
    this.#taken = records.length;
    for (const part of this.#parts.values()) {
      if (!part.isPending) continue;
      const { records: found, end } = part.read();
      // What the store is to know of a reservation was noted.
      for (const record of found) if (!record.isUnseen) records.push(record);
      journals.set(part.number, end);
    }
    return { records, journals };
  }

  /** Before a turn that leases: what `take` gave, for that turn. Error: JOURNAL_UNAVAILABLE. */
  countLease(taken: HandOuts): HandOuts {
    try {
      for (const part of this.#parts.values()) part.countLease();
    } catch (cause) {
      throw unavailable(`the journal cannot be written: ${(cause as Error).message}`, cause);
    }
    return { ...taken, countsLease: true };
  }

  /** What was taken the last time is in the store, but for what it refused. */
  confirm(refused: readonly Refusal[] = []): void {
    const taken = this.#noted.slice(0, this.#taken);
    this.#noted = this.#noted.slice(this.#taken);
    this.#taken = 0;
    for (const { position, why } of refused) {
      taken.find((record) => record.position === position)?.onRefused?.(why);
    }
    for (const part of this.#parts.values()) part.confirm();
  }

  close(): void {
    for (const part of this.#parts.values()) part.close();
    this.#parts.clear();
  }
}
