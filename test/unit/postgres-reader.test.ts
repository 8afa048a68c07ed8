/** A reader beside the nodes that share a database, and what it refuses. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { publicKeyHash } from '../../src/keypair/seal.ts';
import { loadSealingKey } from '../../src/keypair/sealing-key.ts';
import type { AuditedAddress } from '../../src/store/audit-store.ts';
import { readBurned, readPools, readSealingKey } from '../../src/store/postgres/look.ts';
import type { PostgresReader } from '../../src/store/postgres/reader.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { Store } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { handOut, inserted, PostgresNodes, removed, told } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import type { Fate } from '../support/postgres-proxy.ts';
import { keySourceIn, type Place, PostgresStores } from '../support/postgres-stores.ts';
import { removeDirectory } from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { returnLease, turn } from '../support/turns.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const pool = 'pet';
const AT = Date.now() - 10_000;

let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});
const stores = new PostgresStores(() => server);

const sqlAt =
  ({ url }: Pick<Place, 'url'>) =>
  (text: string, values: unknown[] = []) =>
    server.sql<Record<string, unknown>>(text, values, new URL(url).pathname.slice(1));
const settingsOf = ({ url }: Pick<Place, 'url'>) => connectionSettings(url, {});

async function listed(reader: PostgresReader, limit = 3): Promise<AuditedAddress[]> {
  const found: AuditedAddress[] = [];
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page = await reader.page({ after, limit });
    found.push(...page.addresses);
    after = page.next;
  }
  return found;
}

/** A store with a pool and `count` addresses, of which the first two left. */
async function served(
  count: number,
  work: (place: Place, store: Store, hits: Awaited<ReturnType<typeof inserted>>) => Promise<void>,
): Promise<void> {
  const place = await stores.newPlace();
  try {
    await using store = await stores.openAt(place);
    await store.definePool(poolNamed(pool));
    const hits = await inserted(store, pool, count);
    await turn(store, pool, 0, 3);
    await turn(store, pool, 2, 0, told(handOut(0, { count: 2 })));
    await work(place, store, hits);
    await returnLease(store, pool);
  } finally {
    removeDirectory(place.directory);
  }
}

test(
  'what all nodes hand out is listed, beside them, whichever of them added it',
  LIMIT,
  async () => {
    await using nodes = await PostgresNodes.open(stores, server, 2);
    const [one, two] = nodes.nodes;
    await nodes.pool(pool);
    await using reader = await stores.reader(one!.place);
    assert.deepEqual(await reader.unsettled(), ['test', 'test']);
    await inserted(one!.store, pool, 4);
    await inserted(two!.store, pool, 4);
    const left: number[] = [];
    for (let round = 0; round < 3; round++) {
      for (const { store } of [one!, two!]) {
        const { leased } = await turn(store, pool, 0, 1);
        const record = handOut(round, { at: AT + left.length });
        left.push(leased[0]!.id);
        await turn(store, pool, 1, 0, told(record));
        const found = await listed(reader);
        const times = left.map((id) => found.find((one) => one.id === id)?.at);
        assert.deepEqual(
          times,
          left.map((_, index) => AT + index),
        );
        assert.equal(found.length, left.length);
      }
    }
    // Of the lane of the second node, too: the first one had four.
    assert.equal(new Set(left.map((id) => id >> 20)).size, 2);
    await turn(one!.store, pool, 0, 1);
    await turn(two!.store, pool, 0, 1);
    assert.deepEqual([(await reader.store()).leased, (await reader.store()).listed], [2, 6]);
    for (const { store } of [one!, two!]) await returnLease(store, pool);
    await two!.store.close();
    assert.equal((await reader.unsettled()).length, 1);
    await two!.open();
  },
);

test(
  'a page is of one moment, and a reader goes on after its connection was cut',
  LIMIT,
  async () => {
    await using nodes = await PostgresNodes.open(stores, server, 1);
    const node = nodes.nodes[0]!;
    await nodes.pool(pool);
    await inserted(node.store, pool, 4);
    await turn(node.store, pool, 0, 4);
    // The node's own statements pass.
    const url = new URL(node.place.url);
    url.port = String(server.port);
    await using own = await stores.openAt({ ...node.place, url: url.href });
    void own;
    await using reader = await stores.reader(node.place);
    let isLeft = false;
    node.proxy.judge = async ({ text }): Promise<Fate> => {
      if (!isLeft && text.includes('address_states')) {
        isLeft = true;
        await own.destroySecrets(ANY_AGE);
        await own.definePool(poolNamed('later'));
      }
      return 'pass';
    };
    assert.deepEqual((await listed(reader, 10)).length, 4, 'burned by the start of the other');
    assert.ok(isLeft);
    assert.ok((await listed(reader, 10)).every(({ address }) => address !== undefined));
    node.proxy.judge = ({ text }) => (text.includes('address_states') ? 'lose' : 'pass');
    await assert.rejects(listed(reader), { code: 'STORE_UNAVAILABLE' });
    node.pass();
    assert.equal((await listed(reader)).length, 4);
    await own.close();
    await node.open();
  },
);

