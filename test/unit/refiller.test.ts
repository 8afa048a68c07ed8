/** The refiller over a real store in a real file, and the queue that HTTP threads pop from. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { loadConfig } from '../../src/config/config.ts';
import type { VanityError } from '../../src/errors.ts';
import { addressOf, decodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf, proveKeypair, signingKeyOf } from '../../src/keypair/keypair.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { Pool } from '../../src/pool/pool.ts';
import { type SharedPool, shareAnew, sharePool } from '../../src/pool/shared-pool.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { Refiller } from '../../src/store-thread/refiller.ts';
import { temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

/** A store with `stored` addresses, its refiller, and one pool as an HTTP thread sees it. */
class Bench implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly changes = new ChangedPools();
  shared: SharedPool;
  pool!: Pool;
  readonly errors: (VanityError | undefined)[] = [];
  store!: Store;
  refiller!: Refiller;

  constructor(ready: number) {
    const [pool] = loadConfig({ cwd: '/' }).pools;
    this.shared = sharePool({ ...pool!, ready }, { changes: this.changes });
  }

  /** With a ready queue that is new, as each start has. */
  async open(): Promise<void> {
    this.shared = shareAnew(this.shared, 0);
    this.pool = new Pool(this.shared, {
      refill: (name, count) => this.refiller.refill(name, count),
      prepare: () => undefined,
      record: () => undefined,
    });
    const sealingKey = `file:${this.directory}/sealing.key`;
    this.store = await openSqliteStore({ directory: this.directory, sealingKey });
    let last: Promise<unknown> = Promise.resolve();
    this.refiller = new Refiller({
      store: this.store,
      changes: this.changes,
      exclusively: (work) => {
        const result = last.then(work);
        last = result.catch(() => undefined);
        return result;
      },
      onTurn: (_, error) => this.errors.push(error),
    });
    const { name, pattern, keys, handout } = this.shared;
    const { prefix, suffix, ignoreCase } = pattern;
    const identity = { name, prefix, suffix, ignoreCase, keys, handout };
    this.refiller.add(this.shared, await this.store.definePool(identity));
  }

  async insert(count: number): Promise<void> {
    const keypairs = Array.from({ length: count }, () => keypairOf(randomBytes(32)));
    await this.store.insert(keypairs.map((keypair) => ({ pool: 'pet', ...signingKeyOf(keypair) })));
    this.refiller.publish('pet', await this.store.counts('pet'));
  }

  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) await sleep(5);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refiller.stop().catch(() => undefined);
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function benchWith(stored: number, ready: number): Promise<Bench> {
  const bench = new Bench(ready);
  await bench.open();
  await bench.insert(stored);
  return bench;
}

function assertIdentity({ pool }: Bench): void {
  const { available, leased, reserved, dispensed, burned, ground, ready } = pool.status();
  assert.equal(available + leased + reserved + dispensed + burned, ground);
  assert.ok(ready <= leased);
}

test('the queue is filled to `ready`, and pops are recorded as dispensed', LIMIT, async () => {
  await using bench = await benchWith(50, 10);
  bench.refiller.start();
  await bench.until(() => bench.pool.status().ready === 10);
  const popped = bench.pool.pop(4)!;
  for (const { address, secret } of popped) {
    const keypair = decodeBase58(secret);
    assert.ok(proveKeypair(keypair));
    assert.equal(addressOf(signingKeyOf(keypair).publicKey), address);
  }
  assert.equal(bench.pool.status().dispensed, 4, 'at once, before the store has recorded it');
  assertIdentity(bench);
  while ((await bench.store.counts('pet')).dispensed < 4) await sleep(5);
  await bench.until(() => bench.pool.status().ready >= 10);
  assertIdentity(bench);
});

test('a request for more than is ready is filled for, to the last address', LIMIT, async () => {
  await using bench = await benchWith(300, 10);
  const ids = (await bench.pool.dispense(250)).map(({ id }) => id);
  assert.deepEqual(
    ids,
    Array.from({ length: 250 }, (_, index) => index + 1),
  );
  await assert.rejects(async () => bench.pool.dispense(51), { code: 'POOL_EMPTY' });
  assert.equal((await bench.pool.dispense(50)).length, 50);
  await assert.rejects(async () => bench.pool.dispense(1), { code: 'POOL_EMPTY' });
  assertIdentity(bench);
});

test(
  'what is popped while the store is busy with a turn is recorded by the next one',
  LIMIT,
  async () => {
    await using bench = await benchWith(60, 20);
    await bench.refiller.refill('pet', 20);
    bench.pool.pop(5);
    const turn = bench.refiller.refill('pet', 30);
    await Promise.resolve();
    bench.pool.pop(3); // after the turn has looked at the queue, before it is done
    await turn;
    await bench.refiller.stop();
    assert.equal((await bench.store.counts('pet')).dispensed, 8);
  },
);

test('many who wait get different addresses', LIMIT, async () => {
  await using bench = await benchWith(200, 10);
  const asked = Array.from({ length: 40 }, () => bench.pool.dispense(5));
  const ids = (await Promise.all(asked)).flat().map(({ id }) => id);
  assert.equal(new Set(ids).size, 200);
});

test('many who wait for many share turns, and each gets all in the end', LIMIT, async () => {
  await using bench = await benchWith(20_000, 10);
  const asked = Array.from({ length: 20 }, () => bench.pool.dispense(1000));
  const ids = (await Promise.all(asked)).flat().map(({ id }) => id);
  assert.equal(new Set(ids).size, 20_000);
  assert.equal(bench.errors.length, Math.ceil(20_000 / 2048), 'as few as can lease them');
});

