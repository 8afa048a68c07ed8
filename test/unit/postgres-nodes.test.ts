/** Nodes that share a database: what one does at the same moment as another. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { publicKeyHash } from '../../src/keypair/seal.ts';
import type { Hit, SigningKey } from '../../src/keypair/signing-key.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import { EpochOver, type Store, type TurnReport } from '../../src/store/store.ts';
import { DAY_MS } from '../../src/store/token-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  figuresOf,
  Hold,
  handOut,
  inserted,
  isOfEndedRun,
  type PostgresNode,
  PostgresNodes,
  removed,
  told,
  UNHEARD,
  untilDone,
  whileUnderWay,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { ANY_AGE, hexOf, hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
/** Longer than anything here takes that is to succeed. */
const LIMIT = { timeout: 300_000, skip };
let server: PostgresServer;
let nodes: PostgresNodes;
let one: PostgresNode;
let two: PostgresNode;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip !== false) return;
  server = await PostgresServer.start();
  nodes = await PostgresNodes.open(stores, server, 2);
  [one, two] = nodes.nodes as [PostgresNode, PostgresNode];
});
after(async () => {
  // Ended also where the check of the nodes fails.
  await using _ = server;
  await nodes?.[Symbol.asyncDispose]();
});

const keyed = () => ({ key: randomBytes(32), body: randomBytes(32) });
const newId = () => randomBytes(16).toString('hex');
const limits = { scopes: ['dispense' as const], pools: undefined, quota: undefined };
const tokenNamed = (name: string) => {
  return { name, hash: randomBytes(32), ...limits, expiresAt: undefined };
};
const both = <T>(work: (store: Store, index: number) => Promise<T>) =>
  Promise.all([one, two].map(({ store }, index) => work(store, index)));

const textOf = (part: string) => (_number: number, text: string) => text.includes(part);

let made = 0;
const newName = () => `name${made++}`;
const newToken = async () => (await one.store.tokens.create(tokenNamed(newName()))).id;

test('no address is leased by both, and each lane is taken from its start', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  const hits: string[] = [];
  for (const { store } of [one, two]) hits.push(...(await inserted(store, pool, 60)).map(hexOf));
  const leased = await both(async (store) => {
    const found: string[] = [];
    for (let turn = 0; turn < 20; turn++) {
      const report = await store.turn({ pool, head: found.length, wanted: 3 });
      assert.equal(report.position, found.length);
      found.push(...report.leased.map(hexOf));
    }
    return found;
  });
  assert.deepEqual(leased.flat().sort(), hits.toSorted());
  for (const found of leased) {
    const places = found.map((hex) => hits.indexOf(hex));
    for (const isOf of [(place: number) => place < 60, (place: number) => place >= 60]) {
      const ofLane = places.filter(isOf);
      assert.deepEqual(
        ofLane,
        ofLane.toSorted((a, b) => a - b),
      );
    }
  }
});

test('the oldest lane is leased first, of whichever node it is', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  const first = await inserted(two.store, pool, 3);
  const second = await inserted(one.store, pool, 3);
  const { leased } = await one.store.turn({ pool, head: 0, wanted: 4 });
  assert.deepEqual(leased.map(hexOf), [...first, second[0]!].map(hexOf));
});

test(
  'what another leases of is passed over, and waited for if there is nothing else',
  LIMIT,
  async () => {
    const pool = await nodes.pool(newName());
    const first = await inserted(two.store, pool, 3);
    const second = await inserted(one.store, pool, 2);
    // It has the oldest lane.
    const hold = new Hold(two, textOf('INTO vanitypool.leases'));
    const held = two.store.turn({ pool, head: 0, wanted: 1 });
    await hold.reached;
    const { leased } = await one.store.turn({ pool, head: 0, wanted: 2 });
    assert.deepEqual(leased.map(hexOf), second.map(hexOf));
    const waiting = one.store.turn({ pool, head: 0, wanted: 2 });
    await untilWaiting(1, waiting);
    hold.release();
    assert.deepEqual((await held).leased.map(hexOf), first.slice(0, 1).map(hexOf));
    two.pass();
    assert.deepEqual((await waiting).leased.map(hexOf), first.slice(1).map(hexOf));
  },
);

const databaseOf = ({ place }: PostgresNode) => new URL(place.url).pathname.slice(1);

const WAITING = `SELECT FROM pg_stat_activity
  WHERE wait_event_type = 'Lock' AND datname = current_database()`;

/** So many wait for a lock, or the call is over without that. */
function untilWaiting(count: number, call: Promise<unknown>): Promise<void> {
  return whileUnderWay(
    call,
    async () => (await server.sql(WAITING, [], databaseOf(one))).length >= count,
  );
}

