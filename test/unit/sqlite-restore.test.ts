import assert from 'node:assert/strict';
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { LostStore, statesIn } from '../support/lost-store.ts';
import { checkStore, openStoreIn, withDatabase } from '../support/sqlite-stores.ts';
import { returnLease, turn } from '../support/turns.ts';

/**
 * At the backup 1 to 5 are dispensed, 6 to 8 leased, 9 to 12 available; afterwards 6 to 9 leave, 13
 * to 15 are ground, and 13 leaves.
 */
async function lost(keys: KeyType): Promise<LostStore> {
  const store = new LostStore(keys);
  await store.serve(async (open) => {
    await store.insert(open, 12);
    await store.dispense(open, 5);
    await turn(open, 'pet', 0, 3);
    await backupStore(store.directory, store.backup);
    await returnLease(open, 'pet');
    await store.dispense(open, 4);
    await store.insert(open, 3);
  });
  return store;
}

const LEFT = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13].map((id) => ({ id }));
const IS_ALONE = ['lock', 'sealing.key'];

const metaIn = (directory: string) =>
  withDatabase(directory, (db) => db.prepare('SELECT epoch, next_id FROM meta').get()!) as {
    epoch: number;
    next_id: number;
  };

for (const keys of KEY_TYPES) {
  suite(`keys of type ${keys}`, () => {
    test('without a list all that may have left is burned, and all that did is kept', async () => {
      using store = await lost(keys);
      const place = store.place('new');
      const { storeId, pools } = await restoreStore(place);
      assert.equal(storeId, store.storeId);
      assert.deepEqual(pools, { pet: { dispensed: 0, burned: 7, available: 0, unknown: 0 } });
      assert.deepEqual(statesIn(place.directory), { dispensed: '1-5', burned: '6-12' });
      assert.deepEqual(readdirSync(place.directory).toSorted(), [...IS_ALONE, 'store.db']);
      const causes = withDatabase(place.directory, (db) =>
        db.prepare(`SELECT DISTINCT cause FROM segments WHERE state = 'burned'`).all(),
      );
      assert.deepEqual(
        causes.map(({ cause }) => cause),
        ['restored'],
      );
      checkStore(place.directory);

      const { epoch } = metaIn(place.directory);
      assert.ok(epoch >= store.epoch + 2 ** 20);
      const served = await openStoreIn(place.directory);
      assert.deepEqual([served.id, served.epoch, served.recovered], [store.storeId, epoch + 1, {}]);
      await store.insert(served, 2);
      const ids = await store.dispense(served, 2);
      assert.ok(
        ids.every((id) => id > 15 + 2 ** 31),
        'ids go on above all that were given',
      );
      await served.close();
    });

    test('what a complete list does not name stays available', async () => {
      using store = await lost(keys);
      const place = { ...store.place('new'), list: store.writeList(LEFT) };
      const { pools } = await restoreStore(place);
      assert.deepEqual(pools, { pet: { dispensed: 4, burned: 0, available: 3, unknown: 1 } });
      assert.deepEqual(statesIn(place.directory), { dispensed: '1-9', available: '10-12' });
      checkStore(place.directory);
      const { epoch, next_id } = metaIn(place.directory);
      assert.ok(epoch > store.epoch + 2 ** 20 && next_id > 13 + 2 ** 32);
      const served = await openStoreIn(place.directory);
      assert.deepEqual(await store.dispense(served, 3), [10, 11, 12]);
      await served.close();
    });

    test('a list that is not of this store, or older, or not all there changes nothing', async () => {
      using store = await lost(keys);
      const refused: [list: () => string, message: RegExp][] = [
        [() => store.writeList(LEFT, { storeId: '0'.repeat(32) }), /of another store \(0{32}\)/],
        [
          () => store.writeList(LEFT, { epoch: 0 }),
          /of epoch 0, older than the backup, which is of 1/,
        ],
        [() => store.writeList(LEFT, { isComplete: false }), /still served/],
        [() => store.writeList(LEFT, { addresses: 9 }), /10 addresses are listed/],
        [() => cut(store.writeList(LEFT)), /cut short/],
      ];
      const place = store.place('new');
      for (const [write, message] of refused) {
        const restored = restoreStore({ ...place, list: write() });
        await assert.rejects(restored, { code: 'LIST_INVALID', message });
        assert.deepEqual(readdirSync(place.directory).toSorted(), IS_ALONE);
      }
    });

    /** Without its last line. */
    function cut(list: string): string {
      writeFileSync(list, readFileSync(list, 'latin1').replace(/[^\n]*\n$/, ''));
      return list;
    }

    test('a list whose addresses have other ids is refused', async () => {
      using store = await lost(keys);
      const { addresses } = store;
      [addresses[5], addresses[6]] = [addresses[6]!, addresses[5]!];
      const place = { ...store.place('new'), list: store.writeList(LEFT) };
      await assert.rejects(restoreStore(place), { message: /line 6: this address has another id/ });
    });

    test('a backup without its sealing key, or with another one, is refused with what to do', async () => {
      using store = await lost(keys);
      const place = store.place('new');
      const key = join(place.directory, 'sealing.key');
      rmSync(key);
      await assert.rejects(restoreStore(place), {
        code: 'SEALING_KEY_INVALID',
        message:
          /sealing\.key: missing; .*backup cannot be read without that key.*store\.sealing_key/,
      });
      writeFileSync(key, `${'ab'.repeat(32)}\n`, { mode: 0o600 });
      await assert.rejects(restoreStore(place), {
        code: 'SEALING_KEY_INVALID',
        message: /not the key that the backup is sealed with/,
      });
      assert.deepEqual(readdirSync(place.directory), ['sealing.key'], 'nothing was made');
    });

    test('a store that is there already is kept, and so is the log of one', async () => {
      using store = await lost(keys);
      const place = store.place('new');
      await restoreStore(place);
      const before = readFileSync(join(place.directory, 'store.db'));
      await assert.rejects(restoreStore(place), {
        code: 'FILE_EXISTS',
        message: /a store is there already; .*: mkdir .*new\.old && mv .*store\.db\* .*new\.old$/,
      });
      assert.deepEqual(readFileSync(join(place.directory, 'store.db')), before);
      rmSync(join(place.directory, 'store.db'));
      writeFileSync(join(place.directory, 'store.db-wal'), 'log of another');
      await assert.rejects(restoreStore(place), { code: 'FILE_EXISTS' });
      await using _ = await openStoreIn(store.directory);
      await assert.rejects(restoreStore({ ...place, directory: store.directory }), {
        code: 'DATA_IN_USE',
      });
    });

    test('what is no backup is refused: cut, changed, of another program, newer, missing', async () => {
      using store = await lost(keys);
      const place = store.place('new');
      const good = readFileSync(store.backup);
      const refuse = (code: string) => assert.rejects(restoreStore(place), { code });

      truncateSync(store.backup, good.length - 1);
      await refuse('STORE_FOREIGN');
      const changed = Buffer.from(good);
      changed[8000]! ^= 1;
      writeFileSync(store.backup, changed);
      await refuse('STORE_CORRUPT');
      copyFileSync(join(store.directory, 'store.db'), store.backup);
      await refuse('STORE_FOREIGN');
      writeFileSync(store.backup, Buffer.concat([Buffer.alloc(8192, 'x'), good.subarray(-85)]));
      await refuse('STORE_FOREIGN');
      writeFileSync(store.backup, good);
      withVersion(store.backup, 99);
      await refuse('STORE_NEWER');
      rmSync(store.backup);
      await refuse('STORE_NOT_FOUND');
      assert.deepEqual(
        readdirSync(place.directory).toSorted(),
        IS_ALONE,
        'no store is left of any',
      );
    });

    /** `PRAGMA user_version`, in the header of the file. */
    function withVersion(path: string, version: number): void {
      const bytes = readFileSync(path);
      bytes.writeUInt32BE(version, 60);
      writeFileSync(path, bytes);
    }

    test('what a restore that was killed has left is cleared up by the next', async () => {
      using store = await lost(keys);
      const place = store.place('new');
      for (const ending of ['', '-wal', '-shm', '-journal']) {
        writeFileSync(join(place.directory, `store.db.restoring${ending}`), 'half');
      }
      await restoreStore(place);
      assert.deepEqual(readdirSync(place.directory).toSorted(), [...IS_ALONE, 'store.db']);
      checkStore(place.directory);
    });

    test('a restore that is ended leaves no store', async () => {
      using store = await lost(keys);
      const place = store.place('new');
      const signal = AbortSignal.abort(new Error('enough'));
      await assert.rejects(restoreStore({ ...place, signal }), /enough/);
      assert.deepEqual(readdirSync(place.directory).toSorted(), IS_ALONE);
    });

    test('a backup of a new store, in which nothing is sealed, takes any key', async () => {
      using store = new LostStore(keys);
      await store.serve(async () => backupStore(store.directory, store.backup));
      const place = store.place('new');
      rmSync(join(place.directory, 'sealing.key'));
      const { pools } = await restoreStore(place);
      assert.deepEqual(pools, { pet: { dispensed: 0, burned: 0, available: 0, unknown: 0 } });
      await (await openStoreIn(place.directory)).close();
    });

    test('what was held at the backup is held no more, also when others hold it afterwards', async () => {
      using store = new LostStore(keys);
      const held = (id: string) => ({
        position: 0,
        count: 1,
        at: Date.now(),
        token: 0,
        reservation: { id: id.repeat(32), ttlMs: 600_000 },
      });
      await store.serve(async (open) => {
        await store.insert(open, 1);
        await turn(open, 'pet', 0, 1);
        await turn(open, 'pet', 1, 0, { records: [held('a')], journals: new Map() });
        await backupStore(store.directory, store.backup);
        await open.reservations.release('a'.repeat(32), 0, true);
      });
      const place = store.place('new');
      const { pools } = await restoreStore({ ...place, list: store.writeList([]) });
      assert.equal(pools.pet?.available, 1);
      await using restored = await openStoreIn(place.directory);
      await turn(restored, 'pet', 0, 1);
      await turn(restored, 'pet', 1, 0, { records: [held('b')], journals: new Map() });
      const over = { code: 'RESERVATION_OVER' };
      await assert.rejects(restored.reservations.dispense('a'.repeat(32), 0, 'pet'), over);
      assert.equal((await restored.reservations.dispense('b'.repeat(32), 0, 'pet')).id, 1);
    });
  });
}
