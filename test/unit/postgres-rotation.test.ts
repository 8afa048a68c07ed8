/** The sealing key of a store of many nodes gives way to another, while they hand out, insert and change things. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isDataKey } from '../../src/keypair/data-keys.ts';
import {
  loadSealingKey,
  publicSource,
  SealingKey,
  sealingKeyId,
  sealTo,
} from '../../src/keypair/sealing-key.ts';
import { enrolNode } from '../../src/store/postgres/enrol-node.ts';
import { openGrinderStore } from '../../src/store/postgres/grinder-store.ts';
import type { NodeIdentity } from '../../src/store/postgres/run.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { SealingKeyReplaced, type Store } from '../../src/store/store.ts';
import type { NewToken } from '../../src/store/token-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { figuresOf, inserted } from '../support/postgres-nodes.ts';
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
const UNSEEN = {
  directory: async () => undefined,
  stock: () => undefined,
  deadline: () => undefined,
  over: () => undefined,
};

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

  async open(): Promise<Store> {
    const onForged = (row: string) => void this.forged.push(row);
    this.store = await stores.openAt(this.place, { onForged });
    this.store.watch(UNSEEN);
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

  async rotate(): Promise<{ from: string; to: string }> {
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
  const [cluster] = await nodes.sql('SELECT store_id, binding FROM vanitypool.cluster');
  const of = [String(cluster!.store_id), String(cluster!.binding)] as const;
  const now = (await loadSealingKey(`file:${first.path}`))!;
  for (const { sealed } of await nodes.sql('SELECT sealed FROM vanitypool.data_keys')) {
    assert.equal(await isDataKey(old, ...of, sealed as Uint8Array), false);
    assert.equal(await isDataKey(now, ...of, sealed as Uint8Array), true);
  }
  assert.deepEqual(await nodes.sql('SELECT FROM vanitypool.handed_keys'), []);
  // Once more: what binds the keys of the runs is the new one.
  assert.equal((await nodes.rotate()).from, rotated.to);
});

test(
  'a node that begins in the middle is handed the key before the store goes by it',
  LIMIT,
  async () => {
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
  },
);

/** As a process that is killed leaves it. */
async function restarted(node: Node): Promise<void> {
  node.proxy.judge = () => 'pass';
  await node.store.close();
  await node.open();
}

test(
  'what is cut off before the commit changes nothing, and after it everything',
  LIMIT,
  async () => {
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
  },
);

test('a commit without an answer is found to be in', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  await inserted(second.store, POOL, 2);
  const rotation = await first.store.beginRotation();
  await rotation.handOver();
  let commits = 0;
  first.proxy.judge = ({ text }) => (text === 'COMMIT' && commits++ === 0 ? 'cut-answer' : 'pass');
  const { to } = await rotation.finish();
  assert.ok(commits > 1);
  assert.equal(await first.id(), to);
  assert.equal((await first.lease(2)).length, 2);
  assert.deepEqual(first.forged, []);
});

test('who can only write to the database is handed no key, and hands none', LIMIT, async () => {
  await using nodes = await Nodes.open(2);
  const { first, second } = nodes;
  const [row] = await nodes.sql('SELECT exchange_key FROM vanitypool.epochs WHERE epoch = $1', [
    second.store.epoch,
  ]);
  const his = await SealingKey.random();
  const setKey = 'UPDATE vanitypool.epochs SET exchange_key = $2 WHERE epoch = $1';
  await nodes.sql(setKey, [second.store.epoch, Buffer.from(his.publicKey)]);
  const rotation = await first.store.beginRotation();
  await assert.rejects(rotation.handOver(), { code: 'STORE_FORGED' });
  rotation.cancel();
  assert.deepEqual(await nodes.sql('SELECT FROM vanitypool.handed_keys'), []);
  await nodes.sql(setKey, [second.store.epoch, row!.exchange_key]);
  const sealed = await sealTo(row!.exchange_key as Uint8Array, randomBytes(32), Buffer.alloc(0));
  await nodes.sql(
    `INSERT INTO vanitypool.handed_keys (epoch, public_key, sealed, mac, by_epoch)
      VALUES ($1, $2, $3, $4, $5)`,
    [
      ...[second.store.epoch, Buffer.from(his.publicKey), Buffer.from(sealed), randomBytes(32)],
      first.store.epoch,
    ],
  );
  const refusal = async () =>
    (await nodes.sql('SELECT refusal FROM vanitypool.handed_keys'))[0]!.refusal;
  while ((await refusal()) === null);
  assert.deepEqual(
    readdirSync(second.place.directory).filter((name) => name.startsWith('sealing.key')),
    ['sealing.key'],
  );
  await nodes.rotate();
});

test(
  'one node rotates at a time, and one that was away has to be given the key',
  LIMIT,
  async () => {
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
  },
);

test(
  'an enrolled grinder stays enrolled, and ends until it has the new public half',
  LIMIT,
  async () => {
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
  },
);
