/** What the command line finds of a running server: two files that come and go with it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FileLock, lockFile } from '../../src/disk/file-lock.ts';
import { isHeld, LOCK_FILE, STORE_FILE } from '../../src/disk/held.ts';
import { takeLockFile } from '../../src/disk/lock-file.ts';
import {
  type ListensAt,
  OwnToken,
  readListensAt,
  readOwnToken,
} from '../../src/service/own-token.ts';
import { holdDataDirectory } from '../../src/store/sqlite/data-directory.ts';
import { tokenHash } from '../../src/token.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LOCK_MODULE = new URL('../../src/disk/lock-file.ts', import.meta.url).href;
const AT: ListensAt = { url: 'http://127.0.0.1:5057', certificate: null };

test('any reader of the file has the token, until it is removed', () => {
  const directory = temporaryDirectory();
  const token = new OwnToken();
  token.remove();
  token.write(directory, AT);
  assert.deepEqual(tokenHash(readOwnToken(directory)!), token.hash);
  token.remove();
  assert.equal(readOwnToken(directory), undefined);
  removeDirectory(directory);
});

test('a file that cannot be removed keeps no server from stopping', () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'admin.token');
  const token = new OwnToken();
  token.write(directory, AT);
  rmSync(file);
  mkdirSync(file);
  token.remove();
  assert.ok(existsSync(file));
  const next = new OwnToken();
  assert.throws(() => next.write(directory, AT), { code: 'DATA_NOT_WRITABLE' });
  rmSync(file, { recursive: true });
  next.write(directory, AT);
  assert.deepEqual(tokenHash(readOwnToken(directory)!), next.hash);
  removeDirectory(directory);
});

test('the directory says where it listens, and no copy of it does', () => {
  const directory = temporaryDirectory();
  const copy = temporaryDirectory();
  const at: ListensAt = { url: 'https://[::]:7000', certificate: '/etc/cert.pem' };
  const server = new OwnToken();
  assert.equal(readListensAt(directory), undefined);
  server.write(directory, at);
  assert.deepEqual(readListensAt(directory), at);
  assert.equal(statSync(join(directory, 'server.json')).mode & 0o777, 0o600);
  cpSync(directory, copy, { recursive: true });
  assert.equal(readListensAt(copy), undefined);
  const moved = `${directory}-moved`;
  renameSync(directory, moved);
  assert.deepEqual(readListensAt(moved), at, 'it is the same directory by another name');
  renameSync(moved, directory);
  new OwnToken().write(directory, AT);
  assert.deepEqual(readListensAt(directory), AT, 'what a kill has left is replaced');
  for (const text of ['', '{', 'null', '[]', '{"url":"http://127.0.0.1:1"}']) {
    writeFileSync(join(directory, 'server.json'), text);
    assert.equal(readListensAt(directory), undefined, text);
  }
  server.remove();
  assert.deepEqual(readdirSync(directory), []);
  removeDirectory(directory);
  removeDirectory(copy);
});

test('it counts while somebody holds the directory', () => {
  const directory = temporaryDirectory();
  new OwnToken().write(directory, AT);
  const held = holdDataDirectory(directory, true);
  assert.deepEqual(readListensAt(directory), AT);
  held[Symbol.dispose]();
  assert.equal(readListensAt(directory), undefined, 'its server was killed');
  for (const name of [STORE_FILE, LOCK_FILE]) {
    const path = join(directory, name);
    rmSync(path);
    assert.equal(isHeld(directory), name === STORE_FILE ? false : undefined);
  }
  removeDirectory(directory);
});

test('either lock says that the directory is held, and to look takes none', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => removeDirectory(directory));
  const [lock, store] = [LOCK_FILE, STORE_FILE].map((name) => join(directory, name));
  writeFileSync(store!, '');
  const ofStore = lockFile(store!) as FileLock;
  assert.equal(isHeld(directory), true);
  ofStore[Symbol.dispose]();
  // In another process: to close a file drops the locks of SQLite that this one has on it.
  const program = `
    import { takeLockFile } from ${JSON.stringify(LOCK_MODULE)};
    globalThis.lock = takeLockFile(process.argv[1]);
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', program, lock!]);
  t.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  for (let times = 0; times < 3; times++) assert.equal(isHeld(directory), true);
  assert.equal(takeLockFile(lock!), undefined);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(isHeld(directory), false);
});
