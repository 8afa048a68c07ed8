/** While nothing happens no pool is looked at, however many there are; counted, not timed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { readPool } from '../../src/config/pool-config.ts';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import { Board } from '../../src/pool/board.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { Pool } from '../../src/pool/pool.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import {
  countsBoard,
  GATE,
  type SharedPool,
  settingsBoard,
  shareAnew,
  sharePool,
} from '../../src/pool/shared-pool.ts';
import { Tallies } from '../../src/pool/tallies.ts';
import { Alerts } from '../../src/service/alerts.ts';
import { ServedGrinder } from '../../src/service/served-grinder.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { inTurn } from '../../src/store-thread/in-turn.ts';
import { Refiller } from '../../src/store-thread/refiller.ts';
import { collectedLog } from '../support/collected-log.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const POOLS = 20;
const LOOKS = 100;
const hands = { refill: async () => undefined, prepare: () => undefined, record: () => undefined };

function sharedPools(changes: ChangedPools): SharedPool[] {
  return Array.from({ length: POOLS }, (_, place) => {
    const pool = { name: `pool-${place}`, suffix: 'x', ready: 10, ready_max: 20, target: 30 };
    return sharePool(
      readPool(pool, (key) => key),
      { changes, place },
    );
  });
}

/** Each access to a queue or a board of a pool, from now on. */
function accesses(t: TestContext): { count: number } {
  const found = { count: 0 };
  const counted = <T extends object>(prototype: T, name: keyof T & string): void => {
    const { get, value } = Object.getOwnPropertyDescriptor(prototype, name)!;
    const counting = function (this: T, ...args: unknown[]): unknown {
      found.count++;
      return Reflect.apply(get ?? value, this, args);
    };
    if (get === undefined) t.mock.method(prototype, name as never, counting as never);
    else t.mock.getter(prototype, name, counting as never);
  };
  for (const name of ['head', 'tail', 'size'] as const) counted(ReadyQueue.prototype, name);
  for (const name of ['get', 'readWith', 'write'] as const) counted(Board.prototype, name);
  return found;
}

test('100 looks of the refill touch no pool that is at rest, and a pop wakes its own', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => removeDirectory(directory));
  await using store = await openSqliteStore({
    directory,
    sealingKey: `file:${directory}/sealing.key`,
  });
  const changes = new ChangedPools();
  const pools = sharedPools(changes);
  const turned: string[] = [];
  const onTurn = (pool: string): void => void turned.push(pool);
  const refiller = new Refiller({ store, exclusively: inTurn(), changes, onTurn });
  for (const shared of pools) {
    const { name, pattern, keys, handout } = shared;
    const { prefix, suffix, ignoreCase } = pattern;
    await store.definePool({ name, prefix, suffix, ignoreCase, keys, handout });
    const keypairs = Array.from({ length: 15 }, () => keypairOf(randomBytes(32)));
    await store.insert(keypairs.map((keypair) => ({ pool: name, ...signingKeyOf(keypair) })));
    refiller.add(shared, { counts: await store.counts(name), position: 0 });
  }
  await refiller.look();
  assert.equal(turned.length, POOLS, 'each is filled');
  await refiller.look();
  const found = accesses(t);
  for (let looks = 0; looks < LOOKS; looks++) await refiller.look();
  assert.equal(found.count, 0);
  const popping = new Pool(pools[7]!, hands);
  for (let pops = 0; pops < 3; pops++) {
    turned.length = 0;
    popping.pop(1);
    while (refiller.recordedBefore('pool-7') !== popping.head) await refiller.look();
    assert.deepEqual([...new Set(turned)], ['pool-7']);
  }
  await refiller.stop();
});