test('rows that somebody else wrote are refused or left out', LIMIT, async () => {
  await served(4, async (place, store, hits) => {
    const sql = sqlAt(place);
    const token = { scopes: [], pools: undefined, quota: undefined, expiresAt: undefined };
    for (const name of ['shop', 'forged'])
      await store.tokens.create({ ...token, name, hash: Buffer.alloc(32, name) });
    await sql(`UPDATE vanitypool.tokens SET scopes = '{admin}' WHERE name = 'forged'`);
    await using reader = await stores.reader(place);
    assert.deepEqual(
      (await reader.tokens()).map(({ name }) => name),
      ['shop'],
    );
    const key = await loadSealingKey(keySourceIn(place.directory));
    const settings = settingsOf(place);
    assert.deepEqual(Buffer.from((await readSealingKey(settings))!), Buffer.from(key!.publicKey));
    const [stored] = await readPools(settings, key);
    assert.deepEqual([stored!.name, stored!.counts.dispensed, stored!.position], [pool, 2, 0]);
    await sql(`UPDATE vanitypool.pools SET handout = 'sign-only'`);
    await assert.rejects(readPools(settings, key), { code: 'STORE_FORGED', message: /pool pet/ });
    assert.equal((await readPools(settings))[0]!.handout, 'sign-only', 'nobody can say');
    await sql(`UPDATE vanitypool.pools SET handout = 'secret'`);
    // Of another address; and one that no table has the state of.
    await store.destroySecrets(ANY_AGE);
    await sql(`ALTER TABLE vanitypool.remains DISABLE TRIGGER ALL;
      UPDATE vanitypool.remains SET public_key = '\\x${Buffer.from(hits[3]!.publicKey).toString('hex')}'
      WHERE id = (SELECT min(id) FROM vanitypool.remains);
      ALTER TABLE vanitypool.remains ENABLE TRIGGER ALL`);
    const [wrong, right] = await listed(reader);
    assert.equal(wrong!.address, undefined);
    assert.notEqual(right!.address, undefined);
    const lease = await sql(`DELETE FROM vanitypool.leases RETURNING *`);
    assert.deepEqual(await listed(reader), []);
    assert.equal(await reader.find(hits[0]!.publicKey), undefined);
    for (const row of lease)
      await sql('INSERT INTO vanitypool.leases VALUES ($1, $2, $3, $4, $5)', Object.values(row));
  });
});

test('burned addresses are counted by pool and cause', LIMIT, async () => {
  await served(6, async (place, store, hits) => {
    await sqlAt(place)(
      `UPDATE vanitypool.secrets SET sealed = decode(repeat('00', 92), 'hex') WHERE key_hash = $1`,
      [publicKeyHash(hits[3]!.publicKey)],
    );
    await turn(store, pool, 0, 2);
    await store.definePool(poolNamed('whole'));
    await store.definePool(poolNamed('gone'));
    await inserted(store, 'gone', 2);
    await removed(store, 'gone');
    const burned = { pet: { unsealable: 1 }, gone: { deleted: 2 } };
    assert.deepEqual(await readBurned(settingsOf(place)), burned);
  });
});

test('a key that is not that of the store any more reads nothing', LIMIT, async () => {
  await served(4, async (place) => {
    const sql = sqlAt(place);
    await using reader = await stores.reader(place);
    assert.equal(await reader.isCurrent(), true);
    const code = 'STORE_UNAVAILABLE';
    for (const [column, other] of [
      ['sealing_key', Buffer.alloc(32, 7)],
      ['store_id', 'f'.repeat(32)],
    ] as const) {
      const [was] = await sql(`SELECT ${column} AS it FROM vanitypool.cluster`);
      await sql(`UPDATE vanitypool.cluster SET ${column} = $1`, [other]);
      assert.equal(await reader.isCurrent(), false);
      for (const read of [() => listed(reader), () => reader.tokens(), () => reader.taken(0)])
        await assert.rejects(read(), { code, message: /ask again/ });
      await sql(`UPDATE vanitypool.cluster SET ${column} = $1`, [was!.it]);
    }
    assert.equal((await listed(reader)).length, 2);
  });
});

