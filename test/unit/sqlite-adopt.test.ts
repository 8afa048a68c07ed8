import assert from 'node:assert/strict';
import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { anchorNames, anchorPath, isRetired } from '../../src/disk/anchor.ts';
import { placeName } from '../../src/disk/place.ts';
import { readWitness, witnessPath } from '../../src/disk/witness.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { recordedIn } from '../../src/store/sqlite/standing.ts';
import type { Store } from '../../src/store/store.ts';
import { copyOf, lossesSince, only, putBack, revert } from '../support/copies.ts';
import {
  adoptIn,
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

const MOVED = { code: 'DATA_MOVED' };

let directories = 0;
const newDirectory = () => join(root, `${directories++}`);
const storeIn = (directory: string) => join(directory, 'store.db');
const recordOf = (directory: string) => recordedIn(storeIn(directory), 'with-log')!;

function open(directory: string, witness?: string): Promise<Store> {
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  return openSqliteStore({ directory, sealingKey, witness });
}

/** 6 of a pool: 2 are dispensed, 1 is leased, 3 are available. Its server was killed. */
async function killedStore(witness?: string, directory = newDirectory()): Promise<string> {
  const store = await open(directory, witness);
  await store.definePool(poolNamed('pet'));
  await store.insert(hitsFor('pet', 6));
  await turn(store, 'pet', 0, 3);
  await turn(store, 'pet', 2, 0);
  const image = copyOf(directory);
  await store.close();
  revert(directory, image);
  return directory;
}

/** Another life, in which one leaves. */
async function serveAgain(directory: string, witness?: string): Promise<void> {
  await using store = await open(directory, witness);
  await turn(store, 'pet', 0, 1);
  await turn(store, 'pet', 1, 0);
}

function copied(directory: string): string {
  const copy = newDirectory();
  cpSync(directory, copy, { recursive: true, preserveTimestamps: true });
  return copy;
}

async function figures(directory: string, witness?: string): Promise<string> {
  checkStore(directory);
  await using store = await open(directory, witness);
  const { available, leased, dispensed, burned } = await store.counts('pet');
  return [available, leased, dispensed, burned].join(' ');
}

/** Without a change in any of these directories. */
async function assertRefused(
  options: Parameters<typeof adoptIn>[0],
  code: string,
  message: RegExp,
): Promise<void> {
  const places = [options.directory, options.from].filter((place) => place !== undefined);
  const before = places.map(copyOf);
  await assert.rejects(adoptIn(options), { code, message });
  for (const [index, place] of places.entries()) {
    assert.deepEqual(lossesSince(before[index]!, place), []);
  }
}

suite('moved', () => {
  test('a copy becomes the store: what was leased is burned without journals, no more', async () => {
    const directory = await killedStore();
    const copy = copied(directory);
    const before = recordOf(copy);
    const adopted = await adoptIn({ directory: copy, as: 'moved' });
    assert.equal(adopted.storeId, before.storeId);
    assert.equal(adopted.oldPlace, placeName(before.place!));
    assert.deepEqual(adopted.burned, { pet: 1 });
    const now = recordOf(copy);
    assert.equal(adopted.place, placeName(now.place!));
    assert.notEqual(adopted.place, adopted.oldPlace);
    assert.ok(now.number > before.number);
    assert.equal(await figures(copy), '3 0 2 1');
    await using store = await openStoreIn(copy);
    assert.equal(store.place, adopted.place);
  });

  test('the journals of the old place are asked', async () => {
    const directory = await killedStore();
    withDatabase(directory, (db) =>
      db.exec('INSERT INTO journals (number, pool_id) VALUES (1, 1)'),
    );
    const copy = copied(directory);
    const asked: Parameters<Recover>[0][] = [];
    const recover: Recover = (last) => {
      asked.push(last);
      return [{ position: 2, count: 1, at: 1, token: 0 }];
    };
    const { oldPlace, burned } = await adoptIn({ directory: copy, as: 'moved', recover });
    assert.deepEqual(
      asked.map(({ place, number }) => [place, number]),
      [[oldPlace, 1]],
    );
    assert.deepEqual(burned, { pet: 0 });
    assert.equal(await figures(copy), '3 0 3 0');
  });

  test('the witness of the old place says so, and the original is refused', async () => {
    const witness = newDirectory();
    const directory = await killedStore(witness);
    const copy = copied(directory);
    const before = recordOf(copy);
    const { storeId, oldPlace, place } = await adoptIn({ directory: copy, as: 'moved', witness });
    const said = readWitness(witnessPath(witness, storeId, oldPlace!));
    assert.deepEqual(said, { number: before.number, isMoved: true });
    const { number } = recordOf(copy);
    assert.deepEqual(readWitness(witnessPath(witness, storeId, place)), { number, isMoved: false });
    await assert.rejects(open(directory, witness), MOVED);
    assert.equal(await figures(copy, witness), '3 0 2 1');
  });

  test('`from` retires the original', async () => {
    const directory = await killedStore();
    const copy = copied(directory);
    await adoptIn({ directory: copy, as: 'moved', from: directory });
    assert.ok(anchorNames(storeIn(directory)).every(isRetired));
    await assert.rejects(openStoreIn(directory), MOVED);
    assert.equal(await figures(copy), '3 0 2 1');
  });

  test('of two copies one alone is the store that was moved from there', async () => {
    const directory = await killedStore();
    const [copy, other] = [copied(directory), copied(directory)];
    await adoptIn({ directory: copy, as: 'moved', from: directory });
    await assert.rejects(adoptIn({ directory: other, as: 'moved', from: directory }), {
      code: 'DATA_MOVED',
      message: /moved to another place before/,
    });
    await assert.rejects(openStoreIn(other), MOVED);
    assert.equal(await figures(copy), '3 0 2 1');
  });

  test('an original without an anchor is retired, and one with two is refused as it is', async () => {
    for (const count of [0, 2]) {
      const directory = await killedStore();
      const copy = copied(directory);
      const [name] = anchorNames(storeIn(directory));
      if (count === 0) rmSync(anchorPath(storeIn(directory), name!));
      else writeFileSync(anchorPath(storeIn(directory), 'a'.repeat(32)), '');
      await adoptIn({ directory: copy, as: 'moved', from: directory });
      await assert.rejects(openStoreIn(directory), MOVED);
      assert.equal(anchorNames(storeIn(directory)).length, count || 1);
    }
  });

  test('in its place, where only the anchor is another file, nothing is said to be moved', async () => {
    const witness = newDirectory();
    const directory = await killedStore(witness);
    const [name] = anchorNames(storeIn(directory));
    const anchor = anchorPath(storeIn(directory), name!);
    cpSync(anchor, join(root, 'aside'));
    rmSync(anchor);
    renameSync(join(root, 'aside'), anchor);
    await assert.rejects(open(directory, witness), MOVED);
    const { place, oldPlace } = await adoptIn({ directory, as: 'moved', witness });
    assert.equal(place, oldPlace);
    assert.equal(await figures(directory, witness), '3 0 2 1');
  });

  test('what ends it in between leaves the original to be served, and it can be done again', async () => {
    const witness = newDirectory();
    const directory = await killedStore(witness);
    withDatabase(directory, (db) =>
      db.exec('INSERT INTO journals (number, pool_id) VALUES (1, 1)'),
    );
    const copy = copied(directory);
    const options = { directory: copy, as: 'moved', from: directory, witness } as const;
    const recover: Recover = () => {
      throw new Error('it ends here');
    };
    for (let times = 0; times < 2; times++) {
      await assert.rejects(adoptIn({ ...options, recover }), /it ends here/);
      await assert.rejects(open(copy, witness), MOVED);
      assert.ok(!anchorNames(storeIn(directory)).some(isRetired));
    }
    await adoptIn(options);
    await assert.rejects(open(directory, witness), MOVED);
    assert.equal(await figures(copy, witness), '3 0 2 1');
    // It is what it is said to be, and may hear so once more.
    await adoptIn({ directory: copy, as: 'moved', witness });
    assert.equal(await figures(copy, witness), '3 0 2 1');
  });
});

suite('restored', () => {
  test('all that could leave is burned, and ids and numbers go on above', async () => {
    const witness = newDirectory();
    const directory = await killedStore(witness);
    const older = copyOf(directory);
    await serveAgain(directory, witness);
    const { number: newest } = recordOf(directory);
    putBack(directory, older, 'in place');
    await assert.rejects(open(directory, witness), MOVED);
    const { burned, place, storeId } = await adoptIn({ directory, as: 'restored', witness });
    assert.deepEqual(burned, { pet: 4 });
    const { number } = recordOf(directory);
    assert.ok(number > newest, 'above what the witness knows');
    assert.deepEqual(readWitness(witnessPath(witness, storeId, place)), { number, isMoved: false });
    assert.equal(await figures(directory, witness), '0 0 2 4');
    await using store = await open(directory, witness);
    await store.insert(hitsFor('pet', 1));
    const { leased } = await turn(store, 'pet', 0, 1);
    assert.ok(leased[0]!.id > 2 ** 32);
  });

  test('the original of a copy is neither retired nor said to be moved', async () => {
    const witness = newDirectory();
    const directory = await killedStore(witness);
    const copy = copied(directory);
    await adoptIn({ directory: copy, as: 'restored', witness });
    await serveAgain(directory, witness);
    assert.equal(await figures(copy, witness), '0 0 2 4');
  });

  test('a mix that is whole is taken, with a number above both', async () => {
    const directory = newDirectory();
    const store = await open(directory);
    await store.definePool(poolNamed('pet'));
    const old = only(copyOf(directory), (name) => name === 'store.db-wal');
    // All of it is in the file, and the log is another one.
    await store.saveCounters({ one: 1 });
    await store.destroySecrets(ANY_AGE);
    await store.close();
    putBack(directory, old, 'as a new file');
    await assert.rejects(openStoreIn(directory), MOVED);
    const inFile = recordedIn(storeIn(directory), 'without-log')!.number;
    await adoptIn({ directory, as: 'restored' });
    assert.ok(recordOf(directory).number > inFile);
    assert.equal(await figures(directory), '0 0 0 0');
  });
});

suite('refused', () => {
  test('what is no store, and a backup', async () => {
    const [empty, file] = [newDirectory(), newDirectory()];
    for (const directory of [empty, file]) mkdirSync(directory, { mode: 0o700 });
    writeFileSync(storeIn(file), '');
    const backup = newDirectory();
    mkdirSync(backup, { mode: 0o700 });
    await backupStore(await killedStore(), storeIn(backup));
    for (const as of ['moved', 'restored'] as const) {
      await assertRefused({ directory: empty, as }, 'STORE_NOT_FOUND', /no store/);
      await assertRefused({ directory: file, as }, 'STORE_NOT_FOUND', /no store/);
      await assertRefused({ directory: backup, as }, 'DATA_MOVED', /this is a backup/);
    }
  });

  test('a store that is held', async () => {
    const directory = await killedStore();
    await using _ = await openStoreIn(directory);
    for (const as of ['moved', 'restored'] as const) {
      await assert.rejects(adoptIn({ directory, as }), { code: 'DATA_IN_USE' });
    }
  });

  test('as moved: an older state, which something has left since', async () => {
    const witness = newDirectory();
    const directory = await killedStore(witness);
    const older = copyOf(directory);
    await serveAgain(directory, witness);
    const newer = copyOf(directory);
    putBack(directory, older, 'in place');
    await assertRefused({ directory, as: 'moved' }, 'DATA_MOVED', /older state .*adopt --restored/);
    // With its anchor alone only the witness knows.
    revert(
      directory,
      only(older, (name) => name !== 'store.db-shm'),
    );
    await assertRefused(
      { directory, as: 'moved', witness },
      'DATA_MOVED',
      /left it since \(witness: /,
    );
    putBack(
      directory,
      only(newer, (name) => name === 'store.db'),
      'in place',
    );
    rmSync(`${storeIn(directory)}-wal`);
    await assertRefused({ directory, as: 'moved', witness }, 'DATA_MOVED', /older state/);
  });

  test('as moved: an old database under a newer log; as restored if that is damaged', async () => {
    const directory = await killedStore();
    const old = only(copyOf(directory), (name) => name === 'store.db');
    await serveAgain(directory);
    await killedAgain(directory);
    putBack(directory, old, 'in place');
    await assertRefused({ directory, as: 'moved' }, 'DATA_MOVED', /database is older/);
    await assertRefused({ directory, as: 'restored' }, 'STORE_CORRUPT', /damaged/);
  });

  test('`from`: what is not the original of this store', async () => {
    const directory = await killedStore();
    const copy = copied(directory);
    const refused = (from: string, code: string, message: RegExp) =>
      assertRefused({ directory: copy, as: 'moved', from }, code, message);
    await refused(copy, 'CONFIG_INVALID', /the directory itself/);
    await refused(
      join(copy, '..', copy.split('/').at(-1)!),
      'CONFIG_INVALID',
      /the directory itself/,
    );
    await refused(
      copied(directory),
      'CONFIG_INVALID',
      /not the store that this one was moved from/,
    );
    await refused(
      await killedStore(),
      'CONFIG_INVALID',
      /not the store that this one was moved from/,
    );
    const empty = newDirectory();
    mkdirSync(empty, { mode: 0o700 });
    writeFileSync(storeIn(empty), '');
    await refused(empty, 'CONFIG_INVALID', /not the store that this one was moved from/);
    await assert.rejects(adoptIn({ directory: copy, as: 'moved', from: newDirectory() }), {
      code: 'STORE_NOT_FOUND',
    });
    {
      await using _ = await openStoreIn(directory);
      await assert.rejects(adoptIn({ directory: copy, as: 'moved', from: directory }), {
        code: 'DATA_IN_USE',
      });
    }
    await serveAgain(directory);
    await refused(directory, 'DATA_MOVED', /served after this copy was made, and is the newer one/);
    await serveAgain(directory);
    // Another store in the same file.
    putBack(directory, only(copyOf(await killedStore()), isDatabase), 'in place');
    await refused(directory, 'CONFIG_INVALID', /not the store that this one was moved from/);
  });
});

const isDatabase = (name: string) => /^store\.db(-wal)?$/.test(name);

/** A life that is killed with most of what it did in the log. */
async function killedAgain(directory: string): Promise<void> {
  const store = await openStoreIn(directory);
  await store.insert(hitsFor('pet', 50));
  const image = copyOf(directory);
  await store.close();
  revert(directory, image);
}
