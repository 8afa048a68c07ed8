import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBurned, readPools } from '../../src/store/sqlite/look.ts';
import {
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

test('burned addresses are counted by pool and cause, beside an open store', async () => {
  const directory = temporaryDirectory();
  try {
    {
      await using store = await openStoreIn(directory);
      for (const name of ['pet', 'pump', 'whole']) await store.definePool(poolNamed(name));
      for (const name of ['pet', 'pump', 'whole']) await store.insert(hitsFor(name, 6));
      withDatabase(directory, (db) =>
        db.exec('UPDATE addresses SET sealed = zeroblob(92) WHERE id = 2'),
      );
      await turn(store, 'pet', 0, 4);
      await turn(store, 'pump', 0, 2);
    }
    await using store = await openStoreIn(directory);
    assert.deepEqual(readBurned(directory), {
      pet: { crash: 3, unsealable: 1 },
      pump: { crash: 2 },
    });
    const counts = readPools(directory).map(({ name, counts }) => [name, counts.burned]);
    assert.deepEqual(counts, [
      ['pet', 4],
      ['pump', 2],
      ['whole', 0],
    ]);
    assert.equal((await store.pools()).length, 3);
  } finally {
    removeDirectory(directory);
  }
});

test('where there is no store nothing is made', () => {
  const directory = temporaryDirectory();
  for (const read of [readPools, readBurned]) {
    assert.throws(() => read(directory), { code: 'STORE_NOT_FOUND' });
  }
  removeDirectory(directory);
});
