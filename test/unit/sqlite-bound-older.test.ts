/**
 * Rows of a store that has no MACs yet: one of an older version, one that is made to look like it, and
 * one that takes another sealing key.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { createSealingKey, loadSealingKey, sealTo } from '../../src/keypair/sealing-key.ts';
import { isSettled } from '../../src/store/sqlite/audit-reader.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { openDatabase } from '../../src/store/sqlite/database.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import {
  adoptIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';
import { FORGED, Victim } from '../support/victim.ts';

/** Undoes the newest migration. */
const WITHOUT_RESEALING = `DROP TABLE next_data_keys;
  ALTER TABLE meta DROP COLUMN reseal_done; ALTER TABLE meta DROP COLUMN reseal_end;`;

suite('a store of an older version', () => {
  /** What such a one is: nothing of it is bound, and its data keys have the purpose of then. */
  async function makeOlder(victim: Victim, isGenuine: boolean): Promise<void> {
    const { directory, store } = victim;
    const key = (await loadSealingKey(`file:${join(directory, 'sealing.key')}`))!;
    await store.close();
    const { binding } = withDatabase(
      directory,
      (db) => db.prepare('SELECT binding FROM meta').get()!,
    );
    const info = (purpose: string) => Buffer.from(`vanitypool data key ${purpose}`);
    const resealed: [number, Uint8Array][] = [];
    const rows = withDatabase(directory, (db) => db.prepare('SELECT * FROM data_keys').all());
    for (const { id, sealed } of isGenuine ? rows : []) {
      const bytes = (await key.open(sealed as Uint8Array, info(`2 ${store.id} ${binding}`)))!;
      resealed.push([Number(id), await sealTo(key.publicKey, bytes, info(`1 ${store.id}`))]);
    }
    withDatabase(directory, (db) => {
      for (const [id, sealed] of resealed) {
        db.prepare('UPDATE data_keys SET sealed = ? WHERE id = ?').run(sealed, id);
      }
      db.exec(`${WITHOUT_RESEALING} ALTER TABLE meta DROP COLUMN token_id; ALTER TABLE meta DROP COLUMN had_tokens;
        ALTER TABLE meta DROP COLUMN mac; ALTER TABLE meta DROP COLUMN binding; ALTER TABLE pools DROP COLUMN mac;
        ALTER TABLE tokens DROP COLUMN mac; ALTER TABLE tokens DROP COLUMN off_at;
        ALTER TABLE reservations DROP COLUMN ttl; DROP TABLE lost_signatures; PRAGMA user_version = 2`);
    });
  }

  test('takes its rows as they are, names them once, and is bound from then on', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, true);
    await victim.open();
    assert.deepEqual(victim.bound, ['token shop', 'pool pet', 'pool vault']);
    assert.deepEqual(await victim.tokens(), { shop: true });
    assert.equal(await victim.store.tokens.wereMade(), true);
    const { leased, burned } = await turn(victim.store, 'pet', 0, 3);
    assert.deepEqual([leased.length, burned], [3, 0], 'its keys are there');
    await victim.attack(`UPDATE pools SET handout = 'secret'`);
    assert.deepEqual(victim.bound.length, 3, 'not again');
    await assert.rejects(turn(victim.store, 'vault', 0, 1), FORGED);
  });

  test('takes expanded keys from then on, and its rows stay as they are', async () => {
    await using victim = await Victim.make();
    const file = join(victim.directory, 'store.db');
    const rows = () =>
      withDatabase(victim.directory, (db) => db.prepare('SELECT * FROM addresses').all());
    const before = rows();
    await victim.store.close();
    {
      using db = new DatabaseSync(file, { defensive: false });
      db.exec(`${WITHOUT_RESEALING} PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET sql = replace(sql, 'IN (92, 124)', '= 92') WHERE name = 'addresses';
        PRAGMA user_version = 3`);
    }
    const longer = 'UPDATE addresses SET sealed = zeroblob(124)';
    assert.throws(() => withDatabase(victim.directory, (db) => db.exec(longer)), /CHECK/);
    await victim.open();
    assert.deepEqual(rows(), before);
    await victim.store.definePool(poolNamed('fast', 'expanded'));
    const [hit] = hitsFor('fast', 1, 'expanded');
    await victim.store.insert([hit!]);
    for (const [pool, count] of Object.entries({ pet: 3, vault: 3, fast: 1 })) {
      assert.equal((await turn(victim.store, pool, 0, 9)).leased.length, count, pool);
    }
    const shorter = 'UPDATE addresses SET sealed = zeroblob(91)';
    assert.throws(() => withDatabase(victim.directory, (db) => db.exec(shorter)), /CHECK/);
  });

  test('whose first start was refused is not taken for one that was bound', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, true);
    openDatabase(join(victim.directory, 'store.db')).close();
    assert.equal(
      isSettled(victim.directory),
      false,
      'its list would have no tokens and no addresses',
    );
    await victim.open();
    await victim.store.close();
    assert.equal(isSettled(victim.directory), true);
    await victim.open();
  });

  test('that is restored or adopted names them, too', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, true);
    const file = join(victim.directory, 'backup');
    await backupStore(victim.directory, file, {});
    const directory = temporaryDirectory();
    const sealingKey = `file:${join(victim.directory, 'sealing.key')}`;
    const bound: string[] = [];
    const onBound = (rows: readonly string[]) => bound.push(...rows);
    await restoreStore({ file, directory, sealingKey, onBound });
    removeDirectory(directory);
    await adoptIn({ directory: victim.directory, as: 'restored', onBound });
    const all = ['token shop', 'pool pet', 'pool vault'];
    assert.deepEqual(bound, [...all, ...all]);
    await victim.open();
    assert.deepEqual(victim.bound, []);
  });

  test('that is none, but a newer one that was made to look like it, is refused', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, false);
    await assert.rejects(victim.open(), FORGED);
    assert.deepEqual(victim.bound, []);
  });

  test('nor is one that lost only what says that it is bound', async () => {
    await using victim = await Victim.make();
    await assert.rejects(victim.attack('UPDATE meta SET mac = NULL'), FORGED);
  });
});

