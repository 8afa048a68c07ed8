/**
 * New ids for what is available in a store that moves: pool by pool, oldest first, in lanes above the highest id that
 * the store gave. Remembers 16 bytes for each range of neighbours. Runs in the main thread.
 */
import { LANE_IDS } from '../store/postgres/ids.ts';

/** A lane has this many. */
const IDS = LANE_IDS - 1;

export interface NewLane {
  readonly number: number;
  /** Its last id. */
  readonly filled: number;
}

interface PoolIds {
  readonly firstLane: number;
  readonly available: number;
  /** Places in the pool at which ranges begin, and how many of all ranges are before each. */
  readonly firsts: number[];
  readonly before: number[];
  given: number;
}

export class NewIds {
  /** The last one that is used. */
  readonly lane: number;
  readonly #pools = new Map<number, PoolIds>();

  /** `last`: the highest id that was ever given. */
  constructor(last: number, pools: readonly { readonly id: number; readonly available: number }[]) {
    let lane = Math.floor(last / LANE_IDS);
    for (const { id, available } of pools) {
      this.#pools.set(id, { firstLane: lane + 1, available, firsts: [], before: [], given: 0 });
      lane += Math.ceil(available / IDS);
    }
    this.lane = lane;
  }

  lanesOf(pool: number): NewLane[] {
    const { firstLane, available } = this.#pools.get(pool)!;
    return Array.from({ length: Math.ceil(available / IDS) }, (_, index) => {
      const number = firstLane + index;
      return { number, filled: number * LANE_IDS + Math.min(IDS, available - index * IDS) };
    });
  }

  /** The next ids, for these places in the pool, which are behind those before. */
  give(pool: number, first: number, last: number): void {
    const ids = this.#pools.get(pool)!;
    ids.firsts.push(first);
    ids.before.push(ids.given);
    ids.given += last - first + 1;
  }

  /** Of one that was given an id. */
  of(pool: number, seq: number): number {
    const { firstLane, firsts, before } = this.#pools.get(pool)!;
    let [low, high] = [0, firsts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (firsts[middle]! <= seq) low = middle;
      else high = middle - 1;
    }
    const place = before[low]! + seq - firsts[low]!;
    return (firstLane + Math.floor(place / IDS)) * LANE_IDS + 1 + (place % IDS);
  }
}
