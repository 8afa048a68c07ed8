/** Every form in which people have keys, and what is none: named, without a word of the key. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { keysIn, NoKeyError } from '../../src/keypair/key-text.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { publicKeyOfExpanded } from '../support/expanded-oracle.ts';

const seed = Uint8Array.from(randomBytes(32));
const keypair = keypairOf(seed);
const address = addressOf(keypair.subarray(32));
const secretKey = encodeBase58(keypair);
const hex = Buffer.from(keypair).toString('hex');
const seedHex = Buffer.from(seed).toString('hex');
const base64 = Buffer.from(keypair).toString('base64');
const expandedKey = expandedKeyOf(randomBytes(32));
const expanded = {
  type: 'expanded',
  address: addressOf(publicKeyOfExpanded(expandedKey)),
  expandedKey: encodeBase58(expandedKey),
};

const json = (value: unknown) => JSON.stringify(value);

/** A form, and whether it is 32 bytes alone. */
const FORMS: Readonly<Record<string, readonly [text: string, isBareSeed?: boolean]>> = {
  'an array': [json([...keypair])],
  'an array with spaces and line feeds': [JSON.stringify([...keypair], null, 2)],
  'an array of floats': [`[${[...keypair].map((byte) => byte.toFixed(1)).join(', ')}]`],
  'an array of a seed': [json([...seed]), true],
  base58: [secretKey],
  'base58 in quotes': [json(secretKey)],
  'a line of an .env': [`PRIVATE_KEY=${secretKey}`],
  'a line of an .env in quotes': [`export KEY_1 = '${secretKey}'`],
  'an array in an .env': [`WALLET="${json([...keypair])}"`],
  hex: [hex],
  'hex in capitals': [hex.toUpperCase()],
  'hex with its prefix': [`0x${hex}`],
  'hex of a seed': [seedHex, true],
  base64: [base64],
  'base64 without its end': [base64.replace('==', '')],
  'base64 for URLs': [Buffer.from(keypair).toString('base64url')],
  'publicKey, secretKey': [json({ publicKey: address, secretKey })],
  'publicKey, and a seed': [json({ publicKey: address, secretKey: seedHex })],
  'both as arrays': [json({ publicKey: [...keypair.subarray(32)], secretKey: [...keypair] })],
  'secretKey alone': [json({ secretKey })],
  'a seed in an object alone': [json({ secretKey: [...seed] }), true],
  'a line of dispense': [
    json({ id: 7, address, keyType: 'seed', secretKey, origin: 'ground', createdAt: '2026' }),
  ],
};

for (const [name, [text, isBareSeed = false]] of Object.entries(FORMS)) {
  test(`taken: ${name}`, () => {
    const [key, ...more] = keysIn(text);
    assert.deepEqual(more, []);
    assert.deepEqual(Uint8Array.from(key!.key), keypair);
    assert.deepEqual(Uint8Array.from(key!.publicKey), keypair.subarray(32));
    assert.deepEqual([key!.address, key!.keyType, key!.isBareSeed], [address, 'seed', isBareSeed]);
  });
}

test('taken: an expanded key with its type, as written here and as dispensed', () => {
  const { type, ...others } = expanded;
  for (const object of [expanded, { id: 1, keyType: type, ...others }]) {
    const [key] = keysIn(json(object));
    assert.deepEqual(Uint8Array.from(key!.key), Uint8Array.from(expandedKey));
    assert.deepEqual([key!.address, key!.keyType], [expanded.address, 'expanded']);
  }
});

test('taken: all addresses of a reply of the server', () => {
  const others = { id: 2, address, keyType: 'seed', secretKey };
  assert.deepEqual(
    keysIn(json({ addresses: [others, { ...expanded, keyType: 'expanded' }] })).map(
      (key) => key.address,
    ),
    [address, expanded.address],
  );
});

const foreign = addressOf(keypairOf(randomBytes(32)).subarray(32));
const swapped = Uint8Array.from(keypair);
swapped[0]! ^= 1;
const { type: _, ...untyped } = expanded;

