/** Inserts beside all else that asks the store: a real one, of which an insert hangs when a test says so. */
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep, setImmediate as soon } from 'node:timers/promises';
import { readPool } from '../../src/config/pool-config.ts';
import { VanityError } from '../../src/errors.ts';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import type { Hit } from '../../src/keypair/signing-key.ts';
import { orderUntil } from '../../src/pool/calls.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { Pool, type Receiver } from '../../src/pool/pool.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { Dispenser } from '../../src/store-thread/dispenser.ts';
import { inTurn } from '../../src/store-thread/in-turn.ts';
import { Inserts } from '../../src/store-thread/inserts.ts';
import { Refiller } from '../../src/store-thread/refiller.ts';
import { UnrecordedHandOuts } from '../../src/store-thread/unrecorded-hand-outs.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { StoreFaults } from '../support/store-faults.ts';

const CONFIG = readPool({ name: 'pet', suffix: 'x', ready: 8, ready_max: 8 }, (key) => key);
const { prefix, suffix, ignoreCase, keys, handout } = CONFIG;
const IDENTITY = { name: 'pet', prefix, suffix, ignoreCase, keys, handout };

class Bench implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly shared = sharePool(CONFIG);
  readonly pools = new Set(['pet']);
  readonly ends: (string | undefined)[] = [];
  faults!: StoreFaults;
  inserts!: Inserts;
  refiller!: Refiller;
  dispenser!: Dispenser;
  pool!: Pool;
  #store!: Store;

  async open(): Promise<this> {
    const { directory, shared } = this;
    this.#store = await openSqliteStore({ directory, sealingKey: `file:${directory}/sealing.key` });
    this.faults = new StoreFaults(this.#store);
    const { store } = this.faults;
    const exclusively = inTurn();
    const { counts } = await store.definePool(IDENTITY);
    this.refiller = new Refiller({
      store,
      exclusively,
      changes: new ChangedPools(),
      onTurn: (pool) => this.dispenser.sweep(pool),
    });
    const handOuts = new UnrecordedHandOuts();
    this.refiller.add(shared, { counts, position: 0 }, handOuts);
    const hands = {
      prepare: () => undefined,
      record: (_: string, handOut: Parameters<typeof handOuts.note>[0]) => handOuts.note(handOut),
    };
    this.dispenser = new Dispenser({
      store,
      exclusively,
      refiller: this.refiller,
      durability: 'leased',
      windowMs: 60_000,
      ...hands,
      onRepeat: () => undefined,
    });
    this.dispenser.add(shared);
    const refill = (pool: string, count: number) => this.refiller.refill(pool, count);
    this.pool = new Pool(shared, { refill, ...hands });
    this.inserts = new Inserts({
      store,
      exclusively,
      watch: (work) => work(),
      has: (pool) => this.pools.has(pool),
      publish: (pool, found) => this.refiller.publish(pool, found),
      onEnd: (error) => this.ends.push(error?.code),
    });
    return this;
  }

  hits(count: number): Hit[] {
    return Array.from({ length: count }, () => ({
      pool: 'pet',
      ...signingKeyOf(keypairOf(randomBytes(32))),
    }));
  }

  keyed(count: number): ReturnType<Dispenser['dispense']> {
    const receiver: Receiver = { token: 0, key: randomBytes(32), body: randomBytes(32) };
    const until = orderUntil();
    return this.dispenser.dispense({ pool: 'pet', count, receiver, quota: undefined, until });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refiller.stop();
    await this.#store.close();
    removeDirectory(this.directory);
  }
}

test('an insert that hangs delays no dispense with a key, and comes in when it goes on', async () => {
  await using bench = await new Bench().open();
  await bench.inserts.insert(bench.hits(40));
  const goOn = bench.faults.hang('insert');
  const hits = bench.hits(5);
  const stuck = bench.inserts.insert(hits);
  // More than are ready: the store leases for them, and looks for each key.
  for (let order = 0; order < 6; order++) assert.equal((await bench.keyed(5)).length, 5);
  await bench.refiller.commit('pet');
  assert.equal(bench.pool.status().ground, 40);
  goOn();
  assert.deepEqual(await stuck, { inserted: 5, duplicates: 0 });
  assert.ok(hits.every(({ key }) => key.every((byte) => byte === 0)));
  const { ground, dispensed, available, leased } = bench.pool.status();
  assert.deepEqual([ground, dispensed, available + leased], [45, 30, 15]);
});