/** A lock that a call waits for may take longer than it waits; two that wait for each other are another matter. */
function inCircle(error: unknown): void {
  const { code } = ((error as Error).cause ?? {}) as { code?: string };
  assert.notEqual(code, '40P01', 'two calls waited for each other');
}

/**
 * What both do while somebody else holds a row that both need: they go on at the same moment when it is free.
 * Had they taken others before in different orders, they would wait for each other then.
 */
async function whileHeld<T>(
  statement: string,
  values: unknown[],
  work: (store: Store, index: number) => Promise<T>,
): Promise<T[]> {
  const client = new Client({ connectionString: server.url(databaseOf(one)), ssl: false });
  await client.connect();
  try {
    await client.query('BEGIN');
    await client.query(statement, values);
    const done = both(work);
    await untilWaiting(2, done);
    await client.query('ROLLBACK');
    return await done;
  } finally {
    await client.end();
  }
}

test('keys that both insert are stored once, in whatever order they come', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  const inOrder = (hits: readonly Hit[]) =>
    hits.toSorted((a, b) => Buffer.compare(publicKeyHash(a.publicKey), publicKeyHash(b.publicKey)));
  const hits = inOrder(hitsFor(pool, 200));
  const held = 'INSERT INTO vanitypool.keys (key_hash, id) VALUES ($1, 0)';
  const reports = await whileHeld(held, [publicKeyHash(hits[100]!.publicKey)], (store, index) =>
    untilDone(() => store.insert(index === 0 ? hits : hits.toReversed(), 'imported'), inCircle),
  );
  assert.equal(reports[0]!.inserted + reports[1]!.inserted, 200);
  assert.equal((await one.store.counts(pool)).available, 200);
});

/** Pools with addresses that both have leased. */
async function leasedByBoth(count: number): Promise<string> {
  const pool = await nodes.pool(newName());
  await inserted(one.store, pool, 2 * count);
  for (const { store } of [one, two]) await store.turn({ pool, head: 0, wanted: count });
  return pool;
}

test(
  'an idempotency key is served by one of them, and the other learns what left',
  LIMIT,
  async () => {
    const keys = Array.from({ length: 40 }, keyed);
    keys.sort((a, b) => Buffer.compare(a.key, b.key));
    const pool = await leasedByBoth(40);
    const held = `INSERT INTO vanitypool.hand_outs (epoch, pool_id, position, count, at, key_hash)
    VALUES (0, 0, 0, 1, 0, $1)`;
    const reports = await whileHeld(held, [keys[20]!.key], (store, index) => {
      const order = index === 0 ? keys : keys.toReversed();
      const handOuts = told(...order.map((key, position) => handOut(position, key)));
      return store.turn({ pool, head: 40, wanted: 0, handOuts });
    });
    assert.equal(
      reports.reduce((sum, { refused }) => sum + refused.length, 0),
      40,
    );
    for (const { key } of keys) {
      const [here, there] = await both((store) => store.handOut(key, pool));
      assert.equal(here!.addresses!.length, 1);
      assert.deepEqual(here!.addresses!.map(hexOf), there!.addresses!.map(hexOf));
    }
    assert.equal(await figuresOf(one.store, pool), '40 0 0 40 0');
  },
);

test('a quota is one for both, and many tokens are counted without a circle', LIMIT, async () => {
  const tokens = await Promise.all(Array.from({ length: 12 }, newToken));
  const pool = await leasedByBoth(36);
  const at = Date.now();
  const held = 'INSERT INTO vanitypool.quotas (token_id, day, used) VALUES ($1, $2, 0)';
  const day = Math.floor(at / DAY_MS);
  const reports = await whileHeld(held, [tokens[6], day], (store, index) => {
    const order = index === 0 ? tokens : tokens.toReversed();
    const records: HandOut[] = [];
    const add = (more: Partial<HandOut>) => records.push(handOut(records.length, { at, ...more }));
    for (const token of order) add({ token });
    for (const token of order.toReversed()) for (let n = 0; n < 2; n++) add({ token, quota: 3 });
    return store.turn({ pool, head: 36, wanted: 0, handOuts: told(...records) });
  });
  const refused = reports.flatMap((report) => report.refused);
  let used = 0;
  for (const token of tokens) {
    const ofToken = await one.store.tokens.used(token, day);
    // What one node gives without a limit counts, too.
    assert.ok(ofToken === 3 || ofToken === 4, String(ofToken));
    used += ofToken;
  }
  assert.equal(used + refused.length, 2 * 36);
});

