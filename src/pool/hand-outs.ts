/**
 * What left a pool and the store has yet to hear of, with whom it went: read from the dispense
 * journals of all threads, or, where every reply waits for the disk, noted in memory. Runs in the
 * store thread; a turn takes what there is, and confirms it when it is durable.
 */
import type { HandOut, HandOuts } from '../store/store.ts';
import { type JournalFile, JournalReader } from './journal.ts';

export class UnrecordedHandOuts {
  readonly #journals = new Map<number, JournalReader>();
  #noted: HandOut[] = [];
  #taken = 0;

  /** Reads the journal of one more thread. Errors are the system's. */
  follow(journal: JournalFile): void {
    this.#journals.set(journal.number, new JournalReader(journal));
  }

  /** Reads it no longer: its thread is gone, and nothing of it is pending. */
  unfollow({ number }: JournalFile): void {
    this.#journals.get(number)!.close();
    this.#journals.delete(number);
  }

  isPendingIn({ number }: JournalFile): boolean {
    return this.#journals.get(number)!.isPending;
  }

  /** Of this thread, without a journal. */
  note(handOut: HandOut): void {
    this.#noted.push(handOut);
  }

  get isPending(): boolean {
    return this.#noted.length > 0 || this.#journals.values().some(({ isPending }) => isPending);
  }

  take(): HandOuts {
    const records = [...this.#noted];
    const journals = new Map<number, number>();
    this.#taken = records.length;
    for (const journal of this.#journals.values()) {
      if (!journal.isPending) continue;
      const { records: found, end } = journal.read();
      for (const record of found) records.push(record);
      journals.set(journal.number, end);
    }
    return { records, journals };
  }

  /** What was taken the last time is in the store. */
  confirm(): void {
    this.#noted = this.#noted.slice(this.#taken);
    this.#taken = 0;
    for (const journal of this.#journals.values()) journal.confirm();
  }

  close(): void {
    for (const journal of this.#journals.values()) journal.close();
  }
}
