/** Who may add addresses to a store of many nodes, and what becomes of those that somebody else adds. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSealingKey, publicSource } from '../../src/keypair/sealing-key.ts';
import { enrolNode } from '../../src/store/postgres/enrol-node.ts';
import {
  type GrinderStoreOptions,
  openGrinderStore,
} from '../../src/store/postgres/grinder-store.ts';
import type { NodeIdentity } from '../../src/store/postgres/run.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { EpochOver, type GrindingStore, type Store } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { figuresOf, inserted, UNHEARD, untilDone } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Place, PostgresStores, someNode } from '../support/postgres-stores.ts';
import { rewound } from '../support/rewound-scene.ts';
import { hexOf, hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

/** An api node with one pool, and what others of its database need. */
class Scene implements AsyncDisposable {
  readonly pool = 'pet';
  readonly forged: string[] = [];
  readonly place: Place;
  store!: Store;

  constructor(place: Place) {
    this.place = place;
  }

  static async open(): Promise<Scene> {
    const scene = new Scene(await stores.newPlace());
    scene.store = await stores.openAt(scene.place, {
      role: 'api',
      onForged: (row) => scene.forged.push(row),
    });
    await scene.store.definePool(poolNamed(scene.pool));
    return scene;
  }

  get sealingKey(): string {
    return `file:${join(this.place.directory, 'sealing.key')}`;
  }

  get settings() {
    return connectionSettings(this.place.url, {});
  }

  async grinder(node: NodeIdentity, more: Partial<GrinderStoreOptions> = {}) {
    const { settings } = this;
    const data = this.place.directory;
    const sealingKey = publicSource((await loadSealingKey(this.sealingKey))!.publicKey);
    return openGrinderStore({ settings, node, data, sealingKey, ttlMs: 30_000, ...more });
  }

  enrol({ id, signKey }: NodeIdentity) {
    const { settings, sealingKey } = this;
    return enrolNode({ settings, sealingKey, id, signKey });
  }

  async enrolled(): Promise<{ node: NodeIdentity; grinder: GrindingStore }> {
    const node = someNode();
    await assert.rejects(this.grinder(node), { code: 'NODE_NOT_ENROLLED' });
    await this.enrol(node);
    return { node, grinder: await this.grinder(node) };
  }

  sql(text: string, values: unknown[] = []) {
    const database = new URL(this.place.url).pathname.slice(1);
    return server.sql<Record<string, unknown>>(text, values, database);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stores.destroy(this.store);
  }
}

test('a grinder is refused until it is enrolled, with what to type', LIMIT, async () => {
  await using scene = await Scene.open();
  const node = someNode();
  const key = Buffer.from(node.signKey).toString('hex');
  for (let start = 0; start < 2; start++) {
    await assert.rejects(scene.grinder(node), (error: Error & { code: string }) => {
      assert.equal(error.code, 'NODE_NOT_ENROLLED');
      assert.ok(error.message.endsWith(`: vanitypool nodes enrol ${node.id} --key ${key}`));
      return true;
    });
  }
  assert.equal((await scene.enrol(node)).name, 'test');
  await using grinder = await scene.grinder(node);
  assert.ok(grinder.epoch > scene.store.epoch);
});

test('what an enrolled grinder adds is handed out by the others', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool, store } = scene;
  const { grinder } = await scene.enrolled();
  const hits = hitsFor(pool, 5);
  const ids = hits.map(hexOf);
  assert.deepEqual(await grinder.insert(hits), { inserted: 5, duplicates: 0 });
  assert.equal((await grinder.counts(pool)).available, 5);
  await grinder.close();
  const { leased, burned } = await store.turn({ pool, head: 0, wanted: 9 });
  assert.deepEqual([leased.map(hexOf), burned], [ids, 0]);
  const ended = `SELECT state FROM vanitypool.epochs WHERE role = 'grinder'`;
  assert.deepEqual(await scene.sql(ended), [{ state: 'settled' }]);
});

test('a row that somebody else wrote for a node is not enrolled', LIMIT, async () => {
  await using scene = await Scene.open();
  const [node, other] = [someNode(), someNode()];
  await assert.rejects(scene.grinder(node), { code: 'NODE_NOT_ENROLLED' });
  const row = [node.id, Buffer.from(other.signKey)];
  await scene.sql('UPDATE vanitypool.nodes SET sign_key = $2 WHERE id = $1', row);
  const shown = new RegExp(Buffer.from(other.signKey).toString('hex'));
  await assert.rejects(scene.enrol(node), { code: 'NODE_KEY_MISMATCH', message: shown });
  await assert.rejects(scene.enrol(someNode()), { code: 'NODE_NOT_FOUND' });
  // It says that it is enrolled, and has another key: its node does not go by it.
  await scene.sql(`UPDATE vanitypool.nodes SET enrolment = '\\x00' WHERE id = $1`, [node.id]);
  await assert.rejects(scene.grinder(node), { code: 'NODE_NOT_ENROLLED' });
});