test('a key and a quota are asked for in one order', LIMIT, async () => {
  const token = await newToken();
  const pool = await leasedByBoth(2);
  const same = keyed();
  const held = `INSERT INTO vanitypool.hand_outs (epoch, pool_id, position, count, at, key_hash)
    VALUES (0, 0, 0, 1, 0, $1)`;
  const reports = await whileHeld(held, [same.key], (store, index) => {
    const records = [handOut(0, { token, ...same }), handOut(1, { token })];
    const handOuts = told(...records.slice(0, index + 1));
    return store.turn({ pool, head: index + 1, wanted: 0, handOuts });
  });
  assert.equal(reports.flatMap(({ refused }) => refused).length, 1);
});

test('a node that stands still in a transaction holds up others for seconds', LIMIT, async () => {
  const pool = await leasedByBoth(2);
  await inserted(one.store, pool, 4);
  const same = keyed();
  const order = { pool, head: 1, wanted: 2, handOuts: told(handOut(0, same)) };
  // It has the key and the lane by then.
  const reached = Promise.withResolvers<void>();
  one.fate((_number, text) => {
    if (!text.includes('INTO vanitypool.leases')) return 'pass';
    reached.resolve();
    return 'stall';
  });
  const stalled = one.store.turn(order).catch((error) => error);
  await reached.promise;
  let failures = 0;
  const goOn = (call: () => Promise<unknown>) =>
    untilDone(call, () => assert.ok(++failures < 20, 'for ever'));
  const { refused, leased } = (await goOn(() => two.store.turn(order))) as TurnReport;
  assert.deepEqual([refused.length, leased.length], [0, 2]);
  await goOn(() => two.store.insert(hitsFor(pool, 1)));
  await goOn(() => two.store.changePool(pool, { isPaused: true }));
  one.pass();
  one.proxy.cut();
  assert.equal((await stalled).code, 'STORE_UNAVAILABLE');
  const late = await untilDone(() => one.store.turn(order));
  assert.deepEqual(
    late.refused.map(({ position, why }) => [position, why]),
    [[0, 'key']],
  );
  const given = [...leased, ...late.leased].map(({ id }) => id);
  assert.equal(new Set(given).size, 4);
  await nodes.check();
});

test('a reservation is ended by another node than made it', LIMIT, async () => {
  const pool = await leasedByBoth(4);
  const ids = Array.from({ length: 4 }, newId);
  const handOuts = told(
    ...ids.map((id, position) => {
      return handOut(position, {
        reservation: { id, ttlMs: position === 3 ? -60_000 : 86_400_000 },
      });
    }),
  );
  await one.store.turn({ pool, head: 4, wanted: 0, handOuts });
  while ((await two.store.destroySecrets(ANY_AGE)) > 0);
  const { reservations } = two.store;
  const [dispensed, again] = await both((store) => store.reservations.dispense(ids[0]!, 0, pool));
  assert.equal(hexOf(dispensed!), hexOf(again!));
  await both((store) => store.reservations.release(ids[1]!, 0, true));
  await reservations.release(ids[2]!, 0, false);
  assert.equal((await reservations.expire(() => true)).get(pool), 1);
  assert.equal(await figuresOf(one.store, pool), '2 4 0 1 1');
  // What is available again is leased like any other, though another run had it.
  const { leased } = await two.store.turn({ pool, head: 0, wanted: 9 });
  assert.equal(leased.length, 2);
  await nodes.check();
});

test('a reservation is given back while its queue moves', LIMIT, async () => {
  const pool = await leasedByBoth(20);
  const ids = Array.from({ length: 10 }, newId);
  const handOuts = told(
    ...ids.map((id, position) => handOut(position, { reservation: { id, ttlMs: 86_400_000 } })),
  );
  await one.store.turn({ pool, head: 10, wanted: 0, handOuts });
  await Promise.all([
    (async () => {
      for (let head = 11; head < 16; head++) await one.store.turn({ pool, head, wanted: 0 });
      await one.store.endQueues([{ pool, head: 16 }], 'return');
    })(),
    (async () => {
      for (const id of ids) await two.store.reservations.release(id, 0, true);
    })(),
  ]);
  assert.equal(await figuresOf(one.store, pool), '14 20 0 6 0');
  await nodes.check();
});

for (const how of ['released', 'expired'] as const) {
  test(
    `the queue of a reservation that is ${how} moves before that, or after it`,
    LIMIT,
    async () => {
      const pool = await leasedByBoth(20);
      const reservation = { id: newId(), ttlMs: how === 'expired' ? -60_000 : 86_400_000 };
      const handOuts = told(handOut(3, { reservation }));
      await one.store.turn({ pool, head: 10, wanted: 0, handOuts });
      const { reservations } = two.store;
      // It has read which lease the address is in.
      const hold = new Hold(two, textOf('DELETE FROM vanitypool.leases'));
      const given =
        how === 'expired'
          ? reservations.expire(() => true)
          : reservations.release(reservation.id, 0, true);
      await hold.reached;
      const ended = untilDone(() => one.store.endQueues([{ pool, head: 16 }], 'return'));
      await untilWaiting(1, ended);
      hold.release();
      await Promise.all([given, ended]);
      two.pass();
      assert.equal(await figuresOf(one.store, pool), '5 20 0 15 0');
      await nodes.check();
    },
  );
}

