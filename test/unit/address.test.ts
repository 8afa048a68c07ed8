import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addressOf,
  assertAddress,
  decodeBase58,
  encodeBase58,
  isAddress,
  toAddress,
} from '../../src/keypair/address.ts';
import { BASE58_ALPHABET, digitAt } from '../../src/keypair/base58-digits.ts';

const ADDRESS = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA';

test('the alphabet has 58 different characters and none of 0 O I l', () => {
  assert.equal(new Set(BASE58_ALPHABET).size, 58);
  assert.doesNotMatch(BASE58_ALPHABET, /[0OIl]/);
});

test('each character is its digit; anything else and the end of the text are none', () => {
  for (const [digit, character] of [...BASE58_ALPHABET].entries()) {
    assert.equal(digitAt(character, 0), digit);
  }
  for (const character of ['0', 'O', 'I', 'l', ' ', '\x00', '\x7f', 'é', '±', '😀', '']) {
    assert.equal(digitAt(character, 0), undefined, JSON.stringify(character));
  }
  assert.equal(digitAt('abc', -1), undefined);
});

test('each single byte comes back', () => {
  for (let byte = 0; byte < 256; byte++) {
    const bytes = Uint8Array.of(byte);
    assert.deepEqual(decodeBase58(encodeBase58(bytes)), bytes);
  }
});

test('every length from 0 to 64 bytes comes back, at its largest and with leading zeros', () => {
  for (let length = 0; length <= 64; length++) {
    for (let zeros = 0; zeros <= length; zeros++) {
      const bytes = new Uint8Array(length).fill(255, zeros);
      const text = encodeBase58(bytes);
      assert.deepEqual(decodeBase58(text), bytes);
      assert.equal(text.slice(0, zeros), '1'.repeat(zeros));
    }
  }
});

test('more than 64 bytes are refused', () => {
  assert.throws(() => encodeBase58(new Uint8Array(65)), {
    name: 'RangeError',
    message: '65 bytes; at most 64 can be encoded',
  });
});

test('what is not base58 is refused with the character and its position', () => {
  const cases: [string, RegExp][] = [
    ['0', /^character 1, "0", is not in the base58 alphabet$/],
    ['abcI', /^character 4, "I",/],
    ['11l', /^character 3, "l",/],
    ['a b', /^character 2, " ",/],
    ['abcdefgh\n', /^character 9, "\\n",/],
    ['a😀', /^character 2, "😀",/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => decodeBase58(text), { name: 'RangeError', message });
  }
});

test('an address is base58 of 32 bytes and nothing else', () => {
  assert.equal(isAddress(ADDRESS), true);
  assert.equal(isAddress('1'.repeat(32)), true);
  const no = [
    '',
    '1'.repeat(31),
    '1'.repeat(33),
    `1${ADDRESS}`,
    ADDRESS.slice(1),
    `${ADDRESS} `,
    ADDRESS.replace('k', 'l'),
    'z'.repeat(44),
    'z'.repeat(45),
    '2'.repeat(100_000),
  ];
  for (const text of no) assert.equal(isAddress(text), false, text.slice(0, 50));
});

test('assertAddress and toAddress throw for what is no address, without its text', () => {
  assert.equal(toAddress(ADDRESS), ADDRESS);
  assert.doesNotThrow(() => assertAddress(ADDRESS));
  for (const make of [assertAddress, toAddress]) {
    assert.throws(
      () => make('nonsense'),
      (error: Error) => {
        assert.equal(error.name, 'RangeError');
        assert.doesNotMatch(error.message, /nonsense/);
        return true;
      },
    );
  }
});

test('only 32 bytes have an address', () => {
  assert.equal(addressOf(decodeBase58(ADDRESS)), ADDRESS);
  for (const length of [0, 31, 33, 64]) {
    assert.throws(() => addressOf(new Uint8Array(length)), {
      name: 'RangeError',
      message: `a public key has 32 bytes, not ${length}`,
    });
  }
});