test('a pool is deleted when no insert is under way, and requests go on meanwhile', async () => {
  await using bench = await new Bench().open();
  await bench.inserts.insert(bench.hits(20));
  const goOn = bench.faults.hang('insert');
  const stuck = bench.inserts.insert(bench.hits(3));
  let burned: number | undefined;
  const removed = bench.inserts.without(async () => {
    ({ burned } = await bench.refiller.remove('pet'));
    bench.pools.delete('pet');
  });
  const late = bench.inserts.insert(bench.hits(2));
  assert.equal((await bench.keyed(1)).length, 1);
  assert.ok(!bench.faults.begun.includes('removePool'));
  goOn();
  assert.equal((await stuck).inserted, 3);
  await removed;
  assert.equal(burned, 22);
  assert.deepEqual(await late, { inserted: 0, duplicates: 0 }, 'what was on its way is dropped');
  await assert.rejects(bench.inserts.insert(bench.hits(1), 'imported'), { code: 'POOL_NOT_FOUND' });
});

test('one that fails says so, wipes its secrets, and the next is tried', async () => {
  await using bench = await new Bench().open();
  bench.faults.fail('insert', new VanityError('DISK_FULL', 'no room'));
  const hits = bench.hits(2);
  await assert.rejects(bench.inserts.insert(hits), { code: 'DISK_FULL' });
  assert.ok(hits.every(({ key }) => key.every((byte) => byte === 0)));
  await bench.inserts.insert(bench.hits(1));
  assert.deepEqual(bench.ends, ['DISK_FULL', undefined]);
});

test('of a pool that another node has just deleted nothing comes in, and all else does', async () => {
  await using bench = await new Bench().open();
  bench.pools.add('gone');
  const ofBoth = () => {
    const [first, ...others] = bench.hits(3);
    return [{ ...first!, pool: 'gone' }, ...others];
  };
  assert.deepEqual(await bench.inserts.insert(ofBoth()), { inserted: 2, duplicates: 0 });
  assert.equal(bench.pool.status().available, 2);
  await assert.rejects(bench.inserts.insert(ofBoth(), 'imported'), { code: 'POOL_NOT_FOUND' });
  assert.deepEqual(bench.ends, [undefined]);
});

test('figures that were read before a turn are not published after it', async () => {
  await using bench = await new Bench().open();
  await bench.inserts.insert(bench.hits(20));
  const goOn = bench.faults.hold('counts');
  const inserted = bench.inserts.insert(bench.hits(5));
  const before = bench.faults.begun.length;
  while (!bench.faults.begun.slice(before).includes('counts')) await soon();
  const turned = bench.refiller.refill('pet', 8);
  // It waits for the figures; where it did not, it would be over by then.
  await Promise.race([turned, sleep(200)]);
  goOn();
  await Promise.all([inserted, turned]);
  const { available, leased, ready } = bench.pool.status();
  assert.deepEqual([available, leased, ready], [17, 8, 8]);
});

test('the figures add up at each moment, whatever runs beside', async () => {
  await using bench = await new Bench().open();
  await bench.inserts.insert(bench.hits(100));
  let handed = 0;
  const look = (): void => {
    const { ground, available, leased, dispensed, burned } = bench.pool.status();
    assert.equal(available + leased + dispensed + burned, ground);
    assert.ok(dispensed === handed && leased >= 0, `${dispensed} of ${handed}`);
  };
  const inserting = (async () => {
    for (let round = 0; round < 30; round++) {
      await bench.inserts.insert(bench.hits(randomInt(1, 6)));
      look();
    }
  })();
  for (let round = 0; round < 60; round++) {
    handed += bench.pool.pop(1)?.length ?? 0;
    look();
    const turn = bench.refiller.refill('pet', randomInt(1, 8));
    await soon();
    look();
    await turn;
    look();
  }
  await inserting;
});