test('who destroys secrets waits for no turn', LIMIT, async () => {
  const pool = await leasedByBoth(2);
  await two.store.turn({ pool, head: 1, wanted: 0 });
  const hold = new Hold(two, textOf('INTO vanitypool.figures'));
  const turn = two.store.turn({ pool, head: 2, wanted: 0 });
  await hold.reached;
  while ((await one.store.destroySecrets(ANY_AGE)) > 0);
  hold.release();
  await turn;
  two.pass();
  while ((await one.store.destroySecrets(ANY_AGE)) > 0);
  assert.equal(await one.store.dueSecrets(ANY_AGE), 0);
});

/** A dispensed address whose secret stays, and who may sign with it. */
async function signOnly(): Promise<{
  publicKey: SigningKey['publicKey'];
  pool: string;
  token: number;
}> {
  const pool = await nodes.pool(newName(), 'sign-only');
  const token = await newToken();
  const [hit] = await inserted(one.store, pool, 1);
  await one.store.turn({ pool, head: 0, wanted: 1 });
  await one.store.turn({ pool, head: 1, wanted: 0, handOuts: told(handOut(0, { token })) });
  return { publicKey: hit!.publicKey, pool, token };
}

test('both together sign as many messages as an address may, and each once', LIMIT, async () => {
  const { publicKey, pool, token } = await signOnly();
  const whose = { limits: new Map([[pool, 16]]), publicKey, token };
  const messages = Array.from({ length: 12 }, () => randomBytes(32));
  // Eight are asked of both.
  const results = await both((store, index) =>
    Promise.allSettled(
      (index === 0
        ? messages
        : [...messages.slice(0, 8).toReversed(), ...messages.slice(0, 8).map(() => randomBytes(32))]
      ).map(async (messageHash) => {
        const sign = () => randomBytes(64);
        const signature = await store.signatures.sign({ ...whose, messageHash, sign });
        return [messageHash.toString('hex'), Buffer.from(signature).toString('hex')] as const;
      }),
    ),
  );
  const signed = new Map<string, string>();
  let refused = 0;
  for (const result of results.flat()) {
    if (result.status === 'rejected') {
      assert.equal(result.reason.code, 'SIGN_LIMIT_REACHED');
      refused++;
      continue;
    }
    const [message, signature] = result.value;
    assert.equal(
      signed.get(message) ?? signature,
      signature,
      'the same message, the same signature',
    );
    signed.set(message, signature);
  }
  assert.equal(signed.size, 16);
  assert.ok(refused >= 4);
});

test('a pool that one deletes is gone when the other has ended its queue', LIMIT, async () => {
  const pool = await leasedByBoth(4);
  const more = await inserted(two.store, pool, 3);
  await two.store.turn({ pool, head: 1, wanted: 0 });
  const held = handOut(1, { reservation: { id: newId(), ttlMs: 86_400_000 } });
  const deleted = removed(one.store, pool, 2, told(held));
  let isRemoved = false;
  void deleted.then(() => {
    isRemoved = true;
  });
  const stored = async () => (await two.store.pools()).find(({ name }) => name === pool)!;
  while (!(await stored()).isRemoved);
  const looks = () => one.proxy.seen.filter(({ text }) => text.includes('FOR SHARE OF q')).length;
  const before = looks();
  // One of them at least was answered.
  await whileUnderWay(deleted, () => looks() >= before + 2);
  // It is being deleted: the other goes on with what it has, and gets no more.
  const { leased } = await two.store.turn({ pool, head: 2, wanted: 3 });
  assert.deepEqual(leased, []);
  assert.equal(isRemoved, false);
  await assert.rejects(two.store.insert(hitsFor(pool, 1)), { code: 'POOL_NOT_FOUND' });
  assert.equal((await two.store.endQueues([{ pool, head: 2 }], 'burn')).rest, 2);
  assert.equal(await deleted, 3 + more.length);
  assert.equal(await figuresOf(two.store, pool), `0 0 0 3 ${3 + 2 + more.length}`);
  await assert.rejects(two.store.turn({ pool, head: 2, wanted: 1 }), { code: 'POOL_NOT_FOUND' });
});

