import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  Anchor,
  anchorNames,
  anchorPath,
  FIRST_ANCHOR,
  makeAnchor,
  newAnchorName,
  replaceAnchors,
  retiredAnchor,
} from '../../src/disk/anchor.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

let directories = 0;

/** The name of a database in a directory of its own. */
function newPlace(): string {
  const directory = join(root, `${directories++}`);
  mkdirSync(directory);
  return join(directory, 'store.db');
}

test('names are random, and none is that of the first or a retired anchor', () => {
  const names = Array.from({ length: 100 }, newAnchorName);
  assert.equal(new Set(names).size, 100);
  for (const name of names) assert.match(name, /^[0-9a-f]{32}$/);
  for (const name of [FIRST_ANCHOR, retiredAnchor('0123456789abcdef')]) {
    assert.match(name, /^[0-9a-f]{32}$/);
    assert.ok(!names.includes(name));
  }
});

test('only files that are named as an anchor of this database are its anchors', () => {
  const storeFile = newPlace();
  const [name, other] = [newAnchorName(), newAnchorName()];
  assert.deepEqual(anchorNames(storeFile), []);
  makeAnchor(storeFile, name);
  assert.deepEqual(anchorNames(storeFile), [name]);
  for (const file of [
    'store.db',
    'store.db-wal',
    `store.db-anchor-${other.slice(1)}`,
    `store.db-anchor-${other}0`,
    `store.db-anchor-${other.slice(1)}G`,
    `other.db-anchor-${other}`,
    `x-store.db-anchor-${other}`,
  ]) {
    writeFileSync(join(storeFile, '..', file), '');
  }
  assert.deepEqual(anchorNames(storeFile), [name]);
  makeAnchor(storeFile, other);
  assert.deepEqual(anchorNames(storeFile).sort(), [name, other].sort());
});

test('a new anchor is empty, for this user alone, and takes no file for itself', () => {
  const storeFile = newPlace();
  makeAnchor(storeFile, FIRST_ANCHOR);
  const { size, mode } = statSync(anchorPath(storeFile, FIRST_ANCHOR));
  assert.deepEqual([size, mode & 0o777], [0, 0o600]);
  assert.throws(() => makeAnchor(storeFile, FIRST_ANCHOR), { code: 'EEXIST' });
});

test('all anchors are replaced by one new file', () => {
  const storeFile = newPlace();
  const [old, name] = [newAnchorName(), newAnchorName()];
  for (const one of [FIRST_ANCHOR, old]) makeAnchor(storeFile, one);
  replaceAnchors(storeFile, name);
  assert.deepEqual(anchorNames(storeFile), [name]);
  // One of the same name is another file all the same.
  writeFileSync(anchorPath(storeFile, name), 'old');
  replaceAnchors(storeFile, name);
  assert.equal(statSync(anchorPath(storeFile, name)).size, 0);
});

test('an anchor that is renamed is the same file, and there is no other', () => {
  const storeFile = newPlace();
  makeAnchor(storeFile, FIRST_ANCHOR);
  const { ino } = statSync(anchorPath(storeFile, FIRST_ANCHOR));
  using anchor = new Anchor(storeFile, FIRST_ANCHOR);
  assert.deepEqual([anchor.name, anchor.isSynced], [FIRST_ANCHOR, true]);
  for (const name of [newAnchorName(), newAnchorName()]) {
    anchor.rename(name);
    assert.deepEqual([anchor.name, anchor.isSynced], [name, true]);
    assert.deepEqual(anchorNames(storeFile), [name]);
    assert.equal(statSync(anchorPath(storeFile, name)).ino, ino);
  }
  anchor.rename(anchor.name);
  assert.deepEqual(anchorNames(storeFile), [anchor.name]);
});

test('an anchor that cannot be renamed keeps its name, and can be renamed later', () => {
  const storeFile = newPlace();
  makeAnchor(storeFile, FIRST_ANCHOR);
  using anchor = new Anchor(storeFile, FIRST_ANCHOR);
  const away = join(storeFile, '..', 'away');
  renameSync(anchorPath(storeFile, FIRST_ANCHOR), away);
  const name = newAnchorName();
  assert.throws(() => anchor.rename(name), { code: 'ENOENT' });
  assert.deepEqual([anchor.name, anchor.isSynced], [FIRST_ANCHOR, true]);
  renameSync(away, anchorPath(storeFile, FIRST_ANCHOR));
  anchor.rename(name);
  assert.deepEqual(anchorNames(storeFile), [name]);
});

/** Descriptors of this process that stand for a directory. */
function descriptorsOf(directory: string): number[] {
  const open = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === directory;
    } catch {
      return false; // that of the listing itself
    }
  });
  return open.map(Number);
}

const WITHOUT_PROC = process.platform === 'linux' ? false : 'no /proc to find a descriptor by';

test('a sync that fails is made up for by the next try, and the name stays', {
  skip: WITHOUT_PROC,
}, () => {
  const storeFile = newPlace();
  const directory = join(storeFile, '..');
  makeAnchor(storeFile, FIRST_ANCHOR);
  const before = new Set(descriptorsOf(directory));
  using anchor = new Anchor(storeFile, FIRST_ANCHOR);
  const [fd] = descriptorsOf(directory).filter((one) => !before.has(one));
  const name = newAnchorName();
  // What is synced is no file that can be: a real error of the system.
  closeSync(fd!);
  const other = openSync('/proc/self/status', 'r');
  assert.equal(other, fd, 'the lowest descriptor that is free');
  assert.throws(() => anchor.rename(name), { code: 'EINVAL' });
  assert.deepEqual([anchor.name, anchor.isSynced], [name, false]);
  assert.deepEqual(anchorNames(storeFile), [name], 'the rename itself is done');
  assert.throws(() => anchor.rename(name), { code: 'EINVAL' }, 'it is not synced by itself');
  assert.equal(anchor.isSynced, false);
  closeSync(other);
  assert.equal(openSync(directory, 'r'), fd);
  anchor.rename(name);
  assert.equal(anchor.isSynced, true);
});

test('an anchor lets its directory go', { skip: WITHOUT_PROC }, () => {
  const storeFile = newPlace();
  const directory = join(storeFile, '..');
  makeAnchor(storeFile, FIRST_ANCHOR);
  const anchor = new Anchor(storeFile, FIRST_ANCHOR);
  assert.equal(descriptorsOf(directory).length, 1);
  anchor[Symbol.dispose]();
  assert.deepEqual(descriptorsOf(directory), []);
});
