import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, suite, test } from 'node:test';
import {
  anchorNames,
  anchorPath,
  FIRST_ANCHOR,
  makeAnchor,
  newAnchorName,
  retiredAnchor,
} from '../../src/disk/anchor.ts';
import { formatIdentity, identityOf } from '../../src/disk/identity.ts';
import { placeName } from '../../src/disk/place.ts';
import { replaceWitness, witnessPath } from '../../src/disk/witness.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import {
  assertStanding,
  mixOf,
  numberInFile,
  type Recorded,
  recordedIn,
  type StandingOptions,
} from '../../src/store/sqlite/standing.ts';
import type { Store } from '../../src/store/store.ts';
import { copyOf, lossesSince, only, putBack, revert } from '../support/copies.ts';
import { FileSystem } from '../support/file-systems.ts';
import {
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

const SCHEMA_1 = new URL('../../src/store/sqlite/migrations/0001.sql', import.meta.url);

let directories = 0;
const newDirectory = () => join(root, `${directories++}`);
const storeIn = (directory: string) => join(directory, 'store.db');
const look = (directory: string, options: StandingOptions = {}) =>
  assertStanding(storeIn(directory), options);
const anchorIn = (directory: string) =>
  anchorPath(storeIn(directory), anchorNames(storeIn(directory))[0]!);

/** Opens the store, and lets `count` leave. */
async function opened(directory: string, count = 2): Promise<Store> {
  const store = await openStoreIn(directory);
  await store.definePool(poolNamed('pet'));
  await store.insert(hitsFor('pet', count));
  await turn(store, 'pet', 0, count);
  await turn(store, 'pet', count, 0);
  return store;
}

/** One that was served and closed. */
async function newStore(directory = newDirectory()): Promise<string> {
  await (await opened(directory)).close();
  return directory;
}

/** One whose server was killed: its log is there. */
async function killedStore(directory = newDirectory()): Promise<string> {
  const store = await opened(directory);
  const image = copyOf(directory);
  await store.close();
  revert(directory, image);
  return directory;
}

/** Another record of itself, as if it had always been so. */
function change(directory: string, sql: string, ...values: (string | null)[]): void {
  withDatabase(directory, (db) => db.prepare(sql).run(...values));
}

/** The look that a start takes; it changes nothing. */
function assertRefused(
  directory: string,
  message: RegExp,
  options: StandingOptions = {},
  code = 'DATA_MOVED',
): void {
  const before = copyOf(directory);
  assert.throws(() => look(directory, options), { code, message });
  assert.deepEqual(lossesSince(before, directory), [], 'a refused look changes no byte');
}

suite('the store as it was', () => {
  test('is found by its anchor, with what distinguishes it from copies, and is not changed', async () => {
    for (const directory of [await newStore(), await killedStore()]) {
      const before = copyOf(directory);
      for (let looks = 0; looks < 2; looks++) {
        const { anchor, place } = look(directory);
        assert.deepEqual([anchor], anchorNames(storeIn(directory)));
        assert.equal(place, formatIdentity(identityOf(storeIn(directory))));
      }
      assert.deepEqual(lossesSince(before, directory), []);
    }
  });

  test('knows whether its log has more than the file', async () => {
    assert.equal(look(await newStore()).isInFile, true);
    assert.equal(look(await killedStore()).isInFile, false);
  });

  test('under another name is the same', async () => {
    const directory = await killedStore();
    const elsewhere = newDirectory();
    renameSync(directory, elsewhere);
    look(elsewhere);
  });

  test('may be new: nothing, an empty file, or one that was made and not served', async () => {
    const directory = newDirectory();
    mkdirSync(directory);
    writeFileSync(storeIn(directory), '');
    assert.deepEqual([look(directory).anchor, look(directory).isInFile], [undefined, false]);
    makeAnchor(storeIn(directory), FIRST_ANCHOR);
    assert.equal(look(directory).anchor, FIRST_ANCHOR);
  });
});

suite('refused by the identity of files', () => {
  test('a copy of the directory', async () => {
    for (const directory of [await newStore(), await killedStore()]) {
      const copy = newDirectory();
      cpSync(directory, copy, { recursive: true, preserveTimestamps: true });
      assertRefused(copy, /copied or moved.*adopt --moved.*adopt --restored/);
      assertRefused(copy, /copied or moved/, { copies: 'unguarded' });
      look(directory);
    }
  });

  test('a copy of the database, or of the anchor, in its place', async () => {
    for (const [name, message] of [
      ['store.db', /copied or moved/],
      ['anchor', /its anchor \(.*\) is a copy/],
    ] as const) {
      const directory = await newStore();
      const path = name === 'anchor' ? anchorIn(directory) : storeIn(directory);
      cpSync(path, join(root, 'aside'));
      rmSync(path);
      cpSync(join(root, 'aside'), path);
      assertRefused(directory, message);
    }
  });

  test('a copy whose log holds nothing that is valid, which stays as it is', async () => {
    for (const log of [Buffer.alloc(0), Buffer.alloc(32, 7), Buffer.alloc(5000, 7)]) {
      const copy = newDirectory();
      cpSync(await newStore(), copy, { recursive: true });
      writeFileSync(`${storeIn(copy)}-wal`, log, { mode: 0o600 });
      assertRefused(copy, /copied or moved/);
      assert.deepEqual(readFileSync(`${storeIn(copy)}-wal`), log);
    }
  });

  test('what is recorded proves too little, and does not have to where nobody guards', async () => {
    const directory = await newStore();
    const { ino } = statSync(storeIn(directory));
    change(directory, 'UPDATE meta SET place = ?', `${ino}::`);
    assertRefused(directory, /copied or moved/);
    look(directory, { copies: 'unguarded' });
    for (const place of [`${ino + 1}::`, 'no identity']) {
      change(directory, 'UPDATE meta SET place = ?', place);
      assertRefused(directory, /copied or moved/, { copies: 'unguarded' });
    }
    const other = await newStore();
    change(other, 'UPDATE meta SET anchor_file = ?', `${statSync(anchorIn(other)).ino}::`);
    assertRefused(other, /is a copy/);
    look(other, { copies: 'unguarded' });
  });

  test('a file system that cannot detect a copy', async (t) => {
    const disk = FileSystem.for(t, 'ext3');
    if (disk === undefined) return;
    const directory = join(disk.path, 'data');
    await newStore(directory);
    assert.equal(spawnSync('chattr', ['-v', '0', storeIn(directory)]).status, 0);
    assertRefused(directory, /^store\.copies: .*"unguarded"/, {}, 'CONFIG_INVALID');
    // What is not known any more cannot be compared.
    look(directory, { copies: 'unguarded' });
  });
});

suite('refused by the name of the anchor', () => {
  test('an older state that was put back in place', async () => {
    const directory = await newStore();
    const older = only(copyOf(directory), (name) => name === 'store.db');
    await newStore(directory);
    putBack(directory, older, 'in place');
    assertRefused(directory, /older state of the store, put back/);
  });

  test('an older state that brought its anchor, and one with a second anchor', async () => {
    const directory = await newStore();
    const older = copyOf(directory);
    await newStore(directory);
    putBack(directory, older, 'in place');
    assert.equal(anchorNames(storeIn(directory)).length, 2);
    assertRefused(directory, /older state of the store, put back/);
  });

  test('no anchor', async () => {
    const directory = await newStore();
    rmSync(anchorIn(directory));
    assertRefused(directory, /its anchor \(.*\) is missing/);
  });

  test('the name before is accepted, and no other', async () => {
    const directory = await newStore();
    const { before } = recordedIn(storeIn(directory), 'with-log')!;
    renameSync(anchorIn(directory), anchorPath(storeIn(directory), before!));
    assert.equal(look(directory).anchor, before);
    renameSync(anchorIn(directory), anchorPath(storeIn(directory), FIRST_ANCHOR));
    assertRefused(directory, /put back/);
  });

  test('a store that was moved away', async () => {
    const directory = await newStore();
    renameSync(anchorIn(directory), anchorPath(storeIn(directory), retiredAnchor('0'.repeat(16))));
    assertRefused(directory, /moved away by "vanitypool adopt --moved --from"/);
  });

  test('what is left of a store whose database is gone keeps no new one from being made', async () => {
    const directory = await killedStore();
    truncateSync(storeIn(directory));
    assert.equal(look(directory).anchor, undefined);
    await (await openStoreIn(directory)).close();
    assert.equal(anchorNames(storeIn(directory)).length, 1, 'the old anchor is gone');
    await (await openStoreIn(directory)).close();
  });

  test('an anchor with a second name, and one that cannot be opened to write', async (t) => {
    const linked = await newStore();
    const link = join(root, 'link');
    spawnSync('ln', [anchorIn(linked), link]);
    assertRefused(linked, /hard links/, {}, 'DATA_NOT_WRITABLE');
    rmSync(link);
    const fixed = await newStore();
    const anchor = anchorIn(fixed);
    if (spawnSync('chattr', ['+i', anchor]).status !== 0) {
      t.skip('the anchor cannot be made immutable: not root, or a file system without `chattr +i`');
      return;
    }
    try {
      assertRefused(fixed, /-anchor-.*cannot be changed/, {}, 'DATA_NOT_WRITABLE');
    } finally {
      spawnSync('chattr', ['-i', anchor]);
    }
    look(fixed);
  });
});

suite('refused as a mix', () => {
  test('an old database under a newer log', async () => {
    const directory = await newStore();
    const old = only(copyOf(directory), (name) => name === 'store.db');
    await newStore(directory);
    await killedStore(directory);
    putBack(directory, old, 'in place');
    assertRefused(directory, /database is older than what its log .*put back/);
  });

  test('an old log over a newer database', async () => {
    const directory = newDirectory();
    const store = await opened(directory);
    await store.insert(hitsFor('pet', 1));
    const old = only(copyOf(directory), (name) => name === 'store.db-wal');
    await store.insert(hitsFor('pet', 1));
    // Nothing has left since, so that the anchor proves nothing; the file has all of it.
    await store.destroySecrets(ANY_AGE);
    await store.close();
    putBack(directory, old, 'as a new file');
    assertRefused(directory, /the log \(store\.db-wal\) is older than its database/);
  });

  test('by the numbers of both', () => {
    const recorded = { number: 9, logged: 5 } as Recorded;
    assert.match(mixOf(recorded, 4)!, /database is older/);
    for (const file of [5, 7, 9]) assert.equal(mixOf(recorded, file), undefined);
    assert.match(mixOf(recorded, 10)!, /log .* is older/);
  });
});

suite('refused by the witness', () => {
  const witness = join(root, 'witnesses');
  const pathOf = ({ storeId }: Recorded, place: string) =>
    witnessPath(witness, storeId, placeName(place));

  test('one that is ahead, and one that says that the store was moved away', async () => {
    const directory = await newStore();
    const recorded = recordedIn(storeIn(directory), 'with-log')!;
    const { number } = recorded;
    const path = pathOf(recorded, recorded.place!);
    for (const said of [number, number - 1]) {
      replaceWitness(path, { number: said, isMoved: false });
      look(directory, { witness });
    }
    replaceWitness(path, { number: number + 1, isMoved: false });
    assertRefused(directory, /older than what has left it \(witness: /, { witness });
    look(directory);
    replaceWitness(path, { number: 0, isMoved: true });
    assertRefused(directory, /moved away by "vanitypool adopt --moved"/, { witness });
    writeFileSync(path, 'nothing that can be read');
    look(directory, { witness });
  });

  test('a store of before its first start, put back over the one that was', async () => {
    const directory = await newStore();
    change(directory, 'UPDATE meta SET place = NULL, anchor = NULL, anchor_file = NULL');
    renameSync(anchorIn(directory), anchorPath(storeIn(directory), FIRST_ANCHOR));
    look(directory, { witness });
    const recorded = recordedIn(storeIn(directory), 'with-log')!;
    const here = formatIdentity(identityOf(storeIn(directory)));
    replaceWitness(pathOf(recorded, here), { number: recorded.number + 1, isMoved: false });
    assertRefused(directory, /older than what has left it/, { witness });
  });
});

suite('other files', () => {
  test('a backup, and databases of others and of later versions', async () => {
    const directory = await newStore();
    await backupStore(directory, join(root, 'backup'));
    const other = newDirectory();
    mkdirSync(other);
    cpSync(join(root, 'backup'), storeIn(other));
    assertRefused(other, /this is a backup.*vanitypool restore/);
    withDatabase(directory, (db) => db.exec('PRAGMA user_version = 99'));
    assertRefused(directory, /schema 99/, {}, 'STORE_NEWER');
    withDatabase(directory, (db) => db.exec('PRAGMA application_id = 7'));
    assertRefused(directory, /not a vanitypool store/, {}, 'STORE_FOREIGN');
  });

  test('a store of schema 1 gets an anchor; its copy is refused by what it recorded', async () => {
    for (const isPlaced of [false, true]) {
      const directory = newDirectory();
      mkdirSync(directory, { mode: 0o700 });
      const db = new DatabaseSync(storeIn(directory));
      db.exec('PRAGMA journal_mode = WAL');
      db.exec(readFileSync(SCHEMA_1, 'utf8'));
      db.exec('PRAGMA application_id = 0x56504f4c; PRAGMA user_version = 1');
      const { inode, birth } = identityOf(storeIn(directory));
      if (isPlaced) db.prepare('UPDATE meta SET place = ?').run(`${inode}:${birth}`);
      db.close();
      const { anchor, number, logged } = recordedIn(storeIn(directory), 'with-log')!;
      assert.deepEqual([anchor, number, logged], [null, 0, 0]);
      assert.equal(numberInFile(storeIn(directory)), 0);
      const copy = newDirectory();
      cpSync(directory, copy, { recursive: true });
      if (isPlaced) assertRefused(copy, /copied or moved/);
      assert.equal(look(directory).anchor, undefined);
      await newStore(directory);
      assert.equal(anchorNames(storeIn(directory)).length, 1);
      assert.ok(recordedIn(storeIn(directory), 'with-log')!.number > 0);
      await newStore(directory);
    }
  });

  test('an anchor of no store beside one of schema 1', async () => {
    const directory = await newStore();
    change(directory, 'UPDATE meta SET anchor = NULL');
    assertRefused(directory, /put back/);
    renameSync(anchorIn(directory), anchorPath(storeIn(directory), newAnchorName()));
    assertRefused(directory, /put back/);
  });
});