test('a turn that is under way when a pool is deleted counts as a queue', LIMIT, async () => {
  const pool = await leasedByBoth(2);
  await inserted(one.store, pool, 2);
  await two.store.endQueues([{ pool, head: 2 }], 'return');
  const hold = new Hold(two, textOf('INTO vanitypool.leases'));
  const turn = two.store.turn({ pool, head: 2, wanted: 2 });
  await hold.reached;
  let isRemoved = false;
  const deleted = removed(one.store, pool, 2).then((burned) => {
    isRemoved = true;
    return burned;
  });
  await untilWaiting(1, deleted);
  hold.release();
  assert.equal((await turn).leased.length, 2);
  two.pass();
  for (let look = 0; look < 10; look++) {
    await sleep(50);
    assert.equal(isRemoved, false);
  }
  assert.equal((await two.store.endQueues([{ pool, head: 2 }], 'burn')).rest, 2);
  assert.equal(await deleted, 0);
});

test('both delete a pool, and one makes it anew', LIMIT, async () => {
  const pool = await leasedByBoth(4);
  const burned = await both((store) => removed(store, pool, 1));
  assert.equal(
    burned.reduce((sum, count) => sum + count, 0),
    6,
  );
  assert.equal(await figuresOf(one.store, pool), '0 0 0 2 6');
  await assert.rejects(removed(one.store, pool, 1), { code: 'POOL_NOT_FOUND' });
  await both((store) => store.definePool(poolNamed(pool)));
  await inserted(two.store, pool, 2);
  const { leased, position } = await one.store.turn({ pool, head: 1, wanted: 2 });
  assert.deepEqual([leased.length, position], [2, 1]);
});

test(
  'a deletion that one node began another ends, but not of a pool that was made anew',
  LIMIT,
  async () => {
    const pool = await leasedByBoth(2);
    await two.store.closePool(pool);
    await two.store.close();
    await two.open();
    assert.equal(await removed(one.store, pool, 0), 2);
    assert.equal(await figuresOf(one.store, pool), '0 0 0 0 4', 'two of what the other had leased');
    await nodes.pool(pool);
    await inserted(one.store, pool, 1);
    await one.store.closePool(pool);
    await assert.rejects(two.store.insert(hitsFor(pool, 1)), { code: 'POOL_NOT_FOUND' });
    await two.store.definePool(poolNamed(pool));
    assert.deepEqual(await one.store.removePool(pool), { burned: 0, isOver: true });
    assert.equal((await two.store.turn({ pool, head: 0, wanted: 2 })).leased.length, 1);
  },
);

test(
  'what one handed out another destroys in time, whether or not that one runs',
  LIMIT,
  async () => {
    const pool = await leasedByBoth(4);
    const destroyed = async () => {
      while ((await one.store.destroySecrets(ANY_AGE)) > 0);
      return two.store.dueSecrets(ANY_AGE);
    };
    await two.store.turn({ pool, head: 2, wanted: 0 });
    assert.ok((await two.store.dueSecrets(ANY_AGE)) >= 2);
    assert.equal(await destroyed(), 0);
    await two.store.turn({ pool, head: 3, wanted: 0 });
    await two.store.close();
    await two.open();
    assert.ok((await two.store.dueSecrets(ANY_AGE)) >= 2, 'what it left is burned');
    assert.equal(await destroyed(), 0);
  },
);

test('what is deleted while another works on it leaves nothing behind', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  await inserted(one.store, pool, 4);
  // The insert has looked for the pool, and is about to fill its lane.
  const hold = new Hold(two, textOf('UPDATE vanitypool.lane_ends'));
  const insert = two.store.insert(hitsFor(pool, 2));
  await hold.reached;
  const deleted = removed(one.store, pool);
  await sleep(100);
  hold.release();
  assert.deepEqual(await insert, { inserted: 2, duplicates: 0 });
  assert.equal(await deleted, 6);
  assert.equal(await figuresOf(one.store, pool), '0 0 0 0 6');
  two.pass();
});

test('changes of one pool by both at once are both made', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  const other = { ...poolNamed(newName()) };
  const { settings } = await one.store.definePool(other, { target: 5 } as never);
  // It has read the pool by then.
  const hold = new Hold(two, textOf('UPDATE vanitypool.pools'));
  const second = two.store.changePool(pool, { settings: settings! });
  await hold.reached;
  const first = one.store.changePool(pool, { isPaused: true });
  await Promise.race([first, sleep(100)]);
  hold.release();
  await Promise.all([first, second]);
  two.pass();
  const stored = (await two.store.pools()).find(({ name }) => name === pool)!;
  assert.deepEqual([stored.isPaused, stored.settings?.target], [true, 5]);
  // In opposite order, in one transaction each.
  const pair = [poolNamed(newName()), poolNamed(newName())];
  const defined = await both((store, index) =>
    store.definePools(index === 0 ? pair : pair.toReversed()),
  );
  assert.deepEqual(
    defined.map(({ length }) => length),
    [2, 2],
  );
  const listed = (await one.store.pools()).filter(({ name }) =>
    pair.some((it) => it.name === name),
  );
  assert.equal(listed.length, 2);
});