suite('a store that is made to look like one of an older version', () => {
  /** As who has no key leaves it for one start: its own rows, and nothing that says that others were. */
  const MASKED = `UPDATE meta SET mac = NULL, binding = NULL;
    UPDATE pools SET handout = 'secret', mac = NULL;
    INSERT INTO tokens (name, hash, scopes, created_at) VALUES ('mine', zeroblob(32), '["admin"]', 1)`;

  test('is refused while its data keys are those of another binding', async () => {
    await using victim = await Victim.make();
    await assert.rejects(victim.attack(MASKED), FORGED);
    await assert.rejects(victim.attack('UPDATE data_keys SET sealed = randomblob(80)'), FORGED);
  });

  test('gives nothing of what was in it, also when its data keys are put back', async () => {
    await using victim = await Victim.make();
    const { id } = victim.store;
    const kept = withDatabase(victim.directory, (db) =>
      db.prepare('SELECT * FROM data_keys').all(),
    );
    const source = `file:${join(victim.directory, 'sealing.key')}`;
    const { publicKey } = (await loadSealingKey(source))!;
    // The public half lies in the database.
    const own = await sealTo(
      publicKey,
      Buffer.alloc(32),
      Buffer.from(`vanitypool data key 1 ${id}`),
    );
    const meta = withDatabase(victim.directory, (db) => db.prepare('SELECT * FROM meta').get()!);
    await victim.attack((db) => {
      db.exec(MASKED);
      db.prepare('UPDATE data_keys SET sealed = ?').run(own);
    });
    assert.deepEqual(victim.bound, ['token shop', 'token mine', 'pool pet', 'pool vault']);
    const putBack = (db: DatabaseSync) => {
      for (const { id, sealed } of kept) {
        db.prepare('UPDATE data_keys SET sealed = ? WHERE id = ?').run(sealed!, id!);
      }
    };
    await victim.attack(putBack);
    const { leased, burned } = await turn(victim.store, 'pet', 0, 3);
    assert.deepEqual([leased.length, burned], [0, 3]);
    await victim.attack((db) => {
      db.prepare('UPDATE meta SET mac = ?, binding = ?, token_id = ?, had_tokens = ?').run(
        ...[meta.mac!, meta.binding!, meta.token_id!, meta.had_tokens!],
      );
    });
    assert.deepEqual(await victim.tokens(), { shop: false, mine: false });
    await assert.rejects(turn(victim.store, 'vault', 0, 3), FORGED);
  });
});

test('a new key for a backup in which nothing is sealed is its own from the restore on', async () => {
  await using victim = new Victim();
  await victim.open();
  const { id } = victim.store;
  const [file, list] = ['backup', 'list'].map((name) => join(victim.directory, name)) as [
    string,
    string,
  ];
  await backupStore(victim.directory, file, {});
  const directory = temporaryDirectory();
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  await createSealingKey(sealingKey);
  const token = { tokenId: 3, name: 'shop', createdAt: '2026-11-02T08:00:00Z', isValid: true };
  const end = { storeId: id, epoch: 5, addresses: 0, tokens: 1, isComplete: true };
  writeFileSync(list, `${JSON.stringify(token)}\n${JSON.stringify(end)}\n`);
  await restoreStore({ file, list, directory, sealingKey });
  const store = await openSqliteStore({ directory, sealingKey });
  assert.ok(await store.tokens.wereMade());
  await store.close();
  removeDirectory(directory);
});

test('a new key for a store in which nothing is sealed takes its pools along', async () => {
  await using victim = new Victim();
  await victim.open();
  await victim.store.definePool(poolNamed('pet'));
  await victim.store.close();
  rmSync(join(victim.directory, 'sealing.key'));
  await victim.open();
  assert.equal((await victim.store.pools())[0]!.isForged, false);
  await victim.store.definePool(poolNamed('pet'));
});
