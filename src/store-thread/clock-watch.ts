/**
 * Compares the system's clock with the store's, once a second: logs where it was set, and lets the store
 * take the step when that is due (store/own-clock.ts). Runs in the store thread.
 */
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoreHealth } from '../pool/health.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

const LOOK_EVERY_MS = 1000;

export interface ClockWatchOptions {
  readonly store: Pick<Store, 'clock' | 'takeStep'>;
  readonly exclusively: Exclusively;
  readonly health: Pick<StoreHealth, 'writeClock'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

export class ClockWatch {
  readonly #options: ClockWatchOptions;
  #steps = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ClockWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { store, log } = this.#options;
    if (store.clock.isInDoubt) {
      const time = new Date(store.clock.now).toISOString();
      log.info({ now: time }, 'the clock is in doubt: for an hour nothing expires for good');
    }
    this.#publish();
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async look(): Promise<void> {
    const { exclusively } = this.#options;
    // While the store is busy there are more looks, each of which finds it.
    if (this.#due() !== undefined) await exclusively(() => this.#take());
    this.#publish();
  }

  /** The step that is to be taken now, by a look. */
  #due(): number | undefined {
    const { store, log } = this.#options;
    const { began, isOver, due } = store.clock.look();
    if (began !== undefined) {
      this.#steps++;
      log.warn(
        { seconds: Math.round(began / 1000) },
        'the clock was set: the new time counts after an hour',
      );
    }
    if (isOver) log.info('the clock is right again');
    return due;
  }

  /** Where the store fails the next look finds the step again. */
  async #take(): Promise<void> {
    const { store, log } = this.#options;
    const stepMs = this.#due();
    if (stepMs === undefined) return;
    try {
      await store.takeStep(stepMs);
      log.warn(
        { seconds: Math.round(stepMs / 1000) },
        'the new time counts from now on; reservations were moved',
      );
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
    }
  }

  #publish(): void {
    const { store, health } = this.#options;
    health.writeClock(store.clock.latest, this.#steps);
  }
}
