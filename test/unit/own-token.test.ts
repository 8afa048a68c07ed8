/** The token of a running server, as a file that comes and goes with it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OwnToken, readOwnToken } from '../../src/own-token.ts';
import { tokenHash } from '../../src/token.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

test('whoever can read the file has the token, until it is removed', () => {
  const directory = temporaryDirectory();
  const token = new OwnToken();
  token.remove();
  token.write(directory);
  assert.deepEqual(tokenHash(readOwnToken(directory)!), token.hash);
  token.remove();
  assert.equal(readOwnToken(directory), undefined);
  removeDirectory(directory);
});

test('a file that cannot be removed keeps no server from stopping', () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'admin.token');
  const token = new OwnToken();
  token.write(directory);
  rmSync(file);
  mkdirSync(file);
  token.remove();
  assert.ok(existsSync(file));
  const next = new OwnToken();
  assert.throws(() => next.write(directory), { code: 'DATA_NOT_WRITABLE' });
  rmSync(file, { recursive: true });
  next.write(directory);
  assert.deepEqual(tokenHash(readOwnToken(directory)!), next.hash);
  removeDirectory(directory);
});
