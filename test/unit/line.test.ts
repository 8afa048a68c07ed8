/** Times are given, not waited for: a moment before a push is no later than it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { addressOf, decodeBase58 } from '../../src/keypair/address.ts';
import { KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import { readyAddress } from '../../src/pool/ready-address.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import type { LeasedAddress, PoolCounts } from '../../src/store/address.ts';
import { Line } from '../../src/store-thread/line.ts';
import { UnrecordedHandOuts } from '../../src/store-thread/unrecorded-hand-outs.ts';
import { someKey } from '../support/keys.ts';

const READY = 20;
const LEASE_MS = 1000;
const TURN_MS = 50;

let ids = 0;

function leased(count: number, keyType: KeyType = 'seed'): LeasedAddress[] {
  return Array.from({ length: count }, () => ({
    id: ++ids,
    ...someKey(keyType),
    origin: 'ground',
    createdAt: 1,
  }));
}

/** A pool that is to have 20 ready; journals have `slots`, each time that they are asked. */
function newLine(slots?: number, readyMax = 64, runs = () => 1): { line: Line; asked: number[] } {
  const [pool] = loadConfig({ cwd: '/' }).pools;
  const asked: number[] = [];
  const handOuts =
    slots === undefined
      ? new UnrecordedHandOuts()
      : new UnrecordedHandOuts(async (records) => {
          asked.push(records);
          return slots;
        });
  const line = new Line(sharePool({ ...pool!, ready: READY, readyMax }), handOuts, 0, runs);
  return { line, asked };
}

/** At the end of its queue. */
function push(line: Line, addresses: readonly LeasedAddress[]): void {
  line.push({ leased: addresses, position: line.queue.tail });
}

function counts(available: number): PoolCounts {
  const none = { leased: 0, leasedHere: 0, reserved: 0, dispensed: 0, burned: 0, imported: 0 };
  return { ...none, available, ground: available };
}

test('below half its goal it leases at once, above once a second, and never when it is full', () => {
  const { line } = newLine();
  const before = performance.now();
  assert.ok(line.mayLease(before), 'an empty one');
  push(line, leased(9));
  const after = performance.now();
  assert.ok(line.mayLease(before));
  push(line, leased(1));
  assert.ok(!line.mayLease(before), 'half of it is there');
  assert.ok(!line.mayLease(after + LEASE_MS - 1));
  assert.ok(line.mayLease(performance.now() + LEASE_MS));
  // A turn that leases nothing puts it off no longer.
  const before2 = performance.now();
  push(line, []);
  assert.ok(line.mayLease(before2 + LEASE_MS));
  push(line, leased(9));
  assert.ok(!line.mayLease(before2 + LEASE_MS - 1));
  assert.ok(line.mayLease(performance.now() + LEASE_MS), '19 of 20');
  push(line, leased(1));
  assert.ok(!line.mayLease(Number.MAX_SAFE_INTEGER), '20 of 20');
  line.queue.pop(11);
  assert.ok(line.mayLease(before2), '9 of 20');
});

test('no more is leased than is there, than fits, and than one turn may', async () => {
  const { line } = newLine(undefined, 65_536);
  line.publish(counts(100_000));
  assert.equal(await line.leasable(10, 0), 10);
  assert.equal(await line.leasable(3000, 0), 2048);
  assert.equal(await line.leasable(3000, line.queue.capacity - 7), 7);
  assert.equal(await line.leasable(3000, line.queue.capacity), 0);
  line.publish(counts(5));
  assert.equal(await line.leasable(10, 0), 5);
  line.publish(counts(0));
  assert.equal(await line.leasable(10, 0), 0);
  assert.equal(await line.leasable(-3, 20), 0);
});

test('no more is leased than the journals have room for, beside what is ready', async () => {
  const { line, asked } = newLine(31);
  line.publish(counts(1000));
  // One slot is for a pop that is not written yet.
  assert.equal(await line.leasable(20, 0), 20);
  assert.equal(await line.leasable(50, 0), 30);
  assert.equal(await line.leasable(20, 12), 18);
  assert.equal(await line.leasable(20, 30), 0);
  assert.equal(await line.leasable(20, 40), 0, 'they were larger once');
  assert.deepEqual(asked, [21, 51, 33, 51, 61]);
  assert.equal(await line.leasable(0, 0), 0);
  assert.equal(asked.length, 5, 'for nothing they are not asked');
});

test('the goal is two seconds of demand, between `ready` and `ready_max`', () => {
  const { line } = newLine(undefined, 200);
  const start = Math.ceil(performance.now()) + LEASE_MS;
  line.measure(start);
  assert.equal(line.goal, READY);
  push(line, leased(200));
  line.queue.pop(30);
  line.measure(start + 99);
  assert.equal(line.goal, READY, 'so short a time proves nothing');
  line.measure(start + 1000);
  assert.equal(line.goal, 60);
  // Half of it every ten seconds.
  line.measure(start + 11_000);
  assert.equal(line.goal, 30);
  line.measure(start + 21_000);
  assert.equal(line.goal, READY);
  line.queue.pop(150);
  line.measure(start + 22_000);
  assert.equal(line.goal, 200);
});

test('runs that share a store leave half of a small stock to each other', () => {
  let runs = 1;
  const { line } = newLine(undefined, 64, () => runs);
  line.publish(counts(30));
  assert.equal(line.goal, READY);
  runs = 3;
  assert.equal(line.goal, 5);
  push(line, leased(5));
  line.publish(counts(25));
  assert.equal(line.goal, 5, 'what lies here is part of it');
  assert.ok(line.isAtRest || !line.mayLease(performance.now() + LEASE_MS));
  line.publish(counts(1));
  assert.equal(line.goal, 1);
  line.publish(counts(1000));
  assert.equal(line.goal, READY);
});