test('100 steps of the steering touch no full pool, and what leaves one is seen', async (t) => {
  const changes = new ChangedPools();
  const pools = sharedPools(changes);
  const options = { threads: 0, batch: 1, sliceMs: 25, priority: 'low' } as const;
  const log = collectedLog();
  const grinder = new ServedGrinder(options, new Tallies(), changes, log as never);
  for (const shared of pools) {
    ReadyQueue.prototype.push.call(new ReadyQueue(shared.queue), [
      { id: 1, address: 'a', secret: 's', keyType: 'seed', origin: 'ground', createdAt: 1 },
    ]);
    countsBoard(shared).write({ available: 29, leased: 1 });
  }
  const status = t.mock.method(Pool.prototype, 'status');
  t.mock.timers.enable({ apis: ['setInterval'] });
  // Whole: 15 s later may otherwise be a little less than 15 s later.
  let nowMs = Math.round(performance.now());
  t.mock.method(performance, 'now', () => nowMs);
  grinder.setPools(pools);
  grinder.start({}, async () => undefined);
  const looks = (): number => {
    const count = status.mock.callCount();
    status.mock.resetCalls();
    return count;
  };
  assert.equal(looks(), 2 * POOLS, 'each is looked at once, and sampled once');
  t.mock.timers.tick(200 * LOOKS);
  assert.equal(looks(), 0);
  nowMs += 15_000;
  t.mock.timers.tick(200 * LOOKS);
  assert.equal(looks(), POOLS, 'each is sampled again');
  new Pool(pools[7]!, hands).pop(1);
  t.mock.timers.tick(200);
  assert.equal(looks(), 1);
  t.mock.timers.tick(200);
  assert.equal(looks(), 1, 'while it is short it is looked at');
  const anew = pools.map((shared) => shareAnew(shared, 0));
  for (const shared of anew) countsBoard(shared).write({ available: 12 });
  grinder.setPools(anew);
  const stocks = grinder.statusOf().map(({ status: { available } }) => available);
  assert.deepEqual(new Set(stocks), new Set([12]), 'those of the new queues are looked at');
  await grinder.close();
});

test('a pool that is low is looked at until it has recovered, then no more, and none that is paused', async (t) => {
  const changes = new ChangedPools();
  const pools = sharedPools(changes);
  const options = { threads: 0, batch: 1, sliceMs: 25, priority: 'low' } as const;
  const raised: string[] = [];
  const alerts = new Alerts(
    (type, { pool }) => raised.push(`${pool} ${type}`),
    () => undefined,
  );
  const log = collectedLog();
  const grinder = new ServedGrinder(options, new Tallies(), changes, log as never, alerts);
  for (const shared of pools) countsBoard(shared).write({ available: 30, ground: 30 });
  const status = t.mock.method(Pool.prototype, 'status');
  t.mock.timers.enable({ apis: ['setInterval'] });
  // A minute passes between two steps.
  let nowMs = performance.now();
  t.mock.method(performance, 'now', () => nowMs);
  const step = (): number => {
    const before = status.mock.callCount();
    nowMs += 60_000;
    t.mock.timers.tick(200);
    // Each is sampled once, too.
    return status.mock.callCount() - before - POOLS;
  };
  grinder.setPools(pools);
  grinder.start({}, async () => undefined);
  assert.equal(step(), 0);
  const change = (counts: { available: number; dispensed?: number }): void => {
    countsBoard(pools[7]!).write(counts);
    changes.mark(7);
  };
  change({ available: 2 });
  assert.equal(step(), 1);
  assert.deepEqual(raised, ['pool-7 pool.low']);
  settingsBoard(pools[7]!).write({ gate: GATE.paused });
  changes.mark(7);
  assert.equal(step(), 1);
  assert.equal(step(), 0, 'paused');
  settingsBoard(pools[7]!).write({ gate: GATE.open });
  // Full again, for less than an hour at the rate at which it is consumed: that declines with time alone.
  change({ available: 30, dispensed: 600 });
  for (let steps = 0; raised.length === 1; steps++) {
    assert.equal(step(), 1, `step ${steps}`);
    assert.ok(steps < 200, 'it never recovered');
  }
  assert.deepEqual(raised, ['pool-7 pool.low', 'pool-7 pool.recovered']);
  assert.equal(step(), 0);
  await grinder.close();
});
