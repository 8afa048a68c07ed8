/**
 * A store that has no room to grow: the system refuses writes beyond a file size that `ulimit`
 * sets. The call that fails says so and leaves nothing; smaller ones go on in the same process;
 * nothing acknowledged is lost, and with room again everything works.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { PoolCounts } from '../../src/store/store.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor } from '../support/store-conformance.ts';

const FILLER = new URL('./store-full.ts', import.meta.url).pathname;
/** In blocks of 512 bytes: 3 MB. */
const LIMIT_BLOCKS = 6000;

interface Told {
  readonly acknowledged: readonly string[];
  readonly failures: readonly string[];
  readonly available: number;
  readonly afterFailure: boolean;
  readonly counts: PoolCounts;
}

test('a file that may not grow fails one call, and loses nothing', async () => {
  const directory = temporaryDirectory();
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    `ulimit -f ${LIMIT_BLOCKS} && exec "$0" "$@"`,
    process.execPath,
    FILLER,
    directory,
  ]);
  const told = JSON.parse(stdout) as Told;
  assert.equal(told.failures.length, 1, told.failures.join('\n'));
  assert.match(told.failures[0]!, /^STORE_UNAVAILABLE: .*store\.db: /);
  assert.ok(told.afterFailure, 'what has room is inserted after the failure');
  assert.equal(
    told.available + 4,
    told.acknowledged.length,
    'nothing of the failed batch is there',
  );
  const { available, dispensed, ground } = told.counts;
  assert.deepEqual([available + dispensed, dispensed], [ground, 4]);

  await using store = await openStoreIn(directory);
  assert.deepEqual(store.burnedAtOpen, {});
  assert.deepEqual(await store.counts('pet'), told.counts);
  const { inserted } = await store.insert(hitsFor('pet', 4096));
  assert.equal(inserted, 4096, 'with room again');
  const stored = withDatabase(directory, (db) =>
    db.prepare('SELECT hex(key_hash) AS hash FROM addresses').all(),
  );
  const hashes = new Set(stored.map(({ hash }) => String(hash).toLowerCase()));
  assert.ok(told.acknowledged.every((hash) => hashes.has(hash)));
  assert.equal((await store.turn('pet', 0, ground)).burned, 0);
  await store.close();
  checkStore(directory);
  removeDirectory(directory);
});
