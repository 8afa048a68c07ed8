/** The store of many nodes does what every store does. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { openStore } from '../../src/store/open-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { handOut, inserted, told } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { keySourceIn, PostgresStores } from '../support/postgres-stores.ts';
import { removeDirectory } from '../support/sqlite-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';
import { ANY_AGE, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

const stores = new PostgresStores(() => server);
if (skip === false) storeConformance('PostgreSQL 18', stores);

test('a turn reads what it leases, not what is stored', { skip }, async () => {
  const store = await stores.open();
  const database = new URL(stores.placeOf(store).url).pathname.slice(1);
  await store.definePool(poolNamed('pet'));
  await inserted(store, 'pet', 2000);
  for (const [head, wanted] of [
    [0, 1],
    [1, 20],
  ] as const) {
    assert.equal((await store.turn({ pool: 'pet', head, wanted })).leased.length, wanted);
  }
  // By then its sessions have counted what they did.
  await store.close();
  const read = await server.sql<{ relname: string; seq_tup_read: string }>(
    `SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE relname IN ('keys', 'secrets')
      ORDER BY relname`,
    [],
    database,
  );
  assert.deepEqual(read, [
    { relname: 'keys', seq_tup_read: '0' },
    { relname: 'secrets', seq_tup_read: '0' },
  ]);
  await stores.destroy(store);
});

test('what left is destroyed by when it left, not by when that was recorded', {
  skip,
}, async () => {
  const store = await stores.open();
  await store.definePool(poolNamed('pet'));
  await inserted(store, 'pet', 3);
  await store.turn({ pool: 'pet', head: 0, wanted: 3 });
  // Ages that a store believes.
  const records = [40_000, 40_000, 0].map((age, position) =>
    handOut(position, { at: Date.now() - age }),
  );
  await store.turn({ pool: 'pet', head: 3, wanted: 0, handOuts: told(...records) });
  assert.equal(await store.dueSecrets(20_000), 2);
  assert.equal(await store.destroySecrets(20_000), 2);
  assert.equal(await store.destroySecrets(20_000), 0);
  assert.equal(await store.destroySecrets(ANY_AGE), 1);
  await stores.destroy(store);
});

test('a directory is that of one run at a time', { skip }, async () => {
  const { url: database, directory: data } = await stores.newPlace();
  const { store: defaults } = loadConfig({ cwd: data, file: '/dev/null' });
  const sealingKey = keySourceIn(data);
  const config = { ...defaults, directory: undefined, database, data, sealingKey };
  const options = { recover: () => undefined };
  {
    await using _ = await openStore(config, options);
    await assert.rejects(async () => openStore(config, options), { code: 'DATA_IN_USE' });
  }
  await (await openStore(config, options)).close();
  removeDirectory(data);
});
