/**
 * Looks once a second whether the dispense journals of this run are where the next start will look for
 * them, and recreates those that are not: `/dev/shm` is emptied by hand, or by the system when the
 * server's user logs out. Runs in the store thread.
 *
 * A look is at the directories: of thousands of files each would be a call of the system. What removes or
 * replaces a file changes the time of its directory, so each file is checked when that changed, and once
 * more with the next look: a second change in the same tick of the system's clock leaves the same time.
 *
 * While one is missing, requests are still served, and a kill would burn what its pool has leased. The
 * log says so once per change of state, and so does the board for `/readyz`. What cannot be created is
 * retried with each look. That nothing leaves twice does not depend on any of this: see
 * pool-journals.ts.
 */
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoreHealth } from '../pool/health.ts';
import type { Journals } from '../pool/journals.ts';
import type { RenewedPools } from './renewed-pools.ts';

const LOOK_MS = 1000;
/** Looks, from one at each file to the next, while their directories do not change. */
const EACH_FILE_EVERY = 60;

export interface JournalWatchOptions {
  readonly journals: Pick<Journals, 'holdAgain' | 'stamp'>;
  readonly pools: Pick<RenewedPools, 'lostJournals' | 'renewJournals'>;
  readonly health: StoreHealth;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

export class JournalWatch {
  readonly #options: JournalWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isLost = false;
  /** Why the lost ones cannot be recreated. */
  #fault: string | undefined;
  #renewed = 0;
  #stamp: string | undefined;
  /** Looks until each file is checked again, whatever the directories say. */
  #looksLeft = 0;

  constructor(options: JournalWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const tick = async () => {
      await this.look();
      if (this.#timer !== undefined) this.#timer = setTimeout(tick, LOOK_MS);
    };
    this.#timer = setTimeout(tick, LOOK_MS);
  }

  /** A look that has begun may still end. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isStopped = true;
  }

  /** One look, with what it finds to do. */
  async look(): Promise<void> {
    const { journals, pools, log } = this.#options;
    let fault: string | undefined;
    try {
      for (const directory of journals.holdAgain()) {
        log.warn({ directory }, 'the lock of the dispense journals was removed; taking it again');
      }
      if (this.#mayBeLost()) this.#tell();
      if (this.#isLost) this.#renewed += await pools.renewJournals();
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      fault = error.message;
    }
    if (fault !== undefined && this.#fault === undefined) {
      log.error({ reason: fault }, 'dispense journals cannot be recreated; retrying');
    }
    const isNews = this.#isLost || fault !== this.#fault;
    this.#fault = fault;
    if (isNews) this.#tell();
  }

  #mayBeLost(): boolean {
    const before = this.#stamp;
    this.#stamp = this.#options.journals.stamp;
    const isChanged = this.#stamp !== before;
    const isDue = isChanged || this.#isLost || --this.#looksLeft <= 0;
    // The next one, after a change; else not for a while.
    if (isDue) this.#looksLeft = isChanged ? 1 : EACH_FILE_EVERY;
    return isDue;
  }

  #tell(): void {
    if (this.#isStopped) return;
    const { pools, health, log } = this.#options;
    const [path, ...others] = pools.lostJournals;
    const isLost = path !== undefined;
    const lost = isLost ? 1 + others.length : 0;
    health.writeJournals({ lost, renewed: this.#renewed, isStuck: this.#fault !== undefined });
    if (isLost === this.#isLost) return;
    this.#isLost = isLost;
    if (isLost) {
      const message =
        'dispense journals were removed: until they are recreated a kill burns addresses';
      log.warn({ journals: lost, path }, message);
    } else log.info({ renewed: this.#renewed }, 'dispense journals are complete again');
  }
}
