import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';
import { backupStore, receiveBackup } from '../../src/store/sqlite/backup.ts';
import { copyBackup } from '../../src/store/sqlite/backup-file.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));
const directory = join(root, 'data');
const backups = join(root, 'backups');
mkdirSync(backups);

/** The store in a backup, laid out as in a data directory. */
async function storeIn(backup: string): Promise<string> {
  const place = join(root, 'place');
  removeDirectory(place);
  mkdirSync(place);
  await copyBackup(backup, join(place, 'store.db'));
  return place;
}

const store = await openStoreIn(directory);
for (const keys of KEY_TYPES) {
  await store.definePool(poolNamed(keys, keys));
  await store.insert(hitsFor(keys, 6000, keys));
}
after(() => store.close());

test('a backup is one moment of a store to which others commit after each step', async () => {
  const path = join(backups, 'busy');
  const told: number[] = [];
  const writer = new DatabaseSync(join(directory, 'store.db'));
  const commit = writer.prepare('INSERT INTO counters VALUES (?, 1)');
  await backupStore(directory, path, {
    onProgress(done, total) {
      assert.ok(told.length < 100, 'it ends');
      told.push(done / total);
      commit.run(`step ${told.length}`);
    },
  });
  writer.close();
  assert.ok(told.length >= 3 && told.at(-1) === 1);
  assert.deepEqual(
    told.toSorted((one, other) => one - other),
    told,
    'it never began anew',
  );
  const place = await storeIn(path);
  checkStore(place);
  const counters = withDatabase(place, (db) =>
    db.prepare(`SELECT * FROM counters WHERE name <> 'own_time'`).all(),
  );
  assert.deepEqual(counters, []);
});

test('it is readable by its owner alone from the first byte, and its name comes last', async () => {
  const path = join(backups, 'modes');
  const modes = new Set<number>();
  await backupStore(directory, path, {
    onProgress() {
      const names = readdirSync(backups).filter((name) => name.startsWith('modes'));
      assert.equal(names.includes('modes'), false);
      for (const name of names) modes.add(statSync(join(backups, name)).mode & 0o777);
    },
  });
  assert.deepEqual([...modes], [0o600]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(path).nlink, 1);
  assert.ok(readdirSync(backups).every((name) => !name.includes('partial')));
});

test('a file that exists is kept, also one that comes while the store is copied', async () => {
  const path = join(backups, 'mine');
  writeFileSync(path, 'mine');
  await assert.rejects(backupStore(directory, path), { code: 'FILE_EXISTS' });
  const late = join(backups, 'late');
  const onProgress = () => writeFileSync(late, 'mine');
  await assert.rejects(backupStore(directory, late, { onProgress }), { code: 'FILE_EXISTS' });
  for (const file of [path, late]) assert.equal(readFileSync(file, 'latin1'), 'mine');
  assert.ok(readdirSync(backups).every((name) => !name.includes('partial')));
});

test('one that is ended leaves nothing', async () => {
  const before = readdirSync(backups);
  const controller = new AbortController();
  let steps = 0;
  const onProgress = () => {
    steps++;
    controller.abort(new Error('enough'));
  };
  const path = join(backups, 'ended');
  const options = { signal: controller.signal, onProgress };
  await assert.rejects(backupStore(directory, path, options), /enough/);
  assert.equal(steps, 1, 'no step is made after the signal');
  await assert.rejects(backupStore(directory, path, options), /enough/);
  assert.deepEqual(readdirSync(backups), before);
});

test('a store that is damaged makes no backup', async () => {
  const damaged = join(root, 'damaged');
  await (await openStoreIn(damaged)).close();
  withDatabase(damaged, (db) => db.exec('DELETE FROM meta'));
  const before = readdirSync(backups);
  await assert.rejects(backupStore(damaged, join(backups, 'damaged')), { code: 'STORE_CORRUPT' });
  assert.deepEqual(readdirSync(backups), before);
});

test('what cannot be read or written is named', async () => {
  await assert.rejects(backupStore(join(root, 'nothing'), join(backups, 'x')), {
    code: 'STORE_NOT_FOUND',
  });
  const path = join(root, 'nowhere', 'x');
  await assert.rejects(backupStore(directory, path), {
    code: 'FILE_NOT_WRITABLE',
    message: new RegExp(`^${path}: ENOENT`),
  });
});

/** As a connection brings it. */
async function* pieces(bytes: Uint8Array, error?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
  if (error !== undefined) throw error;
}

test('a backup that is received is complete or absent', async () => {
  const source = join(backups, 'sent');
  await backupStore(directory, source);
  const bytes = readFileSync(source);
  const path = join(backups, 'received');
  await receiveBackup(pieces(bytes), path);
  assert.deepEqual(readFileSync(path), bytes);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await assert.rejects(receiveBackup(pieces(bytes), path), { code: 'FILE_EXISTS' });

  const before = readdirSync(backups);
  const other = join(backups, 'other');
  const changed = Buffer.from(bytes);
  changed[12_345]! ^= 1;
  const broken = new Error('the connection broke');
  for (const [piece, reason] of [
    [pieces(bytes.subarray(0, -1)), { code: 'STORE_FOREIGN' }],
    [pieces(changed), { code: 'STORE_CORRUPT' }],
    [pieces(bytes, new VanityError('SERVER_UNREACHABLE', 'gone')), { code: 'SERVER_UNREACHABLE' }],
    [pieces(bytes, broken), broken],
  ] as const) {
    await assert.rejects(receiveBackup(piece, other), reason);
    assert.deepEqual(readdirSync(backups), before);
  }
  const signal = AbortSignal.abort(broken);
  await assert.rejects(receiveBackup(pieces(bytes), other, signal), broken);
  assert.deepEqual(readdirSync(backups), before);
});
