import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { EventIds } from '../../src/http/event-ids.ts';

const LIMIT = { timeout: 300_000 };
const COUNT = 2000;

/** Takes ids in a thread of its own. */
async function taken(buffer: SharedArrayBuffer): Promise<string[]> {
  const module = new URL('../../src/http/event-ids.ts', import.meta.url);
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(${JSON.stringify(module.href)}).then(({ EventIds }) => {
      const ids = new EventIds(workerData);
      parentPort.postMessage(Array.from({ length: ${COUNT} }, () => ids.next()));
    });`;
  const worker = new Worker(source, { eval: true, workerData: buffer });
  const [ids] = await once(worker, 'message');
  await worker.terminate();
  return ids;
}

test('ids are whole numbers, and no two threads give one twice', LIMIT, async () => {
  const ids = new EventIds();
  ids.begin(3);
  const first = ids.next();
  assert.equal(first, '3000000000000');
  const threads = await Promise.all([taken(ids.buffer), taken(ids.buffer)]);
  for (const given of threads) {
    for (const [at, id] of given.entries()) {
      assert.match(id, /^3\d{12}$/);
      assert.ok(BigInt(id) > BigInt(at === 0 ? first : given[at - 1]!));
    }
  }
  assert.equal(new Set(threads.flat()).size, 2 * COUNT);
  const last = BigInt(ids.next());
  assert.ok(
    threads.flat().every((id) => BigInt(id) < last),
    'later requests get a longer time',
  );
});

test('those of a later start are higher, however many a start gave and however high its epoch', () => {
  let last = 0n;
  for (const epoch of [1, 2, 1000, 2 ** 20, 2 ** 32, 2 ** 53 - 1]) {
    const ids = new EventIds();
    ids.begin(epoch);
    for (let count = 0; count < 3; count++) {
      const id = BigInt(ids.next());
      assert.ok(id > last, `${id} after ${last}`);
      last = id;
    }
  }
});
