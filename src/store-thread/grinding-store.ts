/**
 * The composition root of the store thread of a node that only grinds: it takes in what is found, and knows how
 * full the pools of the others are.
 */
import { VanityError } from '../errors.ts';
import type { Hit } from '../keypair/signing-key.ts';
import { LastWarnings } from '../last-warnings.ts';
import { createLog, type Log } from '../log.ts';
import { ChangedPools } from '../pool/changed-pools.ts';
import { StoreHealth } from '../pool/health.ts';
import { NodeFigures } from '../pool/node-figures.ts';
import { notify } from '../port.ts';
import { openStoreToGrind } from '../store/open-store.ts';
import type { Counters, GrindingStore, InsertReport } from '../store/store.ts';
import { GroundPools } from './ground-pools.ts';
import { type Exclusively, inTurn } from './in-turn.ts';
import { Inserts } from './inserts.ts';
import { Rejoiner } from './rejoiner.ts';
import type { MainNotices, OpenReport, StoreWorkerData } from './store-calls.ts';
import { StoreFailures, type StoreWork } from './store-failures.ts';

export class GrindingStoreThread {
  readonly #store: GrindingStore;
  readonly #pools: GroundPools;
  readonly #inserts: Inserts;
  readonly #rejoiner: Rejoiner;
  readonly #failures: StoreFailures;
  readonly #exclusively: Exclusively;
  readonly #events: Disposable;

  static async open(data: StoreWorkerData): Promise<GrindingStoreThread> {
    const lastWarnings = new LastWarnings(data.lastWarnings);
    const log = createLog('store', data.logLevel, data.isPretty, lastWarnings);
    log.info({ data: data.store.data }, 'opening the store');
    const store = await openStoreToGrind(data.store);
    try {
      const thread = new GrindingStoreThread(store, data, log);
      await thread.#pools.refresh();
      return thread;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  private constructor(store: GrindingStore, data: StoreWorkerData, log: Log) {
    this.#store = store;
    const health = new StoreHealth(data.health);
    const changes = new ChangedPools(data.changes);
    this.#failures = new StoreFailures(health, log);
    const inOrder = inTurn();
    this.#exclusively = (work) => inOrder(() => health.watch(work));
    const common = { store, exclusively: this.#exclusively };
    this.#pools = new GroundPools({
      ...{ store, changes },
      onChange: (pools) => notify<MainNotices, 'pools'>(data.port, 'pools', pools),
    });
    const pools = this.#pools;
    this.#inserts = new Inserts({
      ...common,
      watch: (work) => health.watchInsert(work),
      has: (pool) => pools.has(pool),
      publish: (pool, counts) => pools.publish(pool, counts),
      onEnd: (error) => {
        if (error === undefined) this.#failures.count('inserts');
        this.#note('insert', error);
      },
    });
    this.#rejoiner = new Rejoiner({
      ...{ ...common, log },
      withoutInserts: this.#inserts.without,
      recover: () => undefined,
      onBegun: async () => undefined,
      onEnd: (error) => this.#note('rejoin', error),
      renewed: { rejoin: (begin) => begin() },
    });
    const nodes = new NodeFigures(data.nodes);
    this.#events = store.watch({
      deadline: () => undefined,
      over: (error) => this.#rejoiner.notice(error),
      directory: () => this.#exclusively(() => pools.refresh()),
      stock: (pool) => void this.#look(pool).catch(() => undefined),
      nodes: (counts) => nodes.write(counts),
      lost: () => undefined,
      rewound: () => undefined,
    });
  }

  async report(): Promise<OpenReport> {
    const { id, epoch } = this.#store;
    const counters = await this.#exclusively(() => this.#store.counters());
    return { id, epoch, counters, pools: this.#pools.all };
  }

  insert(hits: readonly Hit[]): Promise<InsertReport> {
    return this.#inserts.insert(hits);
  }

  /** Every 10 s: a store that nothing else is asked of is found to fail, or to work again, too. */
  saveCounters(counters: Counters): Promise<void> {
    return this.#exclusively(async () => {
      try {
        await this.#store.saveCounters(counters);
        this.#note('counters', undefined);
      } catch (error) {
        if (error instanceof VanityError) this.#note('counters', error);
        throw error;
      }
    });
  }

  async stop(counters: Counters): Promise<void> {
    this.#events[Symbol.dispose]();
    await this.#rejoiner.stop();
    try {
      await this.saveCounters(counters);
    } finally {
      await this.#inserts.without(() => this.#exclusively(() => this.#store.close()));
    }
  }

  #look(pool: string): Promise<void> {
    return this.#exclusively(async () => {
      this.#pools.publish(pool, await this.#store.counts(pool));
    });
  }

  #note(work: StoreWork, error: VanityError | undefined): void {
    this.#rejoiner.notice(error);
    this.#failures.note(work, error);
  }
}