/** Whose addresses are burned when they are leased, and reported once. */
async function assertForged(scene: Scene, count: number): Promise<void> {
  const { pool, store } = scene;
  const { leased, burned } = await store.turn({ pool, head: 0, wanted: count });
  assert.deepEqual([leased.length, burned], [0, count]);
  assert.equal(await figuresOf(store, pool), `0 0 0 0 ${count}`);
  assert.equal(scene.forged.length, 1);
  assert.match(scene.forged[0]!, /^data key \d+$/);
}

const FORGERIES: readonly [what: string, statement: string][] = [
  ['without a right signature', `UPDATE vanitypool.data_keys SET signature = '\\x00'`],
  [
    'with one of another data key',
    `UPDATE vanitypool.data_keys SET sealed = overlay(sealed PLACING '\\x00' FROM 1)`,
  ],
  [
    'signed for another epoch of the same node',
    `UPDATE vanitypool.data_keys SET epoch = (SELECT max(epoch) FROM vanitypool.epochs WHERE role = 'grinder')`,
  ],
  [
    'of a node that nobody enrolled',
    `UPDATE vanitypool.nodes SET enrolment = NULL WHERE id IN (
      SELECT node_id FROM vanitypool.epochs WHERE role = 'grinder')`,
  ],
  [
    'of a node whose enrolment was made up',
    `UPDATE vanitypool.nodes SET enrolment = (
      SELECT n.enrolment FROM vanitypool.nodes AS n JOIN vanitypool.epochs AS e ON e.node_id = n.id
      WHERE e.role = 'api' LIMIT 1)`,
  ],
  [
    'of a node that has got another key',
    `UPDATE vanitypool.nodes SET sign_key = decode(repeat('5a', 32), 'hex') WHERE id IN (
      SELECT node_id FROM vanitypool.epochs WHERE role = 'grinder')`,
  ],
];
for (const [what, statement] of FORGERIES) {
  test(`what is sealed under a data key ${what} is burned`, LIMIT, async () => {
    await using scene = await Scene.open();
    const { node, grinder } = await scene.enrolled();
    await grinder.insert(hitsFor(scene.pool, 3));
    await grinder.close();
    // A later epoch of the same node.
    await (await scene.grinder(node)).close();
    await scene.sql(statement);
    await assertForged(scene, 3);
  });
}

test('who can only write to the database plants no key', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool, store, place } = scene;
  // All that is public: the store, its key, a node of its own that says that it is enrolled.
  const node = someNode();
  await assert.rejects(scene.grinder(node), { code: 'NODE_NOT_ENROLLED' });
  const mac = [node.id, randomBytes(32)];
  await scene.sql('UPDATE vanitypool.nodes SET enrolment = $2 WHERE id = $1', mac);
  await using forger = await scene.grinder(node);
  await forger.insert(hitsFor(pool, 2));
  await inserted(store, pool, 1);
  const { leased, burned } = await store.turn({ pool, head: 0, wanted: 3 });
  assert.deepEqual([leased.length, burned], [1, 2]);
  assert.equal(scene.forged.length, 1);
  await stores.check(place.url);
});

test('a row that somebody stored under a second id is leased once', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool, store } = scene;
  const { grinder } = await scene.enrolled();
  await grinder.insert(hitsFor(pool, 2));
  await grinder.close();
  // As one that may insert can do by itself.
  await scene.sql(`INSERT INTO vanitypool.secrets SELECT id + 1, data_key_id, origin, created_at, key_hash, sealed
    FROM vanitypool.secrets ORDER BY id DESC LIMIT 1`);
  await scene.sql('UPDATE vanitypool.lane_ends SET filled = filled + 1');
  await scene.sql(`UPDATE vanitypool.figures SET available = available + 1, ground = ground + 1`);
  const { leased, burned } = await store.turn({ pool, head: 0, wanted: 3 });
  assert.deepEqual([leased.length, burned], [2, 1]);
  assert.equal(await figuresOf(store, pool), '0 2 0 0 1');
});

test('a data key is asked about once, however many turns lease of it', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool, store } = scene;
  await inserted(store, pool, 4);
  await store.turn({ pool, head: 0, wanted: 1 });
  // By now what it needs to know is remembered: the signature is looked at no more.
  await scene.sql(`UPDATE vanitypool.data_keys SET signature = '\\x00'`);
  assert.equal((await store.turn({ pool, head: 0, wanted: 2 })).leased.length, 2);
  assert.deepEqual(scene.forged, []);
});

test('a grinder seals to the key that its operator gave it, and to no other', LIMIT, async () => {
  await using scene = await Scene.open();
  const { node, grinder } = await scene.enrolled();
  await grinder.close();
  const publicKey = randomBytes(32);
  const sealingKey = publicSource(publicKey);
  await assert.rejects(scene.grinder(node, { sealingKey }), { code: 'SEALING_KEY_INVALID' });
  const [row] = await scene.sql('SELECT sealing_key FROM vanitypool.cluster');
  await scene.sql('UPDATE vanitypool.cluster SET sealing_key = $1', [publicKey]);
  await assert.rejects(scene.grinder(node), { code: 'SEALING_KEY_INVALID' });
  await scene.sql('UPDATE vanitypool.cluster SET sealing_key = $1', [row!.sealing_key]);
});

