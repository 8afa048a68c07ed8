import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertOwnFile } from '../../src/disk/file-guard.ts';
import { VanityError } from '../../src/errors.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

function refuses(path: string, ...words: string[]): void {
  assert.throws(
    () => assertOwnFile(path),
    (error) =>
      error instanceof VanityError &&
      error.code === 'DATA_NOT_WRITABLE' &&
      [path, ...words].every((word) => error.message.includes(word)),
  );
}

test('a file of one name is taken, and so is none', () => {
  const path = join(root, 'own');
  assertOwnFile(path);
  writeFileSync(path, '');
  assertOwnFile(path);
});

test('a hard link is refused by both names, until the other one that the message finds is removed', () => {
  const [path, other] = [join(root, 'linked'), join(root, 'other')];
  writeFileSync(path, '');
  linkSync(path, other);
  refuses(path, '2 names', `-samefile ${path}`);
  refuses(other, '2 names');
  const { stdout } = spawnSync('find', [root, '-xdev', '-samefile', path], { encoding: 'utf8' });
  assert.deepEqual(stdout.trim().split('\n').sort(), [path, other].sort());
  rmSync(other);
  assertOwnFile(path);
});

test('a symbolic link is refused, also one that leads nowhere', () => {
  const [path, dangling] = [join(root, 'symlink'), join(root, 'dangling')];
  writeFileSync(join(root, 'target'), '');
  symlinkSync(join(root, 'target'), path);
  symlinkSync(join(root, 'nowhere'), dangling);
  refuses(path, 'symbolic link', 'name the directory of that file');
  refuses(dangling, 'symbolic link');
  assertOwnFile(join(root, 'target'));
});

test('a file in a directory that is reached by a symbolic link is taken', () => {
  mkdirSync(join(root, 'directory'));
  writeFileSync(join(root, 'directory', 'file'), '');
  symlinkSync(join(root, 'directory'), join(root, 'link-to-directory'));
  assertOwnFile(join(root, 'link-to-directory', 'file'));
});

test('what is no file is refused', () => {
  const path = join(root, 'no-file');
  mkdirSync(path);
  refuses(path, 'is no file');
});
