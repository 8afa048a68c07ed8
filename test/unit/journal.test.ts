import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createPart,
  PartReader,
  PartWriter,
  PROGRESS_WORDS,
  readPart,
} from '../../src/pool/journal.ts';
import type { JournalRecord } from '../../src/pool/journal-layout.ts';
import { isBefore } from '../../src/pool/ready-queue.ts';
import type { HandOut } from '../../src/store/hand-out.ts';

const IDENTITY = { storeId: '0f'.repeat(16), epoch: 7, number: 2, bootId: 'this-start' };
const SLOT = 96;
const AT = Date.UTC(2026, 0, 1);

function journalOf(records: number) {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  const path = join(directory, 'journal');
  createPart(path, IDENTITY, records);
  const progress = new Int32Array(new SharedArrayBuffer(PROGRESS_WORDS * 4));
  const part = { number: IDENTITY.number, path, progress };
  const writer = new PartWriter(part);
  const reader = new PartReader(part);
  return {
    path,
    reader,
    writer,
    write: (position: number, count: number, more: Partial<HandOut> = {}) => {
      writer.prepare();
      writer.write({ position, count, at: AT, token: 0, ...more });
    },
    read: (recorded = 0, leases = 0) => readPart(path, IDENTITY, { recorded, leases }),
    [Symbol.dispose]() {
      writer.close();
      reader.close();
      rmSync(directory, { recursive: true });
    },
  };
}

const places = (records: readonly JournalRecord[]) =>
  records.map(({ position, count }) => [position, count]);

test('what was written is read, in its order, by any later reader', () => {
  using journal = journalOf(10);
  const [key, body] = [randomBytes(32), randomBytes(32)];
  journal.write(0, 1);
  journal.write(1, 1000, { token: 2 ** 32 - 1 });
  journal.write(2 ** 32 - 1, 3, { token: 7, key, body });
  journal.write(2, 1);
  const reservation = { id: '0'.repeat(32), ttlMs: 60_000 };
  journal.write(3, 1, { token: 7, key, body, reservation });
  const first = { at: AT, token: 0 };
  assert.deepEqual(journal.read(), [
    { sequence: 0, position: 0, count: 1, ...first },
    { sequence: 1, position: 1, count: 1000, at: AT, token: 2 ** 32 - 1 },
    { sequence: 2, position: 2 ** 32 - 1, count: 3, at: AT, token: 7, key, body },
    { sequence: 3, position: 2, count: 1, ...first },
    { sequence: 4, position: 3, count: 1, at: AT, token: 7, isUnseen: true },
  ]);
  assert.equal(statSync(journal.path).mode & 0o777, 0o600);
  assert.equal(statSync(journal.path).size, 11 * SLOT, 'all of it was there from the start');
});

