/** The audit of a store of many nodes. */
import { after, before } from 'node:test';
import { type AuditedPlace, auditConformance } from '../support/audit-conformance.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { keySourceIn, PostgresStores } from '../support/postgres-stores.ts';
import { removeDirectory } from '../support/sqlite-stores.ts';

const skip = await withoutPostgres(18);
let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});
const stores = new PostgresStores(() => server);

async function newPlace(): Promise<AuditedPlace> {
  const place = await stores.newPlace();
  const sql = (text: string, values: unknown[] = []) =>
    server.sql(text, values, new URL(place.url).pathname.slice(1));
  return {
    keySource: keySourceIn(place.directory),
    open: (recover) => stores.openAt(place, { recover }),
    reader: (sealingKey) => stores.reader(place, sealingKey),
    spoil: async (keyHash) => {
      await sql(
        `UPDATE vanitypool.secrets SET sealed = decode(repeat('00', 92), 'hex') WHERE key_hash = $1`,
        [keyHash],
      );
    },
    forgeToken: async (id, name) => {
      const hash = Buffer.alloc(32);
      await sql(
        `INSERT INTO vanitypool.tokens (id, name, hash, scopes, created_at) VALUES ($1, $2, $3, '{}', 0)`,
        [id, name, hash],
      );
    },
    async [Symbol.asyncDispose]() {
      await stores.check(place.url);
      removeDirectory(place.directory);
    },
  };
}

if (skip === false) auditConformance('PostgreSQL 18', newPlace);
