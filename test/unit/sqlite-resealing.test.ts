/** The rows of a real store are sealed anew after a rotation, while the store is open. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import type { Store } from '../../src/store/store.ts';
import { countLeft, sealedIn } from '../support/sealed-bytes.ts';
import { unsealStore } from '../support/secrets.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, LATER, poolNamed } from '../support/store-subject.ts';

const ROWS = 600;
/** Of a store of so many rows: 256 rows each, ids that are of no row, the end, the log. */
const STEPS = 6;

/** A store with rows of both types in every state, under several data keys. */
class Leaked implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  store!: Store;

  static async make(): Promise<Leaked> {
    const leaked = new Leaked();
    await leaked.open();
    await leaked.store.definePools([poolNamed('pet'), poolNamed('big', 'expanded')]);
    await leaked.insert('pet', 4);
    await leaked.store.turn('pet', 0, 4);
    await leaked.store.turn('pet', 4, 0);
    while ((await leaked.store.destroySecrets(LATER)) > 0);
    for (let part = 0; part < 3; part++) {
      await leaked.insert('pet', ROWS / 6);
      await leaked.insert('big', ROWS / 6);
      // What is leased then is burned.
      await leaked.store.turn('big', 0, 2);
      await leaked.store.close();
      // As in a store that was restored: its ids go on where the lost one may have been.
      withDatabase(leaked.directory, (db) => db.exec('UPDATE meta SET next_id = next_id + 10000'));
      await leaked.open();
    }
    const { store } = leaked;
    await store.turn('pet', 0, 20);
    const reservation = { id: 'ab'.repeat(16), expiresAt: LATER, ttlMs: 60_000 };
    const records = [{ position: 0, count: 1, at: Date.now(), token: 0, reservation }];
    await store.turn('pet', 8, 0, { records, journals: new Map() });
    return leaked;
  }

  async open(): Promise<void> {
    this.store = await openStoreIn(this.directory);
  }

  async insert(pool: 'pet' | 'big', count: number): Promise<void> {
    await this.store.insert(hitsFor(pool, count, pool === 'pet' ? 'seed' : 'expanded'));
  }

  async rotate(reseal = true): Promise<number> {
    return (await (await this.store.beginRotation({ reseal })).finish()).toReseal;
  }

  async reseal(): Promise<void> {
    while ((await this.store.reseal()) > 0);
  }

  /** Every row that has a secret, opened, with its state. */
  async rows(): Promise<string[]> {
    const rows = await unsealStore(this.directory);
    return rows.map(({ pool, state, keypair }) => {
      return `${pool} ${state} ${keypair && Buffer.from(keypair).toString('hex')}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    checkStore(this.directory);
    removeDirectory(this.directory);
  }
}

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
  assert.equal(await leaked.rotate(), ROWS + 4 + 30_000, 'ids, of which some are of no row');
  // The data keys from before, as they are sealed to the new key.
  sealed.push(...sealedIn(directory).slice(0, 3));
  let steps = 0;
  for (let left = Number.POSITIVE_INFINITY; left > 0; steps++) {
    const next = await store.reseal();
    assert.ok(next < left || next === 1, `${next} after ${left}`);
    left = next;
    assert.equal((await store.sealingKey()).toReseal, left);
    assert.deepEqual(await leaked.rows(), before, `after ${steps} steps`);
  }
  assert.equal(steps, STEPS);
  assert.equal(countLeft(directory, sealed), 0, 'of what was sealed');
  assert.equal(await store.reseal(), 0);
  assert.deepEqual(await leaked.rows(), before);
  const { leased, burned } = await store.turn('big', 0, ROWS);
  assert.deepEqual([leased.length, burned], [ROWS / 2 - 6, 0], 'the store opens them, too');
});

test('what is cut off goes on in the next run, beside all that a store does', async () => {
  await using leaked = await Leaked.make();
  const { directory } = leaked;
  await leaked.store.returnLease('pet');
  const sealed = sealedIn(directory);
  const wanted = new Set((await leaked.rows()).map((row) => row.split(' ')[2]));
  await leaked.rotate();
  for (let step = 0; step < STEPS; step++) {
    assert.ok((await leaked.store.sealingKey()).toReseal > 0);
    await leaked.store.reseal();
    // On both sides of the mark.
    const { leased, burned } = await leaked.store.turn('big', 0, ROWS);
    assert.equal(burned, 0);
    await leaked.store.turn('big', 1, 0);
    assert.equal(await leaked.store.returnLease('big'), leased.length - 1);
    await leaked.insert('pet', 3);
    await leaked.store.close();
    await leaked.open();
  }
  assert.equal((await leaked.store.sealingKey()).toReseal, 0);
  assert.equal(countLeft(directory, sealed), 0);
  const found = new Set((await leaked.rows()).map((row) => row.split(' ')[2]));
  assert.ok([...wanted].every((key) => found.has(key)));
});

test('an audit reads what is sealed anew meanwhile, and so does who restores a backup', async () => {
  await using leaked = await Leaked.make();
  const { directory, store } = leaked;
  await leaked.rotate();
  await store.reseal();
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  const file = join(directory, 'copy');
  await backupStore(directory, file);
  using reader = await AuditReader.open(directory, sealingKey);
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
  const refused = { code: 'KEY_ROTATION_REFUSED', message: /still being sealed anew/ };
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
