/** What is known of a pool at any moment from shared memory alone. */
import type { PoolCounts } from '../store/address.ts';

export interface PoolStatus extends Omit<PoolCounts, 'leasedHere'> {
  readonly target: number;
  readonly lowHours: number;
  readonly paused: boolean;
  readonly ready: number;
  /** What can be taken now: available and ready. */
  readonly stock: number;
  /** Addresses that leave in an hour, as the grinder counts them. */
  readonly consumptionPerHour: number;
  /** How long available and leased addresses last at that rate; null when nobody takes any. */
  readonly hoursOfStock: number | null;
  readonly grinding: {
    readonly active: boolean;
    readonly threads: number;
    readonly attemptsPerSecond: number;
    readonly hitsPerSecond: number;
    /** Until the target is reached; 0 when it is, null when nothing is grinding for it. */
    readonly etaSeconds: number | null;
  };
}
