/**
 * What people name as a file and is none: a link to nothing, a FIFO, a device that never ends, a directory.
 * Each command refuses it by its name in one line, waits for nobody, and makes nothing in its place.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeCertificate } from '../support/certificates.ts';
import { vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

/** How each is made, and what it is called. */
const KINDS: Readonly<Record<string, readonly [make: (path: string) => void, name: RegExp]>> = {
  'a link to nothing': [(path) => symlinkSync('nowhere', path), /a link that leads to nothing/],
  'a FIFO': [(path) => void execFileSync('mkfifo', [path]), /a FIFO; allowed: a regular file/],
  'a device': [(path) => symlinkSync('/dev/zero', path), /a device; allowed: a regular file/],
  'a directory': [(path) => mkdirSync(path), /a directory; allowed: a regular file/],
};

interface Use {
  readonly args: readonly string[];
  /** Below the workspace. */
  readonly file: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Of the error; what `verify` finds is no error, and its standard output says it. */
  readonly code?: string;
  /** It takes folders: one of no use is one without files. */
  readonly takesFolders?: true;
}

const SERVE = ['serve', '--port', '0'];
const TLS = { VANITYPOOL_HTTP__TLS_CERT: 'cert.pem', VANITYPOOL_HTTP__TLS_KEY: 'key.pem' };

const USES: readonly Use[] = [
  { args: SERVE, file: 'vanitypool.toml', code: 'CONFIG_UNREADABLE' },
  { args: ['status'], file: 'vanitypool.toml', code: 'CONFIG_UNREADABLE' },
  { args: [...SERVE, '--config', 'other.toml'], file: 'other.toml', code: 'CONFIG_UNREADABLE' },
  {
    args: SERVE,
    file: 'own.key',
    env: { VANITYPOOL_STORE__SEALING_KEY: 'file:own.key' },
    code: 'SEALING_KEY_INVALID',
  },
  { args: SERVE, file: 'cert.pem', env: TLS, code: 'CERTIFICATE_INVALID' },
  { args: SERVE, file: 'key.pem', env: TLS, code: 'CERTIFICATE_INVALID' },
  { args: ['verify', 'key.json'], file: 'key.json', takesFolders: true },
  {
    args: ['import', '--pool', 'pet', 'key.json'],
    file: 'key.json',
    code: 'KEY_FILE_INVALID',
    takesFolders: true,
  },
];

for (const [kind, [make, name]] of Object.entries(KINDS)) {
  test(`${kind} is refused by its name wherever a file is read`, LIMIT, async () => {
    for (const [index, { args, file, env = {}, code, takesFolders }] of USES.entries()) {
      await using workspace = new Workspace();
      const { cert, key } = makeCertificate('one');
      writeFileSync(join(workspace.path, 'cert.pem'), cert);
      writeFileSync(join(workspace.path, 'key.pem'), key, { mode: 0o600 });
      const path = join(workspace.path, file);
      rmSync(path, { force: true });
      make(path);
      const { path: cwd } = workspace;
      // One as a process: the others hold this one up if they wait.
      const ended = await (index === 0 && kind === 'a FIFO'
        ? vanitypool(args, { cwd, env })
        : vanitypoolHere(args, env, cwd));
      const what = `${args.join(' ')}: ${ended.stdout}${ended.stderr}`;
      assert.ok(ended.code === 1 || ended.code === 2, `exit code ${ended.code}: ${what}`);
      const line = lastLine(code === undefined ? ended.stdout : ended.stderr);
      assert.ok(line.includes(file), what);
      const isFolder = kind === 'a directory' && takesFolders;
      assert.match(line, isFolder ? /a folder without files/ : name, what);
      if (code !== undefined) assert.ok(line.endsWith(` (${code})`), what);
      if (code === 'CONFIG_UNREADABLE') assert.ok(!existsSync(workspace.data), 'nothing was made');
      assert.ok(!existsSync(join(workspace.data, 'sealing.key')), 'no key was made');
    }
  });
}

/** The others are lines of a log. */
function lastLine(text: string): string {
  const lines = text.trimEnd().split('\n');
  for (const line of lines.slice(0, -1)) JSON.parse(line);
  return lines.at(-1)!;
}

