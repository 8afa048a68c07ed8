/**
 * What a run does that another has ended, because it was taken for dead: it hands nothing out, settles what
 * left by its journals, and goes on in a new epoch, without a restart. Runs in the store thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Recover } from '../store/recovery.ts';
import { EpochOver, type Store } from '../store/store.ts';
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
    if (!(error instanceof EpochOver)) return;
    this.#running ??= this.#rejoin().finally(() => {
      this.#running = undefined;
    });
  }

  /** An attempt that has begun may still end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #rejoin(): Promise<void> {
    const { store, renewed, log } = this.#options;
    log.error({ epoch: store.epoch }, 'another node has ended this run; the next begins');
    for (let waitMs = BACK_OFF_MIN_MS; !this.#stop.signal.aborted; waitMs *= 2) {
      try {
        await renewed.rejoin(() => this.#begin());
        return log.info({ epoch: store.epoch }, 'a new run has begun');
      } catch (error) {
        if (!(error instanceof VanityError)) throw error;
        log.warn({ reason: error.message }, 'no new run can begin now; retrying');
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
