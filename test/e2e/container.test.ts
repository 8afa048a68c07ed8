/**
 * A server in a container: namespaces of its own, of processes and of memory, and a `/dev/shm` of
 * 64 MB that ends with it. The data directory stays, as a volume does.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Asking,
  assertIdentity,
  EASY_POOL,
  type Handed,
  Server,
  Workspace,
} from '../support/server.ts';
import { checkStore } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
/** Made anew for each process, which is killed with it. */
const containerWith = (memory: string) => [
  ...['unshare', '--pid', '--ipc', '--mount', '--fork', '--kill-child', 'sh', '-c'],
  `mount -t ${memory} memory /dev/shm && exec "$0" "$@"`,
];
const CONTAINER = containerWith('tmpfs -o size=64m');
const [command, ...args] = CONTAINER;
const isPossible = spawnSync(command!, [...args, 'true']).status === 0;
const POOLS = 16;

test('the end of a container burns nothing and forgets no key', LIMIT, async (t) => {
  if (!isPossible) return t.skip('only root may make namespaces');
  await using workspace = new Workspace();
  const more = Array.from({ length: POOLS - 1 }, (_, index) => ({
    ...EASY_POOL,
    name: `pool-${index}`,
    target: 1,
  }));
  workspace.configure([EASY_POOL, ...more]);
  workspace.launcher = CONTAINER;
  const handed: Handed[] = [];
  const keyed: Asking = { key: 'order-1', body: { count: 2 } };
  const replies: string[] = [];
  for (let life = 0; life < 3; life++) {
    const server = await workspace.serve();
    const [line] = server.log.filter(({ msg }) => msg === 'journals');
    const { place, directory, reason } = line!;
    assert.deepEqual([place, directory], ['data', join(workspace.data, 'journal')]);
    assert.match(String(reason), /not in the PID namespace of the host/);
    await server.until(({ ready }) => ready >= 256);
    replies.push((await server.ask('POST', '/v1/pools/pet/dispense', keyed)).text);
    const asking = server.drainBy(4, 3, handed);
    const before = handed.length;
    await server.until(() => handed.length > before + 100);
    const closed = once(server.process, 'close');
    await server.kill('SIGKILL');
    await Promise.all([asking, closed]);
  }
  const last = await workspace.serve();
  const figures = await last.pool();
  assertIdentity(figures);
  assert.equal(figures.burned, 0);
  assert.ok(figures.dispensed >= handed.length + 2);
  assert.equal(new Set(handed.map(({ address }) => address)).size, handed.length);
  assert.deepEqual(new Set(replies).size, 1, 'one reply to one key');
  const pools = await last.get<{ pools: unknown[] }>('/v1/pools');
  assert.equal(pools.pools.length, POOLS);
  const closed = once(last.process, 'close');
  await last.kill('SIGKILL');
  await closed;
  checkStore(workspace.data);
});

test('"memory" is taken in a container, too, and 16 pools fit into its 64 MB', LIMIT, async (t) => {
  if (!isPossible) return t.skip('only root may make namespaces');
  await using workspace = new Workspace();
  const pools = Array.from({ length: POOLS }, (_, index) => ({
    ...EASY_POOL,
    name: `pool-${index}`,
    target: 1,
  }));
  workspace.configure(pools, '[store]', 'journal = "memory"');
  workspace.launcher = CONTAINER;
  const server = await workspace.serve();
  const [line] = server.log.filter(({ msg }) => msg === 'journals');
  assert.equal(line!.place, 'memory');
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'warn'),
    [],
  );
  assert.equal(existsSync(join(workspace.data, 'journal')), false);
});

test('"memory" is refused where there is none that holds what is promised', LIMIT, async (t) => {
  if (!isPossible) return t.skip('only root may make namespaces');
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL], '[store]', 'journal = "memory"');
  workspace.launcher = containerWith('ramfs');
  const server = new Server(workspace, []);
  assert.equal(await server.exited, 2, server.output);
  assert.match(
    server.output,
    /store\.journal: "memory" cannot be had: \/dev\/shm is no memory-backed storage \(tmpfs\); allowed here: "auto" or "data" \(CONFIG_INVALID\)/,
  );
});
