/**
 * Destroys the secrets whose retention is over, every ten seconds. What is due then may be many (a night
 * off, a large pool that was deleted the day before): so it is done in pieces that requests do not wait
 * for, with steps of the log between them. Runs in the store thread.
 */
import { VanityError } from '../errors.ts';
import type { StoreHealth } from '../pool/health.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

const DESTROY_EVERY_MS = 10_000;

export interface DestroyerOptions {
  readonly store: Pick<
    Store,
    'clock' | 'dueSecrets' | 'destroySecrets' | 'isLogLong' | 'checkpointLog'
  >;
  /** Runs a piece when no request waits for the store. */
  readonly behind: Exclusively;
  readonly retentionMs: number;
  readonly health: Pick<StoreHealth, 'writeDueSecrets'>;
  /** Called after every attempt, with what made it fail. */
  readonly onEnd: (error: VanityError | undefined) => void;
}

export class Destroyer {
  readonly #options: DestroyerOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: DestroyerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.destroy(), DESTROY_EVERY_MS);
  }

  /** The piece that runs is ended; the next start goes on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  /** All that is due now. One backlog that takes longer is not begun twice. */
  destroy(): Promise<void> {
    this.#running ??= this.#destroy().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #destroy(): Promise<void> {
    const { store, onEnd } = this.#options;
    if (!store.clock.isSettled) return;
    try {
      await this.#pieces();
      onEnd(undefined);
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      onEnd(error);
    }
  }

  async #pieces(): Promise<void> {
    const { store, behind, health, retentionMs } = this.#options;
    let due = await behind(() => store.dueSecrets(retentionMs));
    health.writeDueSecrets(due);
    for (let destroyed = 1; destroyed > 0 && !this.#isStopped; ) {
      destroyed = await behind(() => store.destroySecrets(retentionMs));
      due = destroyed === 0 ? 0 : Math.max(due - destroyed, 0);
      health.writeDueSecrets(due);
      if (store.isLogLong) await behind(() => store.checkpointLog());
    }
  }
}
