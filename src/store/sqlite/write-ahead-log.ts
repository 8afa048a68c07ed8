/** The write-ahead log of an open store, and when it goes into the file. Runs in the store thread. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';

/**
 * Pages of 4 KiB. The index of hashes is written at random places: the more commits a checkpoint
 * gathers, the more often a page that it writes has changed several times.
 */
export const CHECKPOINT_PAGES = 4000;
/** The same for work that is to write the disk in short steps. */
const STEP_PAGES = 256;

/** The write-ahead log of an open store, which nothing but this takes into the database. */
export class Log {
  readonly #length: StatementSync;
  readonly #passive: StatementSync;
  readonly #truncate: StatementSync;

  constructor(db: DatabaseSync) {
    this.#length = db.prepare('PRAGMA wal_checkpoint(NOOP)');
    this.#passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
    this.#truncate = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  /**
   * Takes its pages into the database when there are enough of them. True when all of them are on
   * disk there by now: the next transaction may begin a new log.
   */
  checkpointIfDue(): boolean {
    return this.#look().log >= CHECKPOINT_PAGES && this.checkpoint();
  }

  /** Whether a step's worth of pages is not in the database yet. */
  get isLong(): boolean {
    const { log, checkpointed } = this.#look();
    return log - checkpointed >= STEP_PAGES;
  }

  /** Pages of it, and those of them that are in the database. */
  #look(): { log: number; checkpointed: number } {
    try {
      const { log, checkpointed } = this.#length.get()!;
      return { log: Number(log), checkpointed: Number(checkpointed) };
    } catch {
      return { log: 0, checkpointed: 0 };
    }
  }

  /** The same, however few they are. */
  checkpoint(): boolean {
    return isComplete(this.#passive);
  }

  /**
   * Takes changed pages into the database, and what they were before out of it and of the log. False
   * when another program still reads that: what is committed is durable all the same.
   */
  truncate(): boolean {
    return isComplete(this.#truncate);
  }
}

/** What fails here is no matter of the transaction before it, and is tried again. */
function isComplete(checkpoint: StatementSync): boolean {
  try {
    const { busy, log, checkpointed } = checkpoint.get()!;
    return busy === 0 && log === checkpointed;
  } catch {
    return false;
  }
}
