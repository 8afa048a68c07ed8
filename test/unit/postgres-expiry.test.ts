/** A run that is not heard of is ended by another, once; what it may have handed out is nobody else's. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Durability } from '../../src/config/config.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import type { NodeName } from '../../src/store/node-store.ts';
import type { PostgresStoreOptions } from '../../src/store/postgres/open.ts';
import { EpochOver, type Store, type StoreEvents, type TurnReport } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  figuresOf,
  Hold,
  inserted,
  type PostgresNode,
  PostgresNodes,
  UNHEARD,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import type { Fate } from '../support/postgres-proxy.ts';
import { PostgresStores, someNode } from '../support/postgres-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const TTL_MS = 600;
/** One of each so many statements is held or lost; all of them if it is 1. */
const STEP = Number(process.env.STATEMENT_STEP ?? 4);
/** What an observer begins with. */
const GIVE_UP = 'SELECT e.durability';
const pool = 'pet';

let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

/** What its store reported, and a clock that goes a step with each look, which reads it twice. */
class Observer implements Disposable {
  readonly deadlines: number[] = [];
  readonly lost: NodeName[] = [];
  isOver = false;
  looks = 0;
  /** How many it had made by then. */
  lostAfter: number | undefined;
  #now = 1_000_000;
  #watch: Disposable | undefined;
  readonly #step: number;

  constructor(step: number) {
    this.#step = step;
  }

  readonly monotonic = (): number => {
    this.looks += 1 / 2;
    this.#now += this.#step / 2;
    return this.#now;
  };

  get now(): number {
    return this.#now;
  }

  watch(store: Store): void {
    const events: StoreEvents = {
      ...UNHEARD,
      deadline: (untilMs) => void this.deadlines.push(untilMs),
      over: () => {
        this.isOver = true;
      },
      lost: (node) => {
        this.lost.push(node);
        this.lostAfter = this.looks;
      },
    };
    this.#watch = store.watch(events);
  }

  async seen(looks: number): Promise<void> {
    const until = this.looks + looks;
    while (this.looks < until) await sleep(10);
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }
}

class Cluster implements AsyncDisposable {
  readonly stores = new PostgresStores(() => server);
  first!: Store;
  others: Store[] = [];

  /** The first has eight addresses, of which five are leased and the first two recorded. */
  static async open(durability: Durability = 'leased'): Promise<Cluster> {
    const cluster = new Cluster();
    const { stores } = cluster;
    const first = await stores.open();
    const place = stores.placeOf(first);
    await first.close();
    cluster.first = await stores.openAt(place, { durability, ttlMs: TTL_MS });
    await cluster.first.definePool(poolNamed(pool));
    await cluster.first.insert(hitsFor(pool, 8));
    await cluster.first.turn({ pool, head: 0, wanted: 5 });
    await cluster.first.turn({ pool, head: 2, wanted: 0 });
    return cluster;
  }

  async join(observer: Observer, more: Partial<PostgresStoreOptions> = {}): Promise<Store> {
    const { url, directory } = this.stores.placeOf(this.first);
    const { monotonic } = observer;
    const place = { url, directory, node: someNode() };
    const store = await this.stores.openAt(place, { monotonic, ttlMs: TTL_MS, ...more });
    this.others.push(store);
    observer.watch(store);
    return store;
  }

