import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { ReadyAddress } from '../../src/pool/ready-address.ts';
import { CAPACITY_MAX, ReadyQueue } from '../../src/pool/ready-queue.ts';
import { addressOfNumber } from '../support/sequence.ts';

const MODULE = new URL('../../src/pool/ready-queue.ts', import.meta.url).href;

function sequence(first: number, last: number): ReadyAddress[] {
  return Array.from({ length: last - first + 1 }, (_, index) => addressOfNumber(first + index));
}

function contents(queue: ReadyQueue): Buffer {
  return Buffer.from(Buffer.from(queue.buffer));
}

test('every field comes out as it went in, whatever its length and value', () => {
  const queue = ReadyQueue.create(512);
  const kinds = (['seed', 'expanded'] as const).flatMap((keyType) =>
    (['ground', 'imported'] as const).map((origin) => ({ keyType, origin })),
  );
  const ids = [1, 2 ** 31, 2 ** 32 + 1, 2 ** 53 - 1];
  const addresses = kinds.flatMap((kind) =>
    ids.map((id) => ({ ...addressOfNumber(id), ...kind, createdAt: 8.64e15 })),
  );
  for (let length = 0; length <= 88; length++) {
    const address = '1'.repeat(Math.min(length, 44));
    addresses.push({ ...addresses[0]!, address, secret: 'z'.repeat(length) });
  }
  assert.equal(queue.push(addresses), addresses.length);
  assert.deepEqual(queue.pop(addresses.length), addresses);
});

test('a full queue takes what there is room for and says how many', () => {
  const queue = ReadyQueue.create(4);
  assert.equal(queue.push(sequence(1, 3)), 3);
  assert.equal(queue.push(sequence(4, 6)), 1);
  assert.equal(queue.push(sequence(5, 6)), 0);
  assert.equal(queue.size, 4);
  assert.deepEqual(queue.pop(4), sequence(1, 4));
  assert.equal(queue.push(sequence(5, 9)), 4);
});

test('a pop of several gets all of them or none', () => {
  const queue = ReadyQueue.create(4);
  queue.push(sequence(1, 3));
  assert.equal(queue.pop(4), undefined);
  assert.equal(queue.pop(5), undefined, 'more than the capacity');
  assert.equal(queue.size, 3);
  assert.deepEqual(queue.pop(3), sequence(1, 3));
  assert.equal(queue.pop(1), undefined);
  assert.deepEqual(queue.pop(0), []);
});

test('a count that is no whole number from 0 is refused and moves nothing', () => {
  const queue = ReadyQueue.create(4, 100);
  queue.push(sequence(1, 3));
  for (const count of [0.5, 1.5, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => queue.pop(count), { name: 'RangeError', message: /^count: / });
  }
  assert.equal(queue.head, 100);
  assert.deepEqual(queue.pop(3), sequence(1, 3));
});

test('a text that is too long is refused, named by id alone, and the queue stays as it was', () => {
  const queue = ReadyQueue.create(8);
  queue.push(sequence(1, 2));
  const before = contents(queue);
  const right = addressOfNumber(3);
  for (const long of [
    { ...right, id: 77, address: 'A'.repeat(45) },
    { ...right, id: 77, secret: 'S'.repeat(89) },
  ]) {
    assert.throws(
      () => queue.push([right, long]),
      (error: Error) => error instanceof RangeError && /^id 77: [^AS]*$/.test(error.message),
    );
    assert.deepEqual(contents(queue), before, 'nothing of the address before it was written');
  }
});

test('after wipe nothing of a popped address is left in the memory', () => {
  const queue = ReadyQueue.create(8, 2 ** 32 - 3);
  queue.push(sequence(1, 6));
  queue.pop(5);
  const [popped, ready] = [addressOfNumber(4), addressOfNumber(6)];
  assert.ok(contents(queue).includes(popped.secret), 'popping alone writes no cell');
  queue.wipe();
  assert.ok(!contents(queue).includes(popped.secret));
  assert.ok(!contents(queue).includes(popped.address));
  assert.ok(contents(queue).includes(ready.secret));
});

test('a push wipes what was popped, even when it pushes nothing', () => {
  const queue = ReadyQueue.create(8);
  queue.push(sequence(1, 2));
  queue.pop(2);
  queue.push([]);
  assert.ok(!contents(queue).includes(addressOfNumber(2).secret));
});

test('a producer that takes over wipes what was popped under the one before it', () => {
  const queue = ReadyQueue.create(8);
  queue.push(sequence(1, 3));
  queue.pop(3);
  const successor = new ReadyQueue(queue.buffer);
  assert.equal(successor.push(sequence(4, 11)), 8);
  successor.pop(8);
  new ReadyQueue(queue.buffer).wipe();
  assert.deepEqual(contents(queue), contents(ReadyQueue.create(8, 11)));
});

test('another thread joins, pops and sees the same counts', async () => {
  const queue = ReadyQueue.create(4, 2 ** 32 - 1);
  queue.push(sequence(1, 3));
  const worker = new Worker(
    `import { parentPort, workerData } from 'node:worker_threads';
     import { ReadyQueue } from ${JSON.stringify(MODULE)};
     const queue = new ReadyQueue(workerData);
     const { capacity, size } = queue;
     parentPort.postMessage({ capacity, size, addresses: queue.pop(2) });`,
    { eval: true, workerData: queue.buffer, execArgv: ['--input-type=module'] },
  );
  const ended = once(worker, 'exit');
  const [answer] = await once(worker, 'message');
  await ended;
  assert.deepEqual(answer, { capacity: 4, size: 3, addresses: sequence(1, 2) });
  assert.deepEqual([queue.head, queue.tail, queue.size], [1, 2, 1]);
  assert.deepEqual(queue.pop(1), sequence(3, 3));
});

test('capacity is rounded up to a power of two, within its limits', () => {
  for (const [asked, got] of [
    [1, 1],
    [2, 2],
    [3, 4],
    [1000, 1024],
    [1025, 2048],
  ] as const) {
    assert.equal(ReadyQueue.create(asked).capacity, got);
  }
  for (const capacity of [0, -1, Number.NaN, CAPACITY_MAX + 1]) {
    assert.throws(() => ReadyQueue.create(capacity), RangeError);
  }
});

test('the largest queue uses its last cell, and at most 200 bytes of memory per address', () => {
  const queue = ReadyQueue.create(CAPACITY_MAX, CAPACITY_MAX - 1);
  assert.ok(queue.buffer.byteLength <= 200 * CAPACITY_MAX);
  assert.equal(queue.push(sequence(1, 2)), 2);
  assert.deepEqual(queue.pop(2), sequence(1, 2));
});

test('memory that holds no queue is refused', () => {
  assert.throws(() => new ReadyQueue(new SharedArrayBuffer(4096)), /holds no ready queue/);
});
