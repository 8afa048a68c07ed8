/** The sealing key of a store of many nodes gives way to another, while they hand out, insert and change things. */
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDataKey, newDataKey } from '../../src/keypair/data-keys.ts';
import {
  loadSealingKey,
  publicSource,
  SealingKey,
  sealingKeyId,
} from '../../src/keypair/sealing-key.ts';
import type { RotatedKey } from '../../src/store/key-rotation.ts';
import { enrolNode } from '../../src/store/postgres/enrol-node.ts';
import { handOver } from '../../src/store/postgres/exchange.ts';
import { openGrinderStore } from '../../src/store/postgres/grinder-store.ts';
import type { NodeIdentity } from '../../src/store/postgres/run.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { SealingKeyReplaced, type Store } from '../../src/store/store.ts';
import type { NewToken } from '../../src/store/token-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { figuresOf, inserted, UNHEARD, untilDone } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Fate, PostgresProxy } from '../support/postgres-proxy.ts';
import { type Place, PostgresStores, someNode } from '../support/postgres-stores.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { hexOf, hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 240_000, skip };
let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

const POOL = 'pet';
/** One of several, with a directory and a way to the server of its own. */
class Node {
  readonly place: Place;
  readonly proxy: PostgresProxy;
  readonly forged: string[] = [];
  store!: Store;

  constructor(place: Place, proxy: PostgresProxy) {
    this.place = place;
    this.proxy = proxy;
  }

  get path(): string {
    return join(this.place.directory, 'sealing.key');
  }

  /** Of the key in the file. */
  async id(): Promise<string> {
    return sealingKeyId((await loadSealingKey(`file:${this.path}`))!.publicKey);
  }

  async open(sealingKey = `file:${this.path}`): Promise<Store> {
    const onForged = (row: string) => void this.forged.push(row);
    this.store = await stores.openAt(this.place, { onForged, sealingKey });
    this.store.watch(UNHEARD);
    return this.store;
  }

  async lease(count: number): Promise<string[]> {
    const { leased } = await this.store.turn({ pool: POOL, head: 0, wanted: count });
    return leased.map(hexOf);
  }
}

class Nodes implements AsyncDisposable {
  readonly all: Node[] = [];
  #url!: string;

  static async open(count: number): Promise<Nodes> {
    const nodes = new Nodes();
    const { url, directory } = await stores.newPlace();
    removeDirectory(directory);
    nodes.#url = url;
    for (let number = 0; number < count; number++) await (await nodes.add()).open();
    await nodes.first.store.definePool(poolNamed(POOL));
    return nodes;
  }

  get first(): Node {
    return this.all[0]!;
  }

  get second(): Node {
    return this.all[1]!;
  }