test('a slot is used again when the store has what it says, and not before', () => {
  using journal = journalOf(3);
  for (const position of [0, 1, 2]) {
    assert.equal(journal.writer.isFull, false);
    journal.write(position, 1);
  }
  assert.ok(journal.writer.isFull);
  assert.equal(journal.reader.read().records.length, 3);
  assert.ok(journal.writer.isFull, 'read is not stored');
  journal.reader.confirm();
  assert.equal(journal.writer.isFull, false);
  journal.write(3, 1);
  assert.deepEqual(places(journal.read(1)!), [
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
});

test('the reader of a running server gets each record once it is confirmed, and none before', () => {
  using journal = journalOf(3);
  const { reader } = journal;
  assert.equal(reader.isPending, false);
  journal.write(0, 1);
  assert.ok(reader.isPending);
  assert.equal(reader.unread, 1);
  assert.deepEqual(places(reader.read().records), [[0, 1]]);
  assert.equal(reader.unread, 0);
  assert.deepEqual(places(reader.read().records), [[0, 1]], 'again: it was not confirmed');
  journal.write(1, 1);
  assert.equal(reader.unread, 1);
  reader.confirm();
  journal.write(2, 1);
  journal.write(3, 1); // in the slot of the first
  const { records, end } = reader.read();
  assert.deepEqual(places(records), [
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  assert.equal(end, 4);
  reader.confirm();
  assert.equal(reader.isPending, false);
});

test('a journal that somebody else changed stops the server rather than being believed', () => {
  using journal = journalOf(3);
  journal.write(0, 1);
  const bytes = readFileSync(journal.path);
  bytes[SLOT + 4]! ^= 1;
  writeFileSync(journal.path, bytes);
  assert.throws(() => journal.reader.read(), /changed by somebody else/);
});

/** Known to the store of a part. */
const NOTHING = { recorded: 0, leases: 0 };

test('a copy from before a lease is not believed, though it lacks no record', () => {
  using journal = journalOf(4);
  journal.write(0, 1);
  const copy = readFileSync(journal.path);
  journal.reader.countLease();
  assert.equal(journal.read(0, 1)?.length, 1);
  assert.equal(journal.read(0, 2), undefined, 'a lease that it has not counted');
  writeFileSync(journal.path, copy);
  assert.equal(journal.read(0, 1), undefined);
  assert.equal(journal.read(0, 0)?.length, 1);
});

test('the journal of another store, epoch, number or start of the machine is none', () => {
  using journal = journalOf(2);
  journal.write(0, 1);
  const others = [{ storeId: 'ff'.repeat(16) }, { epoch: 8 }, { number: 1 }, { bootId: 'other' }];
  for (const other of others) {
    assert.equal(readPart(journal.path, { ...IDENTITY, ...other }, NOTHING), undefined);
  }
  assert.equal(readPart(`${journal.path}.missing`, IDENTITY, NOTHING), undefined);
});

test('a record that is torn at any byte is not read, and the others are', () => {
  using journal = journalOf(3);
  journal.write(0, 1);
  const before = readFileSync(journal.path);
  journal.write(1, 7);
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
  for (let at = 0; at < 80; at++) {
    const torn = Buffer.from(whole);
    torn[at]! ^= 1;
    writeFileSync(journal.path, torn);
    assert.equal(journal.read(), undefined, `byte ${at}`);
  }
  for (const length of [0, 1, SLOT - 1, SLOT, SLOT + 1, 2 * SLOT]) {
    writeFileSync(journal.path, whole.subarray(0, length));
    assert.equal(journal.read(), undefined, `${length} bytes`);
  }
});

/** A journal with room for three after five records, of which the store has the first two or more. */
function wrapped() {
  const journal = journalOf(3);
  for (const position of [0, 1]) journal.write(position, 1);
  journal.reader.read();
  journal.reader.confirm();
  for (const position of [2, 3, 4]) journal.write(position, 1);
  return journal;
}

test('a journal is believed for every number of records that the store can have of it', () => {
  using journal = wrapped();
  for (const recorded of [2, 3, 4, 5]) {
    assert.equal(journal.read(recorded)!.length, 5 - recorded, `${recorded} recorded`);
  }
});

test('an older copy than the store knows, or one of before the ring went round, is refused', () => {
  using journal = wrapped();
  assert.equal(journal.read(6), undefined, 'the store has one more');
  assert.equal(journal.read(1), undefined, 'record 1 must be there, and is not');
  using young = journalOf(3);
  assert.deepEqual(young.read(), []);
  assert.equal(young.read(1), undefined);
});

test('a hole between records is refused, in whatever slot; a last one cut off is not', () => {
  using journal = wrapped();
  const whole = readFileSync(journal.path);
  // Records 3, 4 and 2, in the order of their slots.
  const found = [1, 2, 3].map((slot) => {
    const holed = Buffer.from(whole).fill(0, slot * SLOT, (slot + 1) * SLOT);
    writeFileSync(journal.path, holed);
    return [2, 3, 4].map((recorded) => journal.read(recorded)?.length);
  });
  assert.deepEqual(found, [
    [undefined, undefined, undefined],
    [2, 1, 0],
    [undefined, 2, 1],
  ]);
});

test('a record in two slots is refused: one of them held another', () => {
  using journal = wrapped();
  const bytes = readFileSync(journal.path);
  bytes.copy(bytes, SLOT, 2 * SLOT, 3 * SLOT);
  writeFileSync(journal.path, bytes);
  assert.equal(journal.read(3), undefined);
});

test('a file that is there is never taken for a new part, and stays', () => {
  using journal = journalOf(2);
  assert.throws(() => createPart(journal.path, IDENTITY, 2), { code: 'EEXIST' });
  assert.deepEqual(journal.read(), []);
});

test('positions are compared across their wrap', () => {
  assert.ok(isBefore(5, 6) && !isBefore(6, 5) && !isBefore(5, 5));
  assert.ok(isBefore(2 ** 32 - 1, 0) && isBefore(2 ** 32 - 10, 10) && !isBefore(10, 2 ** 32 - 10));
});
