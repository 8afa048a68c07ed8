/**
 * Pools that come and go, over a real store, its refiller and real journals. HTTP threads are ports
 * of which the test says when they act on a notice, and pops as one of them does.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { POOLS_MAX } from '../../src/config/pool-config.ts';
import { addressOf } from '../../src/keypair/address.ts';
import type { PoolNotice } from '../../src/pool/calls.ts';
import { Pool } from '../../src/pool/pool.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { GATE, settingsBoard } from '../../src/pool/shared-pool.ts';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { Bench, config, hash, isSettled } from '../support/pools-bench.ts';
import { withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

test('a pool is made when every thread has it, with a journal of its own', LIMIT, async () => {
  await using bench = await new Bench().open();
  const [one, two] = [await bench.connect(), await bench.connect()];
  two.isPrompt = false;
  const made = bench.pools.create(config('new'));
  await two.told();
  assert.equal(await isSettled(made), false, 'the second has not acted on it');
  assert.ok(one.pools.has('new'));
  two.act();
  await made;
  assert.deepEqual(bench.changes, ['new']);
  const numbers = withDatabase(bench.directory, (db) =>
    db.prepare('SELECT number FROM journals').all(),
  );
  assert.equal(numbers.length, 3, 'one for each thread, this one included');
  const late = await bench.connect();
  assert.deepEqual([...late.pools.keys()], ['new'], 'a thread that comes later begins with it');
});

test('a start makes as many commits for a hundred pools as for one', LIMIT, async () => {
  const configured = Array.from({ length: 100 }, (_, index) => config(`pool-${index}`));
  await using bench = await new Bench().openFor(3, configured);
  assert.equal(bench.commits, 2, 'the pools, and their journals');
  const threads = [await bench.connect(), await bench.connect(), await bench.connect()];
  assert.equal(bench.commits, 2, 'what the threads need was made before');
  await bench.fill('pool-7', 30);
  for (const thread of threads) assert.equal(thread.pools.get('pool-7')!.pop(2)!.length, 2);
  const before = bench.commits;
  const late = await bench.connect();
  assert.equal(bench.commits, before + 1);
  assert.equal(late.pools.size, 100);
  await bench.crash();
  await bench.openFor(3, configured);
  assert.deepEqual(bench.store.recovered['pool-7'], { dispensed: 6, returned: 4, burned: 0 });
});

test('a pool that is made before a thread has come is its own, too', LIMIT, async () => {
  await using bench = await new Bench().openFor(2, [config('file')]);
  const first = await bench.connect();
  await bench.pools.create(config('new'));
  await bench.pools.create(config('gone'));
  await bench.pools.remove('gone');
  await bench.fill('new', 10);
  const second = await bench.connect();
  for (const { pools } of [first, second]) {
    assert.deepEqual([...pools.keys()], ['file', 'new']);
    assert.equal(pools.get('new')!.pop(1)!.length, 1);
  }
});

test(
  'pools are served anew: nothing is lost, nothing leaves twice, and the old queue is wiped',
  LIMIT,
  async () => {
    await using bench = await new Bench().openFor(2, [config('file')]);
    await bench.pools.create(config('new', { target: 77 }));
    await bench.pools.pause('new', true);
    const threads = [await bench.connect(), await bench.connect()];
    await bench.fill('file', 40);
    const left: string[] = [];
    const popAll = (count: number): void => {
      for (const { pools } of threads) {
        left.push(
          ...pools
            .get('file')!
            .pop(count)!
            .map(({ address }) => address),
        );
      }
    };
    popAll(2);
    const before = threads[0]!.pools.get('file')!;
    await bench.renewed.serveAnew();
    assert.throws(() => before.pop(1), { code: 'STORE_UNAVAILABLE' });
    const cells = Buffer.from(before.shared.queue, 384);
    assert.ok(
      cells.every((byte) => byte === 0),
      'no secret stays in the old queue',
    );
    const { counts } = await bench.stored('file');
    assert.deepEqual([counts.dispensed, counts.leased, counts.available], [4, 0, 36]);
    const [paused] = bench.entries.all.filter(({ name }) => name === 'new');
    assert.deepEqual(
      [settingsBoard(paused!).get('target'), settingsBoard(paused!).get('gate')],
      [77, GATE.paused],
    );
    for (let round = 0; round < 2; round++) {
      await bench.refiller.refill('file', 8);
      popAll(3);
      await bench.refiller.commit('file');
      await bench.renewed.serveAnew();
    }
    await bench.refiller.refill('file', 8);
    popAll(1);
    assert.equal(new Set(left).size, left.length);
    assert.equal(left.length, 18);
    await bench.crash();
    await bench.openFor(2, [config('file')]);
    assert.deepEqual(bench.store.recovered.file, { dispensed: 2, returned: 8, burned: 0 });
  },
);

test('a store that fails while pools are served anew is tried again', LIMIT, async () => {
  await using bench = await new Bench().openFor(1, [config('file')]);
  const thread = await bench.connect();
  await bench.fill('file', 20);
  thread.pools.get('file')!.pop(3);
  using other = new DatabaseSync(`${bench.directory}/store.db`);
  other.exec('BEGIN IMMEDIATE');
  const failed = assert.rejects(bench.renewed.serveAnew(), { code: 'STORE_LOCKED' });
  await failed;
  assert.throws(() => thread.pools.get('file')!.pop(1), { code: 'STORE_UNAVAILABLE' });
  other.exec('ROLLBACK');
  await bench.renewed.serveAnew();
  await bench.refiller.refill('file', 5);
  assert.equal(thread.pools.get('file')!.pop(5)!.length, 5);
  await bench.refiller.commit('file');
  const { counts } = await bench.stored('file');
  assert.deepEqual([counts.dispensed, counts.burned], [8, 0]);
});

test(
  'what a thread popped right before its end is recorded, though it marked nothing',
  LIMIT,
  async () => {
    await using bench = await new Bench().open(config('file'));
    const thread = await bench.connect();
    await bench.fill('file', 20);
    while (bench.refiller.recordedBefore('file') !== thread.pools.get('file')!.head) await sleep(1);
    // Until the pool is at rest: nothing is looked at any more.
    for (let looks = 0; looks < 20; looks++) {
      await bench.refiller.look();
      await sleep(20);
    }
    new ReadyQueue(bench.entries.all[0]!.queue).pop(2);
    for (let looks = 0; looks < 5; looks++) await bench.refiller.look();
    assert.equal((await bench.stored('file')).counts.dispensed, 0, 'nobody looks');
    thread.die();
    while ((await bench.stored('file')).counts.dispensed !== 2) {
      await bench.refiller.look();
      await sleep(10);
    }
  },
);

test('a thread that dies is not waited for, and its journals go', LIMIT, async () => {
  await using bench = await new Bench().open();
  const thread = await bench.connect();
  thread.isPrompt = false;
  const made = bench.pools.create(config('new'));
  await thread.told();
  const [{ added }] = thread.notices as [PoolNotice];
  thread.die();
  await made;
  const { directories, epoch } = added!.journal!;
  // The store thread has the first.
  const paths = directories.map((directory) => join(directory, `${epoch}-2.journal`));
  const path = paths.find((one) => existsSync(one))!;
  while (existsSync(path)) await sleep(10);
  await bench.pools.pause('new', true);
});

test(
  'a deletion records what was popped, burns the rest, and lets nothing out',
  LIMIT,
  async () => {
    await using bench = await new Bench().open();
    const thread = await bench.connect();
    await bench.pools.create(config('new'));
    const addresses = await bench.fill('new', 40);
    const pool = thread.pools.get('new')!;
    const popped = pool.pop(3)!.map(({ address }) => address);
    assert.deepEqual(popped, addresses.slice(0, 3));
    thread.isPrompt = false;
    const removed = bench.pools.remove('new');
    await thread.told();
    assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' }, 'before the thread acts on it');
    assert.equal((await bench.stored('new')).isRemoved, false, 'a pop may still be under way');
    thread.isPrompt = true;
    thread.act();
    assert.equal(await removed, 37);
    const stored = await bench.stored('new');
    assert.deepEqual([stored.isRemoved, stored.position], [true, 3]);
    const { counts } = stored;
    assert.deepEqual([counts.dispensed, counts.burned, counts.ground], [3, 37, 40]);
    assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
    assert.equal(pool.status().ready, 0, 'the queue is empty');
    assert.ok(!thread.pools.has('new'));
    const causes = withDatabase(bench.directory, (db) =>
      db.prepare("SELECT DISTINCT cause FROM segments WHERE state = 'burned'").all(),
    );
    assert.deepEqual(
      causes.map(({ cause }) => cause),
      ['deleted'],
    );
    while (withDatabase(bench.directory, (db) => db.prepare('SELECT * FROM journals').get())) {
      await sleep(10);
    }
    await assert.rejects(bench.pools.remove('new'), { code: 'POOL_NOT_FOUND' });
    await assert.rejects(bench.pools.pause('new', true), { code: 'POOL_NOT_FOUND' });
    thread.die();
  },
);

test(
  'a pool that comes back goes on where it was, and a crash knows who got what',
  LIMIT,
  async () => {
    await using bench = await new Bench().open();
    const thread = await bench.connect();
    await bench.pools.create(config('new'));
    const first = await bench.fill('new', 20);
    thread.pools.get('new')!.pop(4);
    await bench.pools.remove('new');
    await assert.rejects(bench.pools.create(config('new', { suffix: 'y' })), {
      code: 'POOL_MISMATCH',
    });
    await bench.pools.create(config('new'));
    const second = await bench.fill('new', 20);
    const key = randomBytes(32);
    const again = thread.pools.get('new')!.pop(2, { token: 0, key, body: key })!;
    assert.deepEqual(
      again.map(({ address }) => address),
      second.slice(0, 2),
    );
    assert.ok(!first.some((address) => second.includes(address)));
    await bench.refiller.commit('new');
    thread.pools.get('new')!.pop(3);
    await bench.crash();
    await bench.open();
    const { counts } = await bench.stored('new');
    assert.deepEqual([counts.dispensed, counts.burned, counts.leased], [9, 16, 0]);
    const handOut = await bench.store.handOut(key, 'new');
    assert.equal(handOut!.addresses!.length, 2, 'with its addresses');
    using reader = await AuditReader.open(bench.directory, `file:${bench.directory}/sealing.key`);
    const { addresses } = await reader.page({ after: 0, limit: 100, pool: 'new' });
    const keyed = addresses.filter(({ keyHash }) => keyHash !== undefined);
    assert.deepEqual(
      keyed.map(({ address }) => address),
      second.slice(0, 2),
    );
    assert.ok(bench.entries.find('new') !== undefined, 'it comes back with the next start');
  },
);

test('a reservation that no turn has recorded was shown to nobody: a crash gives it back', async () => {
  await using bench = await new Bench().open(config('new'));
  const thread = await bench.connect();
  const addresses = await bench.fill('new', 10);
  const shop = thread.pools.get('new')!;
  const store = new Pool(bench.entries.all[0]!, {
    refill: async () => undefined,
    prepare: (pool) => bench.own.prepare(pool),
    record: (pool, handOut) => bench.own.record(pool, handOut),
  });
  const key = randomBytes(32);
  const reserve = (id: string) => {
    const reservation = { id: id.repeat(32), ttlMs: 86_400_000 };
    store.pop(1, { token: 0, key: hash(id), body: key, reservation });
  };
  reserve('a');
  shop.pop(1);
  await bench.refiller.commit('new');
  reserve('b');
  shop.pop(2);
  reserve('c');
  shop.pop(1, { token: 0, key, body: key });
  await bench.crash();
  await bench.open(config('new'));
  const { counts } = await bench.stored('new');
  assert.deepEqual([counts.reserved, counts.dispensed, counts.burned], [1, 4, 0]);
  const [keyed] = (await bench.store.handOut(key, 'new'))!.addresses!;
  assert.equal(addressOf(keyed!.publicKey), addresses[6]);
  assert.equal(await bench.store.reservations.madeWith(hash('b')), undefined);
  await bench.refiller.refill('new', 5);
  const again = (await bench.connect()).pools.get('new')!.pop(5)!;
  assert.deepEqual(
    again.map(({ address }) => address),
    [2, 5, 7, 8, 9].map((index) => addresses[index]),
  );
});

test('a deletion that the disk refuses leaves the pool as it was', LIMIT, async () => {
  await using bench = await new Bench().open();
  const thread = await bench.connect();
  await bench.pools.create(config('new'));
  await bench.fill('new', 20);
  using other = new DatabaseSync(`${bench.directory}/store.db`);
  other.exec('BEGIN IMMEDIATE');
  await assert.rejects(bench.pools.remove('new'), { code: 'STORE_LOCKED' });
  other.exec('ROLLBACK');
  assert.equal(thread.pools.get('new')!.pop(2)!.length, 2, 'it hands out');
  await bench.refiller.commit('new');
  assert.equal(await bench.pools.remove('new'), 18);
});

test('settings and pauses come back; those of the configuration are its own', LIMIT, async () => {
  await using bench = await new Bench('committed').open(config('file'));
  const thread = await bench.connect();
  await bench.pools.create(config('new'));
  await bench.pools.change('new', { target: 77 });
  await bench.pools.pause('new', true);
  await bench.pools.pause('file', true);
  assert.equal(thread.pools.get('new')!.status().target, 77, 'at once');
  assert.throws(() => thread.pools.get('file')!.pop(1), { code: 'POOL_PAUSED' });
  await assert.rejects(bench.pools.change('new', { ready: 21 }), { code: 'CONFIG_INVALID' });
  await assert.rejects(bench.pools.change('file', { target: 1 }), { code: 'POOL_CONFIGURED' });
  await assert.rejects(bench.pools.remove('file'), { code: 'POOL_CONFIGURED' });
  await bench.crash();
  const file = config('file');
  await bench.open(file);
  const [first, second] = bench.entries.all.map((shared) => {
    const hands = { refill: async () => undefined, prepare: () => undefined };
    return new Pool(shared, { ...hands, record: () => undefined }).status();
  });
  assert.deepEqual([first!.paused, first!.target], [true, 1000]);
  assert.deepEqual([second!.paused, second!.target], [true, 77]);
  await bench.pools.pause('new', false);
  await bench.crash();
  await bench.open(file, config('new', { target: 5 }));
  assert.equal((await bench.stored('new')).settings, undefined, 'the file has it now');
});

test('there is a most of pools, and one that is deleted makes room', LIMIT, async () => {
  await using bench = await new Bench('committed').open();
  for (let index = 0; index < POOLS_MAX; index++) await bench.pools.create(config(`pool-${index}`));
  await assert.rejects(bench.pools.create(config('more')), { code: 'POOL_LIMIT_REACHED' });
  await bench.pools.remove('pool-7');
  await bench.pools.create(config('more'));
});

test('a pattern that is none makes no pool', LIMIT, async () => {
  await using bench = await new Bench().open();
  await assert.rejects(bench.pools.create(config('new', { suffix: '0' })), {
    code: 'PATTERN_IMPOSSIBLE',
  });
  assert.deepEqual(await bench.store.pools(), []);
  assert.deepEqual(bench.changes, []);
});