const REFUSED: Readonly<Record<string, readonly [text: string, seen: RegExp]>> = {
  'an address': [address, /^base58 of 32 bytes: an address, not a secret key$/],
  'an address in quotes': [json(address), /an address, not a secret key/],
  'base58 of other lengths': [encodeBase58(keypair.subarray(1)), /^base58 of 63 bytes; a keypair/],
  'bytes that are no keypair': [encodeBase58(swapped), /^base58 of 64 bytes that are no keypair/],
  'no keypair in hex': [Buffer.from(swapped).toString('hex'), /^hex of 64 bytes that are no/],
  'no keypair in base64': [Buffer.from(swapped).toString('base64'), /^base64 of 64 bytes that/],
  'no keypair in an array': [json([...swapped]), /^an array of 64 bytes that are no keypair/],
  'an expanded key without its type': [encodeBase58(expandedKey), /that are no keypair/],
  'an expanded key in hex': [Buffer.from(expandedKey).toString('hex'), /that are no keypair/],
  'an expanded key called a secret key': [
    json({ type: 'expanded', address: expanded.address, secretKey: expanded.expandedKey }),
    /^an expanded key that is not that of its address$/,
  ],
  'an expanded key that lacks its type': [json(untyped), /^an expanded key without its type/],
  'an expanded key of type seed': [
    json({ ...untyped, keyType: 'seed', secretKey }),
    /without its type|not that of its address/,
  ],
  'an expanded key without its address': [
    json({ type: 'expanded', expandedKey: expanded.expandedKey }),
    /without its address/,
  ],
  'an expanded key of another address': [json({ ...expanded, address: foreign }), /not that of/],
  'a keypair as an expanded key': [
    json({ type: 'expanded', address, expandedKey: secretKey }),
    /^an expanded key that is not that of its address$/,
  ],
  'a secret key of another address': [json({ publicKey: foreign, secretKey }), /is not that of/],
  'two addresses': [json({ publicKey: foreign, address, secretKey }), /is not that of/],
  'an address that is none': [json({ publicKey: 'abc', secretKey }), /not base58 of 32 bytes/],
  'another type': [json({ type: 'sr25519', secretKey }), /^an object of another type; allowed/],
  'an address alone': [
    json({ id: 1, address, keyType: 'seed' }),
    /^an address without a secretKey/,
  ],
  'an object of nothing': ['{}', /^an object without a secretKey$/],
  'an array of 63': [json([...keypair.subarray(1)]), /^an array of 63 items/],
  'an array of none': ['[]', /^an array of 0 items/],
  'a byte of 256': [json([...keypair.subarray(1), 256]), /^an array whose item 64 is not/],
  'half a byte': [json([1.5, ...keypair.subarray(1)]), /^an array whose item 1 is not/],
  'a byte in quotes': [json([...keypair.subarray(1), '7']), /^an array whose item 64 is not/],
  'hex that lacks a digit': [hex.slice(1), /^hex of 127 digits/],
  'hex of a seed in base64': [Buffer.from(seed).toString('base64'), /no key in any form/],
  'a character that base58 lacks': [`${secretKey.slice(1)}0`, /characters that are no key/],
  'a recovery phrase': [
    'abandon '.repeat(11).concat('about'),
    /^12 words, as of a recovery phrase/,
  ],
  'JSON that is cut off': [json([...keypair]).slice(0, -1), /^not JSON/],
  null: ['{"secretKey":null}', /^null, where a key belongs$/],
  'a number': ['{"secretKey":17}', /^a JSON number/],
  nothing: ['KEY=', /no key|characters/],
};

for (const [name, [text, seen]] of Object.entries(REFUSED)) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => keysIn(text),
      (error) => {
        assert.ok(error instanceof NoKeyError, String(error));
        assert.match(error.message, seen);
        for (const secret of [secretKey, hex, seedHex, base64, encodeBase58(seed), address]) {
          for (let at = 0; at + 8 <= secret.length; at++) {
            assert.ok(!error.message.includes(secret.slice(at, at + 8)));
          }
        }
        return true;
      },
    );
  });
}

test('no text is anything but a key or an error that says nothing of it', () => {
  const bytes = fc.uint8Array({ minLength: 30, maxLength: 66 });
  const forms = [
    (one: Uint8Array) => json([...one]),
    (one: Uint8Array) => Buffer.from(one).toString('hex'),
    (one: Uint8Array) => Buffer.from(one).toString('base64'),
    (one: Uint8Array) => (one.length > 64 ? '' : encodeBase58(one)),
    (one: Uint8Array) => Buffer.from(one).toString('latin1'),
  ];
  fc.assert(
    fc.property(bytes, fc.constantFrom(...forms), (one, form) => {
      try {
        // 64 random bytes are no keypair.
        assert.ok(keysIn(form(one)).every(({ isBareSeed }) => isBareSeed));
        assert.equal(one.length, 32);
      } catch (error) {
        if (!(error instanceof NoKeyError)) throw error;
      }
    }),
    { numRuns: Number(process.env.FC_RUNS ?? 300) },
  );
});
