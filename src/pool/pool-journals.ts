/**
 * The dispense journals of the running epoch: one for each thread that hands out, and each pool.
 * Runs in the store thread. A journal exists before the store counts on it, and is counted out
 * before it is removed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { UnrecordedHandOuts } from './hand-outs.ts';
import type { JournalFile } from './journal.ts';
import type { Journals } from './journals.ts';
import type { SharedPool } from './pool.ts';
import { ReadyQueue } from './ready-queue.ts';
import type { Exclusively } from './refill.ts';

const DROP_EVERY_MS = 200;

export interface PoolJournalsOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly journals: Journals;
  /** Not if all replies wait for the disk. */
  readonly areNeeded: boolean;
}

/** A journal, and who reads it. */
export interface FollowedJournal {
  readonly file: JournalFile;
  readonly handOuts: UnrecordedHandOuts;
}

export class PoolJournals {
  readonly #options: PoolJournalsOptions;
  #count = 0;
  #isStopping = false;

  constructor(options: PoolJournalsOptions) {
    this.#options = options;
  }

  /**
   * For one more thread that hands out of the pool; undefined if none is needed. `handOuts` read it
   * from now on. Errors: JOURNAL_UNAVAILABLE, those of the store.
   */
  async add(pool: SharedPool, handOuts: UnrecordedHandOuts): Promise<FollowedJournal | undefined> {
    const { exclusively, areNeeded } = this.#options;
    return areNeeded ? exclusively(() => this.#add(pool, handOuts)) : undefined;
  }

  async #add({ name, queue }: SharedPool, handOuts: UnrecordedHandOuts): Promise<FollowedJournal> {
    const { store, journals } = this.#options;
    const number = this.#count + 1;
    let file: JournalFile;
    try {
      file = journals.create(store.epoch, number, new ReadyQueue(queue).capacity);
    } catch (cause) {
      const detail = `${journals.directory}: ${(cause as Error).message}`;
      throw new VanityError('JOURNAL_UNAVAILABLE', detail, { cause });
    }
    await store.addJournal(name, number);
    this.#count = number;
    handOuts.follow(file);
    return { file, handOuts };
  }

  /** Of a thread or a pool that is gone, when all that they say is recorded. */
  async drop(gone: readonly FollowedJournal[]): Promise<void> {
    if (gone.length === 0) return;
    while (!(await this.#options.exclusively(() => this.#dropped(gone)))) {
      await sleep(DROP_EVERY_MS, undefined, { ref: false });
    }
  }

  async #dropped(gone: readonly FollowedJournal[]): Promise<boolean> {
    const { store, journals } = this.#options;
    // All of them are removed in the end.
    if (this.#isStopping) return true;
    if (gone.some(({ file, handOuts }) => handOuts.isPendingIn(file))) return false;
    try {
      await store.removeJournals(gone.map(({ file }) => file.number));
    } catch (error) {
      if (error instanceof VanityError) return false;
      throw error;
    }
    for (const { file, handOuts } of gone) {
      handOuts.unfollow(file);
      journals.removeOne(store.epoch, file.number);
    }
    return true;
  }

  /** From now on none is dropped: `remove` takes all. */
  stop(): void {
    this.#isStopping = true;
  }

  /** After a clean stop: nothing is left in memory. */
  remove(): void {
    this.#options.journals.remove();
  }
}
