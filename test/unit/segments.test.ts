/**
 * Segments on a real database: a pool of ten addresses whose rows hold no secret. Segments are
 * written as 'first-last state', in order.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { Segments, type State, sizeOf } from '../../src/store/segments.ts';
import { openDatabase } from '../../src/store/sqlite-database.ts';
import { removeDirectory, STATES, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

const SIZE = 10;
const POOL = 1;
const AT = 1_700_000_000_000;
let files = 0;

class Subject {
  readonly db: DatabaseSync;
  readonly segments: Segments;

  constructor() {
    this.db = openDatabase(join(root, `${files++}.db`));
    this.db.exec(`
      INSERT INTO pools (id, name, prefix, suffix, ignore_case, keys)
        VALUES (${POOL}, 'pet', '', 'a', 0, 'seed');
      INSERT INTO data_keys VALUES (1, x'00', 0);`);
    const insert = this.db.prepare(`INSERT INTO addresses
      VALUES (?1, ${POOL}, ?1, ?2, 1, zeroblob(92), 'ground', 0)`);
    for (let seq = 1; seq <= SIZE; seq++) insert.run(seq, randomBytes(32));
    this.segments = new Segments(this.db);
    this.segments.append(POOL, { first: 1, last: SIZE });
    this.db.exec(`UPDATE pools SET available = ${SIZE}, ground = ${SIZE}`);
  }

  get list(): string[] {
    const rows = this.db.prepare('SELECT first, last, state FROM segments ORDER BY first').all();
    return rows.map(({ first, last, state }) => `${first}-${last} ${state}`);
  }

  figure(state: string): number {
    return Number(this.db.prepare('SELECT * FROM pools').get()?.[state]);
  }

  lease(first: number, last: number): void {
    this.segments.lease(POOL, [{ first, last }], 1, AT);
  }

  dispense(first: number, last: number, at = AT): void {
    const change = { to: 'dispensed', epoch: 1, at } as const;
    this.segments.change(POOL, { first, last }, 'leased', change);
  }

  burn(first: number, last: number, from: State, cause: 'crash' | 'unsealable' = 'crash'): void {
    const change = { to: 'burned', epoch: 1, at: AT, cause } as const;
    this.segments.change(POOL, { first, last }, from, change);
  }

  oldest(state: 'available' | 'leased', count = Number.POSITIVE_INFINITY): string[] {
    const ranges = this.segments.oldest(POOL, state, count);
    return ranges.map(({ first, last }) => `${first}-${last}`);
  }
}

test('a lease and its hand-out move two boundaries, whatever their size', () => {
  const subject = new Subject();
  subject.lease(1, 4);
  assert.deepEqual(subject.list, ['1-4 leased', '5-10 available']);
  subject.lease(5, 8);
  assert.deepEqual(subject.list, ['1-8 leased', '9-10 available']);
  subject.dispense(1, 3);
  subject.dispense(4, 5, AT + 200);
  assert.deepEqual(subject.list, ['1-5 dispensed', '6-8 leased', '9-10 available']);
  subject.segments.changeLeased(POOL, { to: 'available' });
  assert.deepEqual(subject.list, ['1-5 dispensed', '6-10 available']);
});

test('times are kept to the second, never too early', () => {
  const subject = new Subject();
  subject.lease(1, 9);
  subject.dispense(1, 2, AT);
  subject.dispense(3, 4, AT + 999);
  subject.dispense(5, 6, AT + 1000);
  subject.dispense(7, 8, AT + 5000);
  assert.deepEqual(subject.list.slice(0, 3), ['1-4 dispensed', '5-6 dispensed', '7-8 dispensed']);
  const times = subject.db.prepare('SELECT changed_at FROM segments ORDER BY first').all();
  assert.deepEqual(
    times.slice(0, 3).map(({ changed_at }) => Number(changed_at) - AT),
    [999, 1000, 5000],
  );
});

test('a single address in the middle can have any state, and holes close again', () => {
  const subject = new Subject();
  subject.lease(1, 10);
  subject.burn(5, 5, 'leased');
  assert.deepEqual(subject.list, ['1-4 leased', '5-5 burned', '6-10 leased']);
  subject.burn(6, 6, 'leased', 'unsealable');
  subject.burn(4, 4, 'leased');
  assert.deepEqual(subject.list, ['1-3 leased', '4-5 burned', '6-6 burned', '7-10 leased']);
  subject.segments.changeLeased(POOL, { to: 'available' });
  subject.segments.change(POOL, { first: 4, last: 5 }, 'burned', {
    to: 'dispensed',
    epoch: 1,
    at: AT,
  });
  assert.deepEqual(subject.list, [
    '1-3 available',
    '4-5 dispensed',
    '6-6 burned',
    '7-10 available',
  ]);
});

test('leased ones are dispensed in the order in which they were leased, holes or not', () => {
  const subject = new Subject();
  subject.lease(4, 6);
  subject.lease(9, 10);
  subject.lease(1, 2);
  subject.lease(3, 3);
  assert.deepEqual(subject.oldest('leased'), ['4-6', '9-10', '1-3']);
  assert.deepEqual(subject.oldest('leased', 4), ['4-6', '9-9']);
  assert.deepEqual(subject.oldest('available'), ['7-8']);
  subject.dispense(4, 5);
  assert.deepEqual(subject.oldest('leased', 2), ['6-6', '9-9']);
});

test('neighbours of different leases stay apart, so that their order is kept', () => {
  const subject = new Subject();
  subject.lease(5, 6);
  subject.lease(3, 4);
  subject.lease(7, 7);
  assert.deepEqual(subject.oldest('leased'), ['5-6', '3-4', '7-7']);
});

test('available ones come oldest first, from as many segments as it takes', () => {
  const subject = new Subject();
  subject.lease(3, 4);
  subject.lease(7, 8);
  assert.deepEqual(subject.oldest('available'), ['1-2', '5-6', '9-10']);
  assert.deepEqual(subject.oldest('available', 3), ['1-2', '5-5']);
  assert.deepEqual(subject.oldest('available', 4), ['1-2', '5-6']);
  assert.deepEqual(subject.oldest('available', 0), []);
});

test('a range that is not all in the state it starts from is not changed', () => {
  const subject = new Subject();
  subject.lease(1, 5);
  assert.throws(() => subject.dispense(4, 6), /4 to 6 are not all leased/);
  assert.throws(() => subject.burn(2, 3, 'available'), /2 to 3 are not all available/);
  assert.throws(() => subject.lease(10, 11), /are not all available/);
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
      const subject = new Subject();
      const change = (state: string) =>
        subject.db.exec(`UPDATE segments SET state = '${state}', cause = iif('${state}' = 'burned', 'crash', ''),
          lease = ('${state}' = 'leased')`);
      for (const state of paths[from]!) change(state);
      assert.equal(subject.figure(from), SIZE);
      if (allowed.has(`${from} ${to}`)) {
        change(to);
        assert.deepEqual([subject.figure(from), subject.figure(to)], [0, SIZE], `${from} ${to}`);
      } else {
        assert.throws(() => change(to), /a change of state that is not allowed/, `${from} ${to}`);
        assert.equal(subject.figure(from), SIZE);
      }
    }
  }
});

test('no segment comes from nowhere or goes away', () => {
  const { db, segments } = new Subject();
  segments.lease(POOL, [{ first: 1, last: 4 }], 1, AT);
  const add = (first: number, last: number, state: string) =>
    db.exec(`INSERT INTO segments VALUES (1, ${first}, ${last}, '${state}', 1,
      ${Number(state === 'leased')}, 0, '', 0)`);
  assert.throws(() => add(11, 12, 'leased'), /no origin/);
  assert.throws(() => add(11, 12, 'dispensed'), /no origin/);
  assert.throws(() => db.exec('DELETE FROM segments WHERE first = 1'), /would be lost/);
  assert.throws(() => db.exec('DELETE FROM segments WHERE first = 5'), /would be lost/);
});

test('of an address nothing is deleted or changed but its secret', () => {
  const { db } = new Subject();
  assert.throws(() => db.exec('DELETE FROM addresses WHERE id = 1'), /kept for ever/);
  for (const column of ['id', 'pool_id', 'seq', 'data_key_id', 'created_at']) {
    assert.throws(() => db.exec(`UPDATE addresses SET ${column} = ${column}`), /only the secret/);
  }
  assert.throws(() => db.exec('UPDATE addresses SET key_hash = key_hash'), /only the secret/);
  db.exec('UPDATE addresses SET sealed = randomblob(92) WHERE id = 1');
  assert.throws(() => db.exec(`UPDATE addresses SET sealed = x'00'`), /CHECK constraint/);
});

test('the figures of a pool cannot be made to disagree', () => {
  const { db } = new Subject();
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
