/**
 * How this thread records what it hands out itself: in its own journal of the pool, or, where every reply
 * waits for the disk, in memory until the next turn. Runs in the store thread.
 */
import type { Hands, MadeHandOut } from '../pool/pool.ts';
import type { ServedEntry } from './journal-owners.ts';

export class OwnRecords implements Pick<Hands, 'prepare' | 'record'> {
  readonly #assertWorks: () => void;
  readonly #entries = new Map<string, ServedEntry>();

  /** `assertWorks` throws while the store takes no turns. */
  constructor(assertWorks: () => void) {
    this.#assertWorks = assertWorks;
  }

  add(entry: ServedEntry): void {
    this.#entries.set(entry.shared.name, entry);
  }

  remove(pool: string): void {
    this.#entries.delete(pool);
  }

  /** Before a pop. Errors: JOURNAL_UNAVAILABLE, STORE_UNAVAILABLE. */
  readonly prepare = (pool: string): void => {
    const { writer } = this.#entries.get(pool)!;
    if (writer === undefined) this.#assertWorks();
    else writer.prepare();
  };

  /** After a pop. Errors as of `prepare`. */
  readonly record = (pool: string, handOut: MadeHandOut): void => {
    const { writer, handOuts } = this.#entries.get(pool)!;
    // Where the store may refuse it nothing leaves before a turn: no start has to know.
    const isJournaled = writer !== undefined && handOut.onRefused === undefined;
    if (isJournaled) writer.write(handOut);
    // A turn reads the journal, which has the position alone of a reservation.
    if (!isJournaled || handOut.reservation !== undefined) handOuts.note(handOut);
  };
}
