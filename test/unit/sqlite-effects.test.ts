/** The anchor is stuck here as it is when a disk is full: it cannot be renamed, and everything else works. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { anchorNames, anchorPath, FIRST_ANCHOR } from '../../src/disk/anchor.ts';
import { placeName } from '../../src/disk/place.ts';
import { readWitness, witnessPath } from '../../src/disk/witness.ts';
import { openDatabase, transaction } from '../../src/store/sqlite/database.ts';
import { Effects } from '../../src/store/sqlite/effects.ts';
import { assertStanding, type Recorded, recordedIn } from '../../src/store/sqlite/standing.ts';
import { ANCHOR, type Copy, copyOf, only, putBack, revert } from '../support/copies.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

/** More than the log may have before it is taken into the database. */
const MANY_PAGES_BYTES = 4096 * 4200;
const MOVED = { code: 'DATA_MOVED' };

let directories = 0;

/** A store with nothing but what it knows of itself, over all its lives. */
class Subject implements Disposable {
  readonly directory = join(root, `${directories++}`);
  readonly storeFile = join(this.directory, 'store.db');
  readonly unwitnessed: string[] = [];
  readonly #witness: string | undefined;
  db!: DatabaseSync;
  effects!: Effects;

  constructor(witness?: string) {
    this.#witness = witness;
    mkdirSync(this.directory);
    writeFileSync(this.storeFile, '');
    this.open();
    this.begin();
  }

  open(): void {
    const witness = this.#witness;
    const standing = assertStanding(this.storeFile, { witness });
    this.db = openDatabase(this.storeFile);
    const onNoWitness = (reason: string) => this.unwitnessed.push(reason);
    const { db, storeFile } = this;
    this.effects = new Effects({ db, storeFile, standing, witness, onNoWitness });
  }

  begin(): void {
    transaction(this.db, () => this.effects.stamp(true));
    this.effects.begun();
  }

  commit(hasEffect: boolean): void {
    transaction(this.db, () => this.effects.stamp(hasEffect));
    this.effects.committed();
  }

  /** As the database says it with its log, and without. */
  get recorded(): Recorded {
    const row = this.db.prepare(`SELECT store_id AS storeId, place, anchor, anchor_before AS before,
      anchor_file AS anchorFile, number, logged FROM meta`);
    return row.get() as unknown as Recorded;
  }

  get inFile(): Recorded | undefined {
    return recordedIn(this.storeFile, 'without-log');
  }

  get names(): string[] {
    return anchorNames(this.storeFile);
  }

