/** Every refusal of a server that would not keep the promises, by a server that is so. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Connection } from '../../src/store/postgres/connection.ts';
import { checkServer } from '../../src/store/postgres/server-check.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { PgBouncer } from '../support/pgbouncer.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPgBouncer, withoutPostgres } from '../support/postgres-program.ts';

const skip = await withoutPostgres(18);

let server: PostgresServer;
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(() => server?.[Symbol.asyncDispose]());

const settingsOf = (url: string) => connectionSettings(url, { PGCONNECT_TIMEOUT: '60' });

async function check(url: string): Promise<void> {
  await using connection = new Connection(settingsOf(url));
  await checkServer(connection);
}

const refused = (url: string, message: RegExp) =>
  assert.rejects(check(url), { code: 'CONFIG_INVALID', message }, String(message));

const optionsOf = (...options: string[]) =>
  `?options=${encodeURIComponent(options.map((option) => `-c ${option}`).join(' '))}`;

test('a server as it comes is taken', { skip }, async () => {
  await check(server.url());
});

test('one that is not durable is refused, and says how it would be', { skip }, async () => {
  await server.set('fsync', 'off');
  await refused(
    server.url(),
    /^postgres:.*\/postgres: fsync is off.* ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf\(\)$/,
  );
  await server.reset('fsync');
  await server.set('full_page_writes', 'off');
  await refused(server.url(), /: full_page_writes is off/);
  await server.reset('full_page_writes');
  await check(server.url());
});

test('one that cannot be written is refused', { skip }, async () => {
  const url = server.url() + optionsOf('default_transaction_read_only=on');
  await refused(url, /: transactions are read-only: /);
  await using standby = await PostgresServer.start({ isStandby: true });
  await refused(
    standby.url(),
    /: a standby, which cannot be written: name the primary in store.url$/,
  );
});

/** A schema before the system's own, with a function that says so. */
test('one that is too old is refused', { skip }, async () => {
  const url = await server.database();
  const name = url.split('/').at(-1)!;
  const body = `SELECT CASE name WHEN 'server_version_num' THEN '140012'
    ELSE pg_catalog.current_setting(name) END`;
  const old = `CREATE SCHEMA old; CREATE FUNCTION old.current_setting(name text) RETURNS text
    LANGUAGE sql AS $$ ${body} $$`;
  await server.sql(old, [], name);
  await refused(
    url + optionsOf('search_path=old,pg_catalog'),
    /: PostgreSQL 14; needs 15 or newer$/,
  );
});

test('a database whose texts are not in UTF-8 is refused', { skip }, async () => {
  await server.sql(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`);
  await refused(server.url('latin'), /: the encoding of the database is LATIN1; allowed: UTF8/);
});

test('a user without the rights is refused, and they are named', { skip }, async () => {
  const database = (await server.database()).split('/').at(-1)!;
  await server.sql(`CREATE ROLE "a user" LOGIN PASSWORD 'x'`);
  const url = server.url(database, 'a%20user:x');
  const create = `GRANT CREATE ON DATABASE ${database} TO "a user"`;
  await refused(url, new RegExp(`: "a user" may not create a schema: ${create}$`));
  await server.sql('CREATE SCHEMA vanitypool', [], database);
  const change = 'GRANT ALL ON SCHEMA vanitypool TO "a user"';
  await refused(url, new RegExp(`: "a user" may not change the schema vanitypool: ${change}$`));
  await server.sql('GRANT USAGE ON SCHEMA vanitypool TO "a user"', [], database);
  await refused(url, /may not change the schema/);
  await server.sql(change, [], database);
  await check(url);
  // Made by somebody else.
  await server.sql('CREATE TABLE vanitypool.cluster ()', [], database);
  await refused(
    url,
    /: "a user" may not write the tables of postgres: GRANT postgres TO "a user"$/,
  );
  await server.sql(
    'CREATE ROLE "the owner"; ALTER TABLE vanitypool.cluster OWNER TO "the owner"',
    [],
    database,
  );
  await refused(url, /: GRANT "the owner" TO "a user"$/);
  await server.sql('GRANT "the owner" TO "a user"', [], database);
  await check(url);
  await server.sql(`DROP SCHEMA vanitypool CASCADE; ${create}`, [], database);
  await check(url);
});

const pooled = { skip: skip || withoutPgBouncer() };

test('a pooler may stand before it that gives a session for a transaction', pooled, async () => {
  await using pooler = await PgBouncer.before(server, 'transaction');
  const url = pooler.through(server.url());
  await check(url);
  await server.sql('CREATE TABLE counts (id int PRIMARY KEY, n bigint NOT NULL)');
  await server.sql('INSERT INTO counts VALUES (1, 0), (2, 0)');
  const add = 'UPDATE counts SET n = n + $2 WHERE id = $1';
  const work = async (step: number) => {
    await using connection = new Connection(settingsOf(url));
    for (let turn = 0; turn < 10; turn++) {
      const done = connection.transaction(async ({ query }) => {
        await query(add, [1, step]);
        void query(add, [2, step]);
        if (turn % 2 === 1) void query('SELECT 1 / 0');
        void query(add, [2, step]);
      });
      if (turn % 2 === 1) await assert.rejects(done, /division by zero/);
      else await done;
    }
  };
  // More than it has sessions.
  await Promise.all([1, 10, 100, 1000].map(work));
  const rows = await server.sql('SELECT n::int FROM counts ORDER BY id');
  assert.deepEqual(rows, [{ n: 5555 }, { n: 11_110 }]);
});

test('one that gives it for a statement is refused', pooled, async () => {
  await using pooler = await PgBouncer.before(server, 'statement');
  const url = pooler.through(server.url());
  await refused(
    url,
    /: a pooler gives each statement another session: set pool_mode = transaction/,
  );
});
