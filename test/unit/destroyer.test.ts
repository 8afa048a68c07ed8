/**
 * A backlog of secrets that are due, in a real store: what is counted is calls, rows and pages; how
 * long they take is for bench/destroy.ts.
 */
import assert from 'node:assert/strict';
import { StatementSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { StoreHealth } from '../../src/pool/health.ts';
import { PIECE_ROWS } from '../../src/store/sqlite/retention.ts';
import type { Store } from '../../src/store/store.ts';
import { Destroyer, type DestroyerOptions } from '../../src/store-thread/destroyer.ts';
import { WorkQueue } from '../../src/store-thread/work-queue.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const HOUR_MS = 3_600_000;
/** Of one piece, at the most. */
const PIECE_RANGES = 32;
const PIECE_PAGES = 512;

/** Pools with so many addresses each, all dispensed, whose rows lie between those of the others. */
async function dispensed(t: TestContext, pools: number, each: number) {
  const directory = temporaryDirectory();
  const store = await openStoreIn(directory);
  t.after(async () => {
    await store.close();
    checkStore(directory);
    removeDirectory(directory);
  });
  const names = Array.from({ length: pools }, (_, index) => `pool-${index}`);
  for (const name of names) await store.definePool(poolNamed(name));
  const hits = names.map((name) => hitsFor(name, each));
  await store.insert(
    Array.from({ length: each }, (_, index) => hits.map((of) => of[index]!)).flat(),
  );
  for (const name of names) {
    await turn(store, name, 0, each);
    await turn(store, name, each, 0);
  }
  return { store, directory };
}

/** Pages that stand in the log. */
function pagesIn(directory: string): number {
  return withDatabase(directory, (db) =>
    Number(db.prepare('PRAGMA wal_checkpoint(NOOP)').get()!.log),
  );
}

/** How often the log is truncated, and taken into the database otherwise, from now on. */
function countedCheckpoints(t: TestContext) {
  const counted = { truncations: 0, steps: 0 };
  const { get } = StatementSync.prototype;
  t.mock.method(
    StatementSync.prototype,
    'get',
    function (this: StatementSync, ...args: Parameters<typeof get>) {
      if (this.sourceSQL.includes('(TRUNCATE)')) counted.truncations++;
      if (this.sourceSQL.includes('(PASSIVE)')) counted.steps++;
      return get.apply(this, args);
    },
  );
  return counted;
}

test('a piece is of bounded rows, ranges and pages of the log, however they lie', async (t) => {
  for (const [pools, each] of [
    [1, 2000],
    [8, 300],
    [100, 20],
    [70, 1],
  ] as const) {
    const { store, directory } = await dispensed(t, pools, each);
    await store.checkpointLog();
    assert.equal(await store.dueSecrets(ANY_AGE), pools * each);
    let left = pools * each;
    while (left > 0) {
      const before = pagesIn(directory);
      const count = await store.destroySecrets(ANY_AGE);
      const pages = pagesIn(directory) - before;
      const what = `${count} of ${pools} pools with ${each} each, ${pages} pages`;
      assert.ok(count > 0 && count <= Math.min(PIECE_ROWS, PIECE_RANGES * each), what);
      assert.ok(pages <= PIECE_PAGES, what);
      left -= count;
      assert.equal(await store.dueSecrets(ANY_AGE), left);
    }
    assert.equal(await store.destroySecrets(ANY_AGE), 0);
  }
});

/** A destroyer for which all is due at once, and the order of what ran with it. */
function destroyerOf(store: Store, now: () => number = () => performance.now()) {
  const queue = new WorkQueue(now);
  const health = new StoreHealth();
  const ran: (string | number)[] = [];
  const ended: (string | undefined)[] = [];
  const told: DestroyerOptions['store'] = {
    clock: store.clock,
    get isLogLong() {
      return store.isLogLong;
    },
    dueSecrets: (ageMs) => store.dueSecrets(ageMs),
    async destroySecrets(ageMs) {
      const count = await store.destroySecrets(ageMs);
      ran.push(count);
      return count;
    },
    checkpointLog() {
      ran.push('log');
      return store.checkpointLog();
    },
  };
  const destroyer = new Destroyer({
    ...{ store: told, health, behind: queue.behind, retentionMs: -HOUR_MS },
    onEnd: (error) => ended.push(error?.code),
  });
  return { queue, health, ran, ended, destroyer };
}

test('a backlog shortens the log in steps, and truncates it once, at its end', async (t) => {
  const { store, directory } = await dispensed(t, 8, 300);
  const counted = countedCheckpoints(t);
  const { destroyer, health, ran, ended } = destroyerOf(store);
  const both = [destroyer.destroy(), destroyer.destroy()];
  await Promise.all(both);
  const pieces = ran.filter((what) => what !== 'log').map(Number);
  assert.equal(
    pieces.reduce((sum, count) => sum + count, 0),
    2400,
    'a backlog is not begun twice',
  );
  assert.ok(pieces.length >= 2400 / PIECE_ROWS);
  assert.equal(counted.truncations, 1);
  const steps = ran.filter((what) => what === 'log').length;
  assert.ok(steps >= 2, `${steps} steps of the log`);
  assert.equal(counted.steps, steps);
  assert.deepEqual([ended, health.read().dueSecrets], [[undefined], 0]);
  assert.equal(pagesIn(directory), 0);
  // Nothing is due, and the log has nothing of it: nothing to be done.
  await destroyer.destroy();
  assert.deepEqual([counted.truncations, counted.steps], [1, steps]);
});

test('pieces run behind requests, yet one in 100 ms; the backlog is reported', async (t) => {
  const { store } = await dispensed(t, 1, 5 * PIECE_ROWS);
  let now = 0;
  const { queue, destroyer, health, ran } = destroyerOf(store, () => now);
  const due: number[] = [];
  const request = () =>
    queue.exclusively(async () => {
      now += 25;
      ran.push('request');
      due.push(health.read().dueSecrets);
      await store.counts('pool-0');
    });
  const requests = Array.from({ length: 12 }, request);
  await Promise.all([destroyer.destroy(), ...requests]);
  const order = ran
    .filter((what) => what !== 'log')
    .map((what) => (what === 'request' ? '.' : '#'));
  // The first four come before the count of what is due; the last piece finds that nothing is left.
  assert.equal(order.join(''), '........#....#####');
  assert.deepEqual(new Set(due), new Set([0, 5 * PIECE_ROWS, 4 * PIECE_ROWS]));
  assert.equal(health.read().dueSecrets, 0);
});

test('a stop ends after the piece that runs, and the next goes on', async (t) => {
  const { store } = await dispensed(t, 1, 5 * PIECE_ROWS);
  const { destroyer, queue } = destroyerOf(store);
  const running = destroyer.destroy();
  await queue.behind(async () => undefined);
  await destroyer.stop();
  await running;
  const left = await store.dueSecrets(ANY_AGE);
  assert.ok(left >= 3 * PIECE_ROWS, `${left} are left`);
  await destroyerOf(store).destroyer.destroy();
  assert.equal(await store.dueSecrets(ANY_AGE), 0);
});

test('a store that fails is reported, and nothing is destroyed while its clock is in doubt', async (t) => {
  const { store } = await dispensed(t, 1, 3);
  const { clock } = store;
  const failing = new VanityError('DISK_FULL', 'no room');
  const ended: (string | undefined)[] = [];
  const none = async () => assert.fail('not to be called');
  const common = { checkpointLog: none, isLogLong: false, destroySecrets: none };
  const options = {
    ...{ health: new StoreHealth(), behind: new WorkQueue().behind, retentionMs: -HOUR_MS },
    onEnd: (error: VanityError | undefined) => ended.push(error?.code),
  };
  const dueSecrets = () => Promise.reject(failing);
  await new Destroyer({ ...options, store: { ...common, clock, dueSecrets } }).destroy();
  assert.deepEqual(ended, ['DISK_FULL']);
  const doubtful = Object.create(clock, { isSettled: { value: false } });
  await new Destroyer({
    ...options,
    store: { ...common, clock: doubtful, dueSecrets: none },
  }).destroy();
  assert.deepEqual(ended, ['DISK_FULL']);
});
