/** The store of many nodes does what every store does on the oldest server, behind a pooler that gives a session for a transaction. */
import { after, before } from 'node:test';
import { PgBouncer } from '../support/pgbouncer.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPgBouncer, withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';

const skip = (await withoutPostgres(15)) || withoutPgBouncer();
let server: PostgresServer;
let pooler: PgBouncer;
before(async () => {
  if (skip !== false) return;
  server = await PostgresServer.start({ version: 15 });
  pooler = await PgBouncer.before(server, 'transaction');
});
after(async () => {
  await pooler?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const stores = new PostgresStores(
  () => server,
  (url) => pooler.through(url),
);
if (skip === false) storeConformance('PostgreSQL 15 behind PgBouncer', stores, ['seed']);