  get settings() {
    return connectionSettings(this.#url, {});
  }

  /** With a copy of the key that the first one has. */
  async add(): Promise<Node> {
    const proxy = await PostgresProxy.before(server.port);
    const directory = temporaryDirectory();
    const node = new Node({ url: proxy.through(this.#url), node: someNode(), directory }, proxy);
    if (this.all.length > 0) copyFileSync(this.first.path, node.path);
    this.all.push(node);
    return node;
  }

  sql(text: string, values: unknown[] = []) {
    return server.sql<Record<string, unknown>>(text, values, new URL(this.#url).pathname.slice(1));
  }

  async binding(): Promise<string> {
    return String((await this.sql('SELECT binding FROM vanitypool.cluster'))[0]!.binding);
  }

  async rotate(): Promise<RotatedKey> {
    const rotation = await this.first.store.beginRotation();
    while (rotation.done < rotation.total) await rotation.prepare();
    await rotation.handOver();
    return rotation.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { proxy, store, place } of this.all) {
      proxy.judge = () => 'pass';
      await store.close();
      await proxy[Symbol.asyncDispose]();
      removeDirectory(place.directory);
    }
    await stores.check(this.#url);
  }
}

const tokenNamed = (name: string): NewToken => ({
  ...{ name, hash: randomBytes(32), scopes: ['dispense'] },
  ...{ pools: undefined, quota: undefined, expiresAt: undefined },
});

test('all go on while one rotates the key, and the old one opens nothing then', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  const old = (await loadSealingKey(`file:${first.path}`))!;
  const hexes: string[] = [];
  const insert = async ({ store }: Node) => {
    const hits = hitsFor(POOL, 3);
    hexes.push(...hits.map(hexOf));
    await store.insert(hits);
  };
  await first.store.tokens.create(tokenNamed('before'));
  for (const node of nodes.all) await insert(node);
  let isDone = false;
  let made = 0;
  let wanted = 0;
  const work = async () => {
    while (!isDone || made < 3) {
      await insert(second);
      await second.lease(++wanted);
      await second.store.tokens.create(tokenNamed(`made ${made++}`));
      await second.store.changePool(POOL, { isPaused: made % 2 === 0 });
    }
  };
  const rotate = async () => {
    const rotated = await nodes.rotate();
    await first.store.everywhere();
    isDone = true;
    return rotated;
  };
  const [rotated] = await Promise.all([rotate(), work()]);
  for (const node of nodes.all) {
    assert.equal(await node.id(), rotated.to);
    assert.equal(await loadSealingKey(`file:${node.path}.new`), undefined);
    assert.ok(existsSync(`${node.path}.${rotated.from}`));
    assert.equal((await node.store.sealingKey()).id, rotated.to);
    await insert(node);
    assert.deepEqual(node.forged, []);
  }
  const leased = [
    ...(await second.store.turn({ pool: POOL, head: 0, wanted: 2 })).leased.map(hexOf),
    ...(await first.lease(hexes.length)),
  ];
  assert.match(await figuresOf(first.store, POOL), /^0 \d+ 0 0 0$/);
  assert.ok(leased.every((hex) => hexes.includes(hex)));
  const tokens = await second.store.tokens.all();
  assert.equal(tokens.length, made + 1);
  assert.deepEqual(await first.store.tokens.all(), tokens);
  assert.ok(tokens.every(({ isForged }) => !isForged));
  const of = [first.store.id, await nodes.binding()] as const;
  const now = (await loadSealingKey(`file:${first.path}`))!;
  for (const { sealed } of await nodes.sql('SELECT sealed FROM vanitypool.data_keys')) {
    assert.equal(await isDataKey(old, ...of, sealed as Uint8Array), false);
    assert.equal(await isDataKey(now, ...of, sealed as Uint8Array), true);
  }
  assert.deepEqual(await nodes.sql('SELECT FROM vanitypool.handed_keys'), []);
  // Once more: what binds the keys of the runs is the new one.
  assert.equal((await nodes.rotate()).from, rotated.to);
});

test('a node that begins in the middle is handed the key first', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first } = nodes;
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  const third = await nodes.add();
  await third.open();
  // No prepare has seen this one's data key.
  await inserted(third.store, POOL, 2);
  const { to } = await rotation.finish();
  await first.store.everywhere();
  assert.equal(await third.id(), to);
  assert.equal((await third.lease(2)).length, 2);
});

/** As a process that is killed leaves it. */
async function restarted(node: Node): Promise<void> {
  node.proxy.judge = () => 'pass';
  await node.store.close();
  await node.open();
}

test('what is cut off before the commit changes nothing, after it all', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  const from = await first.id();
  await inserted(first.store, POOL, 3);
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  for (const node of nodes.all) {
    assert.ok(existsSync(`${node.path}.new`));
    await restarted(node);
    assert.equal((await node.store.sealingKey()).id, from);
  }
  const again = await first.store.beginRotation();
  await again.handOver();
  // No answer to the commit, and nothing else gets through.
  let isOver = false;
  first.proxy.judge = ({ text }): Fate => {
    if (isOver) return 'lose';
    isOver = text.startsWith('DELETE FROM vanitypool.handed_keys');
    return 'pass';
  };
  await assert.rejects(again.finish(), { code: 'STORE_UNAVAILABLE' });
  first.proxy.judge = () => 'pass';
  assert.equal((await first.store.sealingKey()).id, from);
  let commits = 0;
  const last = await first.store.beginRotation();
  await last.handOver();
  first.proxy.judge = ({ text }): Fate => {
    if (commits > 0) return 'lose';
    if (isOver && text === 'COMMIT') commits++;
    return commits > 0 ? 'cut-answer' : 'pass';
  };
  await assert.rejects(last.finish(), { code: 'STORE_UNAVAILABLE' });
  assert.equal(await first.id(), from);
  for (const node of nodes.all) {
    await restarted(node);
    assert.notEqual((await node.store.sealingKey()).id, from);
    assert.equal((await node.store.sealingKey()).id, await node.id());
  }
  assert.equal((await first.lease(3)).length, 3);
  assert.deepEqual([first.forged, second.forged], [[], []]);
});

test('a commit without an answer is in, and others find it by what they do', LIMIT, async () => {
  await using nodes = await Nodes.open(3);
  const { first, second } = nodes;
  const third = nodes.all[2]!;
  await inserted(second.store, POOL, 3);
  await first.store.tokens.create(tokenNamed('before'));
  await third.lease(2);
  await third.store.turn({ pool: POOL, head: 2, wanted: 0 });
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  let commits = 0;
  first.proxy.judge = ({ text }) => (text === 'COMMIT' && commits++ === 0 ? 'cut-answer' : 'pass');
  // What they have not looked at is found by the first call that goes by the key.
  const { to } = await rotation.finish();
  const [tokens, destroyed] = await Promise.all([
    second.store.tokens.all(),
    third.store.destroySecrets(0),
  ]);
  assert.ok(commits > 1);
  assert.equal(await first.id(), to);
  assert.deepEqual(
    tokens.map(({ isForged }) => isForged),
    [false],
  );
  assert.equal(destroyed, 2);
  const unread = `SELECT FROM vanitypool.remains WHERE public_key = decode(repeat('00', 32), 'hex')`;
  assert.deepEqual(await nodes.sql(unread), []);
  assert.equal((await second.lease(1)).length, 1);
  for (const { forged } of nodes.all) assert.deepEqual(forged, []);
});

test('a turn that read a data key before the commit burns nothing', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  await inserted(first.store, POOL, 2);
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  second.proxy.judge = async ({ text }): Promise<Fate> => {
    if (!text.startsWith('SELECT d.id, d.epoch')) return 'pass';
    reached.resolve();
    await released.promise;
    return 'pass';
  };
  // The server ends a transaction that stands still for seconds.
  const leased = untilDone(() => second.lease(2));
  await reached.promise;
  await rotation.finish();
  // On its other connection the node goes by the new key meanwhile.
  await inserted(second.store, POOL, 1);
  released.resolve();
  assert.equal((await leased).length, 2);
  assert.deepEqual(second.forged, []);
});

test('who can only write to the database is handed no key, and hands none', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  const { epoch } = second.store;
  const of = 'SELECT node_id AS node, run, exchange_key FROM vanitypool.epochs WHERE epoch = $1';
  const [row] = await nodes.sql(of, [epoch]);
  const exchangeKey = row!.exchange_key as Uint8Array;
  const his = await SealingKey.random();
  const setKey = 'UPDATE vanitypool.epochs SET exchange_key = $2 WHERE epoch = $1';
  await nodes.sql(setKey, [epoch, Buffer.from(his.publicKey)]);
  const rotation = await first.store.beginRotation();
  await assert.rejects(rotation.handOver(), { code: 'STORE_FORGED' });
  rotation.cancel();
  assert.deepEqual(await nodes.sql('SELECT FROM vanitypool.handed_keys'), []);
  await nodes.sql(setKey, [epoch, exchangeKey]);
  // All but the MAC of who holds the key in use.
  const handed = await handOver(
    { storeId: first.store.id, handingKey: createSecretKey(randomBytes(32)) },
    { epoch, run: row!.run as Uint8Array, node: String(row!.node), exchangeKey },
    his,
  );
  await nodes.sql(
    `INSERT INTO vanitypool.handed_keys (epoch, by_epoch, public_key, sealed, mac)
      VALUES ($1, $2, $3, $4, $5)`,
    [epoch, first.store.epoch, handed.public_key, handed.sealed, handed.mac],
  );
  const refusal = async () =>
    (await nodes.sql('SELECT refusal FROM vanitypool.handed_keys'))[0]!.refusal;
  while ((await refusal()) === null) await sleep(20);
  assert.ok(!existsSync(`${second.path}.new`));
  // A data key that no node has sealed is none after a rotation either.
  const publicKey = (await loadSealingKey(`file:${first.path}`))!.publicKey;
  const binding = await nodes.binding();
  const forged = Buffer.from(await newDataKey({ storeId: first.store.id, binding, publicKey }));
  await nodes.sql(
    `INSERT INTO vanitypool.data_keys (epoch, sealed, signature, created_at) VALUES ($1, $2, $3, 0)`,
    [epoch, forged, randomBytes(64)],
  );
  await inserted(second.store, POOL, 1);
  await nodes.rotate();
  const keys = await nodes.sql('SELECT epoch, sealed FROM vanitypool.data_keys ORDER BY id');
  assert.deepEqual(
    keys.map((key) => [Number(key.epoch), forged.equals(key.sealed as Uint8Array)]),
    [
      [epoch, true],
      [first.store.epoch, false],
    ],
  );
});

