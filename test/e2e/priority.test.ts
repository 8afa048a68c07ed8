/**
 * The priorities of a real server's threads, as the system lists them: only grinder threads are ever
 * lowered, by as much as the stock allows.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { kernelLevels } from '../../src/grinder/load-kernel.ts';
import { type RunOptions, vanitypool } from '../support/cli.ts';
import { loweredThreads } from '../support/grinding.ts';
import { type Server, Workspace } from '../support/server.ts';

/** Never full, and a hit takes 3,364 attempts. */
const POOL = { name: 'pet', suffix: 'tt', target: 100_000_000 };
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

/** For a command: that server is asked. */
function beside({ url }: Server, { path }: Workspace): RunOptions {
  return { cwd: path, env: { VANITYPOOL_HTTP__PORT: new URL(url).port } };
}

async function metric(server: Server, name: string): Promise<number[]> {
  const { text } = await server.ask('GET', '/metrics');
  const lines = text.matchAll(new RegExp(`^vanitypool_${name}(?:\\{.*\\})? (.*)$`, 'gm'));
  return [...lines].map(([, value]) => Number(value));
}

suite('the priority of the grinder', { concurrency: true }, () => {
  test('a pool that is about to run dry gets one thread at nice 0, one with stock none above 15', {
    timeout: 100_000,
  }, async () => {
    await using workspace = new Workspace();
    workspace.configure([POOL], ...AUTO);
    const server = await workspace.serve('--threads', '2');
    await lowered(server, [3]);
    assert.deepEqual(await metric(server, 'grinder_thread_nice'), [0, 3]);
    // One a minute leaves hours of stock.
    await server.until(({ available }) => available > 500);
    await server.dispense();
    await lowered(server, [15, 15]);
    // What reads the store for others, and what waits for the disk, stays as it was.
    for (const command of [
      ['audit', '--json'],
      ['backup', 'today'],
    ]) {
      const { code, stderr } = await vanitypool(command, beside(server, workspace));
      assert.equal(code, 0, stderr);
    }
    await lowered(server, [15, 15]);
    assert.deepEqual(urgencies(server), ['dry', 'stocked']);
    assert.deepEqual(await metric(server, 'grinder_priority_changes_total'), [2]);
    assert.deepEqual(await metric(server, 'grinder_thread_nice'), [15, 15]);
    const shares = await metric(server, 'grinder_thread_share');
    assert.equal(shares.length, 2);
    assert.ok(
      shares.every((share) => share >= 0 && share <= 1),
      String(shares),
    );
    assert.equal(await server.kill('SIGTERM'), 0);
  });

  test('low_hours of a pool takes effect when it is changed', { timeout: 100_000 }, async () => {
    await using workspace = new Workspace();
    workspace.configure([{ ...POOL, suffix: 't', target: 5 }], ...AUTO);
    const server = await workspace.serve('--threads', '1');
    await server.until(({ available, ready }) => available + ready >= 5);
    const pool = (...args: string[]) =>
      vanitypool(['pool', ...args, '--json'], beside(server, workspace));
    const size = ['--suffix', 'tt', '--target', '100000000', '--low-hours', '8760'];
    assert.equal((await pool('create', 'more', ...size)).code, 0);
    await server.until(({ available }) => available > 100, 'more');
    await server.dispense(1, 'more');
    await lowered(server, []);
    const { code, stdout } = await pool('set', 'more', '--low-hours', '0.01');
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).lowHours, 0.01);
    await lowered(server, [15]);
    assert.deepEqual(urgencies(server).slice(-2), ['dry', 'stocked']);
    assert.equal(await server.kill('SIGTERM'), 0);
  });

  test('a server that was started lower stays there and says so', { timeout: 60_000 }, async () => {
    await using workspace = new Workspace();
    // Soon full: its threads get their orders at their start.
    workspace.configure([{ ...POOL, target: 5 }], ...AUTO);
    workspace.launcher = ['nice', '-n', '5'];
    const server = await workspace.serve('--threads', '2');
    await server.until(({ available }) => available > 0);
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
});
