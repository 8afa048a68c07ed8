/**
 * The matcher against regular expressions, whose classes are written the same way, and the exact
 * difficulty against random keys. FC_RUNS sets the number of runs, PATTERN_KEYS that of keys.
 */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeBase58 } from '../../src/keypair/address.ts';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';
import { matches, type PatternSource, parsePattern } from '../../src/keypair/pattern.ts';

const numRuns = Number(process.env.FC_RUNS ?? 1000);
const keys = Number(process.env.PATTERN_KEYS ?? 300_000);
/** Random bytes of one key alone take as long as all the rest of it. */
const KEYS_AT_ONCE = 1000;

const letter = fc.constantFrom(...BASE58_ALPHABET);
const anyLetter = fc.constantFrom(...BASE58_ALPHABET, '0', 'O', 'I', 'l');
const range = fc
  .constantFrom('0123456789', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
  .chain((kind) =>
    fc.tuple(fc.nat({ max: kind.length - 1 }), fc.nat({ max: kind.length - 1 }), fc.constant(kind)),
  )
  .map(([one, other, kind]) => `${kind[Math.min(one, other)]}-${kind[Math.max(one, other)]}`);
/** Always with a letter that base58 has, so that no class is empty. */
const characterClass = fc
  .tuple(fc.array(fc.oneof(anyLetter, range), { maxLength: 3 }), letter)
  .map(([items, last]) => `[${items.join('')}${last}]`);
const side = fc.array(fc.oneof(letter, characterClass), { maxLength: 10 });

/** An address-like text whose ends are drawn from the letters of the pattern: many match. */
const trial = fc
  .record({ front: side, back: side, ignoreCase: fc.boolean() })
  .filter(({ front, back }) => front.length + back.length > 0)
  .chain(({ front, back, ignoreCase }) =>
    fc.record({
      source: fc.constant<PatternSource>({
        prefix: front.join(''),
        suffix: back.join(''),
        ignoreCase,
      }),
      address: fc
        .tuple(
          ...front.map(memberOf),
          fc.string({ unit: letter, minLength: 12, maxLength: 24 }),
          ...back.map(memberOf),
        )
        .map((parts) => parts.join('')),
    }),
  );

/** A letter that stands in `item`, sometimes in its other case, sometimes another one. */
function memberOf(item: string): fc.Arbitrary<string> {
  const members = [...item].filter((character) => BASE58_ALPHABET.includes(character));
  const others = members
    .flatMap((character) => [character.toLowerCase(), character.toUpperCase()])
    .filter((character) => BASE58_ALPHABET.includes(character));
  return fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom(...members) },
    { weight: 2, arbitrary: fc.constantFrom(...others) },
    { weight: 1, arbitrary: letter },
  );
}

test('a pattern matches what the same regular expression matches', () => {
  let matched = 0;
  fc.assert(
    fc.property(trial, ({ source, address }) => {
      const pattern = parsePattern(source);
      const expression = new RegExp(
        `^${source.prefix}.*${source.suffix}$`,
        source.ignoreCase ? 'i' : '',
      );
      const expected = expression.test(address);
      matched += Number(expected);
      assert.equal(matches(pattern, address), expected, `${pattern.text} on ${address}`);
    }),
    { numRuns },
  );
  assert.ok(matched > numRuns / 10, `only ${matched} of ${numRuns} trials matched`);
});

test('every pattern that is not refused can be met', () => {
  fc.assert(
    fc.property(trial, ({ source }) => {
      const { difficulty } = parsePattern(source);
      assert.ok(Number.isFinite(difficulty) && difficulty >= 1, `${difficulty}`);
    }),
    { numRuns: Math.ceil(numRuns / 10) },
  );
});

test('a suffix is as rare as its characters', () => {
  fc.assert(
    fc.property(
      side.filter((items) => items.length > 0),
      fc.boolean(),
      (items, ignoreCase) => {
        const pattern = parsePattern({ prefix: '', suffix: items.join(''), ignoreCase });
        const expected = pattern.suffixSets.reduce(
          (product, set) =>
            product * (58 / [...set.toString(2)].filter((bit) => bit === '1').length),
          1,
        );
        assert.ok(Math.abs(pattern.difficulty / expected - 1) < 1e-12);
      },
    ),
    { numRuns: Math.ceil(numRuns / 10) },
  );
});

test('random keys match as often as the difficulty says', (t) => {
  const patterns = [
    ['', 'p', false],
    ['', '[a-f]x', false],
    ['', 'pe', true],
    ['1', '', false],
    ['2', '', false],
    ['A', '', false],
    ['J', '', false],
    ['z', '', false],
    ['1[1-9A-K]', '', false],
    ['[2-6]b', '', true],
    ['JE', '', true],
    ['[A-H]', '[A-H]', false],
    ['[1-3]', '[l-z]e', true],
  ].map(([prefix, suffix, ignoreCase]) =>
    parsePattern({ prefix, suffix, ignoreCase } as PatternSource),
  );
  const hits = patterns.map(() => 0);
  const block = new Uint8Array(32 * KEYS_AT_ONCE);
  for (let count = 0; count < keys; count++) {
    const at = 32 * (count % KEYS_AT_ONCE);
    if (at === 0) randomFillSync(block);
    const address = encodeBase58(block.subarray(at, at + 32));
    for (const [index, pattern] of patterns.entries()) {
      if (matches(pattern, address)) hits[index]!++;
    }
  }
  for (const [index, { text, difficulty }] of patterns.entries()) {
    const chance = 1 / difficulty;
    const expected = keys * chance;
    const sigmas = (hits[index]! - expected) / Math.sqrt(expected * (1 - chance));
    const report = `${text}: ${hits[index]} hits in ${keys} keys, ${expected.toFixed(1)} expected, ${sigmas.toFixed(2)} sigma`;
    t.diagnostic(report);
    assert.ok(expected > 100, `${text}: too rare for ${keys} keys`);
    // By chance alone one of the 13 figures is beyond this about once in 100,000 runs.
    assert.ok(Math.abs(sigmas) < 5, report);
  }
});
