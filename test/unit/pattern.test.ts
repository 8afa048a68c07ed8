import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';
import { matches, parsePattern, SIDE_MAX } from '../../src/keypair/pattern.ts';

const suffix = (text: string, ignoreCase = false) =>
  parsePattern({ prefix: '', suffix: text, ignoreCase });
const prefix = (text: string, ignoreCase = false) =>
  parsePattern({ prefix: text, suffix: '', ignoreCase });

/** The characters that a side of one character allows. */
function allowedBy(text: string, ignoreCase = false): string {
  const [set] = suffix(text, ignoreCase).suffixSets;
  return [...BASE58_ALPHABET].filter((_, digit) => (set! >> BigInt(digit)) & 1n).join('');
}

test('a literal allows itself, a class what it lists', () => {
  assert.equal(allowedBy('P'), 'P');
  assert.equal(allowedBy('[abc]'), 'abc');
  assert.equal(allowedBy('[a-f]'), 'abcdef');
  assert.equal(allowedBy('[A-C1-37x]'), '1237ABCx');
  assert.equal(allowedBy('[b-b]'), 'b');
});

test('a class leaves out what base58 lacks, and says so', () => {
  assert.equal(allowedBy('[a-z]'), 'abcdefghijkmnopqrstuvwxyz');
  assert.deepEqual(suffix('[a-z]Pet').notes, [
    '[a-z]: l is not in the base58 alphabet and is left out',
  ]);
  assert.deepEqual(prefix('[A-Z0-9]').notes, [
    '[A-Z0-9]: I, O, 0 are not in the base58 alphabet and are left out',
  ]);
  assert.deepEqual(suffix('[k-mll]').notes, [
    '[k-mll]: l is not in the base58 alphabet and is left out',
  ]);
  assert.deepEqual(suffix('[abc]').notes, []);
});

test('with ignoreCase a letter stands for those of its cases that base58 has', () => {
  assert.equal(allowedBy('a', true), 'Aa');
  assert.equal(allowedBy('A', true), 'Aa');
  assert.equal(allowedBy('l', true), 'L');
  assert.equal(allowedBy('L', true), 'L');
  assert.equal(allowedBy('i', true), 'i');
  assert.equal(allowedBy('I', true), 'i');
  assert.equal(allowedBy('O', true), 'o');
  assert.equal(allowedBy('7', true), '7');
  assert.equal(allowedBy('[k-n]', true), 'KLMNkmn');
  assert.deepEqual(suffix('[a-z]', true).notes, []);
  assert.deepEqual(suffix('[0-9]', true).notes, [
    '[0-9]: 0 is not in the base58 alphabet and is left out',
  ]);
});

test('the text is for people', () => {
  assert.equal(suffix('[a-z]Pet').text, '...[a-z]Pet');
  assert.equal(prefix('abc').text, 'abc...');
  const both = parsePattern({ prefix: 'abc', suffix: 'xyz', ignoreCase: true });
  assert.equal(both.text, 'abc...xyz (ignore case)');
  assert.equal(both.prefix, 'abc');
  assert.equal(both.suffix, 'xyz');
  assert.equal(both.ignoreCase, true);
});

test('a pattern survives being posted to another thread', () => {
  const pattern = parsePattern({ prefix: '[a-c]', suffix: 'Pet', ignoreCase: false });
  assert.deepEqual(structuredClone(pattern), pattern);
});

test('a side takes as many characters as the kernel, classes counted as one', () => {
  const header = readFileSync(new URL('../../native/kernel.h', import.meta.url), 'utf8');
  assert.equal(Number(/GRIND_SIDE_MAX = (\d+)/.exec(header)?.[1]), SIDE_MAX);
  assert.equal(suffix('[a-z]'.repeat(SIDE_MAX)).suffixSets.length, SIDE_MAX);
  assert.equal(prefix('a'.repeat(SIDE_MAX)).prefixSets.length, SIDE_MAX);
});

const BASE58_HAS = 'base58 has 1-9, A-Z without I and O, and a-z without l';

