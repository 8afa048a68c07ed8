import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { isHalfMade, openDatabase, transaction } from '../../src/store/sqlite/database.ts';
import { assertStanding } from '../../src/store/sqlite/standing.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

let files = 0;
const newPath = () => join(root, `${files++}.db`);
/** The schema of this version. */
const NEWEST = 5;

function pragma(db: DatabaseSync, name: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

/** A commit that a power loss can undo would hand one key out twice: 2 is FULL. */
test('the settings that the promises rest on are in force, also when it is opened again', () => {
  const path = newPath();
  for (let opening = 0; opening < 2; opening++) {
    const db = openDatabase(path);
    const wanted = {
      synchronous: 2,
      journal_mode: 'wal',
      foreign_keys: 1,
      secure_delete: 1,
      trusted_schema: 0,
      temp_store: 2,
      wal_autocheckpoint: 0,
      journal_size_limit: 16_384_000,
    };
    for (const [name, value] of Object.entries(wanted)) assert.equal(pragma(db, name), value, name);
    db.close();
  }
});

test('an empty file becomes a store of the newest schema', () => {
  const path = newPath();
  closeSync(openSync(path, 'w'));
  const db = openDatabase(path);
  assert.equal(pragma(db, 'application_id'), Buffer.from('VPOL').readInt32BE());
  assert.equal(pragma(db, 'user_version'), NEWEST);
  db.close();
});

test('nobody but a migration changes the text of the schema', () => {
  const path = newPath();
  const forge = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = ''";
  for (let opening = 0; opening < 2; opening++) {
    const db = openDatabase(path);
    assert.throws(() => db.exec(forge), /may not be modified/);
    db.close();
  }
});

test('a database of another program is refused and not touched', () => {
  const path = newPath();
  const other = new DatabaseSync(path);
  other.exec('CREATE TABLE things (name TEXT)');
  other.close();
  const before = readFileSync(path);
  assert.throws(() => openDatabase(path), { code: 'STORE_FOREIGN' });
  assert.deepEqual(readFileSync(path), before);

  const marked = newPath();
  const empty = new DatabaseSync(marked);
  empty.exec('PRAGMA application_id = 7');
  empty.close();
  assert.throws(() => openDatabase(marked), { code: 'STORE_FOREIGN' });
});

test('a file that is no database is refused and not touched', () => {
  const path = newPath();
  const text = 'a letter to a friend, which is no database'.repeat(99);
  writeFileSync(path, text);
  assert.throws(() => openDatabase(path), /not a database/);
  assert.equal(readFileSync(path, 'latin1'), text);
});

test('a store of a newer version is refused and keeps its version', () => {
  const path = newPath();
  const db = openDatabase(path);
  db.exec(`PRAGMA user_version = ${NEWEST + 1}`);
  db.close();
  assert.throws(() => openDatabase(path), { code: 'STORE_NEWER' });
  assert.equal(pragma(new DatabaseSync(path), 'user_version'), NEWEST + 1);
});

test('a store whose making was cut short is made anew', () => {
  const path = newPath();
  const half = new DatabaseSync(path);
  half.exec('PRAGMA journal_mode = WAL; BEGIN; CREATE TABLE meta (only_half TEXT)');
  half.close();
  const db = openDatabase(path);
  assert.equal(pragma(db, 'user_version'), NEWEST);
  db.close();
});

/** As a power cut leaves it: the journal is complete, the one page is written, in part or not at all. */
test('a store whose first transaction was cut off is reported, and created again', () => {
  const made = newPath();
  const first = new DatabaseSync(made);
  first.exec('PRAGMA journal_mode = WAL');
  first.close();
  const page = readFileSync(made);
  const journal = Buffer.alloc(512);
  // Its pages, a nonce, the size of the database before, and of a sector and a page.
  journal.write('d9d505f920a163d7', 'hex');
  [0, 1, 0, 512, 4096].forEach((field, index) => {
    journal.writeUInt32BE(field, 8 + 4 * index);
  });
  for (const bytes of [page, page.subarray(0, 512), Buffer.concat([Buffer.alloc(512), page])]) {
    const path = newPath();
    writeFileSync(path, bytes);
    assert.equal(isHalfMade(path), false);
    writeFileSync(`${path}-journal`, journal);
    assert.equal(isHalfMade(path), true);
    using db = openDatabase(path);
    assert.equal(pragma(db, 'user_version'), NEWEST);
    assert.equal(isHalfMade(path), false);
  }
  // Of a database that was more than nothing before.
  const path = newPath();
  writeFileSync(path, page);
  const later = Buffer.from(journal);
  later.writeUInt32BE(1, 16);
  for (const bytes of [later, Buffer.alloc(512), journal.subarray(0, 20), Buffer.alloc(0)]) {
    writeFileSync(`${path}-journal`, bytes);
    assert.equal(isHalfMade(path), false);
  }
});

test('a transaction that throws leaves nothing, one that ends leaves all', () => {
  const db = openDatabase(newPath());
  const add = (name: string) => db.prepare('INSERT INTO counters VALUES (?, 1)').run(name);
  assert.throws(() =>
    transaction(db, () => {
      add('one');
      throw new Error('no');
    }),
  );
  assert.equal(db.isTransaction, false);
  assert.equal(
    transaction(db, () => add('two').changes),
    1,
  );
  assert.deepEqual(
    db
      .prepare('SELECT name FROM counters')
      .all()
      .map(({ name }) => name),
    ['two'],
  );
  db.close();
});

test('a commit reports how long it took, and a rollback reports nothing', () => {
  using db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE rows (row INTEGER)');
  const took: number[] = [];
  const insert = () => void db.exec('INSERT INTO rows VALUES (1)');
  transaction(db, insert, (ms) => took.push(ms));
  assert.ok(took.length === 1 && took[0]! > 0 && Number.isFinite(took[0]));
  const fail = () => {
    insert();
    throw new Error('no');
  };
  assert.throws(() => transaction(db, fail, (ms) => took.push(ms)), /no/);
  assert.equal(took.length, 1);
});

/** Opens the store at PATH in one of four ways and says `count` or the code of the error. */
const LOOKS = {
  reads: 'openToRead(PATH)',
  serves: 'openDatabase(PATH)',
  servesAlone: 'openDatabase(PATH, { exclusiveProcess: true })',
};

function lookProgram(path: string, open: string): string {
  const module = (name: string) =>
    JSON.stringify(new URL(`../../src/store/sqlite/${name}`, import.meta.url));
  return `
    import { openDatabase, openToRead } from ${module('database.ts')};
    import { storeError } from ${module('error.ts')};
    const PATH = ${JSON.stringify(path)};
    let said;
    try {
      using db = ${open};
      said = db.prepare('SELECT count(*) AS count FROM counters').get().count;
    } catch (error) {
      said = storeError(error, PATH, 'opening').code;
    }`;
}

function lookElsewhere(path: string, open: string): string {
  const program = `${lookProgram(path, open)} console.log(said);`;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

async function lookInThread(path: string, open: string): Promise<unknown> {
  const program = `import { parentPort } from 'node:worker_threads';
    ${lookProgram(path, open)} parentPort.postMessage(said);`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
  const [said] = await once(new Worker(url), 'message');
  return said;
}

test('opened for one process, a store is closed to every other and open to threads', async () => {
  const path = newPath();
  const db = openDatabase(path, { exclusiveProcess: true });
  const add = (name: string) => db.prepare('INSERT INTO counters VALUES (?, 1)').run(name);
  add('one');
  assert.equal(await lookInThread(path, LOOKS.reads), 1);
  add('two');
  // The thread before has closed its connection: that took no lock along.
  assert.equal(await lookInThread(path, LOOKS.reads), 2);
  for (const open of Object.values(LOOKS)) assert.equal(lookElsewhere(path, open), 'STORE_LOCKED');
  add('three');
  db.close();
  for (const open of Object.values(LOOKS)) assert.equal(lookElsewhere(path, open), '3');
});

test('a store that another process serves is not opened for one process', () => {
  const path = newPath();
  const db = openDatabase(path);
  assert.equal(lookElsewhere(path, LOOKS.reads), '0');
  assert.equal(lookElsewhere(path, LOOKS.servesAlone), 'STORE_LOCKED');
  db.close();
});

test('a first checkpoint that was cut off is no reason to refuse', () => {
  const path = newPath();
  const db = openDatabase(path);
  const [empty, log] = ['', '-wal'].map((ending) => readFileSync(path + ending)) as [
    Buffer,
    Buffer,
  ];
  db.exec('PRAGMA wal_checkpoint(FULL)');
  const whole = readFileSync(path);
  db.close();
  for (let pages = 0; pages <= whole.length / 4096; pages++) {
    const end = Math.max(empty.length, pages * 4096);
    writeFileSync(
      path,
      Buffer.concat([whole.subarray(0, pages * 4096), empty.subarray(pages * 4096)]),
    );
    writeFileSync(`${path}-wal`, log);
    assert.equal(statSync(path).size, end);
    assert.equal(assertStanding(path, {}).anchor, undefined, `after ${pages} pages`);
  }
});
