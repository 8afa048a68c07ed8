import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatChance,
  formatCount,
  formatRate,
  formatSeconds,
  formatTable,
} from '../../src/cli/format.ts';

test('counts', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [999.6, '1,000'],
    [452_659.84, '452,660'],
    [999_999_999_999_999, '999,999,999,999,999'],
    [1e15, '1.00e+15'],
    [58 ** 20, '1.86e+35'],
  ];
  for (const [value, text] of cases) assert.equal(formatCount(value), text);
});

test('rates', () => {
  const cases: [number, string][] = [
    [0, '0/s'],
    [0.4, '0/s'],
    [950, '950/s'],
    [1000, '1.00 k/s'],
    [12_345, '12.3 k/s'],
    [3_100_000, '3.10 M/s'],
    [307e6, '307 M/s'],
    [1.2e9, '1.20 G/s'],
    [1.2e12, '1.20 T/s'],
    [999.4, '999/s'],
    [999.6, '1.00 k/s'],
    [999_999, '1.00 M/s'],
  ];
  for (const [value, text] of cases) assert.equal(formatRate(value), text);
});

test('durations', () => {
  const year = 365 * 86_400;
  const cases: [number, string][] = [
    [0, '0 s'],
    [0.000_123_4, '0.00012 s'],
    [0.151, '0.15 s'],
    [0.6, '0.6 s'],
    [1, '1 s'],
    [1.52, '1.5 s'],
    [9.99, '10 s'],
    [12.4, '12 s'],
    [59.4, '59 s'],
    [59.6, '1 min'],
    [60, '1 min'],
    [61, '1 min 1 s'],
    [200, '3 min 20 s'],
    [3599.7, '1 h'],
    [3600, '1 h'],
    [3660, '1 h 1 min'],
    [7261, '2 h 1 min'],
    [86_400, '1 day'],
    [2 * 86_400 + 4 * 3600 + 59, '2 days 4 h'],
    [364 * 86_400, '364 days'],
    [year, '1 year'],
    [1.5 * year, '1 year 183 days'],
    [9 * year + 86_400, '9 years 1 day'],
    [12.3 * year, '12 years'],
    [3456 * year, '3,456 years'],
    [7.12e9 * year, '7.1e+9 years'],
    [Number.POSITIVE_INFINITY, 'unknown'],
    [Number.NaN, 'unknown'],
  ];
  for (const [value, text] of cases) assert.equal(formatSeconds(value), text, String(value));
});

test('a duration never shows 60 of a unit that makes a larger one', () => {
  for (let seconds = 0; seconds < 200_000; seconds += 7.3) {
    assert.doesNotMatch(formatSeconds(seconds), /\b(60 s|60 min|24 h)\b/, String(seconds));
  }
});

test('chances', () => {
  const cases: [number, string][] = [
    [0, '0%'],
    [0.000_123, '0.012%'],
    [0.05, '5%'],
    [0.0523, '5.2%'],
    [0.5, '50%'],
    [0.95, '95%'],
    [0.9912, '99.1%'],
    [0.9999, '>99.9%'],
    [1, '>99.9%'],
  ];
  for (const [value, text] of cases) assert.equal(formatChance(value), text);
});

test('columns are as wide as their widest cell; figures end at the right', () => {
  const rows = [
    ['pool', 'pattern', 'ready'],
    ['pet', '...[a-z]Pet', '256'],
    ['x', 'abc...', '1,000,000'],
  ];
  assert.equal(
    formatTable(rows, 2),
    [
      'pool  pattern          ready',
      'pet   ...[a-z]Pet        256',
      'x     abc...       1,000,000',
      '',
    ].join('\n'),
  );
});

test('a cell of a table neither ends its line nor says anything to the terminal', () => {
  assert.equal(
    formatTable(
      [
        ['name', 'n'],
        ['a\u001b[2J\nshop\u0007\u202e', '1'],
      ],
      1,
    ),
    `name          n\na?[2J?shop??  1\n`,
  );
});