/** A workspace with a store, a backup of it and a list. */
async function stored(t: TestContext): Promise<Workspace> {
  const workspace = new Workspace();
  t.after(() => workspace[Symbol.asyncDispose]());
  workspace.configure([{ ...EASY_POOL, target: 5 }]);
  const server = await workspace.serve();
  await server.until(({ available, leased }) => available + leased >= 5);
  await server.kill('SIGTERM');
  const { path: cwd } = workspace;
  const backup = await vanitypoolHere(['backup', 'pool.backup'], {}, cwd);
  assert.equal(backup.code, 0, backup.stderr);
  const list = await vanitypoolHere(['audit', '--json'], {}, cwd);
  writeFileSync(join(cwd, 'left.list'), list.stdout);
  return workspace;
}

test(
  'files of a data directory, of a backup and of a list are regular ones too',
  LIMIT,
  async (t) => {
    const workspace = await stored(t);
    const { path: cwd, data } = workspace;
    const sealed = `file:${join(data, 'sealing.key')}`;
    for (const [kind, [make, name]] of Object.entries(KINDS)) {
      const tried = async (path: string, args: readonly string[], called: RegExp = name) => {
        rmSync(path, { force: true, recursive: true });
        make(path);
        const env = { VANITYPOOL_STORE__SEALING_KEY: sealed };
        const ended = await vanitypoolHere(args, env, cwd);
        rmSync(path, { force: true, recursive: true });
        const what = `${kind}, ${args.join(' ')}: ${ended.stderr}`;
        assert.equal(ended.code, 1, what);
        const line = lastLine(ended.stderr);
        assert.ok(line.includes(path), what);
        assert.match(line, called, what);
      };
      // Of a lock, SQLite or the server makes the file that it leads to; of a store, none is there.
      if (kind !== 'a link to nothing') {
        const odd = join(cwd, 'odd');
        mkdirSync(odd, { recursive: true, mode: 0o700 });
        for (const args of [['status'], ['audit'], ['backup', 'odd.backup'], ['pool', 'list']]) {
          await tried(join(odd, 'store.db'), [...args, '--data', odd]);
        }
        await tried(join(data, 'store.db-wal'), ['audit']);
        await tried(join(data, 'lock'), SERVE);
        await tried(join(data, 'lock.pid'), SERVE);
      }
      const dangling = kind === 'a link to nothing';
      const lost = join(cwd, 'lost.backup');
      const called = dangling ? /there is no such file/ : name;
      await tried(lost, ['restore', lost, '--data', join(cwd, 'new')], called);
      const list = join(cwd, 'other.list');
      const backup = join(cwd, 'pool.backup');
      await tried(list, ['restore', backup, '--dispensed', list, '--data', join(cwd, 'new')]);
      assert.ok(!existsSync(join(cwd, 'new', 'store.db')));
    }
    // Hints, which are passed over; the store is what counts.
    for (const file of ['server.json', 'admin.token', 'lock.pid']) {
      for (const [make] of Object.values(KINDS)) {
        const path = join(data, file);
        make(path);
        const { code, stderr } = await vanitypoolHere(['status'], {}, cwd);
        assert.equal(code, 0, `${file}: ${stderr}`);
        rmSync(path, { recursive: true });
      }
    }
  },
);

test('a link to a file is that file, and /dev/null is none', LIMIT, async () => {
  await using workspace = new Workspace();
  const { path: cwd } = workspace;
  const elsewhere = join(cwd, 'elsewhere', 'pool.toml');
  mkdirSync(dirname(elsewhere));
  writeFileSync(elsewhere, '[store]\nurl = "file:there"\n');
  symlinkSync(elsewhere, join(cwd, 'vanitypool.toml'));
  const at = async (...args: string[]) =>
    (await vanitypoolHere(['audit', ...args], {}, cwd)).stderr;
  assert.match(await at(), /\/there: .*no store/);
  assert.match(await at('--config', '/dev/null', '--data', 'here'), /\/here: .*no store/);
  rmSync(join(cwd, 'vanitypool.toml'));
  symlinkSync('/dev/null', join(cwd, 'vanitypool.toml'));
  assert.match(await at('--data', 'here'), /\/here: .*no store/);
  // A configuration file would say which directory is meant.
  const env = { VANITYPOOL_HTTP__PORT: '1' };
  for (const args of [['status'], ['status', '--config', '/dev/null']]) {
    assert.match(
      (await vanitypoolHere(args, env, cwd)).stderr,
      /127\.0\.0\.1:1: no server answers/,
    );
  }
});
