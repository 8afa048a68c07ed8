/** What can be said of a pool at any moment, without asking anybody. */
import type { PoolCounts } from '../store/address.ts';

export interface PoolStatus extends PoolCounts {
  readonly target: number;
  readonly lowHours: number;
  readonly paused: boolean;
  readonly ready: number;
  /** What can be taken now: available and ready. */
  readonly stock: number;
  readonly grinding: {
    readonly active: boolean;
    readonly threads: number;
    readonly attemptsPerSecond: number;
    readonly hitsPerSecond: number;
    /** Until the target is reached; 0 when it is, null when nothing is grinding for it. */
    readonly etaSeconds: number | null;
  };
}