test('a commit resolves when the disk knows, for all who wait at once', LIMIT, async () => {
  await using bench = await benchWith(100, 20);
  await bench.refiller.refill('pet', 20);
  const turns = bench.errors.length;
  bench.pool.pop(12);
  await Promise.all([1, 2, 3].map(() => bench.refiller.commit('pet')));
  assert.equal((await bench.store.counts('pet')).dispensed, 12);
  assert.equal(bench.errors.length, turns + 1, 'in one transaction');
  await bench.refiller.commit('pet');
  assert.equal(bench.errors.length, turns + 1, 'what is recorded costs nothing');
});

test('requests that come as messages one by one share a commit', LIMIT, async () => {
  await using bench = await benchWith(100, 50);
  await bench.refiller.refill('pet', 50);
  const turns = bench.errors.length;
  const { port1, port2 } = new MessageChannel();
  const commits: Promise<void>[] = [];
  const { promise: allHaveCome, resolve } = Promise.withResolvers<void>();
  port2.on('message', () => {
    bench.pool.pop(1);
    commits.push(bench.refiller.commit('pet'));
    if (commits.length === 40) resolve();
  });
  for (let sent = 0; sent < 40; sent++) port1.postMessage('dispense');
  await allHaveCome;
  await Promise.all(commits);
  port1.close();
  assert.equal((await bench.store.counts('pet')).dispensed, 40);
  assert.equal(bench.errors.length, turns + 1, 'in one transaction');
});

test('the goal rises with demand', LIMIT, async () => {
  await using bench = await benchWith(1000, 10);
  bench.refiller.start();
  await bench.pool.dispense(400);
  await bench.until(() => bench.pool.status().ready > 10);
});

test('a clean stop returns what is ready and empties the memory', LIMIT, async () => {
  await using bench = await benchWith(50, 20);
  bench.refiller.start();
  await bench.until(() => bench.pool.status().ready === 20);
  const [first] = bench.pool.pop(3)!;
  await bench.refiller.stop();
  const { available, leased, dispensed, burned } = await bench.store.counts('pet');
  assert.deepEqual(
    { available, leased, dispensed, burned },
    {
      available: 47,
      leased: 0,
      dispensed: 3,
      burned: 0,
    },
  );
  assert.equal(bench.pool.status().ready, 0);
  const cells = Buffer.from(bench.shared.queue).subarray(384);
  assert.ok(
    cells.every((byte) => byte === 0),
    'no secret is left in memory',
  );
  await bench.store.close();
  await bench.open();
  const next = await bench.pool.dispense(47);
  assert.ok(!next.some(({ id }) => id === first!.id));
});

test('a turn that a stop overtakes leases nothing', LIMIT, async () => {
  await using bench = await benchWith(50, 20);
  const stopped = bench.refiller.stop();
  await assert.rejects(bench.refiller.refill('pet', 5), { code: 'STORE_UNAVAILABLE' });
  await stopped;
  assert.equal((await bench.store.counts('pet')).leased, 0);
});

test('without a clean stop nothing that was ready comes back', LIMIT, async () => {
  await using bench = await benchWith(50, 20);
  await bench.refiller.refill('pet', 20);
  const popped = bench.pool.pop(5)!.map(({ id }) => id);
  await bench.store.close(); // as a killed process leaves it: nothing recorded, nothing returned
  const again = new Bench(20);
  rmSync(again.directory, { recursive: true });
  Object.assign(again, { directory: bench.directory });
  await again.open();
  assert.deepEqual(again.store.recovered, { pet: { dispensed: 0, returned: 0, burned: 20 } });
  const ids = (await again.pool.dispense(30)).map(({ id }) => id);
  assert.ok(!ids.some((id) => popped.includes(id)));
  await assert.rejects(async () => again.pool.dispense(1), { code: 'POOL_EMPTY' });
  assertIdentity(again);
  await again.store.close();
});

test(
  'while the store fails requests go on from what is ready; then it recovers',
  LIMIT,
  async () => {
    await using bench = await benchWith(50, 10);
    await bench.refiller.refill('pet', 10);
    bench.refiller.start();
    const other = new DatabaseSync(join(bench.directory, 'store.db'));
    other.exec('BEGIN EXCLUSIVE');
    const popped = bench.pool.pop(10)!;
    assert.equal(popped.length, 10);
    await assert.rejects(async () => bench.pool.dispense(1), { code: 'STORE_UNAVAILABLE' });
    await bench.until(() => bench.errors.some((error) => error?.code === 'STORE_LOCKED'));
    assertIdentity(bench);
    other.exec('ROLLBACK');
    other.close();
    await bench.until(() => bench.pool.status().ready >= 10);
    const after = bench.pool.pop(10)!.map(({ id }) => id);
    assert.ok(!popped.some(({ id }) => after.includes(id)));
    assert.equal((await bench.store.counts('pet')).dispensed >= 10, true);
    assertIdentity(bench);
  },
);

test(
  'an address that cannot be unsealed is burned, and the others keep their turn',
  LIMIT,
  async () => {
    await using bench = await benchWith(30, 10);
    const other = new DatabaseSync(join(bench.directory, 'store.db'));
    other.exec('UPDATE addresses SET sealed = zeroblob(92) WHERE seq IN (2, 3, 12)');
    other.close();
    const ids = (await bench.pool.dispense(15)).map(({ id }) => id);
    assert.deepEqual(ids.slice(0, 3), [1, 4, 5]);
    await bench.refiller.stop();
    const { dispensed, burned, available } = await bench.store.counts('pet');
    assert.deepEqual({ dispensed, burned, available }, { dispensed: 15, burned: 3, available: 12 });
  },
);