test(
  'tokens made by both at once have ids of their own, and a name is taken once',
  LIMIT,
  async () => {
    const names = Array.from({ length: 6 }, newName);
    const results = await both((store) =>
      Promise.allSettled(names.map((name) => store.tokens.create(tokenNamed(name)))),
    );
    const created = results.flat().filter(({ status }) => status === 'fulfilled');
    assert.equal(created.length, 6);
    for (const result of results.flat()) {
      if (result.status === 'rejected') assert.equal(result.reason.code, 'TOKEN_EXISTS');
    }
    const [here, there] = await both((store) => store.tokens.all());
    assert.deepEqual(here, there);
    assert.equal(new Set(here!.map(({ id }) => id)).size, here!.length);
    assert.ok(here!.every(({ isForged }) => !isForged));
  },
);

test('a node acts on what another changed, and only then it is so everywhere', LIMIT, async () => {
  const name = newName();
  await one.store.tokens.create(tokenNamed(name));
  const acting = Promise.withResolvers<void>();
  const mayAct = Promise.withResolvers<void>();
  let isRevoked = false;
  const look = async (store: Store) => (await store.tokens.find(name))!.revokedAt !== undefined;
  using _one = one.store.watch(UNHEARD);
  await two.store.everywhere();
  using _two = two.store.watch({
    ...UNHEARD,
    directory: async () => {
      if (!(await look(two.store))) return;
      acting.resolve();
      await mayAct.promise;
      isRevoked = true;
    },
  });
  await one.store.everywhere();
  await one.store.tokens.revoke(name);
  // Of another change, of which the other says nothing about this one.
  await two.store.changePool(await nodes.pool(newName()), { isPaused: true });
  const done = one.store.everywhere().then(() => assert.ok(isRevoked));
  const other = two.store.everywhere();
  await acting.promise;
  setTimeout(mayAct.resolve, 200);
  await done;
  await other;
  // Its next run acts on nothing until it says so.
  await one.store.rejoin(() => undefined);
  await two.store.everywhere();
});

test('each change of a pool or a token is one that all others hear of', LIMIT, async () => {
  const token = newName();
  const pool = await nodes.pool(newName());
  let heard = 0;
  using _one = one.store.watch(UNHEARD);
  using _two = two.store.watch({ ...UNHEARD, directory: async () => void heard++ });
  await one.store.everywhere();
  const { store } = one;
  const changes: (() => Promise<unknown>)[] = [
    () => store.tokens.create(tokenNamed(token)),
    () => store.tokens.revoke(token),
    () => store.changePool(pool, { isPaused: true }),
  ];
  for (const change of changes) {
    const before = heard;
    await change();
    await store.everywhere();
    assert.ok(heard > before, String(change));
  }
});

test('who waits for others says so after a time, and what it changed stands', LIMIT, async () => {
  const pool = await leasedByBoth(2);
  const looks = (part: string) => one.proxy.seen.filter(({ text }) => text.includes(part)).length;
  const isRefused = async (call: Promise<unknown>, part: string) => {
    const before = looks(part);
    // More than it has time for.
    await whileUnderWay(call, () => looks(part) > before + 200);
    assert.ok(looks(part) <= before + 200);
    await assert.rejects(call, { code: 'STORE_UNAVAILABLE' });
  };
  // The other one acts on nothing, and has its queue.
  await Promise.all([
    isRefused(removed(one.store, pool, 2), 'FOR SHARE OF q'),
    isRefused(one.store.everywhere(), 'AND acted <'),
  ]);
  assert.equal((await one.store.pools()).find(({ name }) => name === pool)!.isRemoved, true);
  await two.store.endQueues([{ pool, head: 2 }], 'burn');
  assert.equal(await removed(one.store, pool), 0);
});

test('stock that one adds is heard of by the other', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  await inserted(two.store, pool, 1);
  const heard: string[] = [];
  const seen = (count: number) =>
    new Promise<void>((resolve) => {
      const look = () =>
        heard.filter((name) => name === pool).length >= count ? resolve() : setTimeout(look, 20);
      look();
    });
  using _ = one.store.watch({
    ...UNHEARD,
    stock: (name) => heard.push(name),
  });
  await seen(1);
  await inserted(two.store, pool, 1);
  await seen(2);
  await two.store.turn({ pool, head: 0, wanted: 1 });
  await seen(3);
  assert.equal(one.store.runs, 2);
});

