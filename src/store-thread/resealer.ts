/**
 * Reseals the rows of the store after a rotation that asks for it, and goes on with what a run before
 * did not finish: in pieces that requests do not wait for. Runs in the store thread.
 */
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

/** After a failure, and while another program reads the log. */
const AGAIN_MS = 10_000;

export interface ResealerOptions {
  readonly store: Pick<Store, 'sealingKey' | 'reseal' | 'isLogLong' | 'checkpointLog'>;
  /** Runs a piece when no request waits for the store. */
  readonly behind: Exclusively;
  /** Called after every attempt, with what made it fail. */
  readonly onEnd: (error: VanityError | undefined) => void;
  readonly log: Pick<Log, 'info'>;
}

export class Resealer {
  readonly #options: ResealerOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;
  #isTold = false;

  constructor(options: ResealerOptions) {
    this.#options = options;
  }

  /** What is left to do, if anything: at the start of a server, and after a rotation. */
  reseal(): Promise<void> {
    clearTimeout(this.#timer);
    this.#running ??= this.#reseal().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The piece that runs is ended; the next start goes on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    clearTimeout(this.#timer);
  }

  async #reseal(): Promise<void> {
    const { store, behind, log, onEnd } = this.#options;
    try {
      const { toReseal } = await behind(() => store.sealingKey());
      if (toReseal === 0) return onEnd(undefined);
      if (!this.#isTold) log.info({ toReseal }, 'resealing addresses');
      this.#isTold = true;
      const left = await this.#pieces(toReseal);
      onEnd(undefined);
      if (left === 0) {
        log.info('addresses are resealed: nothing in the store opens with the old key');
        this.#isTold = false;
        return;
      }
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      onEnd(error);
    }
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.reseal(), AGAIN_MS).unref();
  }

  /** What is left: something only while another program reads the log, or if this is stopped. */
  async #pieces(toReseal: number): Promise<number> {
    const { store, behind } = this.#options;
    let left = toReseal;
    for (let before = left + 1; left > 0 && left < before && !this.#isStopped; ) {
      before = left;
      left = await behind(() => store.reseal());
      if (store.isLogLong) await behind(() => store.checkpointLog());
    }
    return left;
  }
}
