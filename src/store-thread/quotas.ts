/**
 * How many addresses tokens had today. Runs in the store thread, through which every request of a
 * token with a quota goes; so the count is one, whatever the number of HTTP threads. What was
 * handed out before is counted from the store's own record of hand-outs: a restart forgets nothing.
 *
 * The day is that of the store's clock. One that is set back by less than a minute may come to
 * yesterday again: that day's figure is still here.
 */
import { VanityError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { DAY_MS } from '../store/token-store.ts';
import type { Exclusively } from './in-turn.ts';

/** Of each token. */
const DAYS_KEPT = 2;

interface Day {
  /** Days since 1970. */
  readonly day: number;
  used: number;
}

export interface QuotasOptions {
  readonly store: Pick<Store, 'tokens' | 'clock'>;
  readonly exclusively: Exclusively;
  /** Records in the store what has left by now, and who got it. */
  readonly record: () => Promise<void>;
}

/** What was counted. */
export interface Taken {
  /** Milliseconds since 1970: the hand-out is one of this time, whenever it is recorded. */
  readonly at: number;
  giveBack(): void;
}

export class Quotas {
  readonly #options: QuotasOptions;
  readonly #days = new Map<number, Day[]>();

  constructor(options: QuotasOptions) {
    this.#options = options;
  }

  /**
   * Counts addresses that are about to be handed out, `at` a time that is now if not given; `giveBack` if
   * they are not. Error: QUOTA_EXCEEDED.
   */
  async take(
    token: number,
    count: number,
    quota: number,
    at = this.#options.store.clock.exact,
  ): Promise<Taken> {
    const today = await this.#dayOf(token, Math.floor(at / DAY_MS));
    if (today.used + count > quota) {
      const left = Math.max(quota - today.used, 0);
      const detail = `${count} asked for, ${left} left of ${quota} for this UTC day`;
      const ends = (today.day + 1) * DAY_MS;
      throw new VanityError('QUOTA_EXCEEDED', detail, {
        retryAfterSeconds: Math.max(1, Math.ceil((ends - at) / 1000)),
      });
    }
    today.used += count;
    return {
      at,
      giveBack() {
        today.used -= count;
      },
    };
  }

  /** The store has counted more than was known here. Errors: QUOTA_EXCEEDED, STORE_UNAVAILABLE. */
  async refuse(token: number, count: number, quota: number): Promise<never> {
    this.forget(token);
    (await this.take(token, count, quota)).giveBack();
    const detail = 'the quota was used up elsewhere, and has room again; ask again';
    throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
  }

  /** What is known of the token is not what the store has: it is counted anew. */
  forget(token: number): void {
    this.#days.delete(token);
  }

  async #dayOf(token: number, day: number): Promise<Day> {
    const known = this.#known(token, day);
    if (known !== undefined) return known;
    const { store, exclusively, record } = this.#options;
    await record();
    const used = await exclusively(() => store.tokens.used(token, day));
    // Another request may have counted meanwhile.
    const counted = this.#known(token, day);
    if (counted !== undefined) return counted;
    const today = { day, used };
    this.#days.set(token, [today, ...(this.#days.get(token) ?? [])].slice(0, DAYS_KEPT));
    return today;
  }

  #known(token: number, day: number): Day | undefined {
    return this.#days.get(token)?.find((one) => one.day === day);
  }
}