test('nobody waits for a grinder that cannot say what was leased', LIMIT, async () => {
  await using scene = await Scene.open();
  const { store } = scene;
  const { grinder } = await scene.enrolled();
  await grinder.close();
  await scene.sql(`UPDATE vanitypool.cluster SET timeline = '000000FF'`);
  await rewound(() => store.insert(hitsFor(scene.pool, 1)));
  await store.rejoin(() => []);
  await inserted(store, scene.pool, 1);
});

test('a database that no other node has served is nothing for a grinder', LIMIT, async () => {
  const url = await server.database();
  const options = {
    ...{ settings: connectionSettings(url, {}), node: someNode(), ttlMs: 30_000 },
    data: tmpdir(),
  };
  const start = () => openGrinderStore({ ...options, sealingKey: publicSource(randomBytes(32)) });
  await assert.rejects(start(), { code: 'STORE_NOT_FOUND' });
});

test('a grinder does not settle what its node had leased in another role', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool, place } = scene;
  await inserted(scene.store, pool, 2);
  const [api] = await scene.sql(`SELECT node_id FROM vanitypool.epochs WHERE state = 'open'`);
  assert.equal(api!.node_id, place.node.id);
  await assert.rejects(scene.grinder(place.node), {
    code: 'CONFIG_INVALID',
    message: /role = "api" and did not stop cleanly/,
  });
});

test('a grinder that was given up goes on in a new run', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool } = scene;
  const { grinder } = await scene.enrolled();
  await using _ = grinder;
  await grinder.insert(hitsFor(pool, 1));
  await scene.sql(`UPDATE vanitypool.epochs SET state = 'expired' WHERE role = 'grinder'`);
  await scene.sql('UPDATE vanitypool.lane_ends SET writer = NULL');
  await assert.rejects(grinder.insert(hitsFor(pool, 1)), EpochOver);
  const { epoch } = grinder;
  await grinder.rejoin(() => undefined);
  assert.ok(grinder.epoch > epoch);
  await grinder.insert(hitsFor(pool, 1));
  assert.equal((await grinder.counts(pool)).available, 2);
});

test('a grinder hears of pools and of what others take out of them', LIMIT, async () => {
  await using scene = await Scene.open();
  const { pool, store } = scene;
  const { grinder } = await scene.enrolled();
  await using _ = grinder;
  let looks = 0;
  const stock: string[] = [];
  using _watched = grinder.watch({
    ...UNHEARD,
    directory: async () => void looks++,
    stock: (name) => stock.push(name),
    over: () => assert.fail('nobody has ended it'),
  });
  const untilSeen = async (isSeen: () => boolean) => {
    while (!isSeen()) await sleep(20);
  };
  await untilSeen(() => looks > 0);
  await inserted(store, pool, 3);
  await untilSeen(() => stock.length > 0);
  // Leased and taken: nothing of it is available before or after.
  await store.turn({ pool, head: 0, wanted: 3 });
  await untilSeen(() => stock.length > 1);
  await store.turn({ pool, head: 2, wanted: 0 });
  await untilSeen(() => stock.length > 2);
  assert.equal((await grinder.counts(pool)).leased, 1);
  // A change is answered when it acts on it.
  const before = looks;
  await store.changePool(pool, { isPaused: true });
  await store.everywhere();
  assert.ok(looks > before);
  assert.equal((await grinder.pools())[0]!.isPaused, true);
  // Of a pool of a configuration it is that of the last start.
  for (const target of [40, 50]) {
    const [stored] = await store.definePools([{ ...poolNamed(pool), target }]);
    assert.equal(stored!.target, target);
    assert.equal((await grinder.pools())[0]!.target, target);
  }
  const seen = looks;
  await untilSeen(() => looks > seen);
});

test(
  'after a loss of what it added last a grinder seals under another data key',
  LIMIT,
  async () => {
    await using scene = await Scene.open();
    const { pool, store } = scene;
    const { grinder } = await scene.enrolled();
    await using _ = grinder;
    await server.stop();
    const kept = server.keep();
    await server.start();
    assert.equal((await untilDone(() => grinder.insert(hitsFor(pool, 3)))).inserted, 3);
    await server.stop();
    server.putBack(kept);
    await server.start();
    await rewound(() => grinder.insert(hitsFor(pool, 3)));
    await untilDone(() => grinder.rejoin(() => undefined));
    assert.equal((await grinder.insert(hitsFor(pool, 4))).inserted, 4);
    const { leased, burned } = await untilDone(() => store.turn({ pool, head: 0, wanted: 9 }));
    assert.deepEqual([leased.length, burned], [4, 0]);
  },
);
