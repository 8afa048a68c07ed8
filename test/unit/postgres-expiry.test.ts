/** A run that is not heard of is ended by another, once; what it may have handed out is nobody else's. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
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
  isOfEndedRun,
  type PostgresNode,
  PostgresNodes,
  removed,
  UNHEARD,
  whileUnderWay,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Fate, type Judge, PostgresProxy } from '../support/postgres-proxy.ts';
import { PostgresStores, someNode } from '../support/postgres-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const TTL_MS = 600;
/** More than any observer here needs to give a run up. */
const LOOKS_MAX = 60;
/** One of each so many statements is held or lost; all of them if it is 1. */
const STEP = Number(process.env.STATEMENT_STEP ?? 7);
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
  readonly #proxies: PostgresProxy[] = [];

  /** The first has eight addresses, of which five are leased and the first two recorded. */
  static async open(durability: Durability = 'leased', ttlMs = TTL_MS): Promise<Cluster> {
    const cluster = new Cluster();
    const { stores } = cluster;
    const first = await stores.open();
    const place = stores.placeOf(first);
    await first.close();
    cluster.first = await stores.openAt(place, { durability, ttlMs });
    await cluster.first.definePool(poolNamed(pool));
    await cluster.first.insert(hitsFor(pool, 8));
    await cluster.first.turn({ pool, head: 0, wanted: 5 });
    await cluster.first.turn({ pool, head: 2, wanted: 0 });
    return cluster;
  }

  /** `judge` says what becomes of its statements from now on. */
  async join(
    observer: Observer,
    more: Partial<PostgresStoreOptions> = {},
    judge?: Judge,
  ): Promise<Store> {
    const { url, directory } = this.stores.placeOf(this.first);
    const { monotonic } = observer;
    const proxy = await PostgresProxy.before(server.port);
    this.#proxies.push(proxy);
    const place = { url: proxy.through(url), directory, node: someNode() };
    const store = await this.stores.openAt(place, { monotonic, ttlMs: TTL_MS, ...more });
    this.others.push(store);
    if (judge !== undefined) proxy.judge = judge;
    observer.watch(store);
    return store;
  }

  /** What there is when the first run is given up. */
  async givenUp(observer: Observer, store: Store): Promise<string> {
    const most = observer.looks + LOOKS_MAX;
    while ((await store.counts(pool)).leased > 0) {
      assert.ok(observer.looks < most, 'it is not given up');
      await sleep(20);
    }
    return this.figures(store);
  }

  /** As the first run does. */
  async beat(): Promise<void> {
    await this.sql(
      `UPDATE vanitypool.epochs SET beats = beats + 1 WHERE epoch = ${this.first.epoch}`,
    );
  }

  sql(text: string): Promise<Record<string, unknown>[]> {
    return server.sql(text, [], new URL(this.stores.placeOf(this.first).url).pathname.slice(1));
  }

  async figures(store = this.first): Promise<string> {
    const { available, leased, dispensed, burned } = await store.counts(pool);
    return [available, leased, dispensed, burned].join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.#proxies) proxy.judge = () => 'pass';
    for (const store of this.others) await store.close();
    for (const proxy of this.#proxies) await proxy[Symbol.asyncDispose]();
    await this.stores.destroy(this.first);
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

/** At the beats of others. */
const isLook = (text: string) => text.startsWith('SELECT epoch, beats');

test(
  'a beat that is answered sets the deadline before any observer gives the run up',
  LIMIT,
  async () => {
    await using cluster = await Cluster.open();
    using observer = new Observer(TTL_MS / 5);
    await cluster.join(observer, { ttlMs: 60_000 });
    while (observer.deadlines.length < 2) await sleep(10);
    // The clock was asked before each of the two, the beginning and the first beat.
    const at = [1, 2].map((times) => 1_000_000 + (times * TTL_MS) / 10);
    assert.deepEqual(
      observer.deadlines.slice(0, 2),
      at.map((sentAt) => sentAt + 60_000 * 0.98 - 1000),
    );
  },
);

test(
  'what a run had leased is burned for all, and what its journals name is dispensed when it is back',
  LIMIT,
  async () => {
    await using cluster = await Cluster.open();
    using observer = new Observer(TTL_MS * 0.3);
    const other = await cluster.join(observer);
    assert.equal(await cluster.givenUp(observer, other), '3 0 2 3');
    const lease = await other.turn({ pool, head: 0, wanted: 9 });
    assert.equal(lease.leased.length, 3, 'nothing of what the other had');
    const writers = await cluster.sql('SELECT writer FROM vanitypool.lane_ends');
    assert.deepEqual(writers, [{ writer: null }], 'nobody waits for more in its lane');
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
  assert.equal(await cluster.givenUp(observer, other), '3 0 2 3');
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

test('where one journal of two is missing nothing is corrected', LIMIT, async () => {
  await using cluster = await Cluster.open();
  const { first } = cluster;
  await first.addJournals([1, 2].map((number) => ({ pool, number })));
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  assert.equal(await cluster.givenUp(observer, other), '3 0 2 3');
  const left: HandOut = { position: 2, count: 2, at: Date.now(), token: 0 };
  const recovered = await first.rejoin(({ number }) => (number === 1 ? [left] : undefined));
  assert.deepEqual(recovered, { pet: { dispensed: 0, returned: 0, burned: 3 } });
});

test('what only leaves after a commit is returned', LIMIT, async () => {
  await using cluster = await Cluster.open('committed');
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  assert.equal(await cluster.givenUp(observer, other), '6 0 2 0');
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
  assert.equal(await cluster.givenUp(one, stores[0]!), '3 0 2 3');
  await Promise.all([one, two, three].map((observer) => observer.seen(5)));
  assert.equal(await cluster.figures(stores[0]), '3 0 2 3');
  const { id, name } = cluster.stores.placeOf(cluster.first).node;
  assert.deepEqual(
    [one, two, three].flatMap(({ lost }) => lost),
    [{ id, name }],
  );
  assert.equal(await removed(stores[0]!, pool), 3, 'nobody waits for its queue');
});

test('a run that beats before each look is never ended', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer, {}, async ({ text }): Promise<Fate> => {
    if (isLook(text)) await cluster.beat();
    return 'pass';
  });
  await observer.seen(12);
  assert.equal(await cluster.figures(other), '3 3 2 0');
});

test('a run beats, and hears of it when it is ended', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using own = new Observer(1);
  own.watch(cluster.first);
  // The first is that of its beginning.
  while (own.deadlines.length < 3) await sleep(10);
  own[Symbol.dispose]();
  const [{ beats } = {}] = await cluster.sql(
    `SELECT beats::int FROM vanitypool.epochs WHERE epoch = ${cluster.first.epoch}`,
  );
  assert.ok(Number(beats) >= 2);
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  assert.equal(await cluster.givenUp(observer, other), '3 0 2 3');
  own.watch(cluster.first);
  const { length } = own.deadlines;
  while (!own.isOver) {
    assert.equal(own.deadlines.length, length, 'a beat of a run that is over was answered');
    await sleep(20);
  }
});

test('a run is given up after the time that it was promised itself', LIMIT, async () => {
  await using cluster = await Cluster.open('leased', 100 * TTL_MS);
  using observer = new Observer(TTL_MS * 0.3);
  const other = await cluster.join(observer);
  await observer.seen(8);
  assert.equal(await cluster.figures(other), '3 3 2 0');
});

test('a look that failed is none', LIMIT, async () => {
  await using cluster = await Cluster.open();
  using observer = new Observer(TTL_MS * 0.1);
  let looks = 0;
  // One that fails is not so long that it would be taken for a gap.
  const other = await cluster.join(observer, { ttlMs: TTL_MS / 10 }, ({ text }) =>
    isLook(text) && ++looks % 2 === 0 ? 'lose' : 'pass',
  );
  await observer.seen(24);
  assert.equal(await cluster.figures(other), '3 3 2 0');
});

/** An observer that stands still before the first statement that begins with `part`. */
async function standingStill(
  cluster: Cluster,
  observer: Observer,
  part: string,
  onLook: () => Promise<void> = async () => undefined,
): Promise<{ readonly store: Store; readonly letGo: () => void }> {
  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const store = await cluster.join(observer, {}, async ({ text }): Promise<Fate> => {
    if (isLook(text)) await onLook();
    if (text.startsWith(part)) {
      reached.resolve();
      await released.promise;
    }
    return 'pass';
  });
  await reached.promise;
  return { store, letGo: released.resolve };
}

suite('who decides to end a run and comes late', LIMIT, () => {
  test('leaves one that has beaten since', async () => {
    await using cluster = await Cluster.open();
    using observer = new Observer(TTL_MS * 0.3);
    let isAlive = false;
    const { letGo } = await standingStill(cluster, observer, GIVE_UP, async () => {
      if (isAlive) await cluster.beat();
    });
    isAlive = true;
    await cluster.beat();
    letGo();
    await observer.seen(6);
    assert.equal(await cluster.figures(), '3 3 2 0');
  });

  test('leaves one that another has ended', async () => {
    await using cluster = await Cluster.open('committed');
    using late = new Observer(TTL_MS * 0.3);
    using other = new Observer(TTL_MS * 0.3);
    const { letGo } = await standingStill(cluster, late, GIVE_UP);
    assert.equal(await cluster.givenUp(other, await cluster.join(other)), '6 0 2 0');
    letGo();
    await late.seen(2);
    const { id } = cluster.stores.placeOf(cluster.first).node;
    const lost = [late, other].flatMap(({ lost }) => lost).filter((node) => node.id === id);
    assert.equal(lost.length, 1);
  });

  test('leaves one that is waited for', async () => {
    await using cluster = await Cluster.open();
    using observer = new Observer(TTL_MS * 0.3);
    const { letGo } = await standingStill(cluster, observer, GIVE_UP);
    await cluster.sql(`UPDATE vanitypool.cluster SET state = 'suspect'`);
    letGo();
    await observer.seen(2);
    assert.equal(await cluster.figures(), '3 3 2 0');
    await cluster.sql(`UPDATE vanitypool.cluster SET state = 'sound'`);
  });
});

test('a turn that comes while its run is ended does nothing', LIMIT, async () => {
  await using cluster = await Cluster.open();
  const { first } = cluster;
  using observer = new Observer(TTL_MS * 0.3);
  const ending = 'UPDATE vanitypool.epochs SET state';
  const { store, letGo } = await standingStill(cluster, observer, ending);
  const refused = isOfEndedRun(() => first.turn({ pool, head: 3, wanted: 1 }));
  const waiting = `SELECT FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()`;
  await whileUnderWay(refused, async () => (await cluster.sql(waiting)).length > 0);
  letGo();
  assert.ok(await refused);
  assert.equal(await cluster.givenUp(observer, store), '3 0 2 3');
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
  // Its looks may be none: those of one whose clock stands are counted.
  using pace = new Observer(0);
  await cluster.join(pace);
  assert.equal(await cluster.givenUp(pace, other), '3 0 2 3');
});

test('what a look sees counts from its answer on', LIMIT, async () => {
  await using cluster = await Cluster.open();
  // By five looks when the first was asked for, and not yet when it was answered.
  using observer = new Observer(TTL_MS * 0.26);
  const other = await cluster.join(observer);
  await cluster.givenUp(observer, other);
  while (observer.lostAfter === undefined) await sleep(10);
  assert.ok(observer.lostAfter > 6, `given up after ${observer.lostAfter} looks`);
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
