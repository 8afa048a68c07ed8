/** What the command line finds of a running server: two files that come and go with it. */
import assert from 'node:assert/strict';
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
import { type ListensAt, OwnToken, readListensAt, readOwnToken } from '../../src/own-token.ts';
import { tokenHash } from '../../src/token.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const AT: ListensAt = { url: 'http://127.0.0.1:5057', certificate: null };

test('whoever can read the file has the token, until it is removed', () => {
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

test('where it listens is told by the directory itself, and by no copy of it', () => {
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
