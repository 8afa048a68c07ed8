/** Who shares a database, and who does not come back: as operators ask and say it, with nothing but the database. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodesView } from '../../src/api/nodes.ts';
import { nodesView } from '../../src/api/views.ts';
import type { NodeCounts } from '../../src/store/node-store.ts';
import { PostgresReader } from '../../src/store/postgres/reader.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { Store } from '../../src/store/store.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { PostgresServer } from '../support/postgres.ts';
import { figuresOf, inserted, UNHEARD } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { type Place, PostgresStores, someNode } from '../support/postgres-stores.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';
import { removeDirectory } from '../support/sqlite-stores.ts';
import { poolNamed } from '../support/store-subject.ts';
import { Terminal } from '../support/terminal.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 120_000, skip };
/** Nothing here takes as long. */
const TTL_MS = 600_000;
let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

async function type(workspace: Workspace, ...args: string[]) {
  return vanitypoolHere(['nodes', ...args], {}, workspace.path);
}

async function listed(workspace: Workspace, ...args: string[]) {
  const { code, stdout, stderr } = await type(workspace, ...args, '--json');
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as NodesView & { readonly retired?: string[] };
}

test('nodes are listed, and those that do not come back are retired', LIMIT, async (t) => {
  await using workspace = new Workspace();
  const place = await stores.newPlace();
  workspace.configure([EASY_POOL], '[store]', `url = "${place.url}"`, `data = "${workspace.data}"`);
  const database = new URL(place.url).pathname.slice(1);
  const sql = (text: string, values: unknown[] = []) => server.sql(text, values, database);
  const there: [Place, Store][] = [];
  for (const one of [place, { ...place, node: someNode() }, { ...place, node: someNode() }]) {
    there.push([one, await stores.openAt(one, { ttlMs: TTL_MS })]);
  }
  const [first, second, third] = there.map(([{ node }]) => node.id) as [string, string, string];
  const [[, store], [, leaving], [, stopping]] = there as [
    [Place, Store],
    [Place, Store],
    [Place, Store],
  ];
  t.after(() => stores.destroy(store));
  await store.definePool(poolNamed('pet'));
  await inserted(store, 'pet', 20);
  await leaving.turn({ pool: 'pet', head: 0, wanted: 5 });
  await stopping.close();
  const states = async () => {
    const { state, nodes } = await listed(workspace);
    const told = nodes.filter(({ retiredAt }) => retiredAt === null);
    return [state, ...told.map((node) => `${node.state} ${node.isHeard} ${node.leased}`)];
  };

  await t.test('as they are doing, to those who may and to the server', async () => {
    assert.deepEqual(await states(), [
      'sound',
      'running true 0',
      'running true 5',
      'stopped false 0',
    ]);
    const view = await listed(workspace, 'list');
    const sealingKey = `file:${join(place.directory, 'sealing.key')}`;
    await using reader = await PostgresReader.open({
      ...{ settings: connectionSettings(place.url, {}), sealingKey },
    });
    assert.deepEqual(nodesView(await reader.nodes()), view);
    const { stdout } = await type(workspace);
    assert.match(stdout, /^id +name +role +state +last seen +leased +grinding\n/);
    const [, , row] = stdout.split('\n').map((line) => line.split(/ {2,}/)) as string[][];
    const { lastSeenAt } = view.nodes[1]!;
    assert.deepEqual(row, [first, 'test', 'all', 'running', lastSeenAt, '0', '-']);
    assert.doesNotMatch(stdout, /nothing is leased/);
  });

  await t.test('as each server hears once a second', async () => {
    const heard = Promise.withResolvers<NodeCounts>();
    using _ = store.watch({ ...UNHEARD, nodes: heard.resolve });
    assert.deepEqual(await heard.promise, { running: 2, lost: 0, missed: 0, stopped: 1 });
  });

  await t.test('and how fast it grinds', async () => {
    await store.counters();
    await sleep(20);
    await store.saveCounters({ attempts: 1_000_000 });
    const { nodes } = await listed(workspace);
    const [rate = 0, none] = nodes.slice(1).map(({ attemptsPerSecond }) => attemptsPerSecond);
    assert.ok(rate > 0 && rate <= 50_000_000, `${rate}`);
    assert.equal(none, 0);
  });

  await t.test('one that is not heard of is gone; what it had leased is given up', async () => {
    await sql('UPDATE vanitypool.epochs SET beaten_at = 0 WHERE node_id = $1', [second]);
    assert.equal((await states())[2], 'lost false 5');
    for (const loss of [[], ['--burn', '--lost-nothing']]) {
      const { code, stderr } = await type(workspace, 'retire', '--gone', ...loss);
      assert.equal(code, 2);
      assert.match(stderr, /give one of --lost-nothing, --burn/);
    }
    const refused = await type(workspace, 'retire', '--gone', '--lost-nothing');
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /no terminal to ask on; add --yes/);
    assert.equal((await states())[2], 'lost false 5');
    await using terminal = new Terminal(
      ['nodes', 'retire', '--gone', '--lost-nothing'],
      { columns: 120, rows: 20 },
      { cwd: workspace.path },
    );
    await terminal.until(new RegExp(`${second} on test\\r\\n.*Type yes: `));
    terminal.type('no\r');
    await terminal.until(/not confirmed; nothing was done/);
    assert.equal(await terminal.ended(), 2);
    assert.equal((await states())[2], 'lost false 5');
    const { retired, nodes } = await listed(
      workspace,
      'retire',
      '--gone',
      '--lost-nothing',
      '--yes',
    );
    assert.deepEqual(retired, [second]);
    assert.equal(nodes.find(({ id }) => id === second)?.state, 'retired');
    assert.equal(await figuresOf(store, 'pet'), '15 0 0 0 5');
    const again = await type(workspace, 'retire', '--gone', '--lost-nothing');
    assert.equal(again.stdout, 'no node is gone\n');
  });

  await t.test('while some are missed, the list says who and what to type', async () => {
    await sql(`UPDATE vanitypool.cluster SET state = 'suspect'`);
    await sql('UPDATE vanitypool.nodes SET confirmed = false WHERE retired_at IS NULL');
    assert.deepEqual(await states(), ['suspect', 'missed true 0', 'missed false 0']);
    const { stdout } = await type(workspace);
    const lines = stdout.split('\n\n')[1]!.split('\n');
    assert.match(
      lines[0]!,
      /^The database may have gone back in time, and nothing is leased until/,
    );
    assert.deepEqual(lines.slice(1, 3), [`  ${first} on test`, `  ${third} on test`]);
    assert.match(stdout, /\n {2}vanitypool nodes retire ID --lost-nothing {3}if every commit/);
    const one = await type(workspace, 'retire', '--gone', '--lost-nothing', '--yes');
    assert.ok(one.stdout.startsWith(`retired: node ${third} on test\n`));
    assert.match(one.stdout, new RegExp(`said what they did:\n {2}${first} on test\n`));
    const last = await type(workspace, 'retire', first, '--burn');
    assert.equal(last.stdout, `retired: node ${first} on test\n`);
    assert.deepEqual(await states(), ['sound']);
    assert.deepEqual(await sql('SELECT sum(burned)::int AS burned FROM vanitypool.figures'), [
      { burned: 20 },
    ]);
  });

  await t.test('what is not there is refused', async () => {
    const unknown = await type(workspace, 'retire', '5a'.repeat(16), '--burn');
    assert.match(unknown.stderr, /there is none; "vanitypool nodes" lists them/);
    workspace.configure([EASY_POOL], '[store]', `data = "${workspace.data}"`);
    for (const args of [[], ['retire', first, '--burn']]) {
      const { code, stderr } = await type(workspace, ...args);
      assert.equal(code, 2);
      assert.match(stderr, /a store of one node has no others; .*\(CONFIG_INVALID\)/);
    }
  });
});

test(
  'that the database is another one is reported once, and by how many are missed',
  LIMIT,
  async () => {
    const place = await stores.newPlace();
    const both: Store[] = [];
    const rewound: string[] = [];
    const seen: Promise<NodeCounts>[] = [];
    for (const one of [place, { ...place, node: someNode() }]) {
      const store = await stores.openAt(one, { ttlMs: TTL_MS });
      both.push(store);
      const isMissed = Promise.withResolvers<NodeCounts>();
      seen.push(isMissed.promise);
      store.watch({
        ...UNHEARD,
        nodes: (counts) => counts.missed > 0 && isMissed.resolve(counts),
        rewound: (state) => rewound.push(state),
      });
    }
    const database = new URL(place.url).pathname.slice(1);
    await server.sql(`UPDATE vanitypool.cluster SET timeline = '0000000F'`, [], database);
    for (const counts of await Promise.all(seen)) {
      assert.deepEqual(counts, { running: 0, lost: 0, missed: 2, stopped: 0 });
    }
    // The second to look may know more than the first.
    assert.match(rewound.join(), /^(suspect|lost|suspect,lost)$/);
    for (const store of both) await store.close();
    removeDirectory(place.directory);
  },
);
