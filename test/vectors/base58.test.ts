/** Published base58 texts: the Bitcoin test set, the IETF draft, and addresses of Solana. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBase58, encodeBase58, toAddress } from '../../src/keypair/address.ts';

const VECTORS: readonly (readonly [hex: string, text: string])[] = [
  ['', ''],
  ['61', '2g'],
  ['626262', 'a3gV'],
  ['636363', 'aPEr'],
  ['73696d706c792061206c6f6e6720737472696e67', '2cFupjhnEsSn59qHXstmK2ffpLv2'],
  ['00eb15231dfceb60925886b67d065299925915aeb172c06647', '1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L'],
  ['516b6fcd0f', 'ABnLTmg'],
  ['bf4f89001e670274dd', '3SEo3LWLoPntC'],
  ['572e4794', '3EFU7m'],
  ['ecac89cad93923c02321', 'EJDM8drfXA6uyA'],
  ['10c8511e', 'Rt5zm'],
  ['00000000000000000000', '1111111111'],
  ['48656c6c6f20576f726c6421', '2NEpo7TZRRrLZSi2U'],
  ['0000287fb4cd', '11233QC4'],
  [
    '54686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f672e',
    'USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z',
  ],
];

/** The System program, the Token program, and the largest address there is. */
const ADDRESSES: readonly (readonly [hex: string, text: string])[] = [
  ['00'.repeat(32), '1'.repeat(32)],
  [
    '06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9',
    'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA',
  ],
  ['ff'.repeat(32), 'JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG'],
];

for (const [hex, text] of [...VECTORS, ...ADDRESSES]) {
  test(`${hex || 'nothing'} is ${text || 'nothing'}`, () => {
    assert.equal(encodeBase58(Buffer.from(hex, 'hex')), text);
    assert.equal(Buffer.from(decodeBase58(text)).toString('hex'), hex);
  });
}

test('the addresses are addresses', () => {
  for (const [, text] of ADDRESSES) assert.equal(toAddress(text), text);
});