test('a lane that nobody fills any more is not looked at when it is empty', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  const empty = async () => {
    const text = `SELECT array_agg(h.is_empty ORDER BY h.lane) AS empty FROM vanitypool.lane_heads AS h
      JOIN vanitypool.pools AS p ON p.id = h.pool_id WHERE p.name = $1`;
    return (await server.sql(text, [pool], databaseOf(one)))[0]!.empty;
  };
  const { store } = one;
  await inserted(two.store, pool, 2);
  await store.turn({ pool, head: 0, wanted: 2 });
  assert.deepEqual(await empty(), [false], 'more may come');
  await two.store.close();
  await inserted(await two.open(), pool, 2);
  assert.deepEqual(await empty(), [true, false]);
  await two.store.close();
  await two.open();
  assert.deepEqual(await empty(), [true, false]);
  assert.equal((await store.turn({ pool, head: 0, wanted: 9 })).leased.length, 2);
  assert.deepEqual(await empty(), [true, true]);
});

test('a lane that is full is followed by another', LIMIT, async () => {
  const pool = await nodes.pool(newName());
  await inserted(one.store, pool, 1);
  await one.store.turn({ pool, head: 0, wanted: 1 });
  // As if a commit without an answer had filled it but for two.
  const fill = (table: string, column: string) =>
    server.sql(
      `UPDATE vanitypool.${table} AS l SET ${column} = ((l.lane + 1) << 20) - 3
        FROM vanitypool.pools AS p WHERE p.id = l.pool_id AND p.name = $1`,
      [pool],
      databaseOf(one),
    );
  let isFilling = false;
  one.fate(async (_number, text) => {
    isFilling ||= text.startsWith('UPDATE vanitypool.lane_ends');
    if (isFilling && text.startsWith('SELECT filled')) {
      isFilling = false;
      await fill('lane_ends', 'filled');
      await fill('lane_heads', 'taken');
    }
    return isFilling && text === 'COMMIT' ? 'lose' : 'pass';
  });
  await one.store.insert(hitsFor(pool, 1));
  one.pass();
  await inserted(one.store, pool, 5);
  const lanes = `SELECT (e.filled & 1048575)::int AS filled FROM vanitypool.lane_ends AS e
    JOIN vanitypool.pools AS p ON p.id = e.pool_id WHERE p.name = $1 ORDER BY lane`;
  assert.deepEqual(await server.sql(lanes, [pool], databaseOf(one)), [
    { filled: 2 ** 20 - 1 },
    { filled: 3 },
  ]);
});

test(
  'a store that is closed asks the server nothing more, even if it is still watched',
  LIMIT,
  async () => {
    const pool = await nodes.pool(newName());
    const asked = Promise.withResolvers<void>();
    using _ = two.store.watch({
      ...UNHEARD,
      // In the middle of a look.
      directory: async () => {
        asked.resolve();
        await sleep(50);
      },
      stock: () => assert.fail('the store is closed'),
      over: () => assert.fail('nobody else has ended it'),
    });
    await asked.promise;
    await two.store.close();
    const from = two.proxy.seen.length;
    await assert.rejects(two.store.counts(pool), { code: 'STORE_UNAVAILABLE' });
    await assert.rejects(two.store.insert(hitsFor(pool, 1)), { code: 'STORE_UNAVAILABLE' });
    await sleep(100);
    assert.equal(two.proxy.seen.length, from);
    await two.open();
  },
);

test('a run that ends beats no more', LIMIT, async () => {
  await two.store.close();
  const store = await two.open({ ttlMs: 60 });
  using _ = store.watch(UNHEARD);
  const isBeat = textOf('SET beats');
  const beats = (from: number) =>
    two.proxy.seen.slice(from).filter(({ number, text }) => isBeat(number, text)).length;
  while (beats(0) < 2) await sleep(5);
  const hold = new Hold(two, textOf(`SET state = 'settled'`));
  const closed = store.close();
  await hold.reached;
  const from = two.proxy.seen.length;
  await sleep(300);
  hold.release();
  await closed;
  assert.ok(beats(from) <= 1, 'one may have been under way');
  two.pass();
  await two.open();
});

