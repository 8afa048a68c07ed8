import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Grounds } from '../../src/grinder/grounds.ts';
import type { Kernel } from '../../src/grinder/kernel.ts';
import { portableKernel } from '../../src/grinder/portable-kernel.ts';
import { job } from '../support/grinding.ts';

/** The portable kernel, and how many of its searches are open. */
function counted(): { kernel: Kernel; opened: string[]; closed: () => number } {
  const kernel = portableKernel();
  const opened: string[] = [];
  let closed = 0;
  const open: Kernel['open'] = (patterns, keyType) => {
    const search = kernel.open(patterns, keyType);
    opened.push(`${keyType} ${patterns.map(({ text }) => text).join(' ')}`);
    const close = () => {
      closed++;
      search.close();
    };
    return { tableBytes: 7, slice: (ms, hits) => search.slice(ms, hits), close };
  };
  return { kernel: { ...kernel, open }, opened, closed: () => closed };
}

const any = () => true;
const SEEDS = [job('a', 'a'), job('b', 'b')];
const EXPANDED = job('c', 'c', '', 'expanded');

test('there is a search for each key type, and they take turns', () => {
  const { kernel, opened } = counted();
  const grounds = new Grounds(kernel);
  assert.ok(grounds.isEmpty);
  grounds.open([SEEDS[0]!, EXPANDED, SEEDS[1]!]);
  assert.deepEqual(opened, ['seed ...a ...b', 'expanded ...c']);
  assert.deepEqual([grounds.isEmpty, grounds.tableBytes], [false, 7]);
  const turns = Array.from({ length: 4 }, () => grounds.next(any));
  assert.deepEqual(
    turns.map(({ keyType }) => keyType),
    ['seed', 'expanded', 'seed', 'expanded'],
  );
  const isSeed = (keyType: string) => keyType === 'seed';
  assert.deepEqual([grounds.has(isSeed), grounds.has(() => false)], [true, false]);
  assert.ok([1, 2, 3].every(() => grounds.next(isSeed).keyType === 'seed'));
  assert.equal(grounds.next(any).keyType, 'expanded');
  assert.deepEqual(turns[0]!.jobs, SEEDS);
  assert.equal(turns[1]!.search.slice(50, 1).hits[0]?.keyType ?? 'expanded', 'expanded');
});

test('a search whose jobs stay is kept; one whose jobs change or end is closed', () => {
  const { kernel, opened, closed } = counted();
  const grounds = new Grounds(kernel);
  const sent = (jobs: readonly unknown[]) => structuredClone(jobs) as typeof SEEDS;
  grounds.open(SEEDS);
  const { search } = grounds.next(any);
  grounds.open(sent([...SEEDS, EXPANDED]));
  grounds.open(sent(SEEDS));
  assert.equal(grounds.next(any).search, search);
  assert.deepEqual([opened.length, closed()], [2, 1]);
  const other = [SEEDS[0]!, job('b', 'x')];
  for (const [rank, jobs] of [SEEDS.slice(0, 1), SEEDS.toReversed(), other].entries()) {
    grounds.open(jobs);
    assert.deepEqual([opened.length, closed()], [3 + rank, 2 + rank]);
  }
  grounds.open([]);
  assert.deepEqual([grounds.isEmpty, opened.length, closed()], [true, 5, 5]);
});
