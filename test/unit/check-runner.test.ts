import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkFile, startCheck } from '../../src/store/sqlite/check-runner.ts';
import {
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';

const directory = temporaryDirectory();
after(() => removeDirectory(directory));
const path = join(directory, 'store.db');

test('a store in use is checked from outside, and what it finds is reported', async () => {
  const store = await openStoreIn(directory);
  await store.definePool(poolNamed('pet'));
  await store.insert(hitsFor('pet', 20));
  assert.equal(await startCheck(directory).result, true);
  await store.close();
  await checkFile(path);
  withDatabase(directory, (db) => db.exec('UPDATE meta SET next_id = 3'));
  const found = { code: 'STORE_CORRUPT', message: /next id would be 3, and 20 is given.*restore/ };
  await assert.rejects(startCheck(directory).result, found);
  await assert.rejects(checkFile(path), found);
  withDatabase(directory, (db) => db.exec('UPDATE meta SET next_id = 21'));
});

test('a stop ends it at once, and is no finding', async () => {
  const check = startCheck(directory);
  check.stop();
  assert.equal(await check.result, false);
});

test('a check of a file ends with the signal, with its reason', async () => {
  const controller = new AbortController();
  const checked = checkFile(path, controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(checked, reason);
  await assert.rejects(checkFile(path, controller.signal), reason);
});

test('what cannot be checked is reported by its code', async () => {
  assert.throws(() => startCheck(join(directory, 'nothing')), { code: 'STORE_NOT_FOUND' });
  withDatabase(directory, (db) => db.exec('PRAGMA user_version = 99'));
  await assert.rejects(startCheck(directory).result, { code: 'STORE_NEWER' });
});