test('a run that its own node has ended does nothing more', LIMIT, async () => {
  const pool = await leasedByBoth(3);
  const other = await nodes.pool(newName());
  await inserted(one.store, other, 2);
  const gone = await nodes.pool(newName());
  await two.store.turn({ pool: gone, head: 0, wanted: 0 });
  await two.store.endQueues([{ pool: gone, head: 0 }], 'return');
  const stale = two.store;
  const store = await two.open();
  assert.deepEqual(store.recovered[pool], { dispensed: 0, returned: 0, burned: 3 });
  const before = await figuresOf(store, pool);
  for (const call of [
    () => stale.turn({ pool, head: 1, wanted: 1 }),
    () => stale.endQueues([{ pool, head: 1 }], 'return'),
    () => stale.turn({ pool: other, head: 0, wanted: 1 }),
    () => stale.turn({ pool: gone, head: 0, wanted: 1 }),
    () => stale.insert(hitsFor(pool, 1)),
    () => stale.addJournals([{ pool, number: 1 }]),
  ]) {
    await assert.rejects(call(), EpochOver);
  }
  assert.equal(await figuresOf(store, pool), before);
  await stale.close();
  await inserted(store, pool, 1);
});

test(
  'of a turn that its fence refuses nothing is sent that would change anything',
  LIMIT,
  async () => {
    const pool = await leasedByBoth(3);
    await using stale = two.store;
    await two.open();
    const records = [handOut(0), handOut(1, { ...keyed(), quota: 1, token: await newToken() })];
    const texts = await two.statementsOf(() =>
      assert.rejects(
        stale.turn({ pool, head: 2, wanted: 1, handOuts: told(...records) }),
        EpochOver,
      ),
    );
    const fence = texts.findIndex((text) => text.includes('SET turn = turn + 1'));
    assert.notEqual(fence, -1);
    const rest = texts.toSpliced(fence, 1).filter((text) => /INSERT|UPDATE|DELETE/.test(text));
    assert.deepEqual(rest, []);
  },
);

test(
  'what a clone of the machine did with the same run is noticed, and nothing done',
  LIMIT,
  async () => {
    const pool = await nodes.pool(newName());
    const { store } = one;
    await inserted(store, pool, 4);
    await store.turn({ pool, head: 0, wanted: 2 });
    const figures = await figuresOf(store, pool);
    const asClone = async (change: string, back: string, call: () => Promise<unknown>) => {
      const of = `WHERE pool_id = (SELECT id FROM vanitypool.pools WHERE name = '${pool}')`;
      await server.sql(`UPDATE vanitypool.${change} ${of}`, [], databaseOf(one));
      await assert.rejects(call(), /cloned/);
      assert.equal(await figuresOf(store, pool), figures);
      await server.sql(`UPDATE vanitypool.${back} ${of}`, [], databaseOf(one));
    };
    await asClone('queues SET turn = turn + 1', 'queues SET turn = turn - 1', () =>
      store.turn({ pool, head: 1, wanted: 1 }),
    );
    // Further than the one that had no answer.
    one.commits('cut-answer');
    const unanswered = store.turn({ pool, head: 0, wanted: 0 });
    await assert.rejects(unanswered, { code: 'STORE_UNAVAILABLE' });
    one.pass();
    await asClone('queues SET turn = turn + 1', 'queues SET turn = turn - 1', () =>
      store.turn({ pool, head: 1, wanted: 1 }),
    );
    await asClone('lane_ends SET filled = filled + 1', 'lane_ends SET filled = filled - 1', () =>
      store.insert(hitsFor(pool, 1)),
    );
    await store.turn({ pool, head: 1, wanted: 1 });
    await inserted(store, pool, 1);
  },
);

test('what a run asks for while another one ends it does not happen', LIMIT, async () => {
  const pool = await leasedByBoth(3);
  await inserted(two.store, pool, 1);
  const stale = two.store;
  // Its queue is ended and its lanes are left, and nobody else knows yet.
  const hold = new Hold(two, textOf(`SET state = 'settled'`));
  const opened = two.open();
  await hold.reached;
  const refused = Promise.all([
    isOfEndedRun(() => stale.turn({ pool, head: 1, wanted: 1 })),
    isOfEndedRun(() => stale.insert(hitsFor(pool, 1))),
  ]);
  await untilWaiting(2, refused);
  hold.release();
  assert.deepEqual(await refused, [true, true]);
  const store = await opened;
  two.pass();
  await stale.close();
  assert.equal((await store.counts(pool)).leasedHere, 0);
  await nodes.check();
});

test('a run that ends while its turn is under way ends after it', LIMIT, async () => {
  const pool = await leasedByBoth(3);
  const stale = two.store;
  const hold = new Hold(two, textOf('INTO vanitypool.figures'));
  const turn = stale.turn({ pool, head: 1, wanted: 2 });
  const failed = turn.catch((error: unknown) => error);
  await hold.reached;
  const opened = two.open();
  await sleep(100);
  hold.release();
  await failed;
  const store = await untilDone(() => opened);
  two.pass();
  await stale.close();
  assert.equal((await store.counts(pool)).leasedHere, 0);
  await nodes.check();
});
