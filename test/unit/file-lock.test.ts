import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type FileLock, lockFile } from '../../src/disk/file-lock.ts';
import { FileSystem, KINDS } from '../support/file-systems.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const MODULE = new URL('../../src/disk/file-lock.ts', import.meta.url).href;
const root = temporaryDirectory();
after(() => removeDirectory(root));

let files = 0;
function newFile(): string {
  const path = join(root, `file-${files++}`);
  writeFileSync(path, '');
  return path;
}

function take(path: string): FileLock {
  const lock = lockFile(path);
  assert.ok(typeof lock === 'object', String(lock));
  return lock;
}

/** A process that tries to lock `path`, says what it got, and lives on. */
function spawnLocker(t: TestContext, path: string): ChildProcess {
  const program = `
    import { lockFile } from ${JSON.stringify(MODULE)};
    globalThis.lock = lockFile(process.argv[1]);
    console.log(typeof lock === 'object' ? 'locked' : lock);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, path]);
  t.after(() => child.kill('SIGKILL'));
  return child;
}

const said = async (child: ChildProcess) => String((await once(child.stdout!, 'data'))[0]).trim();

test('a file is locked once in a process, until the lock is let go', () => {
  const path = newFile();
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  const lock = take(path);
  for (let attempt = 0; attempt < 3; attempt++) assert.equal(lockFile(path), 'taken');
  lock[Symbol.dispose]();
  take(path)[Symbol.dispose]();
  assert.equal(open(), before, 'nothing is left open');
});

test('a file is locked once among processes, until the holder is killed', async (t) => {
  const path = newFile();
  const holder = spawnLocker(t, path);
  assert.equal(await said(holder), 'locked');
  assert.equal(lockFile(path), 'taken');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  using lock = take(path);
  assert.equal(await said(spawnLocker(t, path)), 'taken');
  assert.ok(lock);
});

test('what is looked at and refused in this process does not loosen its lock', async (t) => {
  const path = newFile();
  using lock = take(path);
  assert.equal(lockFile(path), 'taken');
  readFileSync(path);
  assert.equal(await said(spawnLocker(t, path)), 'taken');
  assert.ok(lock);
});

test('the lock is that of the file, whatever it is called', () => {
  const path = newFile();
  using lock = take(path);
  linkSync(path, `${path}-link`);
  assert.equal(lockFile(`${path}-link`), 'taken');
  rmSync(`${path}-link`);
  renameSync(path, `${path}-moved`);
  assert.equal(lockFile(`${path}-moved`), 'taken');
  assert.ok(lock);
});

test('a program that was started meanwhile has no part in it', async (t) => {
  const path = newFile();
  const lock = take(path);
  const child = spawn('sleep', ['60'], { stdio: 'inherit' });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  lock[Symbol.dispose]();
  take(path)[Symbol.dispose]();
  assert.equal(child.exitCode, null);
});

test('a thread that ends lets it go, one that closes it says nothing', async () => {
  const program = `
    import { lockFile } from ${JSON.stringify(MODULE)};
    import { workerData } from 'node:worker_threads';
    process.on('warning', (warning) => { throw warning; });
    const lock = lockFile(workerData.path);
    if (workerData.closes) lock[Symbol.dispose]();`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  for (const closes of [true, false]) {
    const path = newFile();
    const [code] = await once(new Worker(url, { workerData: { path, closes } }), 'exit');
    assert.equal(code, 0);
    take(path)[Symbol.dispose]();
  }
});

test('SQLite does not see it, and its own locks hold beside it', () => {
  const path = newFile();
  using lock = take(path);
  using db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE rows (row INTEGER); BEGIN IMMEDIATE');
  const program = `
    const db = new (require('node:sqlite').DatabaseSync)(process.argv[1], { timeout: 0 });
    try { db.exec('INSERT INTO rows VALUES (1)'); console.log('written'); } catch ({ errcode }) { console.log(errcode); }`;
  const elsewhere = () =>
    spawnSync(process.execPath, ['--eval', program, path], { encoding: 'utf8' }).stdout.trim();
  assert.equal(elsewhere(), '5');
  db.exec('COMMIT');
  assert.equal(elsewhere(), 'written');
  assert.equal(statSync(path).ino, statSync(`/proc/self/fd/${lock.file}`).ino);
});

test('what cannot be opened is an error of the system', () => {
  const path = newFile();
  symlinkSync(path, `${path}-symlink`);
  const failed = (code: string, at: string) => ({ code, path: at, syscall: 'open' });
  assert.throws(() => lockFile(`${path}-symlink`), failed('ELOOP', `${path}-symlink`));
  assert.throws(() => lockFile(`${path}-missing`), failed('ENOENT', `${path}-missing`));
  assert.throws(() => lockFile(root), failed('EISDIR', root));
});

test('without the addon there is no such lock', () => {
  const directory = join(root, 'checkout');
  const source = fileURLToPath(new URL('../../src/', import.meta.url));
  cpSync(source, join(directory, 'src'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  const program = `
    import { lockFile } from ${JSON.stringify(join(directory, 'src/disk/file-lock.ts'))};
    console.log(lockFile(process.argv[1]));`;
  const args = ['--input-type=module', '--eval', program, newFile()];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(stdout.trim(), 'unsupported');
});

for (const kind of KINDS) {
  test(`${kind}: a file is locked once`, async (t) => {
    const disk = FileSystem.for(t, kind);
    if (disk === undefined) return;
    const path = join(disk.path, 'file');
    writeFileSync(path, '');
    const lock = take(path);
    assert.equal(await said(spawnLocker(t, path)), 'taken');
    lock[Symbol.dispose]();
  });
}

test('overlay: a file of the layer below is locked once, whichever process opens it first', (t) => {
  const disk = FileSystem.for(t, 'overlay');
  if (disk === undefined) return;
  writeFileSync(join(disk.lower, 'file'), 'content');
  disk.remount();
  const path = join(disk.path, 'file');
  const lock = take(path);
  assert.equal(lockFile(path), 'taken');
  lock[Symbol.dispose]();
});
