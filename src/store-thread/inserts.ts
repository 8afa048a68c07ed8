/**
 * Takes what was ground, or imported, into the store: one insert at a time, beside all other calls. So
 * an insert that hangs delays no turn, and no request that waits for the store. Runs in the store thread.
 *
 * What an insert changed of a pool is published in turn with those other calls: figures read beside a
 * turn could be older than those that the turn publishes.
 */
import { VanityError } from '../errors.ts';
import type { Hit } from '../keypair/signing-key.ts';
import type { Origin, PoolCounts } from '../store/address.ts';
import type { InsertReport, Store } from '../store/store.ts';
import { type Exclusively, inTurn } from './in-turn.ts';

export interface InsertsOptions {
  readonly store: Pick<Store, 'insert' | 'counts'>;
  readonly exclusively: Exclusively;
  /** Runs an insert, and sees it hang. */
  readonly watch: <T>(work: () => Promise<T>) => Promise<T>;
  readonly has: (pool: string) => boolean;
  readonly publish: (pool: string, counts: PoolCounts) => void;
  /** After each insert, with what made it fail. */
  readonly onEnd: (error: VanityError | undefined) => void;
}

export class Inserts {
  readonly #options: InsertsOptions;
  readonly #inTurn = inTurn();

  constructor(options: InsertsOptions) {
    this.#options = options;
  }

  /**
   * Durable when it resolves. Wipes the secrets. Errors: those of the store, and POOL_NOT_FOUND for
   * imported ones; of what was ground for a pool that is deleted nothing comes in.
   */
  insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    return this.#inTurn(async () => {
      const { watch, onEnd } = this.#options;
      try {
        const report = await watch(() => this.#insert(hits, origin));
        onEnd(undefined);
        return report;
      } catch (error) {
        if (error instanceof VanityError && !isOfNoPool(error)) onEnd(error);
        throw error;
      } finally {
        for (const { key } of hits) key.fill(0);
      }
    });
  }

  /** While no insert is under way: one would name a pool that is being deleted. */
  readonly without: Exclusively = (work) => this.#inTurn(work);

  async #insert(hits: readonly Hit[], origin: Origin): Promise<InsertReport> {
    const { store, exclusively, has, publish } = this.#options;
    const wanted = hits.filter(({ pool }) => has(pool));
    if (origin === 'imported' && wanted.length < hits.length) {
      throw new VanityError('POOL_NOT_FOUND', 'the pool is deleted; nothing came in');
    }
    const pools = new Set(wanted.map(({ pool }) => pool));
    const report = await store.insert(wanted, origin).catch((error: unknown) => {
      if (origin === 'imported' || !isOfNoPool(error)) throw error;
      return this.#insertEach(wanted, pools);
    });
    await exclusively(async () => {
      for (const pool of pools) publish(pool, await store.counts(pool));
    });
    return report;
  }

  /** Another node has deleted one of `pools`, of which this one has not heard yet: that is taken out. */
  async #insertEach(hits: readonly Hit[], pools: Set<string>): Promise<InsertReport> {
    let [inserted, duplicates] = [0, 0];
    for (const [pool, ofPool] of Map.groupBy(hits, (hit) => hit.pool)) {
      try {
        const report = await this.#options.store.insert(ofPool);
        inserted += report.inserted;
        duplicates += report.duplicates;
      } catch (error) {
        if (!isOfNoPool(error)) throw error;
        pools.delete(pool);
      }
    }
    return { inserted, duplicates };
  }
}

function isOfNoPool(error: unknown): boolean {
  return error instanceof VanityError && error.code === 'POOL_NOT_FOUND';
}
