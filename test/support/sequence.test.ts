import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOfNumber, isWhole, randomOf, Tally } from './sequence.ts';

test('an address of the sequence is whole, and one with a field of another is not', () => {
  const [one, other] = [addressOfNumber(1234), addressOfNumber(1235 + 13 * 25 * 6)];
  assert.ok(isWhole(one));
  for (const name of Object.keys(one)) {
    if (one[name as keyof typeof one] === other[name as keyof typeof one]) continue;
    assert.ok(!isWhole({ ...one, [name]: other[name as keyof typeof one] }), name);
  }
  assert.ok(!isWhole({ ...one, keyType: 'expanded' }));
  assert.ok(!isWhole({ ...one, origin: 'imported' }));
  assert.ok(!isWhole({ ...one, secret: one.secret.slice(1) + one.secret.at(-1) }));
});

test('the texts take every length that a cell of the queue must hold', () => {
  const lengths = Array.from({ length: 100 }, (_, id) => addressOfNumber(id));
  assert.equal(Math.min(...lengths.map(({ address }) => address.length)), 32);
  assert.equal(Math.max(...lengths.map(({ address }) => address.length)), 44);
  assert.equal(Math.max(...lengths.map(({ secret }) => secret.length)), 88);
});

test('a tally finds what came twice, what never came and what cannot come', () => {
  const tally = new Tally(10);
  const joined = new Tally(10, tally.buffer);
  assert.ok(tally.count(1));
  assert.ok(joined.count(10));
  assert.ok(!tally.count(10), 'another thread received it');
  for (const id of [0, 11, 1.5, -1, Number.NaN]) assert.ok(!tally.count(id), String(id));
  assert.equal(joined.missing(10), 8);
  assert.equal(joined.missing(1), 0);
});

test('a seed draws the same numbers again, all that are allowed and no others', () => {
  const [first, again] = [randomOf(7), randomOf(7)];
  const drawn = Array.from({ length: 1000 }, () => first(-1, 2));
  assert.deepEqual(
    drawn,
    Array.from({ length: 1000 }, () => again(-1, 2)),
  );
  assert.deepEqual([...new Set(drawn)].sort(), [-1, 0, 1, 2]);
  assert.notEqual(randomOf(8)(0, 2 ** 31), randomOf(7)(0, 2 ** 31));
  assert.ok(randomOf(0)(1, 6) <= 6, 'seed 0 draws too');
});
