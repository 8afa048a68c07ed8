/** Starts of a server that the database, or what another node has there, does not allow: refused with the reason. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { vanitypoolHere } from '../support/cli-here.ts';
import { Cluster } from '../support/cluster.ts';
import { PgBouncer } from '../support/pgbouncer.ts';
import { freePort } from '../support/postgres.ts';
import { withoutPgBouncer, withoutPostgres } from '../support/postgres-program.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000, skip: await withoutPostgres(18) };
const SEALING_KEY = 'sealing.key';
const POOLS = [{ ...EASY_POOL, target: 40, ready: 10 }];
/** A function of the server, and what puts it before the server's own. */
const OLD = `CREATE SCHEMA old; CREATE FUNCTION old.current_setting(name text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE name WHEN 'server_version_num' THEN '140012' ELSE pg_catalog.current_setting(name) END $$`;
const OLD_FIRST = encodeURIComponent('-c search_path=old,pg_catalog');
const PASSWORD = 'not-the-right-one';

/** What is said of a start with these files of the first node. */
async function refused(cluster: Cluster, url: string, ...files: string[]): Promise<string> {
  await using workspace = new Workspace();
  mkdirSync(workspace.data, { mode: 0o700 });
  const { data } = cluster.nodes[0]!.workspace;
  for (const file of files) copyFileSync(join(data, file), join(workspace.data, file));
  workspace.configure(POOLS, '[store]', `url = "${url}"`, `data = "${workspace.data}"`);
  const { code, stdout, stderr } = await vanitypoolHere(
    ['serve', '--port', '0'],
    {},
    workspace.path,
  );
  assert.ok(code === 1 || code === 2, `${code}: ${stdout}${stderr}`);
  return stdout + stderr;
}

async function starts(t: TestContext): Promise<void> {
  await using cluster = await Cluster.start({ pools: POOLS, nodes: [{}] });
  const { url, server } = cluster;
  await t.test('no server', async () => {
    const elsewhere = url.replace(`:${server.port}/`, `:${await freePort()}/`);
    const said = await refused(cluster, elsewhere, SEALING_KEY);
    assert.match(said, /ECONNREFUSED.* correct store\.url \(STORE_UNAVAILABLE\)/);
  });
  await t.test('another password', async () => {
    await cluster.sql("CREATE ROLE somebody LOGIN PASSWORD 'right'");
    const said = await refused(
      cluster,
      url.replace('postgres@', `somebody:${PASSWORD}@`),
      SEALING_KEY,
    );
    assert.match(said, /password authentication failed.*\(CONFIG_INVALID\)/);
    assert.ok(!said.includes(PASSWORD), said);
  });
  await t.test('a user without the rights', async () => {
    const said = await refused(cluster, url.replace('postgres@', 'somebody:right@'), SEALING_KEY);
    assert.match(said, /GRANT postgres TO somebody \(CONFIG_INVALID\)/);
  });
  await t.test('a server that loses commits', async () => {
    await server.set('fsync', 'off');
    const said = await refused(cluster, url, SEALING_KEY);
    await server.reset('fsync');
    assert.match(said, /fsync is off.* SET fsync = on.*\(CONFIG_INVALID\)/);
  });
  await t.test('a server that is too old', async () => {
    await cluster.sql(OLD);
    const said = await refused(cluster, `${url}?options=${OLD_FIRST}`, SEALING_KEY);
    assert.match(said, /PostgreSQL 14; needs 15 or newer \(CONFIG_INVALID\)/);
  });
  await t.test('a schema that somebody changed', async () => {
    await cluster.sql('ALTER TABLE vanitypool.burns RENAME cause TO why');
    const said = await refused(cluster, url, SEALING_KEY);
    await cluster.sql('ALTER TABLE vanitypool.burns RENAME why TO cause');
    assert.match(said, /column burns\.cause text not null\. Change it back.*\(STORE_CORRUPT\)/);
  });
  await t.test('a copy of the directory of another node', async () => {
    const said = await refused(cluster, url, SEALING_KEY, 'node.json');
    assert.match(said, /node\.json: a copy.*\(DATA_MOVED\)/);
  });
  await t.test('another sealing key', async () => {
    assert.match(await refused(cluster, url), /\(SEALING_KEY_INVALID\)/);
  });
  await t.test('a pooler that gives a session for a statement', skipped, async () => {
    await using pooler = await PgBouncer.before(server, 'statement');
    const said = await refused(cluster, pooler.through(url), SEALING_KEY);
    assert.match(said, /\(CONFIG_INVALID\)/);
  });
  const left = `SELECT (SELECT count(*)::int FROM vanitypool.epochs) AS epochs,
    (SELECT count(*)::int FROM vanitypool.nodes) AS nodes`;
  assert.deepEqual(await cluster.sql(left), [{ epochs: 1, nodes: 1 }]);
  await cluster.nodes[0]!.stop();
}

const skipped = { skip: withoutPgBouncer() };

test('what is no node of the store', LIMIT, starts);
