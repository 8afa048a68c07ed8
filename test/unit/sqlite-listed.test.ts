import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { Segments } from '../../src/store/sqlite/segments.ts';
import { AT, type Listed, LostStore, statesIn } from '../support/lost-store.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';

/** Ids 1 and 2 are dispensed, 3 and 4 available, 5 and 6 reserved, 7 and 8 burned, 9 to 12 leased. */
async function mixed(keys: KeyType): Promise<LostStore> {
  const store = new LostStore(keys);
  await store.serve(async (open) => {
    await store.insert(open, 12);
    await store.dispense(open, 2);
  });
  withDatabase(store.directory, (db) => {
    const segments = new Segments(db);
    const burned = { to: 'burned', epoch: 1, at: AT, cause: 'crash' } as const;
    segments.change(1, { first: 7, last: 8 }, 'available', burned);
    segments.lease(1, [{ first: 5, last: 6 }], 1, AT);
    db.exec(`UPDATE segments SET state = 'reserved', lease = 0 WHERE first = 5`);
    segments.lease(1, [{ first: 9, last: 12 }], 1, AT);
  });
  await backupStore(store.directory, store.backup);
  return store;
}

async function restoredBy(store: LostStore, listed: readonly Listed[]) {
  const place = { ...store.place('new'), list: store.writeList(listed) };
  const { pools } = await restoreStore(place);
  checkStore(place.directory);
  return { pools, states: statesIn(place.directory), directory: place.directory };
}

const all = (state: string, cause: string | null = null): Listed[] =>
  Array.from({ length: 12 }, (_, index) => ({ id: index + 1, state, cause }));

for (const keys of KEY_TYPES) {
  suite(`keys of type ${keys}`, () => {
    test('an empty list: only what is final stays as it is', async () => {
      using store = await mixed(keys);
      const { pools, states } = await restoredBy(store, []);
      assert.deepEqual(states, { dispensed: '1-2', burned: '7-8', available: '3-6 9-12' });
      assert.deepEqual(pools, { pet: { dispensed: 0, burned: 0, available: 8, unknown: 0 } });
    });

    test('all dispensed: what was burned did leave after all', async () => {
      using store = await mixed(keys);
      const { pools, states } = await restoredBy(store, all('dispensed'));
      assert.deepEqual(states, { dispensed: '1-12' });
      assert.deepEqual(pools, { pet: { dispensed: 10, burned: 0, available: 0, unknown: 0 } });
    });

    for (const state of ['burned', 'reserved']) {
      test(`all ${state}: burned, but for what was dispensed, with the cause that the list names`, async () => {
        using store = await mixed(keys);
        const cause = state === 'burned' ? 'unsealable' : null;
        const { pools, states, directory } = await restoredBy(store, all(state, cause));
        assert.deepEqual(states, { dispensed: '1-2', burned: '3-12' });
        assert.deepEqual(pools, { pet: { dispensed: 0, burned: 8, available: 0, unknown: 0 } });
        const causes = withDatabase(directory, (db) =>
          db.prepare(`SELECT first, last, cause FROM segments WHERE state = 'burned'`).all(),
        );
        assert.deepEqual(
          causes.map(({ first, last, cause }) => `${first}-${last} ${cause}`),
          [`3-6 ${cause ?? 'restored'}`, '7-8 crash', `9-12 ${cause ?? 'restored'}`],
        );
      });
    }

    test('each has the time of the list, whatever the order of its lines', async () => {
      using store = await mixed(keys);
      const listed = [12, 3, 4, 11].map((id) => ({ id, at: AT + id * 1000 }));
      const { states, directory } = await restoredBy(store, listed);
      assert.deepEqual(states, { dispensed: '1-4 11-12', burned: '7-8', available: '5-6 9-10' });
      const times = withDatabase(directory, (db) =>
        db
          .prepare(
            `SELECT first, last, changed_at FROM segments WHERE state = 'dispensed' AND first > 2`,
          )
          .all(),
      );
      assert.deepEqual(
        times.map(({ first, last, changed_at }) => [first, last, changed_at]),
        [3, 4, 11, 12].map((id) => [id, id, AT + id * 1000]),
      );
    });

    test('neighbours that left in one second are one segment, of the latest moment', async () => {
      using store = await mixed(keys);
      const listed = [3, 4].map((id) => ({ id, at: AT + id }));
      const { directory } = await restoredBy(store, listed);
      const [row] = withDatabase(directory, (db) =>
        db.prepare(`SELECT first, last, changed_at FROM segments WHERE first = 3`).all(),
      );
      assert.deepEqual({ ...row }, { first: 3, last: 4, changed_at: AT + 4 });
    });

    test('neighbours that were given up for other causes keep them', async () => {
      using store = await mixed(keys);
      const listed = ['crash', 'unsealable'].map((cause, index) => ({ id: 3 + index, cause }));
      const { directory } = await restoredBy(
        store,
        listed.map((one) => ({ ...one, state: 'burned' })),
      );
      const rows = withDatabase(directory, (db) =>
        db.prepare(`SELECT first, last, cause FROM segments WHERE first IN (3, 4)`).all(),
      );
      assert.deepEqual(
        rows.map(({ first, last, cause }) => `${first}-${last} ${cause}`),
        ['3-3 crash', '4-4 unsealable'],
      );
    });

    test('an address that is listed twice is changed once', async () => {
      using store = await mixed(keys);
      const { pools, states } = await restoredBy(store, [
        { id: 9 },
        { id: 9 },
        { id: 10 },
        { id: 9 },
      ]);
      assert.deepEqual(states.dispensed, '1-2 9-10');
      assert.equal(pools.pet!.dispensed, 2);
    });

    test('an address that could not be read any more is identified by its id, in the pool that it names', async () => {
      using store = await mixed(keys);
      const unread = (line: object) => ({ ...line, address: null });
      const lines = [3, 10].map((id) => unread(JSON.parse(store.line({ id, state: 'burned' }))));
      const unknown = unread({ ...lines[0], id: 13 });
      const end = { storeId: store.storeId, epoch: store.epoch, addresses: 3, isComplete: true };
      const write = (...rows: object[]) =>
        writeFileSync(store.list, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      write(...lines, unknown, end);
      const place = { ...store.place('new'), list: store.list };
      const { pools } = await restoreStore(place);
      checkStore(place.directory);
      const { burned, available } = statesIn(place.directory);
      assert.deepEqual([burned, available], ['3 7-8 10', '4-6 9 11-12']);
      assert.equal(pools.pet!.unknown, 1);
      write({ ...lines[0], pool: 'pump' }, { ...end, addresses: 1 });
      await assert.rejects(restoreStore({ ...store.place('other'), list: store.list }), {
        code: 'LIST_INVALID',
        message: /line 1: this address has another id or pool/,
      });
    });
  });
}
