/** The rows of a real store are resealed after a rotation, while the store is open. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { Leaked, ROWS, STEPS } from '../support/leaked.ts';
import { countLeft, sealedIn } from '../support/sealed-bytes.ts';
import { unsealStore } from '../support/secrets.ts';
import { withDatabase } from '../support/sqlite-stores.ts';
import { returnLease, turn } from '../support/turns.ts';

test('nothing in the store is as it was sealed before, and all of it opens', async () => {
  await using leaked = await Leaked.make();
  const { directory, store } = leaked;
  const before = await leaked.rows();
  for (const state of ['available', 'leased', 'reserved', 'dispensed', 'burned']) {
    assert.ok(
      before.some((row) => row.includes(` ${state} `) && !row.endsWith('undefined')),
      state,
    );
  }
  const sealed = sealedIn(directory);
  assert.ok(sealed.length > ROWS && countLeft(directory, sealed) === sealed.length);
  assert.equal(await leaked.rotate(), ROWS + 4 + 30_000 + 1, 'ids, of which some are of no row');
  // The data keys from before, as they are sealed to the new key.
  sealed.push(...sealedIn(directory).slice(0, 3));
  let steps = 0;
  for (let left = Number.POSITIVE_INFINITY; left > 0; steps++) {
    const next = await store.reseal();
    assert.ok(next < left, `${next} after ${left}`);
    left = next;
    assert.equal((await store.sealingKey()).toReseal, left);
    assert.deepEqual(await leaked.rows(), before, `after ${steps} steps`);
  }
  assert.equal(steps, STEPS);
  assert.equal(countLeft(directory, sealed), 0, 'of what was sealed');
  assert.equal(await store.reseal(), 0);
  assert.deepEqual(await leaked.rows(), before);
  const { leased, burned } = await turn(store, 'big', 0, ROWS);
  assert.deepEqual([leased.length, burned], [ROWS / 2 - 6, 0], 'the store opens them, too');
});

test('what is cut off goes on in the next run, beside all that a store does', async () => {
  await using leaked = await Leaked.make();
  const { directory } = leaked;
  await returnLease(leaked.store, 'pet');
  const sealed = sealedIn(directory);
  const wanted = new Set((await leaked.rows()).map((row) => row.split(' ')[2]));
  await leaked.rotate();
  for (let step = 0; step < STEPS; step++) {
    assert.ok((await leaked.store.sealingKey()).toReseal > 0);
    await leaked.store.reseal();
    // On both sides of the mark.
    const { leased, burned } = await turn(leaked.store, 'big', 0, ROWS);
    assert.equal(burned, 0);
    await turn(leaked.store, 'big', 1, 0);
    assert.equal(await returnLease(leaked.store, 'big'), leased.length - 1);
    await leaked.insert('pet', 3);
    await leaked.store.close();
    await leaked.open();
  }
  assert.equal((await leaked.store.sealingKey()).toReseal, 0);
  assert.equal(countLeft(directory, sealed), 0);
  const found = new Set((await leaked.rows()).map((row) => row.split(' ')[2]));
  assert.ok([...wanted].every((key) => found.has(key)));
});

test('an audit reads what is resealed meanwhile, and so does who restores a backup', async () => {
  await using leaked = await Leaked.make();
  const { directory, store } = leaked;
  await leaked.rotate();
  await store.reseal();
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  const file = join(directory, 'copy');
  await backupStore(directory, file);
  await using reader = await AuditReader.open(directory, sealingKey);
  const page = async () => (await reader.page({ after: 0, limit: 1000 })).addresses;
  const audited = await page();
  assert.ok(audited.length > 15 && audited.every(({ address }) => address !== undefined));
  await leaked.reseal();
  assert.deepEqual(await page(), audited, 'by a reader that opened the data keys from before');

  const directoryOf = join(directory, 'restored');
  await restoreStore({ file, directory: directoryOf, sealingKey });
  const restored = await openSqliteStore({ directory: directoryOf, sealingKey });
  assert.ok((await restored.sealingKey()).toReseal > 0, 'it goes on there');
  while ((await restored.reseal()) > 0);
  await restored.close();
  copyFileSync(join(directory, 'sealing.key'), join(directoryOf, 'sealing.key'));
  const keysOf = async (store: string) =>
    (await unsealStore(store)).map(({ keypair }) => keypair && Buffer.from(keypair));
  assert.deepEqual(await keysOf(directoryOf), await keysOf(directory));
});

test('no other rotation begins before it is done, and none is resealed without it', async () => {
  await using leaked = await Leaked.make();
  const { store } = leaked;
  assert.equal(await leaked.rotate(false), 0);
  assert.equal(await store.reseal(), 0);
  await leaked.rotate();
  const refused = { code: 'KEY_ROTATION_REFUSED', message: /still being resealed/ };
  for (const reseal of [true, false]) {
    await assert.rejects(store.beginRotation({ reseal }), refused);
    await store.reseal();
  }
  await leaked.reseal();
  const before = await leaked.rows();
  await leaked.rotate();
  await leaked.reseal();
  assert.deepEqual(await leaked.rows(), before);
});

test('while another program reads the log it is not done, and nothing waits for it', async () => {
  await using leaked = await Leaked.make();
  const { directory, store } = leaked;
  const sealed = sealedIn(directory);
  await leaked.rotate();
  const other = new DatabaseSync(join(directory, 'store.db'));
  other.exec('BEGIN');
  other.prepare('SELECT count(*) FROM addresses').get();
  for (let step = 0; step < STEPS + 2; step++) assert.ok((await store.reseal()) >= 1);
  assert.equal(await store.reseal(), 1);
  other.close();
  assert.equal(await store.reseal(), 0);
  assert.equal(countLeft(directory, sealed), 0);
});

test('a new data key that somebody has damaged stops it, and burns nothing', async () => {
  await using leaked = await Leaked.make();
  const { directory, store } = leaked;
  const before = await leaked.rows();
  await leaked.rotate();
  const whole = withDatabase(directory, (db) => {
    const { sealed } = db.prepare('SELECT sealed FROM next_data_keys WHERE id = 2').get()!;
    db.exec('UPDATE next_data_keys SET sealed = zeroblob(80) WHERE id = 2');
    return sealed as Uint8Array;
  });
  await assert.rejects(leaked.reseal(), { code: 'STORE_FORGED' });
  assert.deepEqual(await leaked.rows(), before);
  withDatabase(directory, (db) =>
    db.prepare('UPDATE next_data_keys SET sealed = ? WHERE id = 2').run(whole),
  );
  await leaked.reseal();
  assert.equal(await store.reseal(), 0);
  assert.deepEqual(await leaked.rows(), before);
});
