/**
 * Segments of a pool of ten addresses, written as 'first-last state', in order.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Range, sizeOf } from '../../src/store/ranges.ts';
import { AT, SegmentPool } from '../support/segment-pool.ts';
import { STATES } from '../support/sqlite-stores.ts';

const SIZE = 10;
const range = (first: number, last: number): Range => ({ first, last });
const texts = (ranges: readonly Range[]) => ranges.map(({ first, last }) => `${first}-${last}`);

test('a lease and its hand-out move two boundaries, whatever their size', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(1, 4));
  assert.deepEqual(pool.list, ['1-4 leased', '5-10 available']);
  pool.lease(range(5, 8));
  assert.deepEqual(pool.list, ['1-8 leased', '9-10 available']);
  pool.dispense(range(1, 3));
  pool.dispense(range(4, 5), AT + 200);
  assert.deepEqual(pool.list, ['1-5 dispensed', '6-8 leased', '9-10 available']);
  pool.returnLease();
  assert.deepEqual(pool.list, ['1-5 dispensed', '6-10 available']);
});

test('times are kept to the second, never too early', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(1, 9));
  pool.dispense(range(1, 2), AT);
  pool.dispense(range(3, 4), AT + 999);
  pool.dispense(range(5, 6), AT + 1000);
  pool.dispense(range(7, 8), AT + 5000);
  assert.deepEqual(pool.list.slice(0, 3), ['1-4 dispensed', '5-6 dispensed', '7-8 dispensed']);
  const times = pool.db.prepare('SELECT changed_at FROM segments ORDER BY first').all();
  assert.deepEqual(
    times.slice(0, 3).map(({ changed_at }) => Number(changed_at) - AT),
    [999, 1000, 5000],
  );
});

test('a single address in the middle can have any state, and holes close again', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(1, 10));
  pool.burn(range(5, 5), 'leased');
  assert.deepEqual(pool.list, ['1-4 leased', '5-5 burned', '6-10 leased']);
  pool.burn(range(6, 6), 'leased', 'unsealable');
  pool.burn(range(4, 4), 'leased');
  assert.deepEqual(pool.list, ['1-3 leased', '4-5 burned', '6-6 burned', '7-10 leased']);
  pool.returnLease();
  pool.dispense(range(4, 5), AT, 'burned');
  assert.deepEqual(pool.list, ['1-3 available', '4-5 dispensed', '6-6 burned', '7-10 available']);
});

test('leased ones are dispensed in the order in which they were leased, holes or not', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(4, 6));
  pool.lease(range(9, 10));
  pool.lease(range(1, 2));
  pool.lease(range(3, 3));
  assert.deepEqual(texts(pool.oldest('leased')), ['4-6', '9-10', '1-3']);
  assert.deepEqual(texts(pool.oldest('leased', 4)), ['4-6', '9-9']);
  assert.deepEqual(texts(pool.oldest('available')), ['7-8']);
  pool.dispense(range(4, 5));
  assert.deepEqual(texts(pool.oldest('leased', 2)), ['6-6', '9-9']);
});

test('neighbours of different leases stay apart, so that their order is kept', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(5, 6));
  pool.lease(range(3, 4));
  pool.lease(range(7, 7));
  assert.deepEqual(texts(pool.oldest('leased')), ['5-6', '3-4', '7-7']);
});

test('available ones come oldest first, from as many segments as it takes', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(3, 4));
  pool.lease(range(7, 8));
  assert.deepEqual(texts(pool.oldest('available')), ['1-2', '5-6', '9-10']);
  assert.deepEqual(texts(pool.oldest('available', 3)), ['1-2', '5-5']);
  assert.deepEqual(texts(pool.oldest('available', 4)), ['1-2', '5-6']);
  assert.deepEqual(texts(pool.oldest('available', 0)), []);
});

test('a range that is not all in the state it starts from is not changed', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(1, 5));
  assert.throws(() => pool.dispense(range(4, 6)), /4 to 6 are not all leased/);
  assert.throws(() => pool.burn(range(2, 3), 'available'), /2 to 3 are not all available/);
  assert.throws(() => pool.lease(range(10, 11)), /are not all available/);
});

test('only the changes of state that the words allow can be made, and they move the figures', () => {
  const allowed = new Set([
    'available leased',
    'available burned',
    'leased available',
    'leased reserved',
    'leased dispensed',
    'leased burned',
    'reserved available',
    'reserved dispensed',
    'reserved burned',
    'burned dispensed',
  ]);
  /** How to come to a state by allowed steps. */
  const paths: Record<string, string[]> = {
    available: [],
    leased: ['leased'],
    reserved: ['leased', 'reserved'],
    dispensed: ['leased', 'dispensed'],
    burned: ['burned'],
  };
  for (const from of STATES) {
    for (const to of STATES) {
      const pool = new SegmentPool(SIZE);
      const change = (state: string) =>
        pool.db.exec(`UPDATE segments SET state = '${state}', cause = iif('${state}' = 'burned', 'crash', ''),
          lease = ('${state}' = 'leased')`);
      for (const state of paths[from]!) change(state);
      assert.equal(pool.figure(from), SIZE);
      if (allowed.has(`${from} ${to}`)) {
        change(to);
        assert.deepEqual([pool.figure(from), pool.figure(to)], [0, SIZE], `${from} ${to}`);
      } else {
        assert.throws(() => change(to), /a change of state that is not allowed/, `${from} ${to}`);
        assert.equal(pool.figure(from), SIZE);
      }
    }
  }
});

