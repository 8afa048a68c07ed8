/**
 * The SQLite store: the suite of every store, and what only a file on a disk can show.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { sealedBytes } from '../../src/keypair/seal.ts';
import { KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  SqliteStores,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

storeConformance('SQLite', new SqliteStores());

/** A data directory; its store is opened and closed by the test. */
class Place implements Disposable {
  readonly directory = temporaryDirectory();
  readonly keyFile = join(this.directory, 'sealing.key');

  async open(keys?: KeyType): Promise<Store> {
    const store = await openStoreIn(this.directory);
    await store.definePool(poolNamed('pet', keys));
    return store;
  }

  /** Opened once, with `count` addresses, and closed again. */
  async fill(count: number): Promise<void> {
    await using store = await this.open();
    await store.insert(hitsFor('pet', count));
  }

  /** By a connection beside the store. */
  exec(sql: string): void {
    withDatabase(this.directory, (db) => db.exec(sql));
  }

  files(): string[] {
    return readdirSync(this.directory).map((name) => join(this.directory, name));
  }

  [Symbol.dispose](): void {
    removeDirectory(this.directory);
  }
}

async function withPlace(work: (place: Place) => Promise<void>): Promise<void> {
  using place = new Place();
  await work(place);
}

for (const keys of KEY_TYPES) {
  suite(`keys of type ${keys}`, () => {
    test('no secret and no address lies in any file in clear, open or closed', () =>
      withPlace(async (place) => {
        const hits = hitsFor('pet', 50, keys);
        const search = (destroyed = 0) => {
          const needles = hits.flatMap(({ key, publicKey }, index) => [
            Buffer.from(key.subarray(0, 32)),
            Buffer.from(encodeBase58(key)),
            Buffer.from(addressOf(publicKey)),
            ...(index < destroyed ? [] : [Buffer.from(publicKey), Buffer.from(key.subarray(32))]),
          ]);
          const files = place.files().map((path) => readFileSync(path));
          assert.ok(
            files.some((file) => file.includes('[a-z]Pet')),
            'what is in clear would be found',
          );
          for (const file of files) {
            assert.ok(!needles.some((needle) => file.includes(needle)));
          }
        };
        const store = await place.open(keys);
        await store.insert(hits);
        search();
        const { leased } = await turn(store, 'pet', 0, 30);
        assert.deepEqual(Buffer.from(leased[29]!.key), hits[29]!.key);
        await turn(store, 'pet', 20, 0);
        await store.destroySecrets(ANY_AGE);
        search(20);
        await store.close();
        search(20);
        const left = withDatabase(place.directory, (db) =>
          db.prepare('SELECT sealed FROM addresses ORDER BY seq LIMIT 20').all(),
        );
        const publicKeys = hits.slice(0, 20).map(({ publicKey }) => publicKey);
        assert.deepEqual(
          left.map(({ sealed }) => Buffer.from(sealed as Uint8Array)),
          publicKeys.map((key) => Buffer.concat([key, Buffer.alloc(sealedBytes(keys) - 32)])),
          'what was dispensed can still be repeated',
        );
      }));

    test('a destroyed secret is in no file any more, not even sealed', () =>
      withPlace(async (place) => {
        await using store = await place.open(keys);
        await store.insert(hitsFor('pet', 3, keys));
        const sealed = withDatabase(place.directory, (db) =>
          db.prepare('SELECT sealed FROM addresses ORDER BY seq').all(),
        ).map((row) => Buffer.from(row.sealed as Uint8Array));
        const found = () =>
          sealed.map((needle) => place.files().some((path) => readFileSync(path).includes(needle)));
        await turn(store, 'pet', 0, 3);
        await turn(store, 'pet', 2, 0);
        assert.deepEqual(found(), [true, true, true]);
        assert.equal(await store.destroySecrets(ANY_AGE), 2);
        assert.deepEqual(found(), [false, false, true]);
      }));

    test('one call destroys 128 secrets at most, the oldest first', () =>
      withPlace(async (place) => {
        await using store = await place.open(keys);
        const count = 128 + 10;
        await store.insert(hitsFor('pet', count, keys));
        await turn(store, 'pet', 0, count);
        await turn(store, 'pet', count, 0);
        assert.equal(await store.destroySecrets(ANY_AGE), 128);
        const left = withDatabase(place.directory, (db) =>
          db
            .prepare(
              'SELECT min(seq) AS seq FROM addresses WHERE substr(sealed, 33) <> zeroblob(length(sealed) - 32)',
            )
            .get(),
        );
        assert.equal(left?.seq, 129);
        assert.equal(await store.destroySecrets(ANY_AGE), 10);
        assert.equal(await store.destroySecrets(ANY_AGE), 0);
      }));
  });
}

