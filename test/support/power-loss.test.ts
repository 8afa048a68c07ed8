/** The model of a disk, checked against its description: every rule of it, by a trace of few records. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import { Disk, type Survival, type TraceRecord } from './power-loss.ts';
import { randomOf } from './sequence.ts';

const DIRECTORY = 1;
const FILE = 2;
const OTHER = 3;
const random = randomOf(7);

function record(kind: TraceRecord['kind'], file: number, at = 0, bytes = ''): TraceRecord {
  return { kind, file, at, timeUs: 0, bytes: Buffer.from(bytes) };
}

function sync(file: number, number = 1): TraceRecord[] {
  return [record('syncing', file, number), record('synced', file, number)];
}

/** A disk with the directory open and an empty file `a`, both of them synced. */
function diskWith(...records: readonly TraceRecord[]): Disk {
  const disk = new Disk();
  const start = [record('opened', DIRECTORY), record('opened', FILE, 0, 'a'), ...sync(DIRECTORY)];
  for (const each of [...start, ...records]) disk.apply(each);
  return disk;
}

function found(disk: Disk, survival: Survival): Record<string, string> {
  const image = [...disk.after(survival, random)].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(image.map(([name, bytes]) => [name, bytes.toString()]));
}

/** All that is found in `rounds` draws, as texts. */
function foundIn(disk: Disk, survival: Survival, rounds = 300): Set<string> {
  return new Set(Array.from({ length: rounds }, () => JSON.stringify(found(disk, survival))));
}

test('of a file, only what was written before a sync began is sure', () => {
  const disk = diskWith(
    record('written', FILE, 0, 'one'),
    record('syncing', FILE, 5),
    record('written', FILE, 3, 'two'),
    record('synced', FILE, 5),
  );
  assert.deepEqual([found(disk, 'none'), found(disk, 'all')], [{ a: 'one' }, { a: 'onetwo' }]);
  assert.equal(disk.isPending, true);
  for (const each of sync(FILE, 6)) disk.apply(each);
  assert.deepEqual([found(disk, 'none'), disk.isPending], [{ a: 'onetwo' }, false]);
});

test('a sync that has not ended promises nothing; two of one file end in any order', () => {
  const disk = diskWith(
    record('written', FILE, 0, '1'),
    record('syncing', FILE, 1),
    record('written', FILE, 1, '2'),
    record('syncing', FILE, 2),
  );
  assert.deepEqual(found(disk, 'none'), { a: '' });
  disk.apply(record('synced', FILE, 2));
  assert.deepEqual(found(disk, 'none'), { a: '12' });
  disk.apply(record('synced', FILE, 1));
  assert.deepEqual(found(disk, 'none'), { a: '12' });
});

test('of two writes either may be missing, and the later one is not overwritten', () => {
  const disk = diskWith(record('written', FILE, 0, 'xx'), record('written', FILE, 1, 'yy'));
  const all = ['', 'xx', '\0yy', 'xyy'].map((a) => JSON.stringify({ a }));
  assert.deepEqual([...foundIn(disk, 'some')].sort(), all.sort());
});

test('a file that was cut and grows again is zeros in between', () => {
  const disk = diskWith(
    record('written', FILE, 0, 'long ago'),
    record('resized', FILE, 2),
    record('written', FILE, 4, '!'),
    ...sync(FILE),
  );
  assert.deepEqual(found(disk, 'none'), { a: 'lo\0\0!' });
  disk.apply(record('opened', FILE, constants.O_TRUNC, 'a'));
  assert.deepEqual([found(disk, 'none'), found(disk, 'all')], [{ a: 'lo\0\0!' }, { a: '' }]);
});

test('a write is torn at a sector of the file', () => {
  const disk = diskWith(record('written', FILE, 500, 'x'.repeat(1100)));
  const sizes = new Set([...foundIn(disk, 'torn')].map((text) => JSON.parse(text).a.length));
  assert.deepEqual(
    [...sizes].sort((a, b) => a - b),
    [0, 512, 1024, 1536],
  );
  const small = diskWith(record('written', FILE, 512, 'x'.repeat(512)));
  const whole = new Set([...foundIn(small, 'torn')].map((text) => JSON.parse(text).a.length));
  assert.deepEqual(
    [...whole].sort((a, b) => a - b),
    [0, 1024],
  );
});

test('a name is there when its directory was synced, not its file', () => {
  const disk = diskWith(
    record('opened', OTHER, 0, 'b'),
    record('written', OTHER, 0, 'text'),
    ...sync(OTHER),
  );
  assert.deepEqual([found(disk, 'none'), found(disk, 'all')], [{ a: '' }, { a: '', b: 'text' }]);
  for (const each of sync(DIRECTORY)) disk.apply(each);
  assert.deepEqual(found(disk, 'none'), { a: '', b: 'text' });
});

test('a rename is there whole or not at all, and so is an end of a name', () => {
  const renamed = diskWith(record('written', FILE, 0, 'x'), ...sync(FILE));
  renamed.apply(record('renamed', 0, 0, 'a\0b\0'));
  assert.deepEqual([...foundIn(renamed, 'some')].sort(), ['{"a":"x"}', '{"b":"x"}']);
  const gone = diskWith(record('written', FILE, 0, 'x'), ...sync(FILE));
  gone.apply(record('unlinked', 0, 0, 'a'));
  assert.deepEqual([found(gone, 'none'), found(gone, 'all')], [{ a: 'x' }, {}]);
  // Under the old name and number, another file.
  gone.apply(record('opened', FILE, 0, 'a'));
  assert.deepEqual([found(gone, 'none'), found(gone, 'all')], [{ a: 'x' }, { a: '' }]);
  assert.equal(gone.nameOf(FILE), 'a');
});