test('no segment comes from nowhere or goes away', () => {
  const pool = new SegmentPool(SIZE);
  pool.lease(range(1, 4));
  const { db } = pool;
  const add = (first: number, last: number, state: string) =>
    db.exec(`INSERT INTO segments VALUES (1, ${first}, ${last}, '${state}', 1,
      ${Number(state === 'leased')}, 0, '', 0)`);
  assert.throws(() => add(11, 12, 'leased'), /no origin/);
  assert.throws(() => add(11, 12, 'dispensed'), /no origin/);
  assert.throws(() => db.exec('DELETE FROM segments WHERE first = 1'), /would be lost/);
  assert.throws(() => db.exec('DELETE FROM segments WHERE first = 5'), /would be lost/);
});

test('of an address nothing is deleted or changed but its secret', () => {
  const { db } = new SegmentPool(SIZE);
  assert.throws(() => db.exec('DELETE FROM addresses WHERE id = 1'), /kept for ever/);
  for (const column of ['id', 'pool_id', 'seq', 'data_key_id', 'created_at']) {
    assert.throws(() => db.exec(`UPDATE addresses SET ${column} = ${column}`), /only the secret/);
  }
  assert.throws(() => db.exec('UPDATE addresses SET key_hash = key_hash'), /only the secret/);
  db.exec('UPDATE addresses SET sealed = randomblob(92) WHERE id = 1');
  assert.throws(() => db.exec(`UPDATE addresses SET sealed = x'00'`), /CHECK constraint/);
});

test('the figures of a pool cannot be made to disagree', () => {
  const { db } = new SegmentPool(SIZE);
  for (const figure of [
    'available',
    'leased',
    'reserved',
    'dispensed',
    'burned',
    'ground',
    'imported',
  ]) {
    assert.throws(() => db.exec(`UPDATE pools SET ${figure} = ${figure} + 1`), /CHECK constraint/);
  }
  assert.throws(() => db.exec('UPDATE pools SET available = -1, ground = -1'), /CHECK constraint/);
});

test('a range counts both of its ends', () => {
  assert.equal(sizeOf({ first: 3, last: 3 }), 1);
  assert.equal(sizeOf({ first: 3, last: 7 }), 5);
});
