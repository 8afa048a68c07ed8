import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Board } from '../../src/pool/board.ts';

const FIELDS = ['left', 'right'] as const;

test('fields that are not written keep their value', () => {
  const board = new Board(FIELDS);
  board.write({ left: 1, right: 2 ** 53 - 1 });
  board.write({ left: -3 });
  assert.deepEqual(board.read(), { left: -3, right: 2 ** 53 - 1 });
});

test('its version changes with what is on it, and with nothing else', () => {
  const board = new Board(FIELDS);
  const versionAfter = (figures: { left?: number; right?: number }): number => {
    board.write(figures);
    return board.version;
  };
  const first = versionAfter({ left: 1, right: 2 });
  assert.equal(versionAfter({ left: 1, right: 2 }), first);
  assert.equal(versionAfter({ right: 2 }), first);
  assert.equal(versionAfter({}), first);
  assert.ok(versionAfter({ left: 1, right: 3 }) > first);
  assert.equal(new Board(FIELDS, board.buffer).version, board.version);
});

test('a board with other fields is refused', () => {
  const { buffer } = new Board(FIELDS);
  assert.throws(() => new Board(['left'], buffer), /holds no board with the fields left/);
});

test('a figure that is no whole number is refused', () => {
  const board = new Board(FIELDS);
  assert.throws(() => board.write({ left: 1, right: 0.5 }), RangeError);
  assert.deepEqual(board.readWith(() => 'whole').figures, { left: 0, right: 0 });
  assert.equal(new BigInt64Array(board.buffer)[0], 0n, 'no write was begun');
});

test('a reader never sees half of what another thread writes', async () => {
  const board = new Board(FIELDS);
  const worker = new Worker(
    `const { Board } = require(${JSON.stringify(new URL('../../src/pool/board.ts', import.meta.url).pathname)});
     const { workerData } = require('node:worker_threads');
     const board = new Board(['left', 'right'], workerData);
     for (let round = 1; board.read().right !== -1 && round <= 300000; round++) {
       board.write({ left: round, right: round });
     }`,
    { eval: true, workerData: board.buffer },
  );
  const ended = once(worker, 'exit');
  let reads = 0;
  while (board.read().left < 300_000) {
    const { figures, value } = board.readWith(() => board.read().left);
    assert.equal(figures.left, figures.right);
    assert.equal(value, figures.left, 'the value was taken from the same snapshot');
    reads++;
  }
  assert.ok(reads > 0);
  await ended;
});

test('a board whose writer died half-way keeps the snapshot before, at once, and takes the next write', () => {
  for (const next of [{}, { left: 9 }, { left: 9, right: 10 }]) {
    const board = new Board(FIELDS);
    board.write({ left: 7, right: 8 });
    const { version } = board;
    // It got as far as the first field of the place that nobody reads.
    const words = new BigInt64Array(board.buffer);
    words[version % 2 === 0 ? 3 : 1] = 99n;
    const reader = new Board(FIELDS, board.buffer);
    let tries = 0;
    assert.deepEqual(reader.readWith(() => tries++).figures, { left: 7, right: 8 });
    assert.deepEqual([tries, reader.get('left'), reader.version], [1, 7, version]);
    board.write(next);
    assert.deepEqual(reader.read(), { left: 7, right: 8, ...next });
  }
});
