/** The schema, on each version of the server that there is. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Connection } from '../../src/store/postgres/connection.ts';
import { CommitUnknown } from '../../src/store/postgres/error.ts';
import { migrate } from '../../src/store/postgres/schema.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { PgBouncer } from '../support/pgbouncer.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  VERSIONS,
  type Version,
  withoutPgBouncer,
  withoutPostgres,
} from '../support/postgres-program.ts';
import { PostgresProxy } from '../support/postgres-proxy.ts';

const MIGRATIONS = new URL('../../src/store/postgres/migrations/', import.meta.url);
const NEWEST = readdirSync(MIGRATIONS).length;

async function migrateAt(url: string): Promise<void> {
  await using connection = new Connection(connectionSettings(url, { PGCONNECT_TIMEOUT: '60' }));
  await migrate(connection, true);
}

const refused = (url: string, code: string, message: RegExp) =>
  assert.rejects(migrateAt(url), { code, message });

const nameOf = (url: string) => url.split('/').at(-1)!;

interface Cluster {
  readonly store_id: string;
  readonly schema: number;
  readonly shape: readonly string[];
}

/** Seven addresses in one lane: the first is destroyed, 1 to 6 were leased, 1 to 3 recorded, and 4 given back. */
const ADDRESSES = `
  SET search_path = vanitypool;
  INSERT INTO nodes VALUES (repeat('a', 32), 'one', 'all', 'here', sha256('node'), NULL, true, NULL, 0);
  INSERT INTO epochs VALUES (1, repeat('a', 32), substr(sha256('run'), 1, 16), 'all', 'leased', 60000,
    'open', 0, 0, 0, 0, '', 0);
  INSERT INTO pools (name, prefix, suffix, ignore_case, keys, handout, target)
    VALUES ('pet', '', 't', false, 'seed', 'secret', 10);
  INSERT INTO lane_ends VALUES (1, 1, 1, (1 << 20) + 7);
  INSERT INTO lane_heads VALUES (1, 1, (1 << 20) + 6);
  INSERT INTO queues (epoch, pool_id, run, position, pushed)
    VALUES (1, 1, substr(sha256('run'), 1, 16), 3, 6);
  INSERT INTO leases VALUES (1, 1, 0, (1 << 20) + 1, (1 << 20) + 3), (1, 1, 3, (1 << 20) + 5, (1 << 20) + 6);
  INSERT INTO returned VALUES ((1 << 20) + 4, (1 << 20) + 4, 1);
  INSERT INTO burns VALUES ((1 << 20) + 3, (1 << 20) + 3, 1, 0, false, 'expired');
  INSERT INTO reservations (id, epoch, pool_id, position, address_id, expires_at)
    VALUES (repeat('b', 32), 1, 1, 1, (1 << 20) + 2, 0);
  INSERT INTO remains VALUES ((1 << 20) + 1, 'g', 0, sha256('a'));
  INSERT INTO secrets SELECT (1 << 20) + seq, 1, 'g', 0, sha256(seq::text::bytea), decode(repeat('00', 92), 'hex')
    FROM generate_series(2, 7) AS seq`;

/** By version: what a new schema consists of. */
const shapes = new Map<Version, readonly string[]>();

