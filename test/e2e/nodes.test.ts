/**
 * What one server of a database says of the others: a node that is not heard of any more, and a database that is
 * another one. The other node is only rows, so that nobody has to wait for it to die.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodesView } from '../../src/api/nodes.ts';
import { readOwnToken } from '../../src/service/own-token.ts';
import { assertAccessible, complaintsOf, openBrowser, withoutBrowser } from '../support/browser.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { Receiver, SECRET } from '../support/receiver.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const PATIENCE = { timeout: 300_000 };
/** A server whose lease is 10 s looks more often than three times in this. */
const TTL_MS = 6000;
/** Nothing here takes as long, however busy the machine is. */
const LONG_MS = 3_600_000;

let postgres: PostgresServer;
before(async () => {
  if (skip === false) postgres = await PostgresServer.start();
});
after(async () => {
  await postgres?.[Symbol.asyncDispose]();
});

test('a server says who is lost and who is missed, and sends each alert once', LIMIT, async (t) => {
  await using receiver = await Receiver.start();
  await using workspace = new Workspace();
  const url = await postgres.database();
  const sql = (text: string, values: unknown[] = []) =>
    postgres.sql(text, values, new URL(url).pathname.slice(1));
  workspace.configure(
    [EASY_POOL],
    ...['[store]', `url = "${url}"`, `data = "${workspace.data}"`, 'lease_ttl_seconds = 10'],
    ...['[[webhooks]]', `url = "${receiver.url}"`, 'secret = "env:WEBHOOK_SECRET"'],
    'events = ["node.lost", "store.suspect"]',
  );
  workspace.environment = { WEBHOOK_SECRET: SECRET };
  const server = await workspace.serve('--threads', '0');
  const id = randomBytes(16).toString('hex');
  await sql(
    `INSERT INTO vanitypool.nodes (id, name, role, place, sign_key, created_at)
      VALUES ($1, 'gone', 'api', $1, sha256('key'), 4e12::bigint)`,
    [id],
  );
  await sql(
    `INSERT INTO vanitypool.epochs (epoch, node_id, run, role, durability, ttl_ms, beaten_at, started_at, looked)
      SELECT 1000, $1, decode($1, 'hex'), 'api', 'leased', $2, 4e12::bigint, 0, looked
      FROM vanitypool.epochs LIMIT 1`,
    [id, LONG_MS],
  );
  // As others see it.
  await sql('UPDATE vanitypool.epochs SET ttl_ms = $1', [LONG_MS]);
  const token = readOwnToken(workspace.data)!;
  const nodes = async () => {
    const { status, body, text } = await server.ask('GET', '/v1/nodes', { token });
    assert.equal(status, 200, text);
    return body as NodesView;
  };
  const metric = async (name: string) => {
    const { text } = await server.ask('GET', '/metrics', { token });
    const [, value] =
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ') ?? [];
    return value === undefined ? undefined : Number(value);
  };
  const shown = async (name: string, value: number) => {
    while ((await metric(name)) !== value) await sleep(50);
  };
  const status = async () => {
    const { stdout } = await vanitypoolHere(['status'], {}, workspace.path);
    return stdout;
  };

  await t.test('while both run', async () => {
    const { state, nodes: found } = await nodes();
    const [own, other] = found;
    assert.deepEqual([state, own?.state, own?.role], ['sound', 'running', 'all']);
    assert.deepEqual([other?.id, other?.name, other?.state], [id, 'gone', 'running']);
    await shown('vanitypool_nodes{state="running"}', 2);
    assert.equal(await metric('vanitypool_nodes{state="lost"}'), 0);
    const lease = (await metric('vanitypool_node_lease_seconds'))!;
    assert.ok(lease >= 0 && lease < 10, `${lease}`);
    assert.match(await status(), /^2 nodes$/m);
  });

  await t.test('when one is not heard of for its lease', async () => {
    await sql('UPDATE vanitypool.epochs SET ttl_ms = $2 WHERE node_id = $1', [id, TTL_MS]);
    await receiver.until(1);
    const [received] = receiver.events;
    assert.deepEqual([received?.type, received?.data], ['node.lost', { id, name: 'gone' }]);
    await shown('vanitypool_nodes{state="lost"}', 1);
    assert.equal((await nodes()).nodes[1]?.state, 'lost');
    assert.match(await status(), /^2 nodes, 1 lost: see vanitypool nodes$/m);
  });

  await t.test('on the page for an admin', { skip: withoutBrowser() }, async () => {
    await using browser = await openBrowser();
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await page.goto(`${server.url}/`);
    // Open to programs of this machine, to which it shows no nodes.
    await page.locator('article').first().waitFor(PATIENCE);
    assert.ok(await page.locator('#nodes-section').isHidden());
    await page.locator('#sign-in').click();
    await page.locator('#token').fill(token);
    await page.locator('#token').press('Enter');
    await page.locator('#nodes tr').nth(1).waitFor(PATIENCE);
    const cells = await page
      .locator('#nodes tr')
      .evaluateAll((rows) =>
        rows.map(({ children }) => [...children].map((cell) => cell.textContent)),
      );
    assert.deepEqual(
      cells.map(([, role, state]) => [role, state]),
      [
        ['all', 'running'],
        ['api', 'lost'],
      ],
    );
    assert.equal(cells[1]?.[0], 'gone');
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = Number(await page.evaluate('document.documentElement.scrollWidth'));
      assert.ok(wide <= width, `${wide} pixels of ${width}`);
      const { SCREENSHOTS } = process.env;
      if (SCREENSHOTS)
        await page.screenshot({ fullPage: true, path: join(SCREENSHOTS, `nodes-${width}.png`) });
    }
    await assertAccessible(page, 'with nodes');
    assert.deepEqual(complaints, []);
  });

  await t.test('when the database is another one', async () => {
    await sql(`UPDATE vanitypool.cluster SET timeline = '0000000F'`);
    await receiver.until(2);
    const { type, data } = receiver.events[1]!;
    assert.deepEqual([type, data], ['store.suspect', { state: 'suspect' }]);
    await shown('vanitypool_nodes{state="missed"}', 1);
    const found = await nodes();
    assert.deepEqual([found.state, found.nodes[1]?.state], ['suspect', 'missed']);
    const reason =
      /STORE_REWOUND: the database may have gone back in time, "vanitypool nodes" says/;
    for (;;) {
      const { text } = await server.ask('GET', '/readyz', { token });
      if (/the database may have gone back/.test(text)) break;
      await sleep(50);
    }
    assert.match(await status(), reason);
  });

  await t.test('until it is retired', async () => {
    const retire = ['nodes', 'retire', id, '--lost-nothing'];
    const { code, stdout } = await vanitypoolHere(retire, {}, workspace.path);
    assert.deepEqual([code, stdout], [0, `retired: node ${id} on gone\n`]);
    await shown('vanitypool_store_up', 1);
    await shown('vanitypool_nodes{state="missed"}', 0);
    assert.match(await status(), /^1 node\b/m);
    assert.equal(receiver.received.length, 2);
  });
});
