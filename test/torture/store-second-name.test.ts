/**
 * A second server that comes to the store of the first by a way around its lock file: the file is
 * deleted, or the database has a second name. It is refused, says what to do, and does no harm.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, linkSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { EASY_POOL, Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 120_000 };
const POOL = { ...EASY_POOL, target: 300, ready: 64 };

/** What a server says that does not start; one that does is stopped, and fails the test. */
async function refusal(workspace: Workspace, ...args: string[]): Promise<string> {
  const server = new Server(workspace, args);
  try {
    await assert.rejects(server.listening, 'two servers serve one store');
    assert.equal(await server.exited, 1, server.output);
    return server.output;
  } finally {
    await server.kill('SIGKILL');
  }
}

async function begin(): Promise<{ workspace: Workspace; server: Server }> {
  const workspace = new Workspace();
  workspace.configure([POOL], '[grinder]', 'threads = 1', 'priority = "normal"');
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= POOL.ready);
  return { workspace, server };
}

/** Everything that is left leaves, and nothing that left before is in it. */
async function assertNothingTwice(server: Server, before: readonly string[]): Promise<void> {
  const after: string[] = [];
  while (after.length < 2 * POOL.ready) {
    await server.until(({ available, ready }) => available + ready >= 10);
    after.push(...(await server.dispense(10)).map(({ address }) => address));
  }
  const all = [...before, ...after];
  assert.equal(new Set(all).size, all.length);
}

suite('a store with a second way in', { concurrency: 2 }, () => {
  test(
    'the lock file is deleted: a second server is refused, the first serves on',
    LIMIT,
    async () => {
      const { workspace, server } = await begin();
      await using _ = workspace;
      rmSync(join(workspace.data, 'lock'));
      const holder = new RegExp(`process ${server.process.pid} holds it.*DATA_IN_USE`);
      // The second of these finds a lock file that the first of them made.
      for (let attempt = 0; attempt < 2; attempt++) assert.match(await refusal(workspace), holder);
      const before = (await server.dispense(20)).map(({ address }) => address);
      assert.equal(await server.kill('SIGTERM'), 0, server.output);
      await assertNothingTwice(await workspace.serve(), before);
    },
  );

  test('the database is linked into a second directory: refused by both links', LIMIT, async () => {
    const { workspace, server } = await begin();
    await using _ = workspace;
    const other = join(workspace.path, 'other');
    const database = join(other, 'store.db');
    mkdirSync(other, { mode: 0o700 });
    copyFileSync(join(workspace.data, 'sealing.key'), join(other, 'sealing.key'));
    symlinkSync(join(workspace.data, 'store.db'), database);
    assert.match(await refusal(workspace, '--data', other), /symbolic link.*DATA_NOT_WRITABLE/);
    rmSync(database);
    linkSync(join(workspace.data, 'store.db'), database);
    assert.match(await refusal(workspace, '--data', other), /2 names.*DATA_NOT_WRITABLE/);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    // Its own name is one of two now.
    assert.match(await refusal(workspace), /2 names.*-samefile/);
    rmSync(database);
    await workspace.serve();
  });

  test('the directory is linked: it is one directory, by either name', LIMIT, async () => {
    const { workspace, server } = await begin();
    await using _ = workspace;
    const link = join(workspace.path, 'link');
    symlinkSync(workspace.data, link);
    assert.match(await refusal(workspace, '--data', link), /DATA_IN_USE/);
    const before = (await server.dispense(20)).map(({ address }) => address);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    await assertNothingTwice(await workspace.serve('--data', link), before);
  });

  test(
    'a snapshot of hard links after a kill: both are refused while there are two',
    LIMIT,
    async () => {
      const { workspace, server } = await begin();
      await using _ = workspace;
      const before = (await server.dispense(20)).map(({ address }) => address);
      await server.kill('SIGKILL');
      const snapshot = join(workspace.path, 'snapshot');
      assert.equal(spawnSync('cp', ['-al', workspace.data, snapshot]).status, 0);
      for (const args of [[], ['--data', snapshot]]) {
        assert.match(await refusal(workspace, ...args), /2 names.*DATA_NOT_WRITABLE/);
      }
      rmSync(snapshot, { recursive: true });
      await assertNothingTwice(await workspace.serve(), before);
    },
  );
});
