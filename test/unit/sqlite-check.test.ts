import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkAtOpen, checkWhole, judged } from '../../src/store/sqlite/check.ts';
import {
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

let stores = 0;

/** 1 to 3 are dispensed, 4 to 6 leased, 7 to 12 available. */
async function newStore(): Promise<string> {
  const directory = join(root, `${stores++}`);
  const store = await openStoreIn(directory);
  for (const name of ['pet', 'pump']) await store.definePool(poolNamed(name));
  await store.insert(hitsFor('pet', 12));
  await turn(store, 'pet', 0, 6);
  await turn(store, 'pet', 3, 0);
  await store.close();
  return directory;
}

/** As a start does it: what is in doubt is judged when the store is closed. */
const atOpen = (directory: string) => {
  const path = join(directory, 'store.db');
  try {
    withDatabase(directory, (db) => checkAtOpen(db, path));
  } catch (error) {
    throw judged(error, path);
  }
};
const whole = (directory: string) => checkWhole(join(directory, 'store.db'), false);

/** Changes what the schema does not allow, as a fault of the disk or of a program would. */
function damage(directory: string, sql: string): void {
  withDatabase(directory, (db) => {
    const triggers = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`).all();
    for (const { name } of triggers) db.exec(`DROP TRIGGER ${name}`);
    db.exec(`PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; ${sql}`);
  });
}

test('a store that is whole passes both checks, also an empty one and one that is at rest', async () => {
  const directory = await newStore();
  const before = readdirSync(directory);
  checkWhole(join(directory, 'store.db'), true);
  assert.deepEqual(readdirSync(directory), before, 'no file appeared');
  atOpen(directory);
  whole(directory);
  const empty = join(root, 'empty');
  await (await openStoreIn(empty)).close();
  atOpen(empty);
  whole(empty);
});

const FAULTS: Readonly<Record<string, [sql: string, found: RegExp]>> = {
  'an id that would be given twice': [
    'UPDATE meta SET next_id = 12',
    /next id would be 12, and 12/,
  ],
  'no meta row': ['DELETE FROM meta', /does not say what it is/],
  'addresses that are not there': [
    'UPDATE pools SET ground = ground + 1, available = available + 1 WHERE id = 1',
    /pool pet: 12 of 13 addresses/,
  ],
  'a gap between segments': [
    `UPDATE segments SET last = last - 1 WHERE state = 'leased'`,
    /pool pet: the states of its addresses have gaps/,
  ],
  'segments that overlap': [
    `UPDATE segments SET last = last + 1 WHERE state = 'leased'`,
    /pool pet: the states of its addresses have gaps/,
  ],
  'a segment inside another': [
    `INSERT INTO segments SELECT 1, 8, 8, state, epoch, lease, changed_at, cause, is_destroyed
       FROM segments WHERE state = 'available'`,
    /pool pet: the states of its addresses have gaps/,
  ],
  'a gap that an overlap makes up for': [
    `UPDATE segments SET last = 5 WHERE first = 4;
     INSERT INTO segments SELECT 1, 5, 5, state, epoch, lease, changed_at, cause, is_destroyed
       FROM segments WHERE first = 4`,
    /pool pet: the states of its addresses have gaps/,
  ],
  'a gap in front that an overlap makes up for': [
    `UPDATE segments SET first = 2 WHERE first = 1;
     INSERT INTO segments SELECT 1, 3, 3, state, epoch, lease, changed_at, cause, is_destroyed
       FROM segments WHERE first = 2`,
    /pool pet: the states of its addresses have gaps/,
  ],
  'figures that are not those of the states': [
    'UPDATE pools SET available = available - 1, dispensed = dispensed + 1 WHERE id = 1',
    /pool pet: 6 addresses are available, and 5 are counted/,
  ],
  'a pool without segments': ['DELETE FROM segments', /pool pet: the states of its addresses/],
  'a segment of no pool': [
    `INSERT INTO segments SELECT 9, first, last, state, epoch, lease, changed_at, cause, is_destroyed
       FROM segments WHERE first = 1`,
    /segments: rows that belong to nothing/,
  ],
};

for (const [name, [sql, found]] of Object.entries(FAULTS)) {
  test(`${name}: both checks find it, and say what to do`, async () => {
    const directory = await newStore();
    damage(directory, sql);
    for (const check of [atOpen, whole]) {
      assert.throws(
        () => check(directory),
        (error: { code: string; message: string }) => {
          assert.equal(error.code, 'STORE_CORRUPT');
          assert.match(error.message, found);
          assert.match(error.message, /^.*store\.db: damaged: .*vanitypool restore FILE/);
          return true;
        },
      );
    }
  });
}

test('an address in the middle that is not there is found by the whole check', async () => {
  const directory = await newStore();
  damage(directory, 'DELETE FROM addresses WHERE seq = 5');
  assert.throws(() => whole(directory), /pool pet: 11 of 12 addresses/);
});

for (const table of ['addresses', 'sqlite_autoindex_addresses_1']) {
  test(`an overwritten page of ${table} is found by both, with the steps to take`, async () => {
    const directory = await newStore();
    const path = join(directory, 'store.db');
    const bytes = readFileSync(path);
    const rootpage = withDatabase(directory, (db) =>
      Number(db.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(table)!.rootpage),
    );
    bytes.fill(0x5a, (rootpage - 1) * 4096, rootpage * 4096);
    writeFileSync(path, bytes);
    const found = { code: 'STORE_CORRUPT', message: /vanitypool restore FILE/ };
    assert.throws(() => whole(directory), found);
    assert.throws(() => atOpen(directory), found);
  });
}
