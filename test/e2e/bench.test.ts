/** The benchmarks at work, as processes. What they measure is not judged: it is the machine's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vanitypool } from '../support/cli.ts';

const LIMIT = { timeout: 100_000 };

test(
  'bench ring --json is one object with machine, commit and a rate for every row',
  LIMIT,
  async () => {
    const args = ['bench', 'ring', '--json', '--trials', '1', '--addresses', '512'];
    const { code, stdout, stderr } = await vanitypool(args);
    assert.equal(code, 0, stderr);
    const { machine, node, commit, rows } = JSON.parse(stdout);
    assert.match(machine, /cores$/);
    assert.equal(node, process.version);
    assert.match(commit, /^(unknown|[0-9a-f]{7,}.*)$/);
    assert.ok(rows.length > 5);
    for (const { addressesPerSecond } of rows) assert.ok(addressesPerSecond > 0);
  },
);

test('bench start --json holds a real server to its marks', LIMIT, async () => {
  const args = ['bench', 'start', '--json', '--stored', '2000', '--rounds', '1'];
  const { code, stdout, stderr } = await vanitypool(args);
  assert.equal(code, 0, stderr);
  const { rows, load, rounds } = JSON.parse(stdout);
  assert.equal(rounds, 1);
  assert.equal(load.length, 3);
  const first = rows.filter(({ mark }: { mark?: string }) => mark === '< 1000');
  assert.equal(first.length, 2);
  for (const { median, isMet } of first) assert.equal(isMet, median < 1000);
});

test('a number that a benchmark does not take is wrong usage', LIMIT, async () => {
  const { code, stderr } = await vanitypool(['bench', 'memory', '--rounds', '0']);
  assert.equal(stderr, 'bench: --rounds: 0 is not a whole number from 1\n');
  assert.equal(code, 2);
  for (const args of [
    ['ring', '--trials'],
    ['store', '--rounds'],
    ['grind', '--trials'],
  ]) {
    const refused = await vanitypool(['bench', ...args, '0']);
    assert.match(refused.stderr, /^bench: --\w+: 0 is not a whole number.*\n$/);
    assert.equal(refused.code, 2);
  }
});
