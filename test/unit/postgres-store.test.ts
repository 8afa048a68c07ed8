/** The store of many nodes does what every store does. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PostgresServer } from '../support/postgres.ts';
import { inserted } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';
import { poolNamed } from '../support/store-subject.ts';

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
