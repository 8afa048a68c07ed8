/** One key, one hand-out: over a real store in a real file, its refiller and its journal. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type Durability, loadConfig } from '../../src/config/config.ts';
import { createLog } from '../../src/log.ts';
import { orderUntil } from '../../src/pool/calls.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { GrowingJournal, JournalWriter } from '../../src/pool/journal-parts.ts';
import { Journals } from '../../src/pool/journals.ts';
import { monotonicMs } from '../../src/pool/monotonic.ts';
import { NOBODY } from '../../src/pool/pool.ts';
import type { ReadyAddress } from '../../src/pool/ready-address.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { Dispenser } from '../../src/store-thread/dispenser.ts';
import { Refiller } from '../../src/store-thread/refiller.ts';
import { UnrecordedHandOuts } from '../../src/store-thread/unrecorded-hand-outs.ts';
import { temporaryDirectory } from '../support/sqlite-stores.ts';
import { hitsFor } from '../support/store-subject.ts';
import { TestTime } from '../support/test-time.ts';

const LIMIT = { timeout: 300_000 };
const POOL = loadConfig({ cwd: '/' }).pools[0]!;
const PLAIN = {
  pool: 'pet',
  count: 1,
  receiver: NOBODY,
  quota: undefined,
  until: Number.POSITIVE_INFINITY,
};
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

class Counter implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly durability: Durability;
  repeats = 0;
  readonly failures: unknown[] = [];
  windowMs = HOUR_MS;
  /** Stands at the begin of a day, for days that are counted. */
  readonly time = new TestTime();
  store!: Store;
  journals!: Journals;
  refiller!: Refiller;
  dispenser!: Dispenser;
  exclusively!: <T>(work: () => Promise<T>) => Promise<T>;

  constructor(durability: Durability) {
    this.durability = durability;
  }

  async open(): Promise<void> {
    const { directory, durability, windowMs } = this;
    const sealingKey = `file:${directory}/sealing.key`;
    const make = { setting: 'auto', log: createLog('test', 'silent', false) } as const;
    this.journals = new Journals({ dataDirectory: directory, make });
    const { recover } = this.journals;
    const store = await openSqliteStore({
      directory,
      sealingKey,
      recover,
      durability,
      time: this.time,
    });
    this.store = store;
    let last: Promise<unknown> = Promise.resolve();
    const exclusively = <T>(work: () => Promise<T>): Promise<T> => {
      const result = last.then(work);
      last = result.catch(() => undefined);
      return result;
    };
    this.exclusively = exclusively;
    const onTurn = (pool: string, error: unknown): void => {
      this.dispenser.sweep(pool);
      if (error !== undefined) this.failures.push(error);
    };
    this.refiller = new Refiller({ store, exclusively, changes: new ChangedPools(), onTurn });
    const shared = sharePool({ ...POOL, ready: 10 });
    const { counts } = await store.definePool(POOL);
    const handOuts = new UnrecordedHandOuts();
    this.journals.begin(store);
    const made = this.journals.create(1, 64);
    const journal = new GrowingJournal(store.epoch, this.journals.directories);
    const part = journal.next(made.number, made.path);
    await store.addJournals([{ pool: 'pet', number: 1 }]);
    handOuts.follow(part);
    journal.publish(part, made.directory, made.records);
    const writer = new JournalWriter(journal.shared);
    this.refiller.add(shared, { counts, position: 0 }, handOuts);
    this.dispenser = new Dispenser({
      store,
      exclusively,
      refiller: this.refiller,
      durability,
      windowMs,
      prepare: () => (durability === 'committed' ? this.refiller.assertWorks() : writer.prepare()),
      record: (_, handOut) =>
        durability === 'committed' ? handOuts.note(handOut) : writer.write(handOut),
      onRepeat: () => void this.repeats++,
    });
    this.dispenser.add(shared);
  }

  async insert(count: number): Promise<void> {
    await this.store.insert(hitsFor('pet', count));
    this.refiller.publish('pet', await this.store.counts('pet'));
  }

  ask(key: Buffer, count = 1): Promise<ReadyAddress[]> {
    const body = Buffer.alloc(32, count);
    const receiver = { token: 0, key, body };
    return this.dispenser.dispense({ ...PLAIN, count, receiver });
  }

  /** As after a kill: nothing is given back. */
  async crash(): Promise<void> {
    await this.store.close();
    this.journals[Symbol.dispose]();
    await this.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    this.journals.remove();
    this.journals[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function counterWith(stored: number, durability: Durability = 'leased'): Promise<Counter> {
  const counter = new Counter(durability);
  await counter.open();
  await counter.insert(stored);
  return counter;
}

for (const durability of ['leased', 'committed'] as const) {
  test(
    `${durability}: one key gets one reply, at once, recorded, and after a crash`,
    LIMIT,
    async () => {
      await using counter = await counterWith(20, durability);
      const key = randomBytes(32);
      const replies = await Promise.all(Array.from({ length: 5 }, () => counter.ask(key, 2)));
      const [first] = replies;
      assert.deepEqual(
        first!.map(({ id }) => id),
        [1, 2],
      );
      for (const reply of replies) assert.deepEqual(reply, first);
      assert.deepEqual(await counter.ask(key, 2), first, 'from memory or from the store');
      const [other] = await counter.ask(randomBytes(32));
      assert.equal(other!.id, 3);
      await counter.crash();
      assert.deepEqual(await counter.ask(key, 2), first, 'after a crash');
      await counter.refiller.commit('pet');
      assert.deepEqual(await counter.ask(key, 2), first);
      const { dispensed, burned } = await counter.store.counts('pet');
      assert.deepEqual([dispensed, burned], [3, 0]);
      await assert.rejects(counter.ask(key, 3), { code: 'IDEMPOTENCY_MISMATCH' });
      assert.equal(counter.repeats, 7);
    },
  );
}

test('a reply is repeated from the store once it is recorded there', LIMIT, async () => {
  await using counter = await counterWith(30);
  const keys = Array.from({ length: 12 }, () => randomBytes(32));
  const replies = [];
  for (const key of keys) replies.push(await counter.ask(key));
  await counter.refiller.commit('pet');
  for (const [index, key] of keys.entries())
    assert.deepEqual(await counter.ask(key), replies[index]);
  assert.equal((await counter.store.counts('pet')).dispensed, 12);
});

test('another body is refused while the first is unrecorded, too', LIMIT, async () => {
  await using counter = await counterWith(10);
  const key = randomBytes(32);
  const first = counter.ask(key, 1);
  await assert.rejects(counter.ask(key, 2), { code: 'IDEMPOTENCY_MISMATCH' });
  assert.equal((await first).length, 1);
});

test('an error is not kept', LIMIT, async () => {
  await using counter = await counterWith(2);
  const key = randomBytes(32);
  await assert.rejects(counter.ask(key, 3), { code: 'POOL_EMPTY' });
  await counter.insert(1);
  assert.equal((await counter.ask(key, 3)).length, 3);
});

test('after its window a key gets nothing, and never a new address', LIMIT, async () => {
  await using counter = await counterWith(10);
  const key = randomBytes(32);
  await counter.ask(key);
  await counter.refiller.commit('pet');
  counter.windowMs = -1;
  await counter.crash();
  await assert.rejects(counter.ask(key), { code: 'IDEMPOTENCY_EXPIRED' });
  counter.windowMs = HOUR_MS;
  await counter.crash();
  assert.equal((await counter.ask(key)).length, 1);
  await counter.store.destroySecrets(-HOUR_MS);
  await assert.rejects(
    counter.ask(key),
    { code: 'IDEMPOTENCY_EXPIRED' },
    'the secret is destroyed',
  );
  assert.equal((await counter.store.counts('pet')).dispensed, 1);
});

test(
  'what a disk that fails did not commit goes to the same key, and to nobody else',
  LIMIT,
  async () => {
    await using counter = await counterWith(10, 'committed');
    await counter.ask(randomBytes(32));
    const key = randomBytes(32);
    {
      using other = new DatabaseSync(join(counter.directory, 'store.db'));
      other.exec('BEGIN IMMEDIATE');
      await assert.rejects(counter.ask(key), { code: 'STORE_UNAVAILABLE' });
      other.exec('ROLLBACK');
    }
    assert.equal(counter.failures.length, 1);
    let again: ReadyAddress[] | undefined;
    while (again === undefined) again = await counter.ask(key).catch(() => undefined);
    assert.equal(again[0]!.id, 2);
    assert.deepEqual(await counter.ask(key), again);
    assert.equal((await counter.ask(randomBytes(32)))[0]!.id, 3);
    assert.equal((await counter.store.counts('pet')).dispensed, 3);
  },
);

test(
  'without a key each request gets its own, and with the disk in committed mode',
  LIMIT,
  async () => {
    await using counter = await counterWith(10, 'committed');
    const asked = Array.from({ length: 4 }, () => counter.dispenser.dispense(PLAIN));
    const ids = (await Promise.all(asked)).flat().map(({ id }) => id);
    assert.deepEqual(ids, [1, 2, 3, 4]);
    assert.equal((await counter.store.counts('pet')).dispensed, 4, 'recorded before it is sent');
  },
);

test('a quota counts what the token had today, whatever else it is asked for', LIMIT, async () => {
  await using counter = await counterWith(30);
  const token = { hash: randomBytes(32), scopes: [], pools: undefined, expiresAt: undefined };
  const { id } = await counter.store.tokens.create({ ...token, name: 'shop', quota: 5 });
  const ask = (count: number, key?: Buffer) =>
    counter.dispenser.dispense({
      ...PLAIN,
      count,
      quota: 5,
      receiver: { token: id, ...(key && { key, body: Buffer.alloc(32, count) }) },
    });
  const key = randomBytes(32);
  const first = await ask(2, key);
  assert.deepEqual(await ask(2, key), first, 'a repeated reply costs nothing');
  await assert.rejects(ask(4), { code: 'QUOTA_EXCEEDED', message: /4 asked for, 3 left of 5/ });
  const asked = await Promise.allSettled(Array.from({ length: 5 }, () => ask(1)));
  assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 3);
  await counter.refiller.commit('pet');
  await counter.crash();
  await assert.rejects(ask(1), { code: 'QUOTA_EXCEEDED' }, 'a restart forgets nothing');
  assert.equal((await counter.ask(randomBytes(32))).length, 1, 'others have their own');
});

test('a day that the clock comes to twice has one quota', LIMIT, async () => {
  await using counter = await counterWith(30);
  const { time, store, dispenser } = counter;
  const token = { hash: randomBytes(32), scopes: [], pools: undefined, expiresAt: undefined };
  const { id } = await store.tokens.create({ ...token, name: 'shop', quota: 3 });
  const ask = () => dispenser.dispense({ ...PLAIN, quota: 3, receiver: { token: id } });
  const isSpent = () => assert.rejects(ask(), { code: 'QUOTA_EXCEEDED' });
  // The last 50 ms of it.
  time.pass(DAY_MS - 50);
  for (let count = 0; count < 3; count++) await ask();
  await isSpent();
  time.pass(100);
  await ask();
  time.set(-100);
  store.clock.look();
  await isSpent();
  time.pass(100);
  for (let count = 0; count < 2; count++) await ask();
  await isSpent();
  await counter.refiller.commit('pet');
  await counter.crash();
  await assert.rejects(
    counter.dispenser.dispense({ ...PLAIN, quota: 3, receiver: { token: id } }),
    { code: 'QUOTA_EXCEEDED' },
    'each hand-out is one of the day that it was counted for',
  );
});

test('what a pool could not give is not counted', LIMIT, async () => {
  await using counter = await counterWith(2);
  const token = { hash: randomBytes(32), scopes: [], pools: undefined, expiresAt: undefined };
  const { id } = await counter.store.tokens.create({ ...token, name: 'shop', quota: 5 });
  const ask = (count: number) =>
    counter.dispenser.dispense({ ...PLAIN, count, quota: 5, receiver: { token: id } });
  await assert.rejects(ask(5), { code: 'POOL_EMPTY' });
  assert.equal((await ask(2)).length, 2);
});

test('for an order that nobody waits for any longer nothing is popped', LIMIT, async () => {
  await using counter = new Counter('committed');
  await counter.open();
  await counter.insert(20);
  const token = { scopes: [], pools: undefined, expiresAt: undefined, hash: randomBytes(32) };
  const { id } = await counter.store.tokens.create({ ...token, name: 'shop', quota: 5 });
  const late = { ...PLAIN, until: monotonicMs() - 1 };
  const gone = { code: 'REQUEST_TIMEOUT' };
  await assert.rejects(counter.dispenser.dispense(late), gone);
  await assert.rejects(counter.dispenser.reserve({ ...late, ttlMs: 60_000 }), gone);
  const limited = { quota: 5, receiver: { token: id } };
  await assert.rejects(counter.dispenser.dispense({ ...late, ...limited, count: 5 }), gone);
  assert.equal((await counter.dispenser.dispense({ ...PLAIN, ...limited, count: 5 })).length, 5);
  assert.equal((await counter.store.counts('pet')).dispensed, 5);
});

test('how long an order may wait does not depend on a clock that can be set', LIMIT, async (t) => {
  await using counter = await counterWith(20);
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const begun = Date.now();
  const waiting = async (until: number, meanwhile: () => Promise<void> | void) => {
    const order = {
      ...PLAIN,
      until,
      receiver: { token: 0, key: randomBytes(32), body: Buffer.alloc(32) },
    };
    const gate = Promise.withResolvers<void>();
    const blocked = counter.exclusively(() => gate.promise);
    const asked = counter.dispenser.dispense(order);
    await meanwhile();
    gate.resolve();
    await blocked;
    return asked;
  };
  // The clock of the machine goes ten years ahead: somebody waits still.
  const ahead = () => t.mock.timers.setTime(begun + 10 * 365 * 24 * HOUR_MS);
  assert.equal((await waiting(orderUntil(), ahead)).length, 1);
  // It goes back: nobody waits any longer.
  const back = async () => {
    t.mock.timers.setTime(begun - HOUR_MS);
    while (monotonicMs() <= soon) await new Promise((resolve) => setImmediate(resolve));
  };
  const soon = monotonicMs() + 5;
  await assert.rejects(waiting(soon, back), { code: 'REQUEST_TIMEOUT' });
  assert.equal((await counter.ask(randomBytes(32)))[0]!.id, 2, 'nothing was popped for it');
});
