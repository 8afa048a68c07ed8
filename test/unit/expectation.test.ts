/** When addresses are to be expected, in words and in seconds that say the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import type { VanityError } from '../../src/errors.ts';
import { duration, expectation } from '../../src/pool/expectation.ts';
import { Pool } from '../../src/pool/pool.ts';
import { countsBoard, grindingBoard, sharePool } from '../../src/pool/shared-pool.ts';

/** A pool of the default configuration with so much stock, for which so many candidates are tried. */
function poolWith(stock: number, attemptsPerSecond: number, isActive = true) {
  const shared = sharePool({ ...loadConfig({ cwd: '/' }).pools[0]!, target: 10 });
  countsBoard(shared).write({ available: stock, ground: stock });
  grindingBoard(shared).write({ active: Number(isActive), threads: 1, attemptsPerSecond });
  const refill = () => Promise.resolve();
  const pool = new Pool(shared, { refill, prepare: () => undefined, record: () => undefined });
  return { pool, difficulty: shared.pattern.difficulty };
}

test('at a measured rate: the mean of what is missing', () => {
  const { pool, difficulty } = poolWith(0, 1000);
  const first = expectation(pool.status(), 1);
  assert.equal(Math.round(first.seconds!), Math.round(difficulty / 1000));
  assert.equal(first.words, 'the first address is expected in about 8 min');
  assert.match(expectation(pool.status(), 3).words, /^3 more are expected in about 23 min$/);
  const short = poolWith(2, 50_000).pool.status();
  assert.equal(expectation(short, 1).words, 'one more is expected in about 9 s');
});

test('without one: what is known', () => {
  const words = (...of: Parameters<typeof poolWith>) =>
    expectation(poolWith(...of).pool.status(), 1).words;
  assert.equal(words(0, 0), 'it is ground for, how fast is not known yet');
  assert.equal(words(0, 0, false), 'nothing is ground for it now');
  assert.equal(words(10, 0, false), 'its target is 10');
});

test('durations are whole, of one unit, and never none', () => {
  const told = [0.001, 1.4, 119.4, 120, 7199, 7200, 172_799, 172_800, 1e9];
  assert.deepEqual(told.map(duration), [
    '1 s',
    '1 s',
    '119 s',
    '2 min',
    '120 min',
    '2 h',
    '48 h',
    '2 days',
    '32 years',
  ]);
});

test('POOL_EMPTY says it, and Retry-After the same seconds', async () => {
  for (const [rate, words, seconds] of [
    [50_000, 'the first address is expected in about 9 s', 10],
    [1e9, 'the first address is expected in about 1 s', 1],
    [10, 'the first address is expected in about 13 h', 3600],
    [0, 'it is ground for, how fast is not known yet', 2],
  ] as const) {
    const asked = async () => poolWith(0, rate).pool.dispense(1);
    await assert.rejects(asked, (error: VanityError) => {
      assert.equal(error.code, 'POOL_EMPTY');
      assert.equal(error.message, `pool pet: 1 asked for, 0 left; ${words}`);
      assert.equal(error.retryAfterSeconds, seconds);
      return true;
    });
  }
});
