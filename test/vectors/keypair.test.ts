/** Published keys: RFC 8032, section 7.1, and a keypair in both forms that wallets exchange. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createKeyPairFromBytes, getAddressFromPublicKey } from '@solana/kit';
import { addressOf, decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import { keypairFileText, writeKeypairFile } from '../../src/keypair/key-file.ts';
import { keypairOf, proveKeypair, publicKeyOf, SEED_BYTES } from '../../src/keypair/keypair.ts';

const RFC_8032: readonly (readonly [seed: string, publicKey: string])[] = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
  ],
  [
    'f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5',
    '278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e',
  ],
  [
    '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
  ],
];

/** A public example of the Solana documentation: address, file, base58. */
const FILE_ADDRESS = '24PNhTaNtomHhoy3fTRaMhAFCRj4uHqhZEEoWrKDbR5p';
const FILE_TEXT =
  '[174,47,154,16,202,193,206,113,199,190,53,133,169,175,31,56,222,53,138,189,224,216,117,173,' +
  '10,149,53,45,73,251,237,246,15,185,186,82,177,240,148,69,241,227,167,80,141,89,240,121,121,' +
  '35,172,247,68,251,226,218,48,63,176,109,168,89,238,135]';
const SECRET_ADDRESS = '5pVyoAeURQHNMVU7DmfMHvCDNmTEYXWfEwc136GYhTKG';
const SECRET_KEY =
  '5MaiiCavjCmn9Hs1o3eznqDEhRwxo7pXiAYez7keQUviUkauRiTMD8DrESdrNjN8zd9mTmVhRvBJeg5vhyvgrAhG';

for (const [seed, publicKey] of RFC_8032) {
  test(`RFC 8032: the public key of seed ${seed.slice(0, 8)}`, () => {
    assert.equal(Buffer.from(publicKeyOf(Buffer.from(seed, 'hex'))).toString('hex'), publicKey);
    const keypair = keypairOf(Buffer.from(seed, 'hex'));
    assert.equal(Buffer.from(keypair).toString('hex'), seed + publicKey);
    assert.equal(proveKeypair(keypair), true);
  });
}

test('a file of solana-keygen is read and written to the letter', () => {
  const keypair = Uint8Array.from(JSON.parse(FILE_TEXT));
  assert.equal(proveKeypair(keypair), true);
  assert.equal(addressOf(keypair.subarray(SEED_BYTES)), FILE_ADDRESS);
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-'));
  try {
    const path = writeKeypairFile(directory, keypair);
    assert.equal(path, join(directory, `${FILE_ADDRESS}.json`));
    assert.equal(readFileSync(path, 'utf8'), FILE_TEXT);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a secret key in base58 is a keypair', () => {
  const keypair = decodeBase58(SECRET_KEY);
  assert.equal(proveKeypair(keypair), true);
  assert.equal(addressOf(keypair.subarray(SEED_BYTES)), SECRET_ADDRESS);
  assert.equal(encodeBase58(keypair), SECRET_KEY);
});

test('@solana/kit loads a keypair and finds the same address', async () => {
  const keypair = keypairOf(Buffer.from(RFC_8032[0]![0], 'hex'));
  const { publicKey } = await createKeyPairFromBytes(keypair);
  assert.equal(await getAddressFromPublicKey(publicKey), addressOf(keypair.subarray(SEED_BYTES)));
  const text: number[] = JSON.parse(keypairFileText(keypair));
  await createKeyPairFromBytes(Uint8Array.from(text));
});
