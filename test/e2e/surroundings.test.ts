/**
 * Odd surroundings of a start: a working directory that is removed, a Node.js that is set to forbid
 * things, and a
 * home directory that no shell has put in its place. Each is reported in one line, and nothing is made.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROGRAM, vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
/** Runs the rest of its arguments where its first one was. */
const REMOVED = 'mkdir "$1" && cd "$1" && rmdir "$1" && shift && exec "$@"';

/** What the program itself says: a shell complains of such a directory, too. */
function said(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !/getcwd|uv_cwd/.test(line));
}

test(
  'a start in a directory that was removed is reported, whatever paths it is given',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    const file = workspace.configure([EASY_POOL]);
    const absolute = ['--config', file, '--data', workspace.data];
    for (const args of [
      ['serve', '--port', '0', ...absolute],
      ['serve'],
      ['status', ...absolute],
      ['estimate', '--suffix', 'pet'],
      ['grind', '--suffix', 'a', '--out', workspace.path],
    ]) {
      const gone = join(workspace.path, 'gone');
      const run = ['-c', REMOVED, 'sh', gone, PROGRAM, ...args];
      const { code, stderr } = await vanitypool(run, { program: 'sh', cwd: workspace.path });
      assert.equal(code, 2, stderr);
      const line = /^vanitypool: the working directory was removed; .*: cd \/ \(USAGE_INVALID\)$/;
      assert.equal(said(stderr).length, 1, stderr);
      assert.match(said(stderr)[0]!, line);
    }
    assert.ok(!existsSync(workspace.data));
  },
);

test('a server whose working directory is removed goes on, and starts threads', LIMIT, async () => {
  await using workspace = new Workspace();
  const file = workspace.configure([EASY_POOL]);
  const here = join(workspace.path, 'here');
  mkdirSync(here);
  workspace.launcher = ['sh', '-c', 'cd "$0" && exec "$@"', here];
  const server = await workspace.serve('--config', file, '--data', workspace.data);
  await server.until(({ ready }) => ready > 0);
  await server.dispense();
  rmdirSync(here);
  const token = readFileSync(join(workspace.data, 'admin.token'), 'latin1').trim();
  // Read by a thread that starts when it is first asked for.
  const { status, text } = await server.ask('GET', '/v1/audit', { token });
  assert.equal(status, 200, text);
  assert.equal(await server.kill('SIGTERM'), 0, server.output);
});

test('a Node.js that forbids things by NODE_OPTIONS is refused in one line', LIMIT, async () => {
  await using workspace = new Workspace();
  const all = '--allow-fs-read=* --allow-fs-write=* --allow-worker --allow-addons';
  for (const NODE_OPTIONS of ['--permission', `--no-warnings --permission ${all}`]) {
    for (const args of [['serve', '--port', '0'], ['status']]) {
      const { code, stderr } = await vanitypool(args, {
        cwd: workspace.path,
        env: { NODE_OPTIONS },
      });
      const lines = stderr
        .trimEnd()
        .split('\n')
        .filter((line) => !/^\(/.test(line));
      assert.deepEqual([code, lines.length], [1, 1], stderr);
      assert.match(lines[0]!, /^vanitypool: NODE_OPTIONS has --permission, .*; take it out$/);
    }
  }
  assert.ok(!existsSync(workspace.data));
  const fine = { NODE_OPTIONS: '--no-warnings --title=permission' };
  const { code, stderr } = await vanitypool(['estimate', '--suffix', 'pet'], { env: fine });
  assert.equal(code, 0, stderr);
});

test('a "~" that no shell has read is refused, and no directory gets its name', LIMIT, async () => {
  await using workspace = new Workspace();
  const { path: cwd } = workspace;
  const tell = async (args: readonly string[], env: Record<string, string> = {}) => {
    const { code, stderr } = await vanitypoolHere(args, env, cwd);
    assert.equal(code, 2, stderr);
    assert.ok(!existsSync(join(cwd, '~')));
    return stderr;
  };
  const key = { VANITYPOOL_STORE__URL: 'file:~/x' };
  assert.match(
    await tell(['serve'], key),
    /STORE__URL: this value is not allowed; .*home directory/,
  );
  const sealing = { VANITYPOOL_STORE__SEALING_KEY: 'file:~/x' };
  assert.match(await tell(['serve'], sealing), /SEALING_KEY: this value is not allowed; .*home/);
  const host = { VANITYPOOL_HTTP__HOST: 'unix:~/x' };
  assert.match(await tell(['serve'], host), /HTTP__HOST: "unix:~\/x" .*home/);
  for (const args of [
    ['serve', '--data=~/x'],
    ['serve', '--data', '~'],
    ['status', '--config=~/x'],
    ['grind', '--suffix', 'a', '--out=~/keys'],
    ['export', '--pool', 'pet', '--count', '1', '--out=~/keys'],
    ['restore', 'a.backup', '--dispensed=~/left.list'],
    ['adopt', '--moved', '--from=~/old'],
  ]) {
    const option = args
      .find((arg) => arg.includes('~'))!
      .split('=')
      .at(-1)!;
    const line = await tell(args);
    assert.ok(line.includes(`"${option}": it stands for no home directory here`), line);
  }
  workspace.configure([EASY_POOL], '[store]', 'url = "file:./~/x"');
  const server = await workspace.serve();
  assert.ok(existsSync(join(cwd, '~', 'x', 'store.db')), 'it is a name like others');
  assert.equal(await server.kill('SIGTERM'), 0);
});