  get said(): number | undefined {
    const { storeId, place } = this.recorded;
    return readWitness(witnessPath(this.#witness!, storeId, placeName(place!)))?.number;
  }

  /** Until it is let go. */
  stick(): () => void {
    const path = anchorPath(this.storeFile, this.names[0]!);
    const away = join(this.directory, 'away');
    renameSync(path, away);
    return () => renameSync(away, path);
  }

  /** Everything is as it is now when this life is over. */
  kill(image: Copy = copyOf(this.directory)): void {
    this[Symbol.dispose]();
    revert(this.directory, image);
  }

  [Symbol.dispose](): void {
    this.effects[Symbol.dispose]();
    this.db.close();
  }
}

test('the first start gives an anchor, which the database names also without its log', () => {
  using subject = new Subject();
  const { anchor, before, number } = subject.recorded;
  assert.equal(before, FIRST_ANCHOR);
  assert.notEqual(anchor, FIRST_ANCHOR);
  assert.deepEqual(subject.names, [anchor]);
  assert.equal(subject.inFile?.anchor, anchor);
  assert.equal(subject.inFile?.number, number);
  subject.commit(false);
  assert.equal(subject.recorded.logged, number);
});

test('a later start does not wait for a checkpoint', () => {
  using subject = new Subject();
  subject.commit(true);
  const { number } = subject.inFile!;
  subject.kill();
  subject.open();
  subject.begin();
  assert.equal(subject.inFile!.number, number);
  assert.equal(subject.recorded.number, number + 2);
});

test('each transaction has a number that is one more, whether something leaves for it or not', () => {
  using subject = new Subject();
  const { number } = subject.recorded;
  for (const [index, hasEffect] of [true, false, false, true].entries()) {
    subject.commit(hasEffect);
    subject.effects.take();
    assert.equal(subject.recorded.number, number + index + 1);
  }
});

test('what has an effect gives the anchor a new name, and takes effect when it has it', () => {
  using subject = new Subject();
  const { anchor: first } = subject.recorded;
  subject.commit(false);
  assert.ok(subject.effects.areTaken, 'nothing waits for a commit without an effect');
  assert.deepEqual(subject.names, [first]);
  subject.commit(true);
  const { anchor, before } = subject.recorded;
  assert.ok(!subject.effects.areTaken);
  assert.notEqual(anchor, first);
  assert.equal(before, first);
  assert.deepEqual(subject.names, [first]);
  subject.effects.take();
  assert.ok(subject.effects.areTaken);
  assert.deepEqual(subject.names, [anchor]);
});

test('a run that ends before the rename leaves a store that the next start takes, and renames', () => {
  using subject = new Subject();
  subject.commit(true);
  const { anchor, before } = subject.recorded;
  assert.deepEqual(subject.names, [before]);
  subject.kill();
  subject.open();
  assert.deepEqual(subject.names, [anchor]);
  assert.ok(subject.effects.areTaken);
});

test('while the anchor is stuck an effect waits, and takes effect later without a commit', () => {
  using subject = new Subject();
  const letGo = subject.stick();
  subject.commit(true);
  const { anchor, number } = subject.recorded;
  for (let tries = 0; tries < 2; tries++) {
    assert.throws(() => subject.effects.take(), { code: 'STORE_UNAVAILABLE' });
  }
  // These may go on, and need no name.
  subject.commit(false);
  assert.equal(subject.recorded.anchor, anchor);
  assert.ok(!subject.effects.areTaken);
  letGo();
  subject.effects.take();
  assert.deepEqual(subject.names, [anchor]);
  assert.equal(subject.recorded.number, number + 1);
});

test('two effects while it is stuck: a state between them is refused when it is put back', () => {
  using subject = new Subject();
  const letGo = subject.stick();
  subject.commit(true);
  const between = only(copyOf(subject.directory), (name) => !ANCHOR.test(name) && name !== 'away');
  const { anchor, number } = subject.recorded;
  subject.commit(true);
  assert.equal(subject.recorded.anchor, anchor, 'two names are recorded, and no third');
  letGo();
  subject.effects.take();
  assert.ok(subject.effects.areTaken);
  const own = subject.recorded;
  assert.equal(own.number, number + 2, 'a commit of its own');
  assert.notEqual(own.anchor, anchor);
  assert.deepEqual(subject.names, [own.anchor]);
  const now = copyOf(subject.directory);
  subject[Symbol.dispose]();
  putBack(subject.directory, between, 'in place');
  assert.throws(() => subject.open(), MOVED);
  revert(subject.directory, now);
  subject.open();
});

test('a run that ends while two effects wait: neither has left, and the next start takes it', () => {
  using subject = new Subject();
  const letGo = subject.stick();
  subject.commit(true);
  subject.commit(true);
  letGo();
  subject.kill();
  subject.open();
  subject.begin();
  assert.deepEqual(subject.names, [subject.recorded.anchor]);
});

test('the file is said to have what a complete checkpoint has put there, and no more', () => {
  using subject = new Subject();
  const first = subject.recorded.number;
  for (let commits = 0; commits < 3; commits++) subject.commit(false);
  assert.equal(subject.recorded.logged, first);
  // A program that reads an older state keeps its pages out of the database.
  const reader = openDatabase(subject.storeFile);
  reader.exec('BEGIN');
  reader.prepare('SELECT number FROM meta').get();
  subject.commit(false);
  assert.equal(subject.effects.truncateLog(), false);
  subject.commit(false);
  assert.equal(subject.recorded.logged, first);
  reader.exec('ROLLBACK');
  const { number } = subject.recorded;
  assert.equal(subject.effects.truncateLog(), true);
  subject.commit(false);
  assert.equal(subject.recorded.logged, number);
  assert.equal(subject.inFile!.number, number);
  reader.close();
});

test('a log that has grown long is taken into the file, if nobody reads what was before', () => {
  using subject = new Subject();
  const first = subject.recorded.number;
  subject.db.exec('CREATE TABLE filler (bytes BLOB)');
  const fill = subject.db.prepare('INSERT INTO filler VALUES (zeroblob(?))');
  const grow = () => {
    transaction(subject.db, () => {
      fill.run(MANY_PAGES_BYTES);
      subject.effects.stamp(false);
    });
    subject.effects.committed();
  };
  const reader = openDatabase(subject.storeFile);
  reader.exec('BEGIN');
  reader.prepare('SELECT number FROM meta').get();
  grow();
  subject.commit(false);
  assert.equal(subject.recorded.logged, first);
  reader.close();
  grow();
  const { number } = subject.recorded;
  assert.equal(subject.inFile!.number, number);
  subject.commit(false);
  assert.equal(subject.recorded.logged, number);
});

test('a start that finds all of the log in the file says so', () => {
  using subject = new Subject();
  subject.commit(false);
  subject.commit(false);
  subject.kill();
  subject.open();
  const { number, logged } = subject.recorded;
  assert.ok(logged < number);
  subject.begin();
  assert.equal(subject.recorded.logged, logged);
  // The last to close a database empties its log.
  const last = subject.recorded.number;
  subject[Symbol.dispose]();
  subject.open();
  subject.begin();
  assert.equal(subject.recorded.logged, last);
});

/** As on a full disk: all is done but the commit. */
function failToCommit(subject: Subject): void {
  assert.throws(() =>
    transaction(subject.db, () => {
      subject.db.exec('PRAGMA defer_foreign_keys = ON');
      subject.db.exec('INSERT INTO journals (number, pool_id) VALUES (1, 99)');
      subject.effects.stamp(true);
    }),
  );
}

test('a commit that fails counts nothing: neither for the file nor for the witness', () => {
  using subject = new Subject(join(root, 'witnesses'));
  const letGo = subject.stick();
  subject.commit(true);
  failToCommit(subject);
  letGo();
  subject.effects.take();
  assert.equal(subject.said, subject.recorded.number);
  assert.deepEqual(subject.names, [subject.recorded.anchor]);
  failToCommit(subject);
  assert.ok(subject.effects.areTaken);
  assert.equal(subject.effects.truncateLog(), true);
  subject.commit(false);
  const { number, logged } = subject.recorded;
  assert.equal(logged, number - 1);
  subject.kill();
  subject.open();
});

test('the witness hears of what has taken effect, and of nothing before', () => {
  using subject = new Subject(join(root, 'witnesses'));
  const { number } = subject.recorded;
  assert.equal(subject.said, number);
  subject.commit(false);
  assert.equal(subject.said, number);
  const letGo = subject.stick();
  subject.commit(true);
  assert.throws(() => subject.effects.take());
  assert.equal(subject.said, number);
  letGo();
  subject.effects.take();
  assert.equal(subject.said, number + 2);
  assert.deepEqual(subject.unwitnessed, []);
});

test('a witness that is gone is missed once, and made anew', () => {
  const witness = join(root, 'lost');
  using subject = new Subject(witness);
  assert.deepEqual(subject.unwitnessed, [], 'a new store has none');
  subject[Symbol.dispose]();
  rmSync(witness, { recursive: true });
  subject.open();
  subject.begin();
  assert.equal(subject.unwitnessed.length, 1);
  assert.match(subject.unwitnessed[0]!, /missing/);
  assert.equal(subject.said, subject.recorded.number);
});

test('where no witness can be written the store goes on, and says so once', () => {
  const file = join(root, 'no-directory');
  writeFileSync(file, '');
  using subject = new Subject(file);
  for (let commits = 0; commits < 3; commits++) {
    subject.commit(true);
    subject.effects.take();
  }
  assert.equal(subject.unwitnessed.length, 1);
  assert.match(subject.unwitnessed[0]!, /ENOTDIR/);
  // What it said would have gaps: it is not taken up again by this run.
  rmSync(file);
  subject.commit(true);
  subject.effects.take();
  assert.equal(subject.said, undefined);
});
