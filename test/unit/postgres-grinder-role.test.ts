/** The role of grinder nodes in the database, as ops/postgres-grinder.sql makes it: what it may, and may not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client } from 'pg';
import { loadSealingKey, publicSource } from '../../src/keypair/sealing-key.ts';
import { enrolNode } from '../../src/store/postgres/enrol-node.ts';
import { openGrinderStore } from '../../src/store/postgres/grinder-store.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { GrindingStore, Store } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { UNHEARD } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Place, PostgresStores, someNode } from '../support/postgres-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const GRANTS = readFileSync(new URL('../../ops/postgres-grinder.sql', import.meta.url), 'utf8');
const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
let server: PostgresServer;
let place: Place;
let api: Store;
let url: string;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip !== false) return;
  server = await PostgresServer.start();
  place = await stores.newPlace();
  api = await stores.openAt(place, { role: 'api' });
  await api.definePool(poolNamed('pet'));
  await server.sql(`CREATE ROLE vanitypool_grinder LOGIN PASSWORD 'secret'`);
  // Also again, after an upgrade.
  for (let time = 0; time < 2; time++) await server.sql(GRANTS, [], databaseOf(place));
  await server.sql(`CREATE ROLE stranger LOGIN PASSWORD 'secret'`);
  url = urlOf('vanitypool_grinder');
});
after(async () => {
  if (api !== undefined) await stores.destroy(api);
  await server?.[Symbol.asyncDispose]();
});

function urlOf(role: string): string {
  const own = new URL(place.url);
  own.username = role;
  own.password = 'secret';
  return own.href;
}

const databaseOf = ({ url: of }: Place) => new URL(of).pathname.slice(1);

async function grinder(): Promise<GrindingStore> {
  const node = someNode();
  const source = `file:${join(place.directory, 'sealing.key')}`;
  const sealingKey = publicSource((await loadSealingKey(source))!.publicKey);
  const settings = connectionSettings(url, {});
  const data = place.directory;
  const start = () => openGrinderStore({ settings, node, data, sealingKey, ttlMs: 30_000 });
  await assert.rejects(start(), { code: 'NODE_NOT_ENROLLED' });
  const { id, signKey } = node;
  await enrolNode({ settings: connectionSettings(place.url, {}), sealingKey: source, id, signKey });
  return start();
}

test('it does all that a grinder does', LIMIT, async () => {
  await using store = await grinder();
  const seen = Promise.withResolvers<void>();
  using _ = store.watch({
    ...UNHEARD,
    directory: async () => seen.resolve(),
    over: (error) => seen.reject(error),
  });
  await seen.promise;
  await store.insert(hitsFor('pet', 3));
  await store.insert(hitsFor('pet', 2));
  await store.saveCounters({ hits: 5 });
  await store.saveCounters({ hits: 6, attempts: 1 });
  await store.saveCounters({ attempts: 2 });
  assert.deepEqual(await store.counters(), { attempts: 2, hits: 6 });
  await store.rejoin(() => undefined);
  await store.insert(hitsFor('pet', 1));
  assert.equal((await store.pools())[0]!.counts.available, 6);
  await api.changePool('pet', { isPaused: false });
  await api.everywhere();
  await store.close();
  assert.equal((await api.turn({ pool: 'pet', head: 0, wanted: 6 })).leased.length, 6);
});

test('a role without these rights is refused at the start', LIMIT, async () => {
  const settings = connectionSettings(urlOf('stranger'), {});
  const sealingKey = publicSource(new Uint8Array(32));
  const start = openGrinderStore({
    ...{ settings, node: someNode(), data: place.directory },
    ...{ sealingKey, ttlMs: 30_000 },
  });
  await assert.rejects(start, { code: 'CONFIG_INVALID', message: /permission denied/ });
});

/** What the role gets for it: the number of rows, or the code of the refusal. */
async function tried(statement: string): Promise<number | string> {
  const client = new Client({ connectionString: url, ssl: false });
  await client.connect();
  try {
    return (await client.query(statement)).rowCount ?? 0;
  } catch (error) {
    return String((error as { code?: string }).code);
  } finally {
    await client.end();
  }
}

/** Insufficient privilege, also of a row that a policy does not let through. */
const DENIED = '42501';
const REFUSED: readonly (readonly [statement: string, outcome: number | string])[] = [
  ...['secrets', 'tokens', 'hand_outs', 'leases', 'remains', 'reservations', 'signatures'].map(
    (table) => [`SELECT * FROM vanitypool.${table}`, DENIED] as const,
  ),
  ['SELECT sealed FROM vanitypool.data_keys', DENIED],
  ['UPDATE vanitypool.secrets SET id = id + 1', DENIED],
  ['DELETE FROM vanitypool.secrets', DENIED],
  ['DELETE FROM vanitypool.data_keys', DENIED],
  ['DELETE FROM vanitypool.pools', DENIED],
  [`UPDATE vanitypool.pools SET settings = '{}'`, DENIED],
  ['UPDATE vanitypool.pools SET target = 5', DENIED],
  [`UPDATE vanitypool.cluster SET sealing_key = ''`, DENIED],
  ['UPDATE vanitypool.nodes SET enrolment = sign_key', DENIED],
  ['UPDATE vanitypool.nodes SET confirmed = true', DENIED],
  [`UPDATE vanitypool.nodes SET name = 'x' WHERE role <> 'grinder'`, 0],
  [
    `INSERT INTO vanitypool.nodes (id, name, place, sign_key, created_at, role)
      VALUES (repeat('c', 32), 'c', 'c', sha256('c'), 0, 'api')`,
    DENIED,
  ],
  [`UPDATE vanitypool.epochs SET role = 'api'`, DENIED],
  [`UPDATE vanitypool.epochs SET state = 'expired' WHERE role <> 'grinder'`, 0],
  [`UPDATE vanitypool.lane_ends SET filled = filled + 1 WHERE writer IS NOT NULL`, 0],
  ['UPDATE vanitypool.lane_heads SET taken = taken', DENIED],
  ['UPDATE vanitypool.lane_heads SET is_empty = true', 0],
  [
    `UPDATE vanitypool.figures SET available = 0 WHERE node_id IN (
      SELECT node_id FROM vanitypool.epochs WHERE role = 'api')`,
    0,
  ],
  ['UPDATE vanitypool.queues SET position = 0', DENIED],
  ['INSERT INTO vanitypool.tokens DEFAULT VALUES', DENIED],
  ['INSERT INTO vanitypool.burns DEFAULT VALUES', DENIED],
  ['TRUNCATE vanitypool.keys', DENIED],
  ['DROP TABLE vanitypool.keys', DENIED],
];

test('it may not do anything else', LIMIT, async () => {
  await api.insert(hitsFor('pet', 1));
  for (const [statement, outcome] of REFUSED) {
    assert.equal(await tried(statement), outcome, statement);
  }
});
