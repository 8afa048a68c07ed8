import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBase58 } from '../../src/keypair/address.ts';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';
import {
  attemptsFor,
  chanceAfter,
  countMatching,
  shownDifficulty,
} from '../../src/keypair/difficulty.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';

const difficulty = (prefix: string, suffix: string, ignoreCase = false) =>
  parsePattern({ prefix, suffix, ignoreCase }).difficulty;

test('known difficulties of suffixes', () => {
  assert.equal(difficulty('', '[a-z]Pet'), 58 ** 4 / 25);
  assert.equal(Math.round(difficulty('', '[a-z]Pet')), 452_660);
  assert.equal(difficulty('', 'pump'), 11_316_496);
  assert.equal(difficulty('', 'pump', true), 11_316_496 / 16);
  assert.equal(difficulty('', 'l', true), 58);
  assert.equal(difficulty('', '[1-9A-Za-z]'), 1);
  assert.equal(difficulty('', 'z'.repeat(10)), 58 ** 10);
});

test('known difficulties of prefixes', () => {
  // One leading zero byte each, and nothing else, makes a leading '1'.
  assert.equal(difficulty('1', ''), 256);
  assert.equal(difficulty('1'.repeat(10), ''), 2 ** 80);
  // Without a leading zero byte N is at least 2^248 = 3.9 * 58^42 and below 2^256 = 17.2 * 58^43:
  // the digit of A, 9, can lead all numbers of 44 digits and all of 43.
  const count = 58n ** 43n + 58n ** 42n;
  assert.equal(difficulty('A', ''), Number(((2n ** 256n) << 64n) / count) / 2 ** 64);
});

test('every first character adds up to all public keys', () => {
  const all = [...BASE58_ALPHABET].map((_, digit) => countMatching(32, [1n << BigInt(digit)], []));
  assert.equal(
    all.reduce((sum, count) => sum + count),
    2n ** 256n,
  );
});

test('every last character adds up to all public keys', () => {
  const all = [...BASE58_ALPHABET].map((_, digit) => countMatching(32, [], [1n << BigInt(digit)]));
  assert.equal(
    all.reduce((sum, count) => sum + count),
    2n ** 256n,
  );
});

test('the difficulty of both sides is joint: not less than either, about their product', () => {
  const [front, back] = [difficulty('ab', ''), difficulty('', 'xyz')];
  const both = difficulty('ab', 'xyz');
  assert.ok(Math.abs(both / (front * back) - 1) < 1e-9);
});

test('all texts of two bytes, counted one by one', () => {
  const texts = Array.from({ length: 65_536 }, (_, value) =>
    encodeBase58(Uint8Array.of(value >> 8, value & 255)),
  );
  const sets = (...choices: string[]) =>
    choices.map((choice) =>
      [...choice].reduce((set, one) => set | (1n << BigInt(BASE58_ALPHABET.indexOf(one))), 0n),
    );
  const cases: [string[], string[]][] = [
    [[], []],
    [['1'], []],
    [['1', '1'], []],
    [['1', '2'], []],
    [['L'], []],
    [['23', 'ab'], []],
    [['123', '1ab', 'xyz1']],
    [[], ['1']],
    [[], ['11', '1']],
    [[], ['KLM', 'KLM', 'abc1']],
    [
      ['12', 'AB'],
      ['AB', 'z1'],
    ],
    [['1'], ['1', '1']],
    [
      ['L', 'U', 'v'],
      ['L', 'U', 'v'],
    ],
    [['1', '1', '1'], []],
    [['abcd', 'efgh', 'ijkm', 'nopq'], []],
  ].map(([front = [], back = []]) => [front, back]);
  for (const [front, back] of cases) {
    const expected = texts.filter(
      (text) =>
        text.length >= Math.max(front.length, back.length) &&
        front.every((choice, index) => choice.includes(text[index]!)) &&
        back.every((choice, index) => choice.includes(text[text.length - back.length + index]!)),
    ).length;
    assert.equal(
      countMatching(2, sets(...front), sets(...back)),
      BigInt(expected),
      `${front.join('|')} ... ${back.join('|')}`,
    );
  }
});

test('the chance grows from none to all', () => {
  assert.equal(chanceAfter(100, 0), 0);
  assert.equal(chanceAfter(1, 0), 0);
  assert.equal(chanceAfter(1, 1), 1);
  assert.ok(Math.abs(chanceAfter(2, 2) - 0.75) < 1e-12);
  assert.ok(Math.abs(chanceAfter(1e15, 1e15) - (1 - Math.exp(-1))) < 1e-9);
});

test('attempts for a chance are the least that reach it', () => {
  assert.equal(attemptsFor(1, 0.95), 1);
  assert.equal(attemptsFor(58, 0.5), 40);
  for (const [rarity, chance] of [
    [58, 0.5],
    [452_660, 0.95],
    [16.9, 0.01],
  ] as const) {
    const attempts = attemptsFor(rarity, chance);
    assert.ok(chanceAfter(rarity, attempts) >= chance);
    assert.ok(chanceAfter(rarity, attempts - 1) < chance);
  }
});

test('a difficulty is shown in whole attempts, unless it is a small one', () => {
  assert.equal(shownDifficulty(452_659.84), 452_660);
  assert.equal(shownDifficulty(58), 58);
  assert.equal(shownDifficulty(17.23), 17.23);
});
