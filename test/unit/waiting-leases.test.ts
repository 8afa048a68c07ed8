import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeasedAddress } from '../../src/store/address.ts';
import { WaitingLeases } from '../../src/store/sqlite/waiting-leases.ts';
import { someKey } from '../support/keys.ts';

function leased(id: number): LeasedAddress {
  return { id, ...someKey(), origin: 'ground', createdAt: 1 };
}

const idsOf = (list: readonly LeasedAddress[]) => list.map(({ id }) => id);
const isWiped = ({ key }: LeasedAddress) => key.every((byte) => byte === 0);

test('leases wait by pool, in their order, until they are taken', () => {
  const waiting = new WaitingLeases();
  assert.ok(waiting.isEmpty('pet'));
  waiting.add('pet', [leased(1), leased(2)]);
  waiting.add('pump', [leased(9)]);
  waiting.add('pet', [leased(3)]);
  waiting.add('pet', []);
  assert.ok(!waiting.isEmpty('pet'));
  const taken = waiting.take('pet');
  assert.deepEqual(idsOf(taken), [1, 2, 3]);
  assert.ok(!taken.some(isWiped), 'the taker has their secrets');
  assert.ok(waiting.isEmpty('pet'));
  assert.deepEqual(waiting.take('pet'), []);
  assert.deepEqual(idsOf(waiting.take('pump')), [9]);
});

test('a turn that leased nothing leaves nothing to wait for', () => {
  const waiting = new WaitingLeases();
  waiting.add('pet', []);
  assert.ok(waiting.isEmpty('pet'));
});

test('what is dropped is wiped, of that pool alone', () => {
  const waiting = new WaitingLeases();
  const [one, two, other] = [leased(1), leased(2), leased(3)] as const;
  waiting.add('pet', [one, two]);
  waiting.add('pump', [other]);
  waiting.drop('pet');
  assert.ok(isWiped(one) && isWiped(two) && !isWiped(other));
  assert.ok(waiting.isEmpty('pet') && !waiting.isEmpty('pump'));
  waiting.clear();
  assert.ok(isWiped(other) && waiting.isEmpty('pump'));
});