  async figures(store = this.first): Promise<string> {
    const { available, leased, dispensed, burned } = await store.counts(pool);
    return [available, leased, dispensed, burned].join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.others) await store.close();
    await this.stores.destroy(this.first);
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

test(
  'a beat that is answered sets the deadline before any observer gives the run up',
  LIMIT,
  async () => {
    await using cluster = await Cluster.open();
    using observer = new Observer(TTL_MS / 5);
    await cluster.join(observer, { ttlMs: 60_000 });
    while (observer.deadlines.length === 0) await sleep(10);
    const [deadline] = observer.deadlines;
    assert.equal(deadline, 1_000_000 + TTL_MS / 10 + 60_000 * 0.98 - 1000);
  },
);

test(
  'what a run had leased is burned for all, and what its journals name is dispensed when it is back',
  LIMIT,
  async () => {
    await using cluster = await Cluster.open();
    using observer = new Observer(TTL_MS * 0.3);
    const other = await cluster.join(observer);
    await until(async () => (await cluster.figures(other)) === '3 0 2 3');
    const lease = await other.turn({ pool, head: 0, wanted: 9 });
    assert.equal(lease.leased.length, 3, 'nothing of what the other had');
    const { first } = cluster;
    await assert.rejects(first.turn({ pool, head: 3, wanted: 1 }), EpochOver);
    await assert.rejects(first.insert(hitsFor(pool, 1)), EpochOver);
    // Two more had left, of which no turn had heard.
    const left: HandOut = { position: 2, count: 2, at: Date.now(), token: 0 };
    await first.rejoin(() => [left]).catch(() => undefined);
    assert.equal(
      await cluster.figures(other),
      '0 3 2 3',
      'no journal was counted on: nothing is believed',
    );
    assert.equal((await first.turn({ pool, head: 0, wanted: 1 })).leased.length, 0);
  },
);

test('a journal corrects what was burned', LIMIT, async () => {
  await using cluster = await Cluster.open();
  const { first } = cluster;
  await first.addJournals([{ pool, number: 1 }]);
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  await until(async () => (await cluster.figures(other)) === '3 0 2 3');
  await using reader = await cluster.stores.reader(cluster.stores.placeOf(other));
  const listed = async () => {
    const { addresses } = await reader.page({ after: 0, limit: 100 });
    return addresses.map(({ state, cause, at }) => `${state} ${cause ?? at}`);
  };
  const crashed = 'burned crash';
  assert.deepEqual((await listed()).slice(2), [crashed, crashed, crashed]);
  assert.equal((await reader.unsettled()).length, 2, 'the journals of one are awaited');
  const left: HandOut = { position: 2, count: 2, at: Date.now(), token: 0 };
  const { epoch } = first;
  const recovered = await first.rejoin((journal) => (journal.epoch === epoch ? [left] : undefined));
  assert.deepEqual(recovered, { pet: { dispensed: 2, returned: 0, burned: 1 } });
  assert.equal(await cluster.figures(other), '3 0 4 1');
  const corrected = `dispensed ${left.at}`;
  assert.deepEqual((await listed()).slice(2), [corrected, corrected, crashed]);
  assert.ok(first.epoch > epoch);
  const again = await first.turn({ pool, head: 0, wanted: 9 });
  assert.deepEqual([again.position, again.leased.length], [0, 3]);
});

test('what only leaves after a commit is returned', LIMIT, async () => {
  await using cluster = await Cluster.open('committed');
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  await until(async () => (await cluster.figures(other)) === '6 0 2 0');
  assert.equal((await other.turn({ pool, head: 0, wanted: 9 })).leased.length, 6);
  await assert.rejects(cluster.first.turn({ pool, head: 3, wanted: 0 }), EpochOver);
  await cluster.first.rejoin(() => undefined);
  assert.equal(await cluster.figures(other), '0 6 2 0');
});

test('of several observers one ends the run', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using one = new Observer(TTL_MS * 0.3);
  using two = new Observer(TTL_MS * 0.3);
  using three = new Observer(TTL_MS * 0.3);
  const stores: Store[] = [];
  for (const observer of [one, two, three]) stores.push(await cluster.join(observer));
  await until(async () => (await cluster.figures(stores[0])) === '3 0 2 3');
  await Promise.all([one, two, three].map((observer) => observer.seen(5)));
  assert.equal(await cluster.figures(stores[0]), '3 0 2 3');
  const { id, name } = cluster.stores.placeOf(cluster.first).node;
  assert.deepEqual(
    [one, two, three].flatMap(({ lost }) => lost),
    [{ id, name }],
  );
});

test('a run that beats is never ended, and one that is ended hears of it', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using own = new Observer(1);
  own.watch(cluster.first);
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  await observer.seen(12);
  // At a busy moment it may have been late; then it knows.
  if (!own.isOver) assert.equal(await cluster.figures(other), '3 3 2 0');
  own[Symbol.dispose]();
  await until(async () => (await cluster.figures(other)) === '3 0 2 3');
  own.watch(cluster.first);
  await until(async () => own.isOver);
});

test('an observer that looks too rarely forgets what it saw', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using observer = new Observer(TTL_MS * 0.5);
  const other = await cluster.join(observer);
  await observer.seen(8);
  assert.equal(await cluster.figures(other), '3 3 2 0');
});

test('an observer with a long time to live looks often enough for a short one', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer, { ttlMs: 86_400_000 });
  await until(async () => (await cluster.figures(other)) === '3 0 2 3');
});

test('what a look sees counts from its answer on', LIMIT, async () => {
  await using cluster = await Cluster.open();
  // By five looks when the first was asked for, and not yet when it was answered.
  using observer = new Observer(TTL_MS * 0.26);
  await cluster.join(observer);
  await until(async () => observer.lostAfter !== undefined);
  assert.ok(observer.lostAfter! > 6, `given up after ${observer.lostAfter} looks`);
});

/** A node that does not beat, and others whose clocks stand until the test lets them go. */
class Watched implements AsyncDisposable {
  readonly nodes: PostgresNodes;
  readonly clocks: SteppedClock[] = [];

  static async open(observers: number): Promise<Watched> {
    const nodes = await PostgresNodes.open(new PostgresStores(() => server), server, 1 + observers);
    const watched = new Watched(nodes);
    await watched.holder.store.close();
    await watched.holder.open({ ttlMs: TTL_MS });
    for (const node of watched.observers) await watched.start(node);
    return watched;
  }

  private constructor(nodes: PostgresNodes) {
    this.nodes = nodes;
  }

  get holder(): PostgresNode {
    return this.nodes.nodes[0]!;
  }

  get observers(): readonly PostgresNode[] {
    return this.nodes.nodes.slice(1);
  }