test('one node rotates at a time, and one that was away is given the key', LIMIT, async () => {
  await using nodes = await Nodes.open(3);
  const { first, second } = nodes;
  const away = nodes.all[2]!;
  await away.store.close();
  const reseal = { code: 'KEY_ROTATION_REFUSED', message: /does not seal addresses again/ };
  await assert.rejects(first.store.beginRotation({ reseal: true }), reseal);
  const other = await second.store.beginRotation();
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  await assert.rejects(other.handOver(), { code: 'KEY_ROTATION_REFUSED', message: /just now/ });
  other.cancel();
  const { to } = await rotation.finish();
  await first.store.everywhere();
  assert.equal(await second.id(), to);
  await assert.rejects(away.open(), {
    code: 'SEALING_KEY_INVALID',
    message: /copy the new one from another node/,
  });
  copyFileSync(second.path, away.path);
  await away.open();
  // The same of one that was given up, and goes on without a restart.
  await nodes.sql(`UPDATE vanitypool.epochs SET state = 'expired' WHERE epoch = $1`, [
    away.store.epoch,
  ]);
  await nodes.rotate();
  const rejoin = () => away.store.rejoin(() => undefined);
  await assert.rejects(rejoin(), { code: 'SEALING_KEY_INVALID' });
  copyFileSync(first.path, away.path);
  await rejoin();
  await inserted(away.store, POOL, 1);
});

