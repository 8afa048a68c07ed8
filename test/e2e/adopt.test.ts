import assert from 'node:assert/strict';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, type Handed, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

async function refusal(workspace: Workspace, ...args: string[]): Promise<string> {
  const all = ['serve', '--port', '0', ...args];
  const { code, stderr } = await vanitypoolHere(all, {}, workspace.path);
  assert.equal(code, 1, stderr);
  return stderr;
}

test('a copy of a data directory is refused; the original serves on', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 400 }]);
  const first = await workspace.serve();
  await first.until(({ available, leased }) => available + leased >= 300);
  const handed: Handed[] = await first.dispense(50);
  await first.kill('SIGTERM');
  const copy = join(workspace.path, 'copy');
  cpSync(workspace.data, copy, { recursive: true, preserveTimestamps: true });
  assert.match(
    await refusal(workspace, '--data', copy),
    /adopt --moved.*adopt --restored.*DATA_MOVED/,
  );
  const original = await workspace.serve();
  await original.until(({ ready }) => ready >= 100);
  handed.push(...(await original.dispense(100)));
  assert.equal(new Set(handed.map(({ address }) => address)).size, 150);

  await t.test('what is adopted has to be said, and may not be in use', async () => {
    const run = (...args: string[]) => vanitypoolHere(['adopt', ...args], {}, workspace.path);
    assert.equal((await run()).code, 2);
    assert.equal((await run('--moved', '--restored')).code, 2);
    assert.match((await run('--moved', '--data', 'nowhere')).stderr, /STORE_NOT_FOUND/);
    assert.match((await run('--restored')).stderr, /DATA_IN_USE/);
  });

  await t.test('a directory that was moved to another place keeps everything', async () => {
    assert.equal(await original.kill('SIGTERM'), 0);
    const elsewhere = join(workspace.path, 'elsewhere');
    cpSync(workspace.data, elsewhere, { recursive: true });
    rmSync(workspace.data, { recursive: true });
    const args = ['adopt', '--moved', '--data', 'elsewhere'];
    assert.equal((await vanitypoolHere(args, {}, workspace.path)).code, 0);
    // Under another name on the same disk it is still the same file.
    renameSync(elsewhere, workspace.data);
    const moved = await workspace.serve();
    const { dispensed, burned } = await moved.pool();
    assert.deepEqual([dispensed, burned], [150, 0]);
    await moved.kill('SIGTERM');
  });

  await t.test(
    'a backup that was put back burns what it holds, and goes on with new ids',
    async () => {
      rmSync(workspace.data, { recursive: true });
      cpSync(copy, workspace.data, { recursive: true });

      assert.match(await refusal(workspace), /DATA_MOVED/);
      const { code, stdout } = await vanitypool(['adopt', '--restored'], { cwd: workspace.path });
      assert.equal(code, 0);
      assert.match(stdout, /^adopted .*data\npool pet: \d+ burned\n$/);
      const restored = await workspace.serve();
      await restored.until(({ available, leased }) => available + leased >= 300);
      const { burned, dispensed } = await restored.pool();
      assert.equal(dispensed, 50, 'history is kept');
      assert.ok(burned >= 250);
      const next = await restored.dispense(250);
      const all = [...handed, ...next];
      assert.equal(new Set(all.map(({ address }) => address)).size, 400);
      const highest = Math.max(...handed.map(({ id }) => id));
      assert.ok(next.every(({ id }) => id > highest + 2 ** 31 && id < 2 ** 53));
    },
  );
});
