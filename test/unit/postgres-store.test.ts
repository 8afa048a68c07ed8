/** The store of many nodes does what every store does. */
import { after, before } from 'node:test';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';

const skip = await withoutPostgres(18);
let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

if (skip === false) storeConformance('PostgreSQL 18', new PostgresStores(() => server));
