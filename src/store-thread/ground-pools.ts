/**
 * The pools of a node that only grinds: those that the others have, with what they hold and are to hold, in
 * memory that the steering reads. Nothing of them is ready here. Runs in the store thread; one change at a time.
 */
import { POOLS_MAX } from '../config/pool-config.ts';
import { COUNT_MAX } from '../config/pool-settings.ts';
import type { ChangedPools } from '../pool/changed-pools.ts';
import { configToFill, poolLimit } from '../pool/pool-definition.ts';
import {
  changeableOf,
  countsBoard,
  GATE,
  type SharedPool,
  settingsBoard,
  sharePool,
} from '../pool/shared-pool.ts';
import type { PoolCounts } from '../store/address.ts';
import type { GrindingStore } from '../store/store.ts';
import { inTurn } from './in-turn.ts';

/** A ready queue in which nothing lies, as small as one can be. */
const NOTHING_READY = { ready: 1, readyMax: COUNT_MAX } as const;

export interface GroundPoolsOptions {
  readonly store: Pick<GrindingStore, 'pools' | 'counts'>;
  readonly changes: ChangedPools;
  /** After a pool came or went. */
  readonly onChange: (pools: readonly SharedPool[]) => void;
}

export class GroundPools {
  readonly #options: GroundPoolsOptions;
  readonly #inTurn = inTurn();
  readonly #pools = new Map<string, SharedPool>();

  constructor(options: GroundPoolsOptions) {
    this.#options = options;
  }

  get all(): SharedPool[] {
    return [...this.#pools.values()];
  }

  has(name: string): boolean {
    return this.#pools.has(name);
  }

  /** What others have made, changed or deleted. Errors: POOL_LIMIT_REACHED, those of the store. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      const { store, changes, onChange } = this.#options;
      const names = new Set(this.#pools.keys());
      let isOther = false;
      for (const stored of await store.pools()) {
        const config = configToFill(stored);
        if (config === undefined) continue;
        const known = this.#pools.get(stored.name);
        if (known === undefined && this.#pools.size >= POOLS_MAX) throw poolLimit(stored.name);
        const place = this.#freePlace;
        const shared = known ?? sharePool({ ...config, ...NOTHING_READY }, { changes, place });
        const { target, lowHours } = config;
        const gate = stored.isPaused ? GATE.paused : GATE.open;
        settingsBoard(shared).write({ ...changeableOf({ target, lowHours }), gate });
        this.#pools.set(stored.name, shared);
        this.publish(stored.name, stored.counts);
        isOther ||= known === undefined;
        names.delete(stored.name);
      }
      for (const name of names) this.#pools.delete(name);
      if (isOther || names.size > 0) onChange(this.all);
    });
  }

  publish(name: string, counts: PoolCounts): void {
    const shared = this.#pools.get(name);
    if (shared === undefined) return;
    countsBoard(shared).write(counts);
    this.#options.changes.mark(shared.place);
  }

  get #freePlace(): number {
    const taken = new Set(this.all.map(({ place }) => place));
    let place = 0;
    while (taken.has(place)) place++;
    return place;
  }
}
