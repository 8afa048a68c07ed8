/** A journal of several parts, as its thread writes it: in real files, found through shared memory alone. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPart, PartReader, readPart } from '../../src/pool/journal.ts';
import {
  GrowingJournal,
  JournalWriter,
  partPath,
  SLOTS_MIN,
  slotsFor,
  slotsOfNext,
} from '../../src/pool/journal-parts.ts';

const EPOCH = 3;
const identityOf = (number: number) => ({
  storeId: '0f'.repeat(16),
  epoch: EPOCH,
  number,
  bootId: 'this-start',
});

/** Its parts take turns in two directories. */
class Grown implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  readonly directories = [mkdtempSync(join(this.root, 'a')), mkdtempSync(join(this.root, 'b'))];
  readonly journal = new GrowingJournal(EPOCH, this.directories);
  readonly readers: PartReader[] = [];
  writer!: JournalWriter;
  position = 0;

  constructor(records: number) {
    this.grow(records);
    this.writer = new JournalWriter(structuredClone(this.journal.shared));
  }

  grow(records: number): void {
    const index = this.journal.parts.length;
    const number = 10 * (index + 1);
    const path = partPath(this.directories[index % 2]!, EPOCH, number);
    createPart(path, identityOf(number), records);
    const part = this.journal.next(number, path);
    this.readers.push(new PartReader(part));
    this.journal.publish(part, index % 2, records);
  }

  write(): void {
    this.writer.prepare();
    this.writer.write({ position: this.position, count: 1, at: 1, token: 0 });
    this.position++;
  }

  /** As a turn does it: all that is new, by part. */
  record(): number[][] {
    const found = this.readers.map((reader) =>
      reader.read().records.map(({ position }) => position),
    );
    for (const reader of this.readers) reader.confirm();
    return found;
  }

  [Symbol.dispose](): void {
    this.writer.close();
    for (const reader of this.readers) reader.close();
    rmSync(this.root, { recursive: true });
  }
}

test('a writer goes on in parts that are added, and then it is full', () => {
  using grown = new Grown(2);
  for (let times = 0; times < 2; times++) grown.write();
  assert.throws(() => grown.write(), { code: 'JOURNAL_UNAVAILABLE', message: /full/ });
  grown.grow(1);
  grown.grow(3);
  for (let times = 0; times < 4; times++) grown.write();
  assert.throws(() => grown.write(), { code: 'JOURNAL_UNAVAILABLE' });
  assert.equal(grown.journal.capacity, 6);
  assert.deepEqual(grown.record(), [[0, 1], [2], [3, 4, 5]]);
});

test('each part goes round by itself, and each is read back whole', () => {
  using grown = new Grown(2);
  grown.grow(3);
  const seen: number[] = [];
  for (let turn = 0; turn < 20; turn++) {
    // From none to as many as there are slots.
    for (let times = 0; times < turn % 6; times++) grown.write();
    seen.push(...grown.record().flat());
  }
  assert.deepEqual(
    seen.toSorted((one, other) => one - other),
    Array.from({ length: grown.position }, (_, position) => position),
  );
  for (let times = 0; times < 5; times++) grown.write();
  const recovered = grown.journal.parts.flatMap(({ number, path }) => {
    const sequences = readPart(path, identityOf(number), { recorded: 0, leases: 0 });
    assert.equal(sequences, undefined, 'it went round: its first records are gone');
    const { records, end } = grown.readers[number / 10 - 1]!.read();
    return readPart(path, identityOf(number), { recorded: end - records.length, leases: 0 })!;
  });
  assert.equal(recovered.length, 5);
});

test('a part that is published and cannot be opened fails the record, not the thread', () => {
  using grown = new Grown(1);
  grown.write();
  grown.grow(1);
  rmSync(grown.journal.parts[1]!.path);
  assert.throws(() => grown.write(), { code: 'JOURNAL_UNAVAILABLE', message: /ENOENT/ });
  grown.record();
  grown.write();
});

test('a journal grows by few parts, from room for the largest request to that of any ready queue', () => {
  assert.ok(SLOTS_MIN - 1 > 1000 && (SLOTS_MIN * 96) % 4096 === 0);
  for (const step of [1, 700, 2048]) {
    const journal = new GrowingJournal(EPOCH, ['']);
    journal.publish(journal.next(1, ''), 0, slotsFor(0) - 1);
    while (journal.capacity < 2 ** 20 + 100) {
      assert.ok(journal.canGrow);
      const wanted = journal.capacity + step;
      const slots = slotsOfNext(journal.capacity, wanted);
      journal.publish(journal.next(1, ''), 0, slots - 1);
      assert.ok(journal.capacity >= wanted);
    }
    assert.ok(journal.parts.length <= 12, `${journal.parts.length} parts`);
  }
  // A ready queue of a power of two, and some records that were written late.
  assert.ok(slotsFor(0) - 1 >= 1024 + 100);
  assert.ok(slotsFor(5000) - 1 >= 5000);
});