  /** Also again. */
  async start(node: PostgresNode): Promise<void> {
    await node.store.close();
    const clock = new SteppedClock();
    this.clocks[this.observers.indexOf(node)] = clock;
    const store = await node.open({ ttlMs: TTL_MS, monotonic: clock.now });
    store.watch(UNHEARD);
  }

  /** Six addresses, of which the holder has leased three; what its next run has, too. */
  async scene(): Promise<{ readonly pool: string; readonly leased: readonly number[] }> {
    const { holder } = this;
    if (await this.isExpired()) await holder.store.rejoin(() => undefined);
    const pool = await this.nodes.pool(`pool${scenes++}`);
    await inserted(holder.store, pool, 6);
    const { leased } = await holder.store.turn({ pool, head: 0, wanted: 3 });
    return { pool, leased: leased.map(({ id }) => id) };
  }

  async isExpired(): Promise<boolean> {
    const { place, store } = this.holder;
    const database = new URL(place.url).pathname.slice(1);
    const text = 'SELECT state FROM vanitypool.epochs WHERE epoch = $1';
    const [row] = await server.sql<{ state: string }>(text, [store.epoch], database);
    return row!.state === 'expired';
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.nodes[Symbol.asyncDispose]();
  }
}

let scenes = 0;

/** It stands, or goes a step with each look. */
class SteppedClock {
  isStanding = true;
  #now = 1_000_000;

  readonly now = (): number => {
    if (!this.isStanding) this.#now += (TTL_MS * 0.3) / 2;
    return this.#now;
  };
}

/** What a run may be in the middle of. */
const CALLS: Record<string, (store: Store, pool: string) => Promise<unknown>> = {
  turn: (store, pool) => store.turn({ pool, head: 1, wanted: 1 }),
  endQueues: (store, pool) => store.endQueues([{ pool, head: 1 }], 'return'),
  insert: (store, pool) => store.insert(hitsFor(pool, 2)),
};

for (const [name, call] of Object.entries(CALLS)) {
  test(`in the middle of ${name}, a run is given up before it or after it`, LIMIT, async () => {
    await using watched = await Watched.open(1);
    const { holder, nodes, observers } = watched;
    const [clock] = watched.clocks as [SteppedClock];
    const first = await watched.scene();
    const { length } = await holder.statementsOf(() => call(holder.store, first.pool));
    for (let number = 1; number <= length; number += STEP) {
      const { pool, leased } = await watched.scene();
      const hold = new Hold(holder, (at) => at === number);
      const called = call(holder.store, pool).catch((error) => error);
      await hold.reached;
      clock.isStanding = false;
      const expired = until(() => watched.isExpired());
      // It waits for what the holder has locked.
      await Promise.race([expired, sleep(TTL_MS)]);
      hold.release();
      const result = await called;
      if (result instanceof Error) {
        assert.equal((result as { code?: string }).code, 'STORE_UNAVAILABLE', String(result));
      }
      await expired;
      clock.isStanding = true;
      holder.pass();
      await nodes.check();
      const { store } = observers[0]!;
      const others = await store.turn({ pool, head: 0, wanted: 9 });
      const more = (result as Partial<TurnReport>).leased?.map(({ id }) => id) ?? [];
      const isGiven = new Set([...leased, ...more]);
      // What went back before it was given up is anybody's.
      const isBack = name === 'endQueues' && !(result instanceof Error);
      if (!isBack) assert.ok(others.leased.every(({ id }) => !isGiven.has(id)));
      await assert.rejects(holder.store.turn({ pool, head: 1, wanted: 1 }), EpochOver);
    }
  });
}

test('of observers that are killed in the middle each leaves it to the next', LIMIT, async () => {
  await using watched = await Watched.open(2);
  const { holder, nodes } = watched;
  const [one, two] = watched.observers as [PostgresNode, PostgresNode];
  /** Of what the first one sends to give up the holder. */
  const killed = async (hit: (number: number, text: string) => Fate): Promise<string[]> => {
    const { pool } = await watched.scene();
    await holder.store.turn({ pool, head: 1, wanted: 0 });
    const texts: string[] = [];
    let isGone = false;
    one.fate((_number, text) => {
      if (isGone) return 'lose';
      if (texts.length === 0 && !text.startsWith(GIVE_UP)) return 'pass';
      texts.push(text);
      const fate = hit(texts.length, text);
      isGone = fate !== 'pass' || text === 'COMMIT';
      return fate;
    });
    watched.clocks[0]!.isStanding = false;
    await until(async () => isGone);
    watched.clocks[1]!.isStanding = false;
    await until(() => watched.isExpired());
    watched.clocks[1]!.isStanding = true;
    one.pass();
    await watched.start(one);
    assert.equal(await figuresOf(two.store, pool), '3 0 0 1 2');
    await nodes.check();
    return texts;
  };
  const { length } = await killed(() => 'pass');
  assert.ok(length > 5);
  for (let number = 1; number < length; number += STEP) {
    await killed((at) => (at === number ? 'lose' : 'pass'));
  }
  for (const fate of ['lose', 'cut-answer'] as const) {
    await killed((_number, text) => (text === 'COMMIT' ? fate : 'pass'));
  }
});