for (const version of VERSIONS) {
  const skip = await withoutPostgres(version);
  let server: PostgresServer;
  before(async () => {
    if (skip === false) server = await PostgresServer.start({ version });
  });
  after(() => server?.[Symbol.asyncDispose]());
  const sql = (url: string, text: string) => server.sql<Cluster>(text, [], nameOf(url));
  const clusterOf = async (url: string) => (await sql(url, 'SELECT * FROM vanitypool.cluster'))[0]!;
  let template = '';
  /** A database with the schema in it. */
  const migrated = () => server.database(template);

  test(`${version}: an empty database becomes a store of the newest schema`, { skip }, async () => {
    const url = await server.database();
    await migrateAt(url);
    const made = await clusterOf(url);
    assert.match(made.store_id, /^[0-9a-f]{32}$/);
    assert.equal(made.schema, NEWEST);
    assert.ok(made.shape.length > 150, `${made.shape.length}`);
    assert.ok(made.shape.includes('column leases.first bigint not null'));
    shapes.set(version, made.shape);
    await migrateAt(url);
    assert.deepEqual(await clusterOf(url), made, 'once more changes nothing');
    template = nameOf(url);
  });

  test(`${version}: nodes that start at once make one store`, { skip }, async () => {
    const url = await server.database();
    await Promise.all(Array.from({ length: 4 }, () => migrateAt(url)));
    assert.equal((await sql(url, 'SELECT * FROM vanitypool.cluster')).length, 1);
  });

  test(`${version}: a migration is there as a whole or not at all`, { skip }, async () => {
    const url = await server.database();
    await using proxy = await PostgresProxy.before(server.port);
    proxy.judge = ({ text }) => (text.startsWith('UPDATE vanitypool.cluster') ? 'lose' : 'pass');
    await refused(proxy.through(url), 'STORE_UNAVAILABLE', /Connection terminated/);
    const found = await sql(url, `SELECT to_regnamespace('vanitypool') AS schema`);
    assert.deepEqual(found, [{ schema: null }]);
    let commits = 0;
    proxy.judge = ({ text }) => (text === 'COMMIT' && ++commits === 1 ? 'cut-answer' : 'pass');
    await assert.rejects(migrateAt(proxy.through(url)), CommitUnknown);
    const { store_id: id } = await clusterOf(url);
    await migrateAt(proxy.through(url));
    assert.equal((await clusterOf(url)).store_id, id);
  });

  test(`${version}: a newer schema, and another's, are left alone`, { skip }, async () => {
    const url = await migrated();
    await sql(url, `UPDATE vanitypool.cluster SET schema = ${NEWEST + 1}`);
    const known = `schema ${NEWEST + 1}; this version of vanitypool knows schemas up to ${NEWEST}; install a newer one$`;
    await refused(url, 'STORE_NEWER', new RegExp(known));
    const other = await server.database();
    await sql(other, 'CREATE SCHEMA vanitypool; CREATE TABLE vanitypool.things (id int)');
    await refused(
      other,
      'STORE_FOREIGN',
      /has a schema vanitypool that is not of a vanitypool store; name another database$/,
    );
    const beside = await server.database();
    await sql(beside, 'CREATE TABLE cluster (id int); CREATE SCHEMA vanitypool');
    await migrateAt(beside);
  });

  test(`${version}: what somebody changed in the schema is named`, { skip }, async () => {
    const url = await migrated();
    await sql(
      url,
      'ALTER TABLE vanitypool.keys ADD COLUMN mine int; CREATE INDEX ON vanitypool.keys (id)',
    );
    await migrateAt(url);
    const changes: Readonly<Record<string, string>> = {
      'DROP VIEW address_states': 'column address_states.id bigint; .*',
      'ALTER TABLE burns ALTER COLUMN cause TYPE varchar(9)': 'column burns.cause text not null; ',
      'ALTER TABLE keys DROP COLUMN id': 'column keys.id bigint not null; ',
      'ALTER TABLE queues ALTER COLUMN turn DROP NOT NULL': 'column queues.turn bigint not null; ',
      'DROP TABLE quotas': 'column quotas.day integer not null; .*',
      'ALTER TABLE queues DROP CONSTRAINT queues_check': 'constraint queues_check of queues; .*',
      'DROP INDEX leases_first': 'index leases_first; .*',
      'ALTER TABLE keys DISABLE TRIGGER keys_kept': 'trigger keys_kept of keys; ',
      'DROP TRIGGER remains_kept ON remains':
        'trigger remains_kept of remains\\. Change it back, or restore',
    };
    await sql(url, `SET search_path = vanitypool; ${Object.keys(changes).join('; ')}`);
    const missing = new RegExp(`somebody changed the schema.* ${Object.values(changes).join('')}`);
    await refused(url, 'STORE_CORRUPT', missing);
    await sql(url, 'DELETE FROM vanitypool.cluster');
    await refused(url, 'STORE_CORRUPT', /no longer so: the row of cluster\. Change it back/);
  });

  test(`${version}: keys and remains are kept for ever as they are`, { skip }, async () => {
    const url = await migrated();
    await sql(
      url,
      `INSERT INTO vanitypool.keys VALUES (sha256('a'), 1);
      INSERT INTO vanitypool.remains VALUES (1, 'g', 0, sha256('a'))`,
    );
    for (const table of ['keys', 'remains']) {
      const changes = ['UPDATE vanitypool.# SET id = 2', 'DELETE FROM vanitypool.#'];
      for (const change of [...changes, 'TRUNCATE vanitypool.#', 'TRUNCATE vanitypool.# CASCADE']) {
        const message = new RegExp(`of ${table}: its rows are kept for ever as they are`);
        await assert.rejects(sql(url, change.replace('#', table)), message, change);
      }
    }
  });

  test(`${version}: each address is in one state`, { skip }, async () => {
    const url = await migrated();
    await sql(url, ADDRESSES);
    const rows = await sql(
      url,
      'SELECT id - (1 << 20) AS id, pool_id, state FROM vanitypool.address_states ORDER BY id',
    );
    const states = [
      'dispensed',
      'reserved',
      'burned',
      'available',
      'leased',
      'leased',
      'available',
    ];
    const wanted = states.map((state, index) => ({ id: String(index + 1), pool_id: 1, state }));
    assert.deepEqual(rows, wanted);
  });

  const pooled = { skip: skip || withoutPgBouncer() };
  test(`${version}: a pooler may stand before it`, pooled, async () => {
    await using pooler = await PgBouncer.before(server, 'transaction');
    const url = await server.database();
    await Promise.all(Array.from({ length: 4 }, () => migrateAt(pooler.through(url))));
    assert.equal((await clusterOf(url)).schema, NEWEST);
  });
}

test('a server of another version finds the same', () => {
  const [one, ...others] = [...shapes.values()];
  for (const other of others) assert.deepEqual(other, one);
});
