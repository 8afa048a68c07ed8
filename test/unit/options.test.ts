import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest, readPattern, readThreads, readWhole } from '../../src/cli/options.ts';
import { commandThreads, readCpuLimits } from '../../src/system/cores.ts';

test('a whole number is read, or its fallback when the flag is not given', () => {
  assert.equal(readWhole('--count', '1', 5, 1000), 1);
  assert.equal(readWhole('--count', '1000', 5, 1000), 1000);
  assert.equal(readWhole('--count', '007', 5, 1000), 7);
  assert.equal(readWhole('--count', undefined, 5, 1000), 5);
});

test('anything else is refused with the flag and what is allowed', () => {
  for (const text of [
    '',
    '0',
    '1001',
    '-1',
    '+1',
    '1.5',
    '1e3',
    '0x10',
    ' 1',
    'abc',
    '9'.repeat(400),
  ]) {
    assert.throws(() => readWhole('--count', text, 5, 1000), {
      code: 'USAGE_INVALID',
      message: `--count: ${JSON.stringify(text)} is not allowed; allowed: a whole number from 1 to 1000`,
    });
  }
});

test('threads are all that this process may keep busy unless given', () => {
  assert.equal(readThreads(undefined), commandThreads(readCpuLimits()));
  assert.equal(readThreads('3'), 3);
  assert.throws(() => readThreads('0'), { code: 'USAGE_INVALID' });
  assert.throws(() => readThreads('1025'), { code: 'USAGE_INVALID' });
});

test('a pattern comes from its three flags', () => {
  const pattern = readPattern({ prefix: 'ab', suffix: '[x-z]', 'ignore-case': true });
  assert.equal(pattern.text, 'ab...[x-z] (ignore case)');
  assert.equal(readPattern({ suffix: 'Pet' }).text, '...Pet');
  assert.throws(() => readPattern({}), {
    code: 'USAGE_INVALID',
    message: 'which address? give --suffix PATTERN, --prefix PATTERN or both',
  });
  assert.throws(() => readPattern({ suffix: '', 'ignore-case': true }), { code: 'USAGE_INVALID' });
  assert.throws(() => readPattern({ suffix: '0' }), { code: 'PATTERN_IMPOSSIBLE' });
});

test('the nearest name is the one with the fewest changes, if they are few', () => {
  const known = ['serve', 'grind', 'estimate', 'status', 'dispense'];
  const cases: [string, string | undefined][] = [
    ['server', 'serve'],
    ['grnd', 'grind'],
    ['gridn', undefined],
    ['stats', 'status'],
    ['estimat', 'estimate'],
    ['dispence', 'dispense'],
    ['DISPENSE', undefined],
    ['x', undefined],
    ['', undefined],
    ['start', undefined],
  ];
  for (const [name, near] of cases) assert.equal(nearest(name, known), near, name);
  assert.equal(nearest('--sufix', ['--prefix', '--suffix']), '--suffix');
  assert.equal(nearest('a', []), undefined);
});
