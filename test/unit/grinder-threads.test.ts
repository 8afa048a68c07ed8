import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrinderThreads } from '../../src/pool/grinder-threads.ts';

test('another thread reads what was written, to a thousandth', () => {
  const written = GrinderThreads.of(3);
  written.write([
    { priority: 'normal', share: 1 },
    { priority: 'idle', share: 0.0004 },
    { priority: 'low', share: undefined },
  ]);
  assert.deepEqual(new GrinderThreads(written.buffer).read(), [
    { priority: 'normal', share: 1 },
    { priority: 'idle', share: 0 },
    { priority: 'low', share: undefined },
  ]);
  assert.deepEqual(GrinderThreads.of(0).read(), []);
});
