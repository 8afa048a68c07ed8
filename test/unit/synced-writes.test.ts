import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory, writeNewFile } from '../../src/disk/synced-writes.ts';

test('every missing directory is made, for its owner alone', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(base, { recursive: true }));
  makeDirectory(join(base, 'a', 'b'));
  makeDirectory(join(base, 'a', 'b'));
  assert.equal(statSync(join(base, 'a')).mode & 0o777, 0o700);
  assert.equal(statSync(join(base, 'a', 'b')).mode & 0o777, 0o700);
  writeFileSync(join(base, 'file'), '');
  assert.throws(() => makeDirectory(join(base, 'file', 'c')), { code: 'ENOTDIR' });
});

test('a place where nothing can be made is an error and not a wait', () => {
  assert.throws(() => makeDirectory('/proc/nope/deeper'), { code: 'ENOENT' });
});

test("a new file is its owner's alone, and one that is there is kept", (t) => {
  const base = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(base, { recursive: true }));
  const path = join(base, 'new');
  writeNewFile(path, 'first');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.throws(() => writeNewFile(path, 'second'), { code: 'EEXIST' });
  assert.equal(readFileSync(path, 'utf8'), 'first');
});
