/** Signatures by expanded keys in the client: which keys, and what is left of them in libsodium's memory. */
import assert from 'node:assert/strict';
import { createHash, randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import sodium from 'libsodium-wrappers-sumo';
import { verifierOf } from '../../src/client/solana/ed25519.ts';
import { Sodium } from '../../src/client/solana/sodium.ts';
import { bytesOf, L, numberOf, seededKey } from '../support/expanded-keys.ts';

const numRuns = Number(process.env.FC_RUNS ?? 30);
const signer = await Sodium.load();

test('signatures are those of RFC 8032, whatever the length of the message', () => {
  const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const lengths = fc.constantFrom(0, 1, 79, 80, 95, 96, 1232, 4096, 100_000);
  fc.assert(
    fc.property(seeds, lengths, (seed, length) => {
      const key = seededKey(Buffer.from(seed));
      const message = randomBytes(length);
      const expected = new Uint8Array(sign(null, message, key.privateKey));
      assert.deepEqual(signer.sign(key.expandedKey, key.publicKey, message), expected);
    }),
    { numRuns },
  );
});

test('scalars that no seed leads to sign, too: the public key alone decides', async () => {
  for (const scalar of [1n, 2n, 8n, 12345n, 2n ** 252n, L - 1n]) {
    const key = Buffer.concat([bytesOf(scalar), randomBytes(32)]);
    const publicKey = sodium.crypto_scalarmult_ed25519_base_noclamp(key.subarray(0, 32));
    assert.ok(signer.isKeyOf(key, publicKey));
    const message = randomBytes(100);
    const signature = signer.sign(key, publicKey, message)!;
    const isSignature = await verifierOf(publicKey);
    assert.ok(await isSignature(signature, message), `scalar ${scalar}`);
  }
});

test('nothing is signed with a key of another address, or with what is no scalar', () => {
  const { expandedKey, publicKey } = seededKey();
  const message = randomBytes(100);
  const prefix = expandedKey.subarray(32);
  const scalar = numberOf(expandedKey.subarray(0, 32));
  const others = [0n, L, scalar + L, scalar + 8n * L, scalar + 2n ** 255n, scalar - 1n];
  for (const other of others) {
    const key = Buffer.concat([bytesOf(other), prefix]);
    assert.ok(!signer.isKeyOf(key, publicKey), `${other}`);
    assert.equal(signer.sign(key, publicKey, message), undefined);
  }
  // Of 0 it is the neutral point, which verifies signatures of anybody.
  const neutral = Uint8Array.of(1, ...new Uint8Array(31));
  const zero = Buffer.concat([bytesOf(0n), prefix]);
  assert.ok(!signer.isKeyOf(zero, neutral));
  assert.equal(signer.sign(expandedKey, seededKey().publicKey, message), undefined);
});

/** As libsodium multiplies the base point: 64 digits from -8 to 8. */
function digitsOf(scalar: Uint8Array): Buffer {
  const digits = new Int8Array(64);
  let carry = 0;
  for (let index = 0; index < 64; index++) {
    const digit = ((scalar[index >> 1]! >> (4 * (index & 1))) & 15) + carry;
    carry = index < 63 ? (digit + 8) >> 4 : 0;
    digits[index] = digit - carry * 16;
  }
  return Buffer.from(digits.buffer);
}

test('no part of scalar, prefix or nonce stays in the memory of the library', () => {
  const { libsodium } = sodium as unknown as { libsodium: { readonly HEAPU8: Uint8Array } };
  const { HEAPU8 } = libsodium;
  // Behind the last byte that is not 0 nothing was ever written, and here nothing so long is.
  const used = HEAPU8.findLastIndex((byte) => byte !== 0) + 100_000;
  for (let round = 0; round < 3; round++) {
    const { expandedKey, publicKey } = seededKey();
    const [scalar, prefix] = [expandedKey.subarray(0, 32), expandedKey.subarray(32)];
    const message = randomBytes(200);
    const signature = signer.sign(expandedKey, publicKey, message)!;
    const hash = (...parts: Uint8Array[]) =>
      createHash('sha512').update(Buffer.concat(parts)).digest();
    const digest = hash(prefix, message);
    const nonce = bytesOf(numberOf(digest) % L);
    const challenge = numberOf(hash(signature.subarray(0, 32), publicKey, message)) % L;
    const product = bytesOf((challenge * numberOf(scalar)) % L);
    const secrets = { scalar, prefix, digest, nonce, product };
    const digits = { 'digits of the scalar': digitsOf(scalar), 'of the nonce': digitsOf(nonce) };
    const assertGone = () => {
      assert.equal(libsodium.HEAPU8, HEAPU8, 'the memory has not grown');
      const memory = Buffer.from(HEAPU8.buffer, 0, used);
      for (const [name, secret] of Object.entries({ ...secrets, ...digits })) {
        for (let at = 0; at + 8 <= secret.length; at++) {
          const found = memory.indexOf(secret.subarray(at, at + 8));
          assert.equal(found, -1, `8 bytes of ${name}, from ${at}`);
        }
      }
    };
    assertGone();
    assert.equal(signer.sign(expandedKey, seededKey().publicKey, message), undefined);
    signer.isKeyOf(expandedKey, publicKey);
    assertGone();
  }
});

test('nothing that touches a scalar computes with BigInt, whose time depends on the number', () => {
  for (const name of ['base58', 'expanded', 'signer', 'sodium']) {
    const file = new URL(`../../src/client/solana/${name}.ts`, import.meta.url);
    assert.doesNotMatch(readFileSync(fileURLToPath(file), 'utf8'), /BigInt|\b\d+n\b/, name);
  }
});
