/**
 * Who hands a pool out in a running server, and with which journal: this thread itself, and each HTTP
 * thread as far as this one knows it. Runs in the store thread.
 */
import type { PoolConfig } from '../config/pool-config.ts';
import type { PoolNotice, ServedPool } from '../pool/calls.ts';
import { JournalWriter } from '../pool/journal-parts.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { FollowedJournal, JournalOrder } from './pool-journals.ts';
import type { ThreadNotices } from './thread-notices.ts';
import type { UnrecordedHandOuts } from './unrecorded-hand-outs.ts';

/** A pool that is served, and what this thread hands it out with. */
export class ServedEntry {
  readonly shared: SharedPool;
  /** As of `NewPool`. */
  config: PoolConfig | undefined;
  readonly handOuts: UnrecordedHandOuts;
  writer: JournalWriter | undefined;
  #journal: FollowedJournal | undefined;

  constructor(shared: SharedPool, config: PoolConfig | undefined, handOuts: UnrecordedHandOuts) {
    this.shared = shared;
    this.config = config;
    this.handOuts = handOuts;
  }

  journalOf(_pool: string): FollowedJournal | undefined {
    return this.#journal;
  }

  /** From now on it is written. */
  take(journal: FollowedJournal): void {
    this.writer?.close();
    this.#journal = journal;
    this.writer = new JournalWriter(journal.journal.shared);
  }

  /** The journal, which is written no more. */
  leave(_pool: string): FollowedJournal | undefined {
    const journal = this.#journal;
    this.writer?.close();
    this.writer = undefined;
    this.#journal = undefined;
    return journal;
  }
}

/** As far as this thread knows it. */
export class HttpThread {
  /** Undefined until it is connected. */
  notices: ThreadNotices | undefined;
  /** By pool. */
  readonly #journals = new Map<string, FollowedJournal>();

  get journals(): FollowedJournal[] {
    return [...this.#journals.values()];
  }

  journalOf(pool: string): FollowedJournal | undefined {
    return this.#journals.get(pool);
  }

  /** The thread writes to it once it is notified. */
  take(journal: FollowedJournal): void {
    this.#journals.set(journal.pool, journal);
  }

  /** Its journal of a pool, which it writes no more. */
  leave(pool: string): FollowedJournal | undefined {
    const journal = this.#journals.get(pool);
    this.#journals.delete(pool);
    return journal;
  }

  served(shared: SharedPool): ServedPool {
    return { shared, journal: this.#journals.get(shared.name)?.journal.shared };
  }

  /** Resolves when it has acted on it; at once before it is connected. */
  async tell(what: Omit<PoolNotice, 'notice'>): Promise<void> {
    await this.notices?.tell('pools', what);
  }
}

export function orderOf({ shared, handOuts }: ServedEntry): JournalOrder {
  return { pool: shared.name, handOuts };
}
