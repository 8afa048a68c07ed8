/**
 * Addresses that are leased on disk, but may not be handed out before that has taken effect
 * (effects.ts). Runs in the store thread. By pool, oldest first.
 */
import type { LeasedAddress } from '../address.ts';

export class WaitingLeases {
  readonly #leased = new Map<string, LeasedAddress[]>();

  isEmpty(pool: string): boolean {
    return !this.#leased.has(pool);
  }

  add(pool: string, leased: readonly LeasedAddress[]): void {
    if (leased.length > 0) this.#leased.set(pool, [...this.take(pool), ...leased]);
  }

  take(pool: string): LeasedAddress[] {
    const leased = this.#leased.get(pool) ?? [];
    this.#leased.delete(pool);
    return leased;
  }

  /** Of a pool whose leases are given up or back. */
  drop(pool: string): void {
    for (const { key } of this.take(pool)) key.fill(0);
  }

  clear(): void {
    for (const pool of [...this.#leased.keys()]) this.drop(pool);
  }
}