test('a key that a node was handed is not given up for one of its own', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  await inserted(second.store, POOL, 1);
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  const justNow = { code: 'KEY_ROTATION_REFUSED', message: /rotates the key just now; .* lease/ };
  await assert.rejects(second.store.beginRotation(), justNow);
  const { to } = await rotation.finish();
  await first.store.everywhere();
  assert.equal(await second.id(), to);
  assert.equal((await second.lease(1)).length, 1);
});

test('the store goes by no key that is not on the disk of who made it', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  const from = await first.id();
  await inserted(first.store, POOL, 1);
  const rotation = await first.store.beginRotation();
  // Which the other one takes back then.
  const other = await second.store.beginRotation();
  await other.handOver();
  second.proxy.judge = ({ text }) =>
    text.startsWith('UPDATE vanitypool.cluster SET sealing_key') ? 'lose' : 'pass';
  await assert.rejects(other.finish(), { code: 'STORE_UNAVAILABLE' });
  await rotation.handOver();
  const replaced = {
    code: 'KEY_ROTATION_REFUSED',
    message: /sealing\.key\.new was removed; try again/,
  };
  await assert.rejects(rotation.finish(), replaced);
  // Nor one that somebody has removed.
  const last = await first.store.beginRotation();
  await last.handOver();
  rmSync(`${first.path}.new`);
  await assert.rejects(last.finish(), replaced);
  assert.equal(await first.id(), from);
  for (const node of nodes.all) await restarted(node);
  assert.equal((await first.lease(1)).length, 1);
  await nodes.rotate();
});

test('a node whose key is in a variable has the new one in memory', LIMIT, async () => {
  await using nodes = await Nodes.open(1);
  const { first } = nodes;
  const second = await nodes.add();
  process.env.SECOND_KEY = readFileSync(first.path, 'utf8');
  await second.open('env:SECOND_KEY');
  await inserted(second.store, POOL, 1);
  const { to, handedTo } = await nodes.rotate();
  assert.equal(handedTo, 1);
  await first.store.everywhere();
  assert.equal((await second.store.sealingKey()).id, to);
  await inserted(second.store, POOL, 1);
  assert.equal((await second.lease(2)).length, 2);
  await second.store.close();
  await assert.rejects(second.open('env:SECOND_KEY'), { code: 'SEALING_KEY_INVALID' });
  process.env.SECOND_KEY = readFileSync(first.path, 'utf8');
  await second.open('env:SECOND_KEY');
});

test('an enrolled grinder stays enrolled, and ends without the new key', LIMIT, async () => {
  await using nodes = await Nodes.open(1);
  const { first } = nodes;
  const node = someNode();
  const data = temporaryDirectory();
  const { settings } = nodes;
  const start = async (grinder: NodeIdentity, sealingKey: string) =>
    openGrinderStore({ settings, node: grinder, data, sealingKey, ttlMs: 30_000 });
  const now = async () => publicSource((await loadSealingKey(`file:${first.path}`))!.publicKey);
  const old = await now();
  await assert.rejects(start(node, old), { code: 'NODE_NOT_ENROLLED' });
  const sealingKey = `file:${first.path}`;
  await enrolNode({ settings, sealingKey, id: node.id, signKey: node.signKey });
  await using running = await start(node, old);
  await running.insert(hitsFor(POOL, 2));
  await nodes.rotate();
  // A new data key of it.
  await running.close();
  await assert.rejects(start(node, old), { code: 'SEALING_KEY_INVALID', message: /key show/ });
  await using again = await start(node, await now());
  await nodes.rotate();
  await assert.rejects(again.insert(hitsFor(POOL, 1)), SealingKeyReplaced);
  assert.equal((await first.lease(9)).length, 2);
  assert.deepEqual(first.forged, []);
  removeDirectory(data);
});
