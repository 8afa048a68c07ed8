/** Which patterns `grind` is asked for, by its own options, by those of solana-keygen, and by a file. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type GoalValues, readGoals } from '../../src/cli/grind-goals.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));

const asked = (values: GoalValues) =>
  readGoals(values).all.map(({ pattern, count }) => [pattern.text, count]);

const refused = (values: GoalValues, code: string, message: RegExp) =>
  assert.throws(() => readGoals(values), { code, message });

test('several patterns, each with its number or that of --count', () => {
  assert.deepEqual(asked({ suffix: ['pump:3', '[a-z]Pet:5'], prefix: ['abc'] }), [
    ['abc...', 1],
    ['...pump', 3],
    ['...[a-z]Pet', 5],
  ]);
  assert.deepEqual(asked({ suffix: ['a', 'b:2'], count: '7', 'ignore-case': true }), [
    ['...a (ignore case)', 7],
    ['...b (ignore case)', 2],
  ]);
  assert.equal(readGoals({ suffix: ['a', 'b:2'], count: '7' }).count, 9);
});

test('one prefix and one suffix without numbers are one pattern; with a number, two', () => {
  assert.deepEqual(asked({ prefix: ['a'], suffix: ['b'], count: '2' }), [['a...b', 2]]);
  assert.deepEqual(asked({ prefix: ['a:1'], suffix: ['b:2'] }), [
    ['a...', 1],
    ['...b', 2],
  ]);
  assert.deepEqual(asked({ prefix: ['a'], suffix: ['b:2'] }), [
    ['a...', 1],
    ['...b', 2],
  ]);
});

test('the options of solana-keygen grind mean the same', () => {
  const values = {
    'starts-with': ['A:1', 'B:2'],
    'ends-with': ['C:3'],
    'starts-and-ends-with': ['D:E:4'],
  };
  assert.deepEqual(asked(values), [
    ['A...', 1],
    ['B...', 2],
    ['...C', 3],
    ['D...E', 4],
  ]);
  assert.deepEqual(asked({ 'starts-with': ['A:1'], 'ends-with': ['B:1'] }), [
    ['A...', 1],
    ['...B', 1],
  ]);
});

test('a file of words has a pattern on each line, and errors name the line', () => {
  const words = join(root, 'words');
  writeFileSync(words, '\uFEFF# ours\r\npump\r\n\n ...Pet:2 \nabc...\nx...y:3\n');
  assert.deepEqual(asked({ words, count: '4' }), [
    ['...pump', 4],
    ['...Pet', 2],
    ['abc...', 4],
    ['x...y', 3],
  ]);
  for (const [line, code, message] of [
    ['P0t', 'PATTERN_IMPOSSIBLE', /^.*words:2: suffix: character 2, "0", is in no address/],
    ['a:b', 'USAGE_INVALID', /words:2: "b" is not allowed/],
    ['a...b...c', 'USAGE_INVALID', /words:2: more than one/],
    ['...', 'PATTERN_INVALID', /words:2: a pattern needs/],
    [':3', 'USAGE_INVALID', /words:2: ":3" has no pattern/],
  ] as const) {
    writeFileSync(words, `ok\n${line}\n`);
    refused({ words }, code, message);
  }
  writeFileSync(words, '# none\n');
  refused({ words }, 'USAGE_INVALID', /no word is in it/);
  writeFileSync(words, 'aa\n'.repeat(1025));
  refused({ words }, 'USAGE_INVALID', /1025 patterns; a search takes at most 1024/);
});

test('what is left is said in options that search for it', () => {
  const goals = readGoals({
    suffix: ['pump:3', 'a'],
    'starts-and-ends-with': ['x:y:2'],
    prefix: ['b'],
  });
  const [b, pump] = goals.all;
  for (const goal of [b!, pump!]) goals.add(goal);
  const left = goals.wordsLeft();
  assert.deepEqual(left, [
    '--suffix',
    'pump:2',
    '--suffix',
    'a:1',
    '--starts-and-ends-with',
    'x:y:2',
  ]);
  assert.equal(goals.found, 2);
  assert.ok(!goals.isReached);
});

test('an address counts for the first pattern that lacks one', () => {
  const goals = readGoals({ suffix: ['t:1', 'at:1'] });
  const [t, at] = goals.all;
  assert.equal(goals.of('111at'), t);
  goals.add(t!);
  assert.equal(goals.of('111at'), at);
  assert.equal(goals.of('111bt'), undefined);
  goals.add(at!);
  assert.ok(goals.isReached);
});