test(
  'what is no store that this version can read is refused, and nothing is made',
  LIMIT,
  async () => {
    const url = await server.database();
    const sql = sqlAt({ url });
    const refused = async (code: string, message: RegExp) => {
      for (const read of [readPools, readBurned, readSealingKey])
        await assert.rejects(async () => read(settingsOf({ url })), { code, message });
      const place = { url, directory: '/nowhere' } as Place;
      await assert.rejects(stores.reader(place), { code, message });
    };
    await refused('STORE_NOT_FOUND', /holds no store; this makes one: vanitypool serve$/);
    assert.deepEqual(await sql(`SELECT to_regnamespace('vanitypool') AS made`), [{ made: null }]);
    await sql('CREATE SCHEMA vanitypool; CREATE TABLE vanitypool.things (id int)');
    await refused('STORE_FOREIGN', /not of a vanitypool store/);
    await sql('DROP SCHEMA vanitypool CASCADE');
    const place = { ...(await stores.newPlace()), url };
    await (await stores.openAt(place)).close();
    await sql('UPDATE vanitypool.cluster SET schema = 99');
    await refused('STORE_NEWER', /schema 99/);
    await sql('UPDATE vanitypool.cluster SET schema = -1');
    await refused('STORE_UNAVAILABLE', /schema -1, and this version reads \d+; a server of this/);
    await sql('UPDATE vanitypool.cluster SET schema = 1; DROP TABLE vanitypool.counters CASCADE');
    await refused('STORE_CORRUPT', /somebody changed the schema/);
    removeDirectory(place.directory);
  },
);

test('a page and a lease look at their own rows, however many there are', LIMIT, async () => {
  const place = await stores.newPlace();
  const sql = sqlAt(place);
  const store = await stores.openAt(place);
  await store.definePool(poolNamed(pool));
  const [hit] = hitsFor(pool, 1);
  await store.insert([hit!]);
  await turn(store, pool, 0, 1);
  await turn(store, pool, 1, 0);
  await store.close();
  // As if 50,000 had left, and 50,000 were there; none can be unsealed.
  const rows = 'generate_series(2, 100001) AS n, vanitypool.lane_ends';
  const filled = '(SELECT max(filled) FROM vanitypool.lane_ends)';
  await sql(`SET search_path = vanitypool;
    INSERT INTO keys SELECT sha256(n::text::bytea), (lane << 20) + n FROM ${rows};
    INSERT INTO secrets SELECT (lane << 20) + n, 1, 'g', 0, sha256(n::text::bytea),
      decode(repeat('00', 92), 'hex') FROM ${rows};
    INSERT INTO hand_outs SELECT epoch, pool_id, n, 1, n FROM generate_series(1, 50000) AS n, queues;
    INSERT INTO leases SELECT epoch, pool_id, 1, ${filled} + 1, ${filled} + 50000 FROM queues;
    UPDATE queues SET position = 50001, pushed = 50001;
    UPDATE lane_heads SET taken = taken + 50000;
    UPDATE lane_ends SET filled = filled + 100000;
    SELECT pg_stat_reset()`);
  const reader = await stores.reader(place);
  const page = await reader.page({ after: 0, limit: 200 });
  assert.equal(page.addresses.length, 200);
  assert.deepEqual(await reader.taken(50_000), [{ token: undefined, addresses: 1 }]);
  const next = await reader.page({ after: page.next!, limit: 2048 });
  assert.deepEqual([next.addresses.length, next.addresses[0]!.at], [2048, 200]);
  await reader.find(hit!.publicKey);
  await reader[Symbol.asyncDispose]();
  const other = await stores.openAt(place);
  await other.turn({ pool, head: 0, wanted: 200 });
  const signer = { limits: new Map([[pool, 1]]), publicKey: hit!.publicKey, token: 0 };
  await assert.rejects(other.signatures.assertSigner(signer), { code: 'ADDRESS_NOT_FOUND' });
  await other.close();
  // What a connection counted is known when it has ended.
  const scans = await sql(`SELECT relname FROM pg_stat_user_tables WHERE seq_scan > 0
    AND relname IN ('keys', 'secrets')`);
  assert.deepEqual(scans, []);
  removeDirectory(place.directory);
});