test('turns of many runs are gathered for longer', () => {
  const { line } = newLine(undefined, 64, () => 40);
  push(line, leased(20));
  // Whole: 200 ms are 200 then.
  const start = Math.ceil(performance.now());
  line.queue.pop(1);
  assert.ok(line.isDue(start));
  line.queue.pop(1);
  assert.ok(!line.isDue(start + 199));
  assert.ok(line.isDue(start + 200));
});

test('a turn is due at once where it is low, and for news every 50 ms', () => {
  const { line } = newLine();
  const now = Math.floor(performance.now());
  assert.ok(!line.isDue(now), 'nothing can be leased, and nothing has left');
  line.publish(counts(5));
  assert.ok(line.isDue(now));
  assert.ok(line.isDue(now), 'again, without a wait');
  push(line, leased(12));
  assert.ok(!line.isDue(now + TURN_MS - 1));
  assert.ok(!line.isDue(now + TURN_MS), 'nothing is new');
  line.queue.pop(1);
  assert.ok(!line.isDue(now + TURN_MS - 1));
  assert.ok(line.isDue(now + TURN_MS));
  assert.ok(!line.isDue(now + 2 * TURN_MS - 1));
  assert.ok(line.isDue(now + 2 * TURN_MS));
  line.queue.pop(2);
  assert.ok(line.isDue(now + 2 * TURN_MS), 'fewer than half');
  line.publish(counts(0));
  assert.ok(!line.isDue(now + 2 * TURN_MS), 'of which there are no more');
});

test('while what is leased may not leave, turns do not follow without a wait', () => {
  const { line } = newLine();
  const now = Math.floor(performance.now());
  line.publish(counts(5));
  assert.ok(line.isDue(now));
  line.isHeldUp = true;
  assert.ok(!line.isDue(now));
  assert.ok(line.isDue(now + TURN_MS));
  line.publish(counts(0));
  assert.ok(line.isDue(now + 2 * TURN_MS), 'also if there is nothing to lease: some waits');
});

test('what is ready is promised once, first come, first served, until the next turn', () => {
  const { line } = newLine();
  push(line, leased(10));
  assert.ok(line.promise(6));
  assert.ok(!line.promise(5));
  assert.ok(line.promise(4));
  assert.ok(!line.promise(1));
  line.wanted = 7;
  line.nextTurn = Promise.resolve(undefined);
  assert.equal(line.begin(), 7);
  assert.deepEqual([line.wanted, line.nextTurn], [0, undefined]);
  assert.ok(line.promise(10));
});

for (const keyType of KEY_TYPES) {
  test(`${keyType}: what is pushed is ready in its order and in texts, and the keys are wiped`, () => {
    const { line } = newLine();
    const some = leased(3, keyType);
    const whole = some.map((one) => readyAddress(one));
    assert.equal(whole[0]!.keyType, keyType);
    assert.equal(whole[0]!.address, addressOf(some[0]!.publicKey));
    assert.deepEqual(decodeBase58(whole[0]!.secret), new Uint8Array(some[0]!.key));
    push(line, some);
    assert.ok(some.every(({ key }) => key.every((byte) => byte === 0)));
    assert.equal(line.unrecorded, 0);
    assert.deepEqual(line.queue.pop(3), whole);
    assert.deepEqual([line.unrecorded, line.head], [3, 3]);
  });
}

test('what has another position than the next one of the queue is an error', () => {
  const { line } = newLine();
  push(line, leased(2));
  const more = leased(1);
  assert.throws(() => line.push({ leased: more, position: 1 }), /position 1 is not the end/);
  assert.ok(more[0]!.key.every((byte) => byte === 0));
  line.push({ leased: [], position: 1 });
  assert.equal(line.queue.size, 2);
});

test('a queue that overruns is an error, and one that is emptied has no secret', () => {
  const { line } = newLine();
  const { capacity } = line.queue;
  push(line, leased(capacity));
  const more = leased(1);
  assert.throws(() => push(line, more), /overran/);
  assert.ok(more[0]!.key.every((byte) => byte === 0));
  line.empty();
  assert.equal(line.queue.size, 0);
  const cells = Buffer.from(line.shared.queue).subarray(384);
  assert.ok(cells.every((byte) => byte === 0));
});

test('what leaves a pool that was at rest is a rush, not a rate over its rest', () => {
  const { line } = newLine(undefined, 10_000);
  push(line, leased(64));
  const now = performance.now();
  line.measure(now + 200);
  line.queue.pop(50);
  line.wake(now + 3_600_000);
  line.measure(now + 3_600_000 + 200);
  assert.equal(line.goal, 2 * 250, 'two seconds of 50 in 200 ms');
});

test('it is at rest when all that left is recorded and measured, and it is full or cannot be', () => {
  const { line } = newLine();
  line.publish(counts(100));
  assert.ok(!line.isAtRest, 'it can be filled');
  line.publish(counts(0));
  assert.ok(line.isAtRest, 'there is nothing to fill it with');
  line.publish(counts(100));
  push(line, leased(READY));
  assert.ok(line.isAtRest);
  line.queue.pop(1);
  assert.ok(!line.isAtRest);
  line.publish(counts(0));
  line.position = line.queue.head;
  assert.ok(!line.isAtRest, 'its demand is not known yet');
  line.measure(performance.now() + 200);
  assert.ok(line.isAtRest);
  line.isHeldUp = true;
  assert.ok(!line.isAtRest);
});
