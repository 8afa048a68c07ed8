/**
 * A store that has no room to grow: the system refuses writes beyond a file size that `ulimit`
 * sets. The call that fails says so and leaves nothing; smaller ones go on in the same process;
 * nothing acknowledged is lost, and with room again everything works.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { PoolCounts } from '../../src/store/address.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const SUPPORT = new URL('../support/sqlite-stores.ts', import.meta.url).href;
const FILLER = new URL('./store-full.ts', import.meta.url).pathname;
/** In blocks of 512 bytes: 3 MB, and too little for the index of the write-ahead log. */
const LIMIT_BLOCKS = 6000;
const START_BLOCKS = 40;

interface Told {
  readonly acknowledged: readonly string[];
  readonly failures: readonly string[];
  readonly available: number;
  readonly afterFailure: boolean;
  readonly counts: PoolCounts;
}

/** Runs node with files that may not grow beyond so many blocks; returns what it wrote. */
async function runWithin(blocks: number, ...args: readonly string[]): Promise<string> {
  const script = `ulimit -f ${blocks} && exec "$0" "$@"`;
  const { stdout } = await promisify(execFile)('sh', ['-c', script, process.execPath, ...args]);
  return stdout;
}

test('a file that may not grow fails one call, and loses nothing', async () => {
  const directory = temporaryDirectory();
  const stdout = await runWithin(LIMIT_BLOCKS, FILLER, directory);
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
  assert.deepEqual(store.recovered, {});
  assert.deepEqual(await store.counts('pet'), told.counts);
  const { inserted } = await store.insert(hitsFor('pet', 4096));
  assert.equal(inserted, 4096, 'with room again');
  const stored = withDatabase(directory, (db) =>
    db.prepare('SELECT hex(key_hash) AS hash FROM addresses').all(),
  );
  const hashes = new Set(stored.map(({ hash }) => String(hash).toLowerCase()));
  assert.ok(told.acknowledged.every((hash) => hashes.has(hash)));
  assert.equal((await turn(store, 'pet', 0, ground)).burned, 0);
  await store.close();
  checkStore(directory);
  removeDirectory(directory);
});

test('a start without room says that the disk is full, and with room again it works', async () => {
  const directory = temporaryDirectory();
  const opening = `
    import { openStoreIn } from ${JSON.stringify(SUPPORT)};
    await openStoreIn(process.argv[1]).catch(({ code, message }) => console.log(code, message));`;
  const args = ['--input-type=module', '--eval', opening, directory];
  assert.match(await runWithin(START_BLOCKS, ...args), /^DISK_FULL .*store\.db: the disk is full/);
  await (await openStoreIn(directory)).close();
  checkStore(directory);
  removeDirectory(directory);
});
