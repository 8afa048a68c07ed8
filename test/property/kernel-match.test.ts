/**
 * Random sets of patterns through the kernel: every hit matches the pattern that it names and none
 * before it, and a search over a whole alphabet in two halves finds every candidate.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kernelLevels, loadKernel } from '../../src/grinder/load-kernel.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';
import { proveKey } from '../../src/keypair/expanded.ts';
import { matches, type Pattern, parsePattern } from '../../src/keypair/pattern.ts';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';

const numRuns = Number(process.env.FC_RUNS ?? 10);
const NATIVE = kernelLevels().filter((isa) => isa !== 'js');

const letters = fc.constantFrom(...BASE58_ALPHABET);
const character = fc.oneof(
  letters,
  fc.uniqueArray(letters, { minLength: 2, maxLength: 30 }).map((some) => `[${some.join('')}]`),
);
const side = fc.array(character, { maxLength: 3 }).map((characters) => characters.join(''));
const anyPattern = fc
  .record({ prefix: side, suffix: side, ignoreCase: fc.boolean() })
  .filter(({ prefix, suffix }) => prefix !== '' || suffix !== '')
  .map(parsePattern);

const SEARCHES = NATIVE.flatMap((isa) => KEY_TYPES.map((keyType) => ({ isa, keyType })));

for (const { isa, keyType } of SEARCHES) {
  test(`${isa}, ${keyType} keys: a hit names the first pattern that it matches`, () => {
    const { kernel } = loadKernel(isa);
    fc.assert(
      fc.property(fc.array(anyPattern, { minLength: 1, maxLength: 12 }), (patterns) => {
        const search = kernel.open(patterns, keyType);
        const { hits } = search.slice(5, 30);
        search.close();
        for (const { pattern, ...key } of hits) {
          assert.equal(key.keyType, keyType);
          assert.ok(proveKey(key));
          const address = addressOf(key.publicKey);
          assert.equal(
            pattern,
            patterns.findIndex((candidate) => matches(candidate, address)),
          );
        }
      }),
      { numRuns },
    );
  });

  test(`${isa}, ${keyType} keys: a class and its complement leave nothing out, at either end`, () => {
    const { kernel } = loadKernel(isa);
    const halves = fc
      .uniqueArray(letters, { minLength: 1, maxLength: 57 })
      .chain((some) => fc.record({ some: fc.constant(some), atEnd: fc.boolean() }));
    fc.assert(
      fc.property(halves, ({ some, atEnd }) => {
        const others = [...BASE58_ALPHABET].filter((letter) => !some.includes(letter));
        const patterns: Pattern[] = [some, others].map((set) => {
          const text = `[${set.join('')}]`;
          return parsePattern({
            prefix: atEnd ? '' : text,
            suffix: atEnd ? text : '',
            ignoreCase: false,
          });
        });
        const search = kernel.open(patterns, keyType);
        const { attempts, hits } = search.slice(5, 30);
        search.close();
        assert.equal(hits.length, attempts);
      }),
      { numRuns },
    );
  });
}
