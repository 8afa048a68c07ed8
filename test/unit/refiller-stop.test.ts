/** A stop gives back the leases of all pools, over a real store with its journals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bench, config } from '../support/pools-bench.ts';
import { withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const FILLED = 5;

/** Of 40 pools the first five have addresses, of which two of each have left. */
async function benchWithPools(): Promise<Bench> {
  const configured = Array.from({ length: 40 }, (_, index) => config(`pool-${index}`));
  const bench = await new Bench().openFor(1, configured);
  const thread = await bench.connect();
  for (let index = 0; index < FILLED; index++) {
    await bench.fill(`pool-${index}`, 15);
    assert.equal(thread.pools.get(`pool-${index}`)!.pop(2)!.length, 2);
  }
  return bench;
}

async function figuresOf({ store }: Bench, name: string) {
  const { available, leased, dispensed, burned } = await store.counts(name);
  return { available, leased, dispensed, burned };
}

const GIVEN_BACK = { available: 13, leased: 0, dispensed: 2, burned: 0 };

test('all pools are given back in one commit, with what had left', LIMIT, async () => {
  await using bench = await benchWithPools();
  const before = bench.commits;
  await bench.refiller.stop();
  assert.equal(bench.commits, before + 1);
  for (let index = 0; index < FILLED; index++) {
    assert.deepEqual(await figuresOf(bench, `pool-${index}`), GIVEN_BACK);
  }
  const handOuts = withDatabase(bench.directory, (db) =>
    db.prepare('SELECT count(*) AS count FROM hand_outs').get(),
  );
  assert.deepEqual({ ...handOuts }, { count: FILLED }, 'with whom they went');
});

/** As long as it is 1, somebody else has written the row of a pool. */
const settingsOf = (bench: Bench, is: 0 | 1) =>
  withDatabase(bench.directory, (db) =>
    db.prepare(`UPDATE pools SET is_paused = ? WHERE name = 'pool-1'`).run(is),
  );

test('a pool that fails for a moment is tried again', LIMIT, async () => {
  await using bench = await benchWithPools();
  settingsOf(bench, 1);
  const stopped = bench.refiller.stop();
  await Promise.race([stopped, sleep(200)]);
  settingsOf(bench, 0);
  await stopped;
  assert.deepEqual(await figuresOf(bench, 'pool-1'), GIVEN_BACK);
});

test('a pool that fails does not keep the others', LIMIT, async () => {
  await using bench = await benchWithPools();
  settingsOf(bench, 1);
  await assert.rejects(bench.refiller.stop(), { code: 'STORE_FORGED' });
  settingsOf(bench, 0);
  for (const index of [0, 2, 3, 4]) {
    assert.deepEqual(await figuresOf(bench, `pool-${index}`), GIVEN_BACK);
  }
  assert.equal((await figuresOf(bench, 'pool-1')).leased, 10);
});
