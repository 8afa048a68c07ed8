/**
 * Errors as SQLite really makes them, and what they become.
 */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import {
  decided,
  isDoubtful,
  isOfSqlite,
  storeError,
  tellsRefusal,
} from '../../src/store/sqlite/error.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

let files = 0;
const newPath = () => join(root, `${files++}.db`);

function newDatabase(path = newPath()): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 0 });
  db.exec('CREATE TABLE things (name TEXT UNIQUE CHECK (length(name) < 9), body BLOB)');
  return db;
}

function failureOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
}

function full(): unknown {
  const db = newDatabase();
  db.exec('PRAGMA max_page_count = 20');
  return failureOf(() => db.exec('INSERT INTO things VALUES (NULL, zeroblob(1000000))'));
}

function locked(): unknown {
  const path = newPath();
  newDatabase(path).exec('BEGIN EXCLUSIVE');
  const other = new DatabaseSync(path, { timeout: 0 });
  return failureOf(() => other.exec('BEGIN IMMEDIATE'));
}

function foreign(): unknown {
  const path = newPath();
  writeFileSync(path, 'a letter to a friend, which is no database'.repeat(99));
  return failureOf(() => newDatabase(path));
}

function corrupted(): { path: string; look: () => unknown } {
  const path = newPath();
  newDatabase(path).close();
  const pages = readFileSync(path);
  writeFileSync(path, pages.fill(0xff, 4096));
  const look = () => {
    using db = new DatabaseSync(path);
    return db.prepare('SELECT body FROM things').get();
  };
  return { path, look };
}

function readOnly(): unknown {
  const path = newPath();
  newDatabase(path).close();
  const db = new DatabaseSync(path, { readOnly: true });
  return failureOf(() => db.exec('DELETE FROM things'));
}

const CASES = {
  full: [full(), 'DISK_FULL', 'DISK_FULL'],
  locked: [locked(), 'STORE_LOCKED', 'STORE_LOCKED'],
  foreign: [foreign(), 'STORE_FOREIGN', 'STORE_CORRUPT'],
  'in doubt': [failureOf(corrupted().look), 'STORE_UNAVAILABLE', 'STORE_UNAVAILABLE'],
  'read-only': [readOnly(), 'DATA_NOT_WRITABLE', 'DATA_NOT_WRITABLE'],
  unreachable: [
    failureOf(() => newDatabase(join(root, 'no', 'where'))),
    'DATA_NOT_WRITABLE',
    'DATA_NOT_WRITABLE',
  ],
  'constraint broken': [
    failureOf(() => newDatabase().exec(`INSERT INTO things VALUES ('far too long', NULL)`)),
    'STORE_CORRUPT',
    'STORE_CORRUPT',
  ],
  'statement wrong': [
    failureOf(() => newDatabase().exec('SELECT nothing')),
    'STORE_UNAVAILABLE',
    'STORE_UNAVAILABLE',
  ],
} as const;

for (const [name, [cause, opening, running]] of Object.entries(CASES)) {
  test(`${name}: ${opening} at the start, ${running} later, with the path and the reason`, () => {
    for (const [moment, code] of [
      ['opening', opening],
      ['running', running],
    ] as const) {
      const error = storeError(cause, '/data/store.db', moment);
      assert.ok(error instanceof VanityError);
      assert.equal(error.code, code);
      assert.equal(error.cause, cause);
      assert.ok(error.message.startsWith('/data/store.db: '), error.message);
      assert.ok(error.message.includes(name === 'full' ? 'full' : (cause as Error).message));
    }
    assert.equal(isOfSqlite(cause), true);
  });
}

test('what looks damaged is in doubt, and damage with the steps to take once all is read', () => {
  const { path, look } = corrupted();
  const doubt = storeError(failureOf(look), path, 'running') as VanityError;
  assert.equal(isDoubtful(doubt), true);
  assert.doesNotMatch(doubt.message, /restore/);
  const found = failureOf(() => decided(path, 'running', look)) as VanityError;
  assert.equal(found.code, 'STORE_CORRUPT');
  assert.equal(isDoubtful(found), false);
  assert.match(found.message, /^.*\.db: damaged: .*malformed.*vanitypool restore FILE/);
});

test('a text of the check of pages distinguishes an unreadable page from a damaged one', () => {
  const page = '*** in database main *** Tree 8 page 9';
  for (const text of [
    `${page}: unable to get the page. error code=8458`,
    `${page} error code=266`,
  ]) {
    assert.equal(tellsRefusal(text), true, text);
  }
  for (const text of [`${page}: btreeInitPage() returns error code 11`, `${page} error code=11`]) {
    assert.equal(tellsRefusal(text), false, text);
  }
});

test('an error of the system is one of the store, with its own words', () => {
  const cause = failureOf(() => statSync(join(root, 'missing')));
  const error = storeError(cause, '/data/store.db', 'running');
  assert.ok(error instanceof VanityError);
  assert.equal(error.code, 'STORE_UNAVAILABLE');
  assert.match(error.message, /ENOENT.*missing/);
});

test('what is no error of SQLite or the system is passed on as it is', () => {
  const others = [new VanityError('POOL_NOT_FOUND', 'no pool'), new RangeError('too many'), 'text'];
  for (const other of others) {
    assert.equal(storeError(other, 'path', 'running'), other);
    assert.equal(isOfSqlite(other), false);
  }
});
