import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import {
  createJournal,
  type JournalRecord,
  JournalWriter,
  readJournal,
} from '../../src/pool/journal.ts';
import { countsBoard, sharePool } from '../../src/pool/pool.ts';
import { isBefore } from '../../src/pool/ready-queue.ts';

const IDENTITY = { storeId: '0f'.repeat(16), epoch: 7, number: 2, bootId: 'this-start' };
const SLOT = 128;

function journalOf(records: number) {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const path = join(directory, 'journal');
  createJournal(path, IDENTITY, records);
  const shared = sharePool(loadConfig({ cwd: '/' }).pools[0]!);
  const writer = new JournalWriter(path, [shared]);
  return {
    path,
    writer,
    board: countsBoard(shared),
    read: () => readJournal(path, IDENTITY),
    [Symbol.dispose]() {
      writer.close();
      rmSync(directory, { recursive: true });
    },
  };
}

const withoutTime = (records: readonly JournalRecord[]) =>
  records.map(({ pool, position, count }) => [pool, position, count]);

test('what was written is read, in its order, by whoever comes later', () => {
  using journal = journalOf(10);
  const before = Date.now();
  journal.writer.write('pet', 0, 1);
  journal.writer.write('pet', 1, 1000);
  journal.writer.write('pet', 2 ** 32 - 1, 3);
  const records = journal.read()!;
  assert.deepEqual(withoutTime(records), [
    ['pet', 0, 1],
    ['pet', 1, 1000],
    ['pet', 2 ** 32 - 1, 3],
  ]);
  for (const { at } of records) assert.ok(at >= before && at <= Date.now());
  assert.equal(statSync(journal.path).mode & 0o777, 0o600);
  assert.equal(statSync(journal.path).size, 11 * SLOT, 'all of it was there from the start');
});

test('a slot is used again when the store has recorded what it says, and not before', () => {
  using journal = journalOf(3);
  for (const position of [0, 1, 2]) journal.writer.write('pet', position, 1);
  assert.throws(() => journal.writer.write('pet', 3, 1), { code: 'JOURNAL_UNAVAILABLE' });
  journal.board.write({ position: 1 });
  journal.writer.write('pet', 3, 1);
  assert.throws(() => journal.writer.write('pet', 4, 1), { code: 'JOURNAL_UNAVAILABLE' });
  assert.deepEqual(withoutTime(journal.read()!), [
    ['pet', 1, 1],
    ['pet', 2, 1],
    ['pet', 3, 1],
  ]);
});

test('the journal of another store, epoch, number or start of the machine is none', () => {
  using journal = journalOf(2);
  journal.writer.write('pet', 0, 1);
  const others = [{ storeId: 'ff'.repeat(16) }, { epoch: 8 }, { number: 1 }, { bootId: 'other' }];
  for (const other of others) {
    assert.equal(readJournal(journal.path, { ...IDENTITY, ...other }), undefined);
  }
  assert.equal(readJournal(`${journal.path}.missing`, IDENTITY), undefined);
});

test('a record that is torn at any byte is not read, and the others are', () => {
  using journal = journalOf(3);
  journal.writer.write('pet', 0, 1);
  const before = readFileSync(journal.path);
  journal.writer.write('pet', 1, 7);
  const after = readFileSync(journal.path);
  for (let cut = 0; cut < SLOT; cut++) {
    const torn = Buffer.from(before);
    after.copy(torn, 2 * SLOT, 2 * SLOT, 2 * SLOT + cut);
    writeFileSync(journal.path, torn);
    const isSame = torn.equals(after);
    assert.equal(journal.read()!.length, isSame ? 2 : 1, `cut at byte ${cut}`);
  }
});

test('a header that is torn or cut short is no journal', () => {
  using journal = journalOf(2);
  const whole = readFileSync(journal.path);
  for (let at = 0; at < 76; at++) {
    const torn = Buffer.from(whole);
    torn[at]! ^= 1;
    writeFileSync(journal.path, torn);
    assert.equal(journal.read(), undefined, `byte ${at}`);
  }
  for (const length of [0, 1, SLOT - 1, SLOT + 1]) {
    writeFileSync(journal.path, whole.subarray(0, length));
    assert.equal(journal.read(), undefined, `${length} bytes`);
  }
});

test('a file that is there is never taken for a new journal', () => {
  using journal = journalOf(2);
  assert.throws(() => createJournal(journal.path, IDENTITY, 2), { code: 'EEXIST' });
});

test('positions are compared across their wrap', () => {
  assert.ok(isBefore(5, 6) && !isBefore(6, 5) && !isBefore(5, 5));
  assert.ok(isBefore(2 ** 32 - 1, 0) && isBefore(2 ** 32 - 10, 10) && !isBefore(10, 2 ** 32 - 10));
});