const REFUSED: readonly (readonly [text: string, code: string, message: string])[] = [
  ['P0t', 'PATTERN_IMPOSSIBLE', 'character 2, "0", is in no address'],
  ['O', 'PATTERN_IMPOSSIBLE', 'character 1, "O", is in no address'],
  ['petI', 'PATTERN_IMPOSSIBLE', 'character 4, "I", is in no address'],
  ['[a-z]l', 'PATTERN_IMPOSSIBLE', 'character 6, "l", is in no address'],
  ['a[0l]', 'PATTERN_IMPOSSIBLE', 'the class [0l] at character 2 allows no character'],
  ['[O-O]', 'PATTERN_IMPOSSIBLE', 'the class [O-O] at character 1 allows no character'],
  ['[]', 'PATTERN_INVALID', 'the class [] at character 1 allows no character'],
  ['a[z-a]', 'PATTERN_INVALID', 'character 5, "a", comes before z: write the range as a-z'],
  [
    '[A-z]',
    'PATTERN_INVALID',
    'character 4, "z", does not end a range from A: both must be digits, capitals or small',
  ],
  ['ab[cd', 'PATTERN_INVALID', 'the class that opens at character 3 has no "]"'],
  ['[', 'PATTERN_INVALID', 'the class that opens at character 1 has no "]"'],
  ['[a-', 'PATTERN_INVALID', 'the class that opens at character 1 has no "]"'],
  ['[a-]', 'PATTERN_INVALID', 'character 4, "]", cannot be used'],
  ['[-a]', 'PATTERN_INVALID', 'character 2, "-", cannot be used'],
  ['[^a]', 'PATTERN_INVALID', 'character 2, "^", cannot be used'],
  ['[a[b]]', 'PATTERN_INVALID', 'character 3, "[", cannot be used'],
  ['a]', 'PATTERN_INVALID', 'character 2, "]", cannot be used'],
  ['pet*', 'PATTERN_INVALID', 'character 4, "*", cannot be used'],
  ['?pet', 'PATTERN_INVALID', 'character 1, "?", cannot be used'],
  ['p t', 'PATTERN_INVALID', 'character 2, " ", cannot be used'],
  ['a-c', 'PATTERN_INVALID', 'character 2, "-", cannot be used'],
  ['pet\n', 'PATTERN_INVALID', 'character 4, "\\n", cannot be used'],
  ['pét', 'PATTERN_INVALID', 'character 2, "é", cannot be used'],
  ['p😀t', 'PATTERN_INVALID', 'character 2, "😀", cannot be used'],
  ['\u212aelvin', 'PATTERN_INVALID', 'character 1, "\u212a", cannot be used'],
  ['a'.repeat(11), 'PATTERN_TOO_LONG', '11 characters; at most 10 are possible'],
  ['[a-z]'.repeat(11), 'PATTERN_TOO_LONG', '11 characters; at most 10 are possible'],
];

for (const [text, code, reason] of REFUSED) {
  test(`${JSON.stringify(text)} is refused`, () => {
    for (const side of ['prefix', 'suffix'] as const) {
      const source = { prefix: '', suffix: '', ignoreCase: false, [side]: text };
      assert.throws(
        () => parsePattern(source),
        (error) => {
          assert.ok(error instanceof VanityError);
          assert.equal(error.code, code);
          assert.ok(error.message.startsWith(`${side}: ${reason}`), error.message);
          if (error.message.includes(';') && code !== 'PATTERN_TOO_LONG') {
            assert.ok(error.message.endsWith(BASE58_HAS), error.message);
          }
          return true;
        },
      );
    }
  });
}

test('0 is refused with ignoreCase too', () => {
  assert.throws(() => suffix('0', true), { code: 'PATTERN_IMPOSSIBLE' });
});

test('a pattern of neither side is refused', () => {
  assert.throws(() => suffix(''), {
    code: 'PATTERN_INVALID',
    message: 'a pattern needs a prefix, a suffix or both',
  });
});

test('both sides must match, each at its end', () => {
  const pattern = parsePattern({ prefix: 'a[bc]', suffix: 'Pet', ignoreCase: false });
  assert.equal(matches(pattern, 'abxxxPet'), true);
  assert.equal(matches(pattern, 'acPet'), true);
  for (const no of ['adxxxPet', 'abxxxPeT', 'abPetx', 'xabPet', 'Petab', 'ab', 'Pet', 'P', '']) {
    assert.equal(matches(pattern, no), false, no);
  }
});
