import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, type Handed, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const POOL = { ...EASY_POOL, target: 200 };

async function run({ path }: Workspace, ...args: string[]): Promise<string> {
  // A port on which nobody listens: 5057 may be somebody's server.
  const { code, stdout, stderr } = await vanitypoolHere(args, { VANITYPOOL_HTTP__PORT: '9' }, path);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function attemptsOf(server: Server): Promise<number> {
  const { text } = await server.ask('GET', '/metrics');
  return Number(/^vanitypool_attempts_total (\d+)$/m.exec(text)![1]);
}

test('status and dispense use the store when no server runs; totals go on', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([POOL]);
  const server = await workspace.serve();
  const full = await server.until(({ grinding, available, leased }) => {
    return !grinding.active && available + leased >= POOL.target;
  });
  const attempts = await attemptsOf(server);
  assert.ok(attempts >= full.ground, 'every hit was an attempt');
  const online = await server.dispense(10);
  await server.kill('SIGTERM');

  const offline = (await run(workspace, 'dispense', 'pet', '--count', '20')).trim().split('\n');
  const handed: Handed[] = [...online, ...offline.map((line) => JSON.parse(line))];
  assert.equal(new Set(handed.map(({ address }) => address)).size, 30);
  const { status, pools } = JSON.parse(await run(workspace, 'status', '--json'));
  assert.equal(status, 'stopped');
  assert.deepEqual([pools[0].dispensed, pools[0].burned], [30, 0]);
  assert.match(await run(workspace, 'status'), /no server, store in .*\n\npool/);

  const again = await workspace.serve();
  assert.ok((await attemptsOf(again)) >= attempts);
  assert.equal((await again.pool()).dispensed, 30);
  const next = await again.dispense(10);
  assert.equal(new Set([...handed, ...next].map(({ id }) => id)).size, 40);

  await t.test('status says why addresses are burned, with a server and without one', async () => {
    await again.until(({ ready }) => ready >= 100);
    await again.kill('SIGKILL');
    workspace.removeJournals();
    const last = await workspace.serve();
    const { burned } = await last.pool();
    assert.ok(burned >= 100, `${burned} burned`);
    const online = async (...args: string[]) => {
      const env = { VANITYPOOL_HTTP__PORT: new URL(last.url).port };
      const { stdout } = await vanitypoolHere(['status', ...args], env, workspace.path);
      return stdout;
    };
    const crash = new RegExp(
      `\n\npool pet: ${burned.toLocaleString('en-US')} burned \\(crash\\): may have left a run`,
    );
    assert.match(await online(), crash);
    assert.deepEqual(JSON.parse(await online('--json')).pools[0].burnedBy, { crash: burned });
    // A store of another server here says nothing of that one.
    await using elsewhere = new Workspace();
    const { stdout } = await vanitypoolHere(
      ['status', '--json', '--url', last.url],
      {},
      elsewhere.path,
    );
    const { pools } = JSON.parse(stdout);
    assert.deepEqual([pools[0].burned, pools[0].burnedBy], [burned, undefined]);

    // What was given back or not taken has its own cause.
    await last.until(({ ready }) => ready > 10);
    const path = '/v1/pools/pet/reservations';
    const held = await last.ask('POST', path);
    assert.equal((await last.ask('POST', path, { body: { ttlSeconds: 1 } })).status, 201);
    assert.equal((await last.ask('DELETE', `/v1/reservations/${held.body.id}`)).status, 204);
    await last.until((pool) => pool.burned === burned + 2);
    for (const cause of [
      /^pool pet: 1 burned \(released\): a client that had reserved them gave them back/m,
      /^pool pet: 1 burned \(expired\): a client that had reserved them did not take them/m,
    ]) {
      assert.match(await online(), cause);
    }
    assert.doesNotMatch(await online(), /\((\w+)\): \1$/m);
    assert.equal(await last.kill('SIGTERM'), 0);
    assert.match(await run(workspace, 'status'), crash);
  });
});

test('a server of another directory is never asked in place of this one', LIMIT, async () => {
  await using elsewhere = new Workspace();
  elsewhere.configure([POOL]);
  const other = await elsewhere.serve();
  await other.until(({ ready }) => ready >= 100);
  await using here = new Workspace();
  const told = async (workspace: Workspace, ...args: string[]) => {
    // Where the other server listens is where one of this directory would by its configuration.
    const env = { VANITYPOOL_HTTP__PORT: new URL(other.url).port };
    return await vanitypoolHere(args, env, workspace.path);
  };
  const nothing = await told(here, 'status');
  assert.match(nothing.stdout, new RegExp(`at ${other.url}, up`), 'there is nothing here');

  here.configure([POOL]);
  const unserved = await told(here, 'dispense', 'pet');
  assert.equal(unserved.code, 1);
  assert.match(
    unserved.stderr,
    new RegExp(`${here.data}: no server serves this data directory, and there is no store in it`),
  );
  const server = await here.serve();
  await server.until(({ ready }) => ready >= 100);
  const own = await told(here, 'status');
  assert.match(own.stdout, new RegExp(`at ${server.url}, up`), 'wherever it listens');
  assert.match((await told(elsewhere, 'status', '--data', here.data)).stdout, /at http:/);
  await server.kill('SIGKILL');
  for (const when of ['after a kill', 'after a stop']) {
    const { stdout } = await told(here, 'status');
    assert.match(stdout, new RegExp(`no server, store in ${here.data}: stopped`), when);
    const top = await told(here, 'top', '--json');
    assert.match(top.stderr, /no server serves this data directory; start one with/, when);
    assert.equal(top.code, 1);
    if (when === 'after a kill') await (await here.serve()).kill('SIGTERM');
  }
  const before = (await other.pool()).dispensed;
  const taken = await told(here, 'dispense', 'pet', '--count', '3');
  assert.equal(taken.lines.length, 3, taken.stderr);
  assert.equal((await other.pool()).dispensed, before);

  // A directory whose own server has not run yet.
  await told(here, 'backup', 'copy');
  const restored = join(here.path, 'restored');
  mkdirSync(restored, { mode: 0o700 });
  copyFileSync(join(here.data, 'sealing.key'), join(restored, 'sealing.key'));
  assert.equal((await told(here, 'restore', 'copy', '--data', restored)).code, 0);
  const fresh = await told(here, 'status', '--data', restored);
  assert.match(fresh.stdout, new RegExp(`no server, store in ${restored}: stopped`));
});
