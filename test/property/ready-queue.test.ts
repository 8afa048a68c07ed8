/**
 * The ready queue against a plain array: after any sequence of operations both hold the same, and
 * the memory of the queue is byte for byte that of a new one to which only the ready addresses
 * were pushed. So nothing popped leaves a trace. `FC_RUNS` makes it long.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';
import type { ReadyAddress } from '../../src/pool/ready-address.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';

const RUNS = Number(process.env.FC_RUNS ?? 300);

const text = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...BASE58_ALPHABET), minLength, maxLength, size: 'max' });

const address: fc.Arbitrary<ReadyAddress> = fc.record(
  {
    id: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    address: text(32, 44),
    secret: text(64, 88),
    keyType: fc.constantFrom('seed', 'expanded'),
    origin: fc.constantFrom('ground', 'imported'),
    createdAt: fc.integer({ min: 0, max: 8.64e15 }),
  },
  { noNullPrototype: true },
);

/** What is pushed is drawn once; an operation says how many of it. */
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: fc.constant('push'), count: fc.nat(80) }) },
  { weight: 5, arbitrary: fc.record({ name: fc.constant('pop'), count: fc.nat(70) }) },
  { weight: 2, arbitrary: fc.record({ name: fc.constant('wipe'), count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('join'), count: fc.constant(0) }) },
);

const start = fc.oneof(fc.integer({ min: 2 ** 32 - 150, max: 2 ** 32 - 1 }), fc.nat(2 ** 32 - 1));

test('the ready queue does what an array does, and its memory shows no more than is ready', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      start,
      fc.array(address, { minLength: 7, maxLength: 7 }),
      fc.array(operation, { maxLength: 40, size: 'max' }),
      (capacity, position, samples, operations) => {
        let queue = ReadyQueue.create(capacity, position);
        const ready: ReadyAddress[] = [];
        let pushed = 0;
        let popped = 0;
        for (const { name, count } of operations) {
          if (name === 'push') {
            const addresses = Array.from({ length: count }, (_, index) => ({
              ...samples[(pushed + index) % samples.length]!,
              id: pushed + index + 1,
            }));
            const taken = Math.min(count, queue.capacity - ready.length);
            assert.equal(queue.push(addresses), taken);
            ready.push(...addresses.slice(0, taken));
            pushed += taken;
          } else if (name === 'pop') {
            const isServed = count <= ready.length;
            assert.deepEqual(queue.pop(count), isServed ? ready.splice(0, count) : undefined);
            if (isServed) popped += count;
          } else if (name === 'join') {
            queue = new ReadyQueue(queue.buffer);
          } else {
            queue.wipe();
          }
          assert.equal(queue.size, ready.length);
          assert.equal(queue.head, (position + popped) % 2 ** 32);
          assert.equal(queue.tail, (position + pushed) % 2 ** 32);
          if (name === 'pop' || name === 'join') continue;
          const fresh = ReadyQueue.create(capacity, queue.head);
          fresh.push(ready);
          assert.ok(Buffer.from(queue.buffer).equals(Buffer.from(fresh.buffer)), 'no trace');
        }
      },
    ),
    { numRuns: RUNS },
  );
});

test('each field of each address comes out as it went in', () => {
  const queue = ReadyQueue.create(16, 2 ** 32 - 5);
  fc.assert(
    fc.property(fc.array(address, { maxLength: 16 }), (addresses) => {
      assert.equal(queue.push(addresses), addresses.length);
      assert.deepEqual(queue.pop(addresses.length), addresses);
    }),
    { numRuns: RUNS },
  );
});
