import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrinderThreads } from '../../src/pool/grinder-threads.ts';

test('another thread reads what was written, to a thousandth', () => {
  const written = GrinderThreads.of(3);
  written.write([
    { priority: 'normal', share: 1, attemptsPerSecond: 1234.5 },
    { priority: 'idle', share: 0.0004, attemptsPerSecond: 1e12 },
    { priority: 'low', share: undefined, attemptsPerSecond: undefined },
  ]);
  assert.deepEqual(new GrinderThreads(written.buffer).read(), [
    { priority: 'normal', share: 1, attemptsPerSecond: 1235 },
    { priority: 'idle', share: 0, attemptsPerSecond: 2 ** 31 - 1 },
    { priority: 'low', share: undefined, attemptsPerSecond: undefined },
  ]);
  assert.deepEqual(GrinderThreads.of(0).read(), []);
});