test('every file is nobody else to read', () =>
  withPlace(async (place) => {
    await using store = await place.open();
    await store.insert(hitsFor('pet', 1));
    const names = place.files().map((path) => path.slice(place.directory.length + 1));
    assert.ok(names.includes('store.db-wal') && names.includes('store.db-shm'), names.join());
    for (const path of place.files()) assert.equal(statSync(path).mode & 0o777, 0o600, path);
  }));

test('a second store on the directory is refused and does the first no harm', () =>
  withPlace(async (place) => {
    await using store = await place.open();
    await assert.rejects(openStoreIn(place.directory), { code: 'DATA_IN_USE' });
    await store.insert(hitsFor('pet', 1));
    await assert.rejects(openStoreIn(place.directory), { code: 'DATA_IN_USE' });
  }));

test('without create a missing store is an error and stays missing', () =>
  withPlace(async (place) => {
    const options = { directory: place.directory, sealingKey: `file:${place.keyFile}` };
    const opening = openSqliteStore({ ...options, create: false });
    await assert.rejects(opening, { code: 'STORE_NOT_FOUND' });
    assert.deepEqual(place.files(), []);
    await place.fill(1);
    await using store = await openSqliteStore({ ...options, create: false });
    assert.equal((await store.counts('pet')).available, 1);
  }));

test('a lost sealing key is not made anew once something is sealed, and comes back from a backup', () =>
  withPlace(async (place) => {
    await place.fill(1);
    const backup = `${place.keyFile}.backup`;
    renameSync(place.keyFile, backup);
    const opening = openStoreIn(place.directory);
    await assert.rejects(opening, (error: Error) => {
      return (
        (error as { code?: string }).code === 'SEALING_KEY_INVALID' &&
        error.message.includes(place.keyFile)
      );
    });
    assert.ok(!place.files().includes(place.keyFile));
    renameSync(backup, place.keyFile);
    await using store = await place.open();
    assert.equal((await turn(store, 'pet', 0, 1)).leased.length, 1);
  }));

test('a store with nothing sealed takes a new sealing key', () =>
  withPlace(async (place) => {
    await place.fill(0);
    rmSync(place.keyFile);
    await place.fill(1);
    await using store = await place.open();
    assert.equal((await turn(store, 'pet', 0, 1)).leased.length, 1);
  }));

test('a wrong sealing key is refused at the start and burns nothing', () =>
  withPlace(async (place) => {
    await place.fill(2);
    process.env.VANITYPOOL_TEST_KEY = randomBytes(32).toString('hex');
    const sealingKey = 'env:VANITYPOOL_TEST_KEY';
    const opening = openSqliteStore({ directory: place.directory, sealingKey });
    await assert.rejects(opening, { code: 'SEALING_KEY_INVALID' });
    process.env.VANITYPOOL_TEST_KEY = readFileSync(place.keyFile, 'latin1');
    await using store = await openSqliteStore({ directory: place.directory, sealingKey });
    delete process.env.VANITYPOOL_TEST_KEY;
    assert.equal((await turn(store, 'pet', 0, 2)).leased.length, 2);
    assert.equal(store.epoch, 2, 'the refused opening was none');
  }));

test('a key file that others can read is refused', () =>
  withPlace(async (place) => {
    await place.fill(1);
    chmodSync(place.keyFile, 0o644);
    await assert.rejects(openStoreIn(place.directory), { code: 'SEALING_KEY_INVALID' });
  }));

