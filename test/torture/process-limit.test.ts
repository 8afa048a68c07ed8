/**
 * A server where the system gives no more threads: in a control group of its own, so that nothing else
 * of this machine counts.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { loadConfig } from '../../src/config/config.ts';
import { LastWarnings } from '../../src/last-warnings.ts';
import { Service } from '../../src/service/service.ts';
import { PROGRAM } from '../support/cli.ts';
import { keptLog } from '../support/grinding.ts';
import { noProcessLimit, ProcessLimit } from '../support/process-limit.ts';
import { EASY_POOL, type PoolFigures, type Server, Workspace } from '../support/server.ts';

const missing = noProcessLimit();
const LIMIT = { timeout: 300_000, ...(missing !== undefined && { skip: missing }) };
/** Of a process of Node.js, and of libuv's pool. */
const NODE = 6;
const POOL = 4;
/** Beside those: the store and one HTTP thread. */
const NEEDED = NODE + POOL + 2;
const ROUTES = [
  ['GET', '/v1/audit'],
  ['GET', '/v1/addresses/11111111111111111111111111111111'],
  ['POST', '/v1/backups'],
] as const;

/** What `vanitypool_unstarted_total` counts of one kind. */
async function unstarted(server: Server, what: string): Promise<number> {
  const { text } = await server.ask('GET', '/metrics');
  return Number(new RegExp(`unstarted_total\\{what="${what}"\\} (\\d+)`).exec(text)![1]);
}

test('a start that has too few threads is refused in one line with the figure', LIMIT, async () => {
  await using limit = new ProcessLimit();
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const [command, ...rest] = [...limit.launcher, PROGRAM, 'serve', '--port', '0'];
  const figure = `pids\\.max is %d with \\d+ in use`;
  for (const [most, told] of [
    // The program's own shell is one more while it looks.
    [NODE - 1, 'Node.js needs 6 threads, and '],
    [NODE + POOL - 1, "Node.js's pool of threads: 4 more threads are needed, and "],
    [NEEDED - 1, 'the server with http.threads = 1: 2 more threads are needed, and '],
  ] as const) {
    limit.set(most);
    const child = spawnSync(command!, rest, { cwd: workspace.path, encoding: 'utf8' });
    assert.equal(child.status, 1, child.stderr);
    const line = `^vanitypool: ${told}.*${figure.replace('%d', String(most))}.*\\n$`;
    assert.match(child.stderr, new RegExp(line));
  }
});

test(
  'with threads for requests alone it serves, and all else comes when there are more',
  LIMIT,
  async () => {
    await using limit = new ProcessLimit();
    await using workspace = new Workspace();
    workspace.configure([{ ...EASY_POOL, target: 300 }]);
    workspace.launcher = limit.launcher;
    // With as many threads of V8 as `NODE` counts.
    workspace.environment = { NODE_OPTIONS: '' };
    limit.set(NEEDED);
    const server = await workspace.serve('--threads', '2');
    const token = readFileSync(join(workspace.data, 'admin.token'), 'utf8');
    for (const [method, path] of [...ROUTES, ...ROUTES]) {
      const { status, body } = await server.ask(method, path, { token });
      assert.deepEqual([status, body.code], [503, 'STORE_UNAVAILABLE'], path);
      assert.match(body.detail, /: the system g(ives|ave) no reader thread/);
    }
    while ((await unstarted(server, 'grinder')) < 4) await sleep(50);
    while ((await unstarted(server, 'check')) < 2) await sleep(50);
    assert.ok((await unstarted(server, 'reader')) > 0);
    const { status } = await server.ask('GET', '/readyz');
    assert.notEqual(status, 200, 'the pool is empty, and no damage is reported');
    const told = new Set(server.log.map(({ msg }) => msg));
    for (const msg of [
      'the system allows too few threads for everything',
      'a grinder thread cannot be started; retrying',
      'a reader of the store cannot be started',
      'the store cannot be checked; retrying',
    ]) {
      assert.ok(told.has(msg), msg);
    }
    assert.ok(!told.has('the store fails'));

    limit.set('max');
    while ((await server.ask('GET', '/v1/pools/pet', { token })).body.stock < 300) await sleep(50);
    for (const [method, path] of ROUTES) {
      for (;;) {
        const { status } = await server.ask(method, path, { token });
        if (status !== 503) break;
        await sleep(100);
      }
    }
    const checks = await unstarted(server, 'check');
    await sleep(100);
    assert.equal(await unstarted(server, 'check'), checks);
    assert.equal(await server.kill('SIGTERM'), 0);
  },
);

test(
  'an HTTP thread that cannot be replaced is tried again while another serves',
  LIMIT,
  async () => {
    await using limit = new ProcessLimit();
    await using workspace = new Workspace();
    const file = workspace.configure([{ ...EASY_POOL, target: 300 }]);
    const threads: Worker[] = [];
    const watch = (worker: Worker) => {
      if (worker.threadName === 'http') threads.push(worker);
    };
    const { log, lines } = keptLog();
    process.on('worker', watch);
    process.env.XDG_STATE_HOME = workspace.state;
    const flags = { 'http.port': 0, 'http.threads': 2, 'grinder.threads': 0 };
    const config = loadConfig({ file, flags, cwd: workspace.path });
    const lastWarnings = new LastWarnings();
    await using service = await Service.start(config, {
      log,
      lastWarnings,
      isPretty: false,
      version: 'test',
    });
    const figures = async (): Promise<PoolFigures> => {
      const reply = await fetch(`${service.url}/v1/pools/pet`, {
        headers: { connection: 'close' },
      });
      return (await reply.json()) as PoolFigures;
    };
    const count = (msg: string) => lines.filter((line) => line.msg === msg).length;
    limit.enter();
    try {
      // One that dies younger ends the server.
      await sleep(1000);
      limit.set(1);
      await threads[0]!.terminate();
      while (count('an HTTP thread cannot be replaced; retrying') < 3) await sleep(20);
      assert.equal((await figures()).target, 300);
      limit.set('max');
      while (threads.length < 3) await sleep(20);
      assert.equal(count('an HTTP thread ended; it is replaced'), 1);
    } finally {
      limit.set('max');
      limit.leave();
      process.off('worker', watch);
    }
  },
);

test('a check that is under way ends with the process that started it', LIMIT, async () => {
  await using limit = new ProcessLimit();
  const entry = new URL('../support/checking-process.ts', import.meta.url).pathname;
  for (const by of ['system', 'thread']) {
    const [command, ...rest] = [...limit.launcher, process.execPath, entry, by];
    const parent = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(parent.stdout, 'data');
    assert.equal(limit.processes.length, 2);
    parent.kill('SIGKILL');
    while (limit.processes.length > 0) await sleep(20);
  }
});
