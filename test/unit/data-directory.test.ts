import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { networkFileSystem } from '../../src/disk/network.ts';
import { VanityError } from '../../src/errors.ts';
import { holdDataDirectory, holdWithoutStore } from '../../src/store/sqlite/data-directory.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const MODULE = new URL('../../src/store/sqlite/data-directory.ts', import.meta.url).href;
const root = temporaryDirectory();
after(() => removeDirectory(root));

let directories = 0;
const newPath = () => join(root, `data-${directories++}`);
const modeOf = (path: string) => statSync(path).mode & 0o777;

const refused = (code: string, ...words: string[]) => {
  return (error: unknown) =>
    error instanceof VanityError &&
    error.code === code &&
    words.every((word) => error.message.includes(word));
};

test('a directory is made with its parents, open to nobody else', () => {
  const path = join(newPath(), 'in', 'side');
  using held = holdDataDirectory(path, true);
  assert.equal(modeOf(path), 0o700);
  assert.equal(held.storeFile, join(path, 'store.db'));
  for (const name of readdirSync(path)) assert.equal(modeOf(join(path, name)), 0o600, name);
  assert.deepEqual(readdirSync(path).sort(), ['lock', 'lock.pid', 'store.db']);
});

test('a directory is held once, by whatever thread or process, until it is let go', () => {
  const path = newPath();
  const held = holdDataDirectory(path, true);
  for (let attempt = 0; attempt < 3; attempt++) {
    assert.throws(
      () => holdDataDirectory(path, true),
      refused('DATA_IN_USE', path, String(process.pid)),
    );
  }
  held[Symbol.dispose]();
  assert.ok(!existsSync(join(path, 'lock.pid')));
  holdDataDirectory(path, true)[Symbol.dispose]();
});

/** A process that tries to hold `path` for ever, and says 'held' or the code of the error. */
function holdElsewhere(t: TestContext, path: string): ChildProcessWithoutNullStreams {
  const program = `
    import { holdDataDirectory } from ${JSON.stringify(MODULE)};
    try {
      globalThis.held = holdDataDirectory(process.argv[1], true);
      console.log('held');
      setInterval(() => {}, 1000);
    } catch (error) {
      console.log(error.code);
    }`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program, path]);
  t.after(() => child.kill('SIGKILL'));
  return child;
}

test('what is refused in this process does not loosen its hold', async (t) => {
  const path = newPath();
  using held = holdDataDirectory(path, true);
  assert.throws(() => holdDataDirectory(path, true), refused('DATA_IN_USE'));
  const [word] = await once(holdElsewhere(t, path).stdout, 'data');
  assert.equal(String(word), 'DATA_IN_USE\n');
  assert.ok(held);
});

test('a directory that another process holds is named with that process, and free when it dies', async (t) => {
  const path = newPath();
  const holder = holdElsewhere(t, path);
  await once(holder.stdout, 'data');
  assert.throws(() => holdDataDirectory(path, true), refused('DATA_IN_USE', String(holder.pid)));
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  using held = holdDataDirectory(path, true);
  assert.equal(readFileSync(join(path, 'lock.pid'), 'latin1'), `${process.pid}\n`);
  assert.ok(held);
});

test('it is let go also where the file that names its holder cannot be removed', () => {
  const path = newPath();
  const held = holdDataDirectory(path, true);
  const holder = join(path, 'lock.pid');
  rmSync(holder);
  mkdirSync(holder);
  held[Symbol.dispose]();
  rmSync(holder, { recursive: true });
  using again = holdDataDirectory(path, false);
  assert.ok(existsSync(again.storeFile));
});

test('without create nothing is made where there is no store', () => {
  const missing = newPath();
  assert.throws(() => holdDataDirectory(missing, false), refused('STORE_NOT_FOUND', missing));
  assert.ok(!existsSync(missing));
  const empty = newPath();
  mkdirSync(empty, { mode: 0o755 });
  assert.throws(() => holdDataDirectory(empty, false), refused('STORE_NOT_FOUND', empty));
  assert.deepEqual(readdirSync(empty), []);
  assert.equal(modeOf(empty), 0o755);
});

test('a directory that others can enter is closed if it is empty or holds a store', () => {
  const path = newPath();
  mkdirSync(path);
  chmodSync(path, 0o755);
  holdDataDirectory(path, true)[Symbol.dispose]();
  assert.equal(modeOf(path), 0o700);
  chmodSync(path, 0o770);
  holdDataDirectory(path, false)[Symbol.dispose]();
  assert.equal(modeOf(path), 0o700);
});

test('a directory of other things that others can enter is refused and left alone', () => {
  const path = newPath();
  mkdirSync(path);
  chmodSync(path, 0o755);
  writeFileSync(join(path, 'notes.txt'), '');
  assert.throws(
    () => holdDataDirectory(path, true),
    refused('DATA_NOT_WRITABLE', `chmod 700 ${path}`),
  );
  assert.equal(modeOf(path), 0o755);
  assert.deepEqual(readdirSync(path), ['notes.txt']);
  chmodSync(path, 0o700);
  holdDataDirectory(path, true)[Symbol.dispose]();
});

test('what is no directory, or cannot be made, is refused with its path', () => {
  const file = newPath();
  writeFileSync(file, '');
  assert.throws(
    () => holdDataDirectory(file, true),
    refused('DATA_NOT_WRITABLE', file, 'not a directory'),
  );
  const below = join(file, 'data');
  assert.throws(() => holdDataDirectory(below, true), refused('DATA_NOT_WRITABLE', below));
});