test('what cannot be unsealed is burned with its cause, and the rest is leased', () =>
  withPlace(async (place) => {
    await place.fill(5);
    place.exec(`
      UPDATE addresses SET sealed = zeroblob(92) WHERE seq = 2;
      UPDATE addresses SET sealed = (SELECT sealed FROM addresses WHERE seq = 1) WHERE seq = 4;`);
    await using store = await place.open();
    const { leased, burned, counts } = await turn(store, 'pet', 0, 5);
    assert.deepEqual(
      leased.map(({ id }) => id),
      [1, 3, 5],
    );
    assert.equal(burned, 2);
    assert.deepEqual([counts.leased, counts.burned], [3, 2]);
    assert.equal((await turn(store, 'pet', 3, 0)).counts.dispensed, 3);
    const causes = withDatabase(place.directory, (db) =>
      db.prepare(`SELECT first, cause FROM segments WHERE state = 'burned'`).all(),
    );
    assert.deepEqual(
      causes.map(({ first, cause }) => [first, cause]),
      [
        [2, 'unsealable'],
        [4, 'unsealable'],
      ],
    );
  }));

test('what lies under a damaged data key is burned, and new hits get another', () =>
  withPlace(async (place) => {
    await place.fill(2);
    place.exec('UPDATE data_keys SET sealed = randomblob(80)');
    await using store = await place.open();
    await store.insert(hitsFor('pet', 2));
    const { leased, burned } = await turn(store, 'pet', 0, 9);
    assert.deepEqual([leased.length, burned], [2, 2]);
  }));

test('a failure in the middle of a transaction leaves nothing of it', () =>
  withPlace(async (place) => {
    await using store = await place.open();
    await store.insert(hitsFor('pet', 4));
    await turn(store, 'pet', 0, 2);
    const before = await store.counts('pet');
    // The last statements of an insert and of a lease, made to fail.
    place.exec(`
      CREATE TRIGGER fail_insert BEFORE UPDATE OF next_id ON meta
      BEGIN SELECT RAISE(ABORT, 'for the test'); END;
      CREATE TRIGGER fail_turn BEFORE UPDATE OF state ON segments WHEN NEW.state = 'leased'
      BEGIN SELECT RAISE(ABORT, 'for the test'); END;`);
    const hits = hitsFor('pet', 3);
    await assert.rejects(store.insert(hits), { code: 'STORE_CORRUPT' });
    await assert.rejects(turn(store, 'pet', 1, 2), { code: 'STORE_CORRUPT' });
    assert.deepEqual(await store.counts('pet'), before);
    place.exec('DROP TRIGGER fail_insert; DROP TRIGGER fail_turn');
    assert.deepEqual(await store.insert(hits), { inserted: 3, duplicates: 0 });
    const { leased, counts } = await turn(store, 'pet', 1, 9);
    assert.deepEqual([leased.length, counts.dispensed], [5, 1]);
  }));

test('while another program holds the database calls fail with its code, then work again', () =>
  withPlace(async (place) => {
    await using store = await place.open();
    const hits = hitsFor('pet', 2);
    await store.insert(hits.slice(0, 1));
    const other = new DatabaseSync(join(place.directory, 'store.db'));
    other.exec('BEGIN IMMEDIATE');
    await assert.rejects(store.insert(hits), { code: 'STORE_LOCKED' });
    await assert.rejects(turn(store, 'pet', 0, 1), { code: 'STORE_LOCKED' });
    other.exec('ROLLBACK');
    other.close();
    assert.deepEqual(await store.insert(hits), { inserted: 1, duplicates: 1 });
    assert.equal((await turn(store, 'pet', 0, 9)).leased.length, 2);
  }));

test('a database that is held by another program at the start is refused', () =>
  withPlace(async (place) => {
    await place.fill(1);
    const other = new DatabaseSync(join(place.directory, 'store.db'));
    other.exec('BEGIN IMMEDIATE');
    await assert.rejects(openStoreIn(place.directory), { code: 'STORE_LOCKED' });
    other.close();
    await (await place.open()).close();
    checkStore(place.directory);
  }));

test('a refused start lets the directory go', () =>
  withPlace(async (place) => {
    await place.fill(1);
    place.exec('PRAGMA user_version = 99');
    await assert.rejects(openStoreIn(place.directory), { code: 'STORE_NEWER' });
    place.exec('PRAGMA user_version = 5');
    await (await place.open()).close();
  }));
