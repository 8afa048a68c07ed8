import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { expandedKeyOf, proveExpandedKey, proveKey } from '../../src/keypair/expanded.ts';
import { keypairOf, publicKeyOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import { L, publicKeyOfExpanded, signExpanded, toBytes } from '../support/expanded-oracle.ts';

const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** An expanded key with this scalar and a random nonce prefix. */
function withScalar(scalar: bigint): Uint8Array {
  return Buffer.concat([toBytes(scalar), randomBytes(32)]);
}

function isSignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const der = Buffer.concat([SPKI_HEAD, publicKey]);
  return verify(
    null,
    message,
    createPublicKey({ key: der, format: 'der', type: 'spki' }),
    signature,
  );
}

// RFC 8032, section 7.1: seed, message, signature.
const RFC_8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
] as const;

test('the expanded key of a seed signs as RFC 8032 says', () => {
  for (const [seed, message, signature] of RFC_8032) {
    const expandedKey = expandedKeyOf(Buffer.from(seed, 'hex'));
    const made = signExpanded(expandedKey, Buffer.from(message, 'hex'));
    assert.equal(Buffer.from(made).toString('hex'), signature);
  }
});

test('the expanded key of a seed has its public key and makes the signatures of node:crypto', () => {
  for (let round = 0; round < 10; round++) {
    const seed = randomBytes(32);
    const message = randomBytes(round * 20);
    const expandedKey = expandedKeyOf(seed);
    assert.deepEqual(Buffer.from(publicKeyOfExpanded(expandedKey)), Buffer.from(publicKeyOf(seed)));
    const der = Buffer.concat([PKCS8_HEAD, seed]);
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const expected = sign(null, message, privateKey);
    assert.deepEqual(Buffer.from(signExpanded(expandedKey, message)), expected);
  }
});

test('scalars from 1 to L - 1 sign, the first and the last too, and are proved', () => {
  const random = BigInt(`0x${randomBytes(32).toString('hex')}`) % L;
  for (const scalar of [1n, 2n, 8n, L / 2n, L - 2n, L - 1n, random || 1n]) {
    const expandedKey = withScalar(scalar);
    const publicKey = publicKeyOfExpanded(expandedKey);
    const message = Buffer.from(`scalar ${scalar}`);
    assert.ok(isSignature(publicKey, message, signExpanded(expandedKey, message)));
    assert.ok(proveExpandedKey(expandedKey, publicKey));
    // L - s has the same y and the other sign.
    const opposite = publicKeyOfExpanded(withScalar(L - scalar));
    opposite[31]! ^= 0x80;
    assert.deepEqual(opposite, publicKey);
  }
});

test('what is no expanded key is refused', () => {
  for (const key of [withScalar(0n), withScalar(L), withScalar(2n ** 256n - 1n), randomBytes(63)]) {
    assert.throws(() => publicKeyOfExpanded(key), RangeError);
    assert.throws(() => signExpanded(key, randomBytes(1)), RangeError);
    assert.equal(proveExpandedKey(key, publicKeyOf(randomBytes(32))), false);
  }
});

test('a public key of another scalar is not proved, nor one with a part of small order', () => {
  const expandedKey = withScalar(12345n);
  const publicKey = publicKeyOfExpanded(expandedKey);
  for (const scalar of [12344n, L - 12345n, 12345n * 8n]) {
    assert.equal(proveExpandedKey(expandedKey, publicKeyOfExpanded(withScalar(scalar))), false);
  }
  assert.equal(proveExpandedKey(expandedKey, publicKey.subarray(0, 31)), false);
  // P + (0, -1) = (-x, -y): with an even challenge its signatures would verify half of the time.
  const p = 2n ** 255n - 19n;
  const encoded = BigInt(`0x${Buffer.from(publicKey).reverse().toString('hex')}`);
  const y = encoded & (2n ** 255n - 1n);
  const sign = (encoded >> 255n) ^ 1n;
  const hex = ((p - y) | (sign << 255n)).toString(16).padStart(64, '0');
  const twisted = Buffer.from(hex, 'hex').reverse();
  for (let round = 0; round < 20; round++) {
    assert.equal(proveExpandedKey(expandedKey, twisted), false);
  }
});

test('a hit is proved by its key type', () => {
  const keypair = keypairOf(randomBytes(32));
  const publicKey = keypair.subarray(32);
  const seed = { keyType: 'seed', key: keypair, publicKey } as const;
  const expandedKey = expandedKeyOf(keypair.subarray(0, 32));
  const expanded = { keyType: 'expanded', key: expandedKey, publicKey } as const;
  assert.deepEqual(signingKeyOf(keypair), seed);
  assert.ok(proveKey(seed));
  assert.ok(proveKey(expanded));
  assert.equal(proveKey({ ...expanded, key: keypair }), false);
  assert.equal(proveKey({ ...seed, key: expandedKey }), false);
  const other = keypairOf(randomBytes(32)).subarray(32);
  assert.equal(proveKey({ ...seed, publicKey: other }), false);
  assert.equal(proveKey({ ...expanded, publicKey: other }), false);
});