test('a lock file that is something else is kept, and the start refused', () => {
  const path = newPath();
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(
    join(path, 'lock'),
    'this is no database, but long enough to look like one'.repeat(9),
  );
  const before = readFileSync(join(path, 'lock'));
  assert.throws(() => holdDataDirectory(path, true), refused('STORE_FOREIGN', join(path, 'lock')));
  assert.deepEqual(readFileSync(join(path, 'lock')), before);
});

test('network file systems are known by their type, local ones are none', () => {
  const types = { NFS: 0x6969, SMB: 0xfe534d42, CIFS: 0xff534d42, FUSE: 0x65735546 };
  for (const [name, type] of Object.entries(types)) assert.equal(networkFileSystem(type), name);
  const local = { ext4: 0xef53, xfs: 0x58465342, btrfs: 0x9123683e, tmpfs: 0x01021994 };
  for (const [name, type] of Object.entries(local)) {
    assert.equal(networkFileSystem(type), undefined, name);
  }
});

test('a deleted lock file lets nobody in: the database is locked itself', async (t) => {
  const path = newPath();
  const holder = holdElsewhere(t, path);
  await once(holder.stdout, 'data');
  for (const hold of [() => holdDataDirectory(path, true), () => holdWithoutStore(path)]) {
    rmSync(join(path, 'lock'));
    assert.throws(hold, refused('DATA_IN_USE', path, String(holder.pid)));
    // Who was refused is not named as the holder.
    assert.equal(readFileSync(join(path, 'lock.pid'), 'latin1'), `${holder.pid}\n`);
    // The second time it is a lock file of its own, and nobody has it.
    assert.throws(hold, refused('DATA_IN_USE', path, String(holder.pid)));
  }
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  using held = holdDataDirectory(path, true);
  assert.ok(held.storeLock !== undefined);
});

test('the database is free again once it is let go, and was none without a store', () => {
  const path = newPath();
  const without = holdWithoutStore(path);
  assert.equal(without.storeLock, undefined);
  without[Symbol.dispose]();
  for (let time = 0; time < 2; time++) {
    const held = holdDataDirectory(path, true);
    assert.ok(held.storeLock !== undefined);
    assert.equal(
      statSync(`/proc/self/fd/${held.storeLock.file}`).ino,
      statSync(held.storeFile).ino,
    );
    held[Symbol.dispose]();
  }
});

for (const name of ['store.db', 'store.db-wal', 'store.db-shm']) {
  test(`a ${name} of two names is refused, and nothing is made or changed`, () => {
    const path = newPath();
    holdDataDirectory(path, true)[Symbol.dispose]();
    rmSync(join(path, 'lock'));
    writeFileSync(join(path, name), '');
    chmodSync(path, 0o750);
    linkSync(join(path, name), join(root, `linked-${name}`));
    const before = readdirSync(path);
    const message = new RegExp(`^${join(path, name)}: has 2 names`);
    for (const hold of [() => holdDataDirectory(path, true), () => holdWithoutStore(path)]) {
      assert.throws(hold, { code: 'DATA_NOT_WRITABLE', message });
    }
    assert.deepEqual(readdirSync(path), before);
    assert.equal(modeOf(path), 0o750);
    rmSync(join(root, `linked-${name}`));
    holdDataDirectory(path, true)[Symbol.dispose]();
  });
}

test('a database that is a symbolic link is refused, also one that leads nowhere', () => {
  const [path, other] = [newPath(), newPath()];
  holdDataDirectory(other, true)[Symbol.dispose]();
  mkdirSync(path, { mode: 0o700 });
  for (const target of [join(other, 'store.db'), join(root, 'nowhere')]) {
    symlinkSync(target, join(path, 'store.db'));
    const words = [join(path, 'store.db'), 'symbolic link'];
    assert.throws(() => holdDataDirectory(path, true), refused('DATA_NOT_WRITABLE', ...words));
    assert.deepEqual(readdirSync(path), ['store.db']);
    rmSync(join(path, 'store.db'));
  }
  assert.ok(!existsSync(join(root, 'nowhere')));
});

test('a directory that is a symbolic link is the one that it leads to', () => {
  const [path, link] = [newPath(), newPath()];
  mkdirSync(path, { mode: 0o700 });
  symlinkSync(path, link);
  const held = holdDataDirectory(link, true);
  assert.throws(() => holdDataDirectory(path, true), refused('DATA_IN_USE'));
  held[Symbol.dispose]();
  holdDataDirectory(path, false)[Symbol.dispose]();
});

test('without the addon the directory is held by its lock file, and says so', () => {
  const checkout = newPath();
  const source = fileURLToPath(new URL('../../src/', import.meta.url));
  cpSync(source, join(checkout, 'src'), { recursive: true });
  writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
  const program = `
    import { holdDataDirectory } from ${JSON.stringify(join(checkout, 'src/store/sqlite/data-directory.ts'))};
    const held = holdDataDirectory(process.argv[1], true);
    let second = 'held twice';
    try { holdDataDirectory(process.argv[1], true); } catch ({ code }) { second = code; }
    console.log(held.storeLock, second);`;
  const args = ['--input-type=module', '--eval', program, newPath()];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(stdout, 'undefined DATA_IN_USE\n', stderr);
});
