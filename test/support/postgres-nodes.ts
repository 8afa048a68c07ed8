/** Nodes of one database, each behind a proxy of its own; checked when they end. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hit } from '../../src/keypair/signing-key.ts';
import type { HandOut, HandOuts } from '../../src/store/hand-out.ts';
import { untilRemoved } from '../../src/store/pool-removal.ts';
import type { PostgresStoreOptions } from '../../src/store/postgres/open.ts';
import { EpochOver, type Store, type StoreEvents } from '../../src/store/store.ts';
import type { PoolIdentity } from '../../src/store/stored-pool.ts';
import type { PostgresServer } from './postgres.ts';
import { type Fate, PostgresProxy } from './postgres-proxy.ts';
import { type Place, type PostgresStores, someNode } from './postgres-stores.ts';
import { removeDirectory } from './sqlite-stores.ts';
import { hitsFor, poolNamed } from './store-subject.ts';

export class PostgresNode {
  readonly place: Place;
  readonly proxy: PostgresProxy;
  store!: Store;
  readonly #stores: PostgresStores;

  constructor(stores: PostgresStores, place: Place, proxy: PostgresProxy) {
    this.#stores = stores;
    this.place = place;
    this.proxy = proxy;
  }

  /** Also again, when the one before is closed or gone. */
  async open(more: Partial<PostgresStoreOptions> = {}): Promise<Store> {
    this.store = await this.#stores.openAt(this.place, more);
    return this.store;
  }

  /** Fates of the statements from now on, by number from 1; the rest passes. */
  fate(fates: (number: number, text: string) => Fate | Promise<Fate>): void {
    const from = this.proxy.seen.length;
    this.proxy.judge = ({ number, text }) => fates(number - from, text);
  }

  /** Of its commits from now on; the rest passes. */
  commits(...fates: readonly Fate[]): void {
    const left = [...fates];
    this.fate((_number, text) => (text === 'COMMIT' ? (left.shift() ?? 'pass') : 'pass'));
  }

  pass(): void {
    this.proxy.judge = () => 'pass';
  }

  /** The statements of a call that nothing happens to. */
  async statementsOf(call: () => Promise<unknown>): Promise<readonly string[]> {
    const from = this.proxy.seen.length;
    await call();
    return this.proxy.seen.slice(from).map(({ text }) => text);
  }
}

/** Where a statement of a node is held back: the first one that is meant. */
export class Hold {
  readonly #reached = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();

  constructor(node: PostgresNode, isMeant: (number: number, text: string) => boolean) {
    let isFirst = true;
    node.fate(async (number, text): Promise<Fate> => {
      if (!isFirst || !isMeant(number, text)) return 'pass';
      isFirst = false;
      this.#reached.resolve();
      await this.#released.promise;
      return 'pass';
    });
  }

  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  release(): void {
    this.#released.resolve();
  }
}

export class PostgresNodes implements AsyncDisposable {
  readonly nodes: readonly PostgresNode[];
  readonly #stores: PostgresStores;

  static async open(
    stores: PostgresStores,
    { port }: PostgresServer,
    count: number,
  ): Promise<PostgresNodes> {
    const { url, directory } = await stores.newPlace();
    const nodes: PostgresNode[] = [];
    for (let number = 0; number < count; number++) {
      const proxy = await PostgresProxy.before(port);
      const place = { url: proxy.through(url), node: someNode(), directory };
      nodes.push(new PostgresNode(stores, place, proxy));
      await nodes.at(-1)!.open();
    }
    return new PostgresNodes(stores, nodes);
  }

  private constructor(stores: PostgresStores, nodes: readonly PostgresNode[]) {
    this.#stores = stores;
    this.nodes = nodes;
  }

  /** A pool that all of them know. */
  async pool(name: string, handout: PoolIdentity['handout'] = 'secret'): Promise<string> {
    await this.nodes[0]!.store.definePool({ ...poolNamed(name), handout });
    return name;
  }

  check(): Promise<void> {
    return this.#stores.check(this.nodes[0]!.place.url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) {
      node.pass();
      await node.store.close();
      await node.proxy[Symbol.asyncDispose]();
    }
    removeDirectory(this.nodes[0]!.place.directory);
    await this.check();
  }
}

/** Of a test that is not about what it leaves out. */
export const UNHEARD: StoreEvents = {
  directory: async () => undefined,
  stock: () => undefined,
  deadline: () => undefined,
  over: () => undefined,
  nodes: () => undefined,
  lost: () => undefined,
  rewound: () => undefined,
};

export const told = (...records: HandOut[]): HandOuts => ({ records, journals: new Map() });

export const handOut = (position: number, more: Partial<HandOut> = {}): HandOut => ({
  ...{ position, count: 1, at: Date.now(), token: 0 },
  ...more,
});

export async function inserted(store: Store, pool: string, count: number): Promise<Hit[]> {
  const hits = hitsFor(pool, count);
  assert.deepEqual(await store.insert(hits), { inserted: count, duplicates: 0 });
  return hits;
}

/** Available, leased, reserved, dispensed and burned. */
export async function figuresOf(store: Store, pool: string): Promise<string> {
  const { available, leased, reserved, dispensed, burned } = await store.counts(pool);
  return [available, leased, reserved, dispensed, burned].join(' ');
}

/** Until it is so, or the call is over without that. */
export async function whileUnderWay(
  call: Promise<unknown>,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  call.then(end, end);
  while (!isOver && !(await isSo())) await sleep(10);
}

/** Whether the run of the call is over. One that waits for a lock waits for a time, and is made again. */
export async function isOfEndedRun(call: () => Promise<unknown>): Promise<boolean> {
  for (;;) {
    const result = await call().catch((error: unknown) => error);
    if (result instanceof EpochOver) return true;
    if ((result as { code?: string } | undefined)?.code !== 'STORE_UNAVAILABLE') return false;
  }
}

/** Deletes the pool, as a server does. */
export async function removed(
  store: Store,
  pool: string,
  head?: number,
  handOuts?: HandOuts,
): Promise<number> {
  await store.closePool(pool);
  const begun = await store.removePool(pool, head, handOuts);
  return untilRemoved(pool, begun, () => store.removePool(pool));
}

/** What the call gives in the end, made again as long as the store cannot say what became of it. */
export async function untilDone<T>(
  call: () => Promise<T>,
  onFailed: (error: unknown) => void = () => undefined,
): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'STORE_UNAVAILABLE') throw error;
      onFailed(error);
    }
  }
}
