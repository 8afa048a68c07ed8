/**
 * How many addresses tokens had today. Runs in the store thread, through which every request of a
 * token with a quota goes; so the count is one, whatever the number of HTTP threads. What was
 * handed out before is counted from the store's own record of hand-outs: a restart forgets nothing.
 */
import { VanityError } from '../errors.ts';
import type { TokenStore } from '../store/store.ts';
import type { Exclusively } from './refill.ts';

/** A UTC day has no leap second here, as in `Date`. */
const DAY_MS = 86_400_000;

interface Day {
  /** Days since 1970. */
  readonly day: number;
  used: number;
}

export class Quotas {
  readonly #store: TokenStore;
  readonly #exclusively: Exclusively;
  readonly #days = new Map<number, Day>();

  constructor(store: TokenStore, exclusively: Exclusively) {
    this.#store = store;
    this.#exclusively = exclusively;
  }

  /** Counts addresses that are about to be handed out; `giveBack` if they are not. Error: QUOTA_EXCEEDED. */
  async take(token: number, count: number, quota: number): Promise<{ giveBack(): void }> {
    const today = await this.#today(token);
    if (today.used + count > quota) {
      const left = Math.max(quota - today.used, 0);
      const detail = `${count} asked for, ${left} left of ${quota} for this UTC day`;
      const ends = (today.day + 1) * DAY_MS;
      throw new VanityError('QUOTA_EXCEEDED', detail, {
        retryAfterSeconds: Math.max(1, Math.ceil((ends - Date.now()) / 1000)),
      });
    }
    today.used += count;
    return {
      giveBack() {
        today.used -= count;
      },
    };
  }

  async #today(token: number): Promise<Day> {
    const day = Math.floor(Date.now() / DAY_MS);
    const known = this.#days.get(token);
    if (known?.day === day) return known;
    const used = await this.#exclusively(() => this.#store.used(token, day * DAY_MS));
    // Another request may have counted meanwhile.
    const counted = this.#days.get(token);
    if (counted?.day === day) return counted;
    const today = { day, used };
    this.#days.set(token, today);
    return today;
  }
}
