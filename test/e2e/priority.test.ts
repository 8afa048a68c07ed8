/**
 * The priorities of a real server's threads, as the system lists them: only grinder threads are ever
 * lowered, by as much as the stock allows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { kernelLevels } from '../../src/grinder/load-kernel.ts';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { loweredThreads } from '../support/grinding.ts';
import { type Server, Workspace } from '../support/server.ts';
import { openStoreIn } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

/** Not full soon: a hit takes 3,364 attempts. */
const POOL = { name: 'pet', suffix: 'tt', target: 2000 };
/** Enough for that target, so that no test waits for the 10 s after which an urgency falls. */
const STOCK = 300;
const AUTO = ['[grinder]', 'priority = "auto"'];
const MSG = 'grinder threads get another priority';
const canSee = process.platform === 'linux' && kernelLevels().length > 1;

/** Waits until the lowered threads are these; the test's own time limit ends it. */
async function lowered(server: Server, nices: readonly number[]): Promise<void> {
  while (canSee && loweredThreads(server.process.pid).join() !== nices.join()) await sleep(50);
}

function urgencies({ log }: Server): unknown[] {
  return log.filter(({ msg }) => msg === MSG).map(({ urgency }) => urgency);
}

/** A command that asks that server. */
function run({ url }: Server, { path }: Workspace, command: readonly string[]): Promise<Outcome> {
  return vanitypoolHere(command, { VANITYPOOL_HTTP__PORT: new URL(url).port }, path);
}

async function metric(server: Server, name: string): Promise<number[]> {
  const { text } = await server.ask('GET', '/metrics');
  const lines = text.matchAll(new RegExp(`^vanitypool_${name}(?:\\{.*\\})? (.*)$`, 'gm'));
  return [...lines].map(([, value]) => Number(value));
}

/** Before the server starts: a store in which these pools have that already. */
async function stock({ data }: Workspace, ...names: string[]): Promise<void> {
  await using store = await openStoreIn(data);
  for (const name of names) {
    await store.definePool({ ...poolNamed(name), suffix: POOL.suffix });
    await store.insert(hitsFor(name, STOCK));
  }
}

test('with stock no thread is above 15, and one gets nice 0 when a pool is about to run dry', {
  timeout: 300_000,
}, async () => {
  await using workspace = new Workspace();
  await stock(workspace, 'pet');
  workspace.configure([POOL], ...AUTO);
  const server = await workspace.serve('--threads', '2');
  await lowered(server, [15, 15]);
  assert.deepEqual(await metric(server, 'grinder_thread_nice'), [15, 15]);
  // What reads the store for others, and what waits for the disk, stays as it was.
  for (const command of [
    ['audit', '--json'],
    ['backup', 'today'],
  ]) {
    const { code, stderr } = await run(server, workspace, command);
    assert.equal(code, 0, stderr);
  }
  await lowered(server, [15, 15]);
  // Thousands an hour leave minutes of stock.
  await server.dispense(STOCK - 1);
  await lowered(server, [3]);
  assert.deepEqual(urgencies(server), ['dry']);
  assert.deepEqual(await metric(server, 'grinder_priority_changes_total'), [1]);
  assert.deepEqual(await metric(server, 'grinder_thread_nice'), [0, 3]);
  const shares = await metric(server, 'grinder_thread_share');
  assert.equal(shares.length, 2);
  assert.ok(
    shares.every((share) => share >= 0 && share <= 1),
    String(shares),
  );
  assert.equal(await server.kill('SIGTERM'), 0);
});

test('low_hours of a pool takes effect when it is changed', { timeout: 300_000 }, async () => {
  await using workspace = new Workspace();
  await stock(workspace, 'pet', 'more');
  workspace.configure([{ ...POOL, target: STOCK }], ...AUTO);
  const size = ['--suffix', POOL.suffix, '--target', `${POOL.target}`, '--low-hours', '0.01'];
  const made = await vanitypoolHere(['pool', 'create', 'more', ...size], {}, workspace.path);
  assert.equal(made.code, 0, made.stderr);
  const server = await workspace.serve('--threads', '1');
  await server.dispense(1, 'more');
  await lowered(server, [15]);
  // One a minute leaves hours of stock, and no year.
  const set = ['pool', 'set', 'more', '--low-hours', '8760', '--json'];
  const { code, stdout } = await run(server, workspace, set);
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).lowHours, 8760);
  await lowered(server, []);
  assert.deepEqual(urgencies(server), ['dry']);
  assert.equal(await server.kill('SIGTERM'), 0);
});

test('a server that was started lower stays there and says so', { timeout: 300_000 }, async () => {
  await using workspace = new Workspace();
  // Soon full: its threads get their orders at their start.
  workspace.configure([{ ...POOL, target: 5 }], ...AUTO);
  workspace.launcher = ['nice', '-n', '5'];
  const server = await workspace.serve('--threads', '2');
  await server.until(({ stock }) => stock > 0);
  const said = server.log.find(({ msg }) => msg.includes('started at a low priority'));
  assert.deepEqual([said?.level, said?.nice], ['warn', 5]);
  const nices = loweredThreads(server.process.pid);
  assert.ok(
    nices.every((nice) => nice === 5),
    String(nices),
  );
  assert.deepEqual(await metric(server, 'grinder_thread_nice'), [5, 5]);
  assert.equal(await server.kill('SIGTERM'), 0);
});
