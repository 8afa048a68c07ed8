/**
 * What a run does that another has ended, because it was taken for dead, or whose database went back in time: it
 * hands nothing out, settles what left by its journals, and goes on in a new epoch, without a restart. Runs in
 * the store thread. After a database that went back this takes until every node has said what it did.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Recover } from '../store/recovery.ts';
import { EpochOver, type Store, StoreRewound } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';
import type { RenewedPools } from './renewed-pools.ts';

const BACK_OFF_MIN_MS = 100;
const BACK_OFF_MAX_MS = 5000;

export interface RejoinerOptions {
  readonly store: Pick<Store, 'epoch' | 'rejoin'>;
  readonly exclusively: Exclusively;
  /** Runs work while no insert is under way. */
  readonly withoutInserts: Exclusively;
  readonly recover: Recover;
  /** Before the run that has begun hands anything out. Errors: those of the store; then another begins. */
  readonly onBegun: () => Promise<void>;
  readonly renewed: Pick<RenewedPools, 'rejoin'>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** After each attempt: with why it failed. */
  readonly onEnd: (error: VanityError | undefined) => void;
}

export class Rejoiner {
  readonly #options: RejoinerOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: RejoinerOptions) {
    this.#options = options;
  }

  /** What made a call of the store fail, whatever came of it. */
  notice(error: unknown): void {
    const isRewound = error instanceof StoreRewound;
    if (!isRewound && !(error instanceof EpochOver)) return;
    const why = isRewound ? 'the database went back in time' : 'another node has ended this run';
    this.#running ??= this.#rejoin(why).finally(() => {
      this.#running = undefined;
    });
  }

  /** An attempt that has begun may still end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #rejoin(why: string): Promise<void> {
    const { store, renewed, log, onEnd } = this.#options;
    log.error({ epoch: store.epoch }, `${why}; the next begins`);
    for (let waitMs = BACK_OFF_MIN_MS; !this.#stop.signal.aborted; waitMs *= 2) {
      try {
        await renewed.rejoin(() => this.#begin());
        onEnd(undefined);
        return log.info({ epoch: store.epoch }, 'a new run has begun');
      } catch (error) {
        if (!(error instanceof VanityError)) throw error;
        log.warn({ reason: error.message }, 'no new run can begin now; retrying');
        onEnd(error);
      }
      const options = { signal: this.#stop.signal, ref: false };
      await sleep(Math.min(waitMs, BACK_OFF_MAX_MS), undefined, options).catch(() => undefined);
    }
  }

  async #begin(): Promise<void> {
    const { store, exclusively, withoutInserts, recover, onBegun, log } = this.#options;
    const recovered = await withoutInserts(() => exclusively(() => store.rejoin(recover)));
    for (const [pool, left] of Object.entries(recovered)) {
      log.warn({ pool, ...left }, 'what this run had leased when it was ended');
    }
    await onBegun();
  }
}
