/** Base58 against an independent implementation. FC_RUNS sets the number of runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base58 } from '@scure/base';
import fc from 'fast-check';
import { addressOf, decodeBase58, encodeBase58, isAddress } from '../../src/keypair/address.ts';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';

const numRuns = Number(process.env.FC_RUNS ?? 5000);

/** Up to 64 bytes with some zeros in front, and often bytes at their limits. */
const bytes = fc
  .tuple(
    fc.nat({ max: 32 }),
    fc.array(fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 255)), { maxLength: 64 }),
  )
  .map(([zeros, rest]) => Uint8Array.from([...Array(zeros).fill(0), ...rest].slice(0, 64)));

test('encoding and decoding are those of another implementation', () => {
  fc.assert(
    fc.property(bytes, (given) => {
      const text = encodeBase58(given);
      assert.equal(text, base58.encode(given));
      assert.deepEqual(decodeBase58(text), given);
    }),
    { numRuns },
  );
});

test('any text of the alphabet comes back', () => {
  const text = fc.string({ unit: fc.constantFrom(...BASE58_ALPHABET), maxLength: 80 });
  fc.assert(
    fc.property(text, (given) => {
      assert.deepEqual(decodeBase58(given), base58.decode(given));
    }),
    { numRuns },
  );
});

test('a text with a foreign character is refused at its place', () => {
  const foreign = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 1 })
    .filter((character) => !BASE58_ALPHABET.includes(character));
  const part = fc.string({ unit: fc.constantFrom(...BASE58_ALPHABET), maxLength: 40 });
  fc.assert(
    fc.property(part, foreign, part, (before, character, behind) => {
      const text = before + character + behind;
      assert.throws(() => decodeBase58(text), {
        name: 'RangeError',
        message: new RegExp(`^character ${before.length + 1}, `),
      });
      assert.equal(isAddress(text), false);
    }),
    { numRuns },
  );
});

test('32 bytes are an address, any other number is not', () => {
  fc.assert(
    fc.property(bytes, (given) => {
      assert.equal(isAddress(encodeBase58(given)), given.length === 32);
      const key = Uint8Array.from({ length: 32 }, (_, index) => given[index] ?? 0);
      assert.equal(isAddress(addressOf(key)), true);
    }),
    { numRuns },
  );
});
