import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackOff } from '../../src/back-off.ts';

test('each failure doubles the wait up to its bound, and a success begins anew', () => {
  const backOff = new BackOff();
  const waits = Array.from({ length: 9 }, () => backOff.next());
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  backOff.succeeded();
  assert.equal(backOff.next(), 100);
  const slow = new BackOff(1000, 3000);
  assert.deepEqual([slow.next(), slow.next(), slow.next()], [1000, 2000, 3000]);
});
