import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { readPool } from '../../src/config/pool-config.ts';
import { ChangedPools, PLACES } from '../../src/pool/changed-pools.ts';
import { Pool } from '../../src/pool/pool.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { readyAddress } from '../support/http-app.ts';

test('a mark is taken once by each reader', () => {
  const changes = new ChangedPools();
  assert.deepEqual([changes.take('refill'), changes.take('steering')], [[], []]);
  for (const place of [0, 31, 32, 255, PLACES - 1, 31]) changes.mark(place);
  const marked = [0, 31, 32, 255, PLACES - 1];
  assert.deepEqual(changes.take('refill'), marked);
  assert.deepEqual(changes.take('refill'), []);
  changes.mark(7);
  assert.deepEqual(changes.take('steering'), [0, 7, ...marked.slice(1)]);
  assert.deepEqual(changes.take('refill'), [7]);
});

test('what another thread did before its mark is seen by the look that takes it, or by the next', async () => {
  const changes = new ChangedPools();
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const times = 200_000;
  // Two threads mark the same pool, so that each often finds the mark of the other.
  const source = `
    const { workerData: { module, buffer, counts, times, which } } = require('node:worker_threads');
    import(module).then(({ ChangedPools }) => {
      const changes = new ChangedPools(buffer);
      for (let done = 1; done <= times; done++) {
        Atomics.store(counts, which, done);
        changes.mark(3);
      }
    });`;
  const module = new URL('../../src/pool/changed-pools.ts', import.meta.url).href;
  const workers = [0, 1].map((which) => {
    const workerData = { module, buffer: changes.buffer, counts, times, which };
    return new Worker(source, { eval: true, workerData });
  });
  let running = workers.length;
  for (const worker of workers) worker.once('exit', () => running--);
  const seen = [0, 0];
  const look = () => {
    const taken = changes.take('refill');
    if (taken.length === 0) return;
    assert.deepEqual(taken, [3]);
    for (const which of [0, 1]) seen[which] = Atomics.load(counts, which);
  };
  while (running > 0) {
    for (let looks = 0; looks < 1000; looks++) look();
    await new Promise(setImmediate);
  }
  look();
  assert.deepEqual(seen, [times, times]);
});

test('a pop is marked, also one that could not be recorded; one that finds nothing is not', () => {
  const changes = new ChangedPools();
  const place = 9;
  const pool = readPool({ name: 'pet', suffix: 'x' }, (key) => key);
  const shared = sharePool(pool, { changes, place });
  const refill = async () => undefined;
  let isBroken = false;
  const record = () => {
    if (isBroken) throw new Error('no journal');
  };
  const popping = new Pool(shared, { refill, prepare: () => undefined, record });
  assert.equal(popping.pop(1), undefined);
  assert.deepEqual(changes.take('refill'), []);
  new ReadyQueue(shared.queue).push([readyAddress(1), readyAddress(2)]);
  popping.pop(1);
  assert.deepEqual(changes.take('refill'), [place]);
  isBroken = true;
  assert.throws(() => popping.pop(1), /no journal/);
  assert.deepEqual(changes.take('refill'), [place]);
});
