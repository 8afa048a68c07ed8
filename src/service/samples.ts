/**
 * The samples of all pools: every 15 s each gets one in its history (src/pool/history.ts), also one that nothing
 * happens to. Runs in the main thread; 256 pools take 2 ms.
 *
 * How fast a pool is consumed is published here as well: the steering looks only at pools that change, and a rate at
 * which nothing is taken any more has to fall.
 */
import type { Consumption } from '../grinder/consumption.ts';
import { type History, SAMPLE_MS } from '../pool/history.ts';
import type { Pool } from '../pool/pool.ts';
import type { GrindingBoard } from '../pool/shared-pool.ts';

export interface SampledPool {
  readonly status: Pick<Pool, 'status'>;
  readonly grinding: GrindingBoard;
  readonly consumption: Consumption;
  readonly history: History;
}

export class Samples {
  #takenAt = Number.NEGATIVE_INFINITY;

  /**
   * `nowMs`: of the clock of the consumption, up to which every change of a pool is noted there. `atMs`: of
   * `monotonicMs`.
   */
  takeIfDue(pools: readonly SampledPool[], nowMs: number, atMs: number): void {
    if (nowMs - this.#takenAt < SAMPLE_MS) return;
    this.#takenAt = nowMs;
    for (const { status, grinding, consumption, history } of pools) {
      consumption.rested(nowMs);
      grinding.write({ milliPerHour: milliPerHour(consumption) });
      history.write(status.status(), atMs);
    }
  }
}

/** For the board. */
export function milliPerHour({ perHour }: Consumption): number {
  return Math.round(perHour * 1000);
}
