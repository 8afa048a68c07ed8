/** How much room the journals of a pool need, measured on real parts. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPart, PartWriter } from '../../src/pool/journal.ts';
import { GrowingJournal, partPath } from '../../src/pool/journal-parts.ts';
import { UnrecordedHandOuts } from '../../src/store-thread/unrecorded-hand-outs.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const IDENTITY = { storeId: '0f'.repeat(16), epoch: 1, number: 1, bootId: '' };

test('there is to be room for what waits, what was written late, and one more', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => removeDirectory(directory));
  const path = partPath(directory, 1, 1);
  createPart(path, IDENTITY, 100);
  const part = new GrowingJournal(1, [directory]).next(1, path);
  const writer = new PartWriter(part);
  const asked: number[] = [];
  const handOuts = new UnrecordedHandOuts(async (records) => {
    asked.push(records);
    return 100;
  });
  handOuts.follow(part);
  t.after(() => {
    writer.close();
    handOuts.close();
  });
  let position = 0;
  const write = (count: number) => {
    for (let left = count; left > 0; left--) {
      writer.write({ position: position++, count: 1, at: 1, token: 0 });
    }
  };
  write(5);
  assert.equal(handOuts.take().records.length, 5);
  // What `take` read is over with the turn; these come after it, and stay until the next one.
  assert.equal(await handOuts.roomFor(40), 99);
  write(3);
  assert.equal(await handOuts.roomFor(40), 96);
  assert.deepEqual(asked, [41, 44]);
  handOuts.confirm();
  assert.equal(handOuts.take().records.length, 3);
  assert.equal(await handOuts.roomFor(40), 99);
});

test('without journals there is room for whatever leaves', async () => {
  assert.equal(await new UnrecordedHandOuts().roomFor(2 ** 20), Number.POSITIVE_INFINITY);
});

test('a part that is not there cannot be followed', () => {
  const directory = temporaryDirectory();
  rmSync(directory, { recursive: true });
  const part = new GrowingJournal(1, [directory]).next(1, join(directory, 'missing'));
  assert.throws(() => new UnrecordedHandOuts().follow(part), { code: 'ENOENT' });
});
