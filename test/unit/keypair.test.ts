import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  isSignature,
  KEYPAIR_BYTES,
  keypairOf,
  proveKeypair,
  publicKeyOf,
  SEED_BYTES,
  signWithSeed,
} from '../../src/keypair/keypair.ts';

test('a seed has 32 bytes: the 64 of a keypair or an expanded key are refused', () => {
  for (const length of [0, 31, 33, 64]) {
    const refused = { name: 'RangeError', message: `a seed has 32 bytes, not ${length}` };
    assert.throws(() => publicKeyOf(new Uint8Array(length)), refused);
    assert.throws(() => signWithSeed(new Uint8Array(length), Buffer.from('message')), refused);
  }
});

test('a keypair is the seed, then its public key, and shares no memory with the seed', () => {
  const seed = randomBytes(SEED_BYTES);
  const keypair = keypairOf(seed);
  assert.equal(keypair.length, KEYPAIR_BYTES);
  assert.deepEqual(keypair.subarray(0, SEED_BYTES), Uint8Array.from(seed));
  assert.deepEqual(keypair.subarray(SEED_BYTES), publicKeyOf(seed));
  assert.notEqual(keypair.buffer, seed.buffer);
  assert.equal(keypair.buffer.byteLength, KEYPAIR_BYTES, 'it can be transferred');
});

test('the proof fails for one flipped bit anywhere, and for another length', () => {
  const keypair = keypairOf(randomBytes(SEED_BYTES));
  assert.equal(proveKeypair(keypair), true);
  for (let byte = 0; byte < KEYPAIR_BYTES; byte++) {
    const wrong = keypair.slice();
    wrong[byte]! ^= 1 << (byte % 8);
    assert.equal(proveKeypair(wrong), false, `byte ${byte}`);
  }
  assert.equal(proveKeypair(keypair.subarray(0, 63)), false);
  assert.equal(proveKeypair(Uint8Array.of(...keypair, 0)), false);
  assert.equal(proveKeypair(new Uint8Array(0)), false);
});

test('a signature is of one key, one message and all its own bits', () => {
  const seed = randomBytes(SEED_BYTES);
  const publicKey = publicKeyOf(seed);
  const message = randomBytes(100);
  const signature = signWithSeed(seed, message);
  assert.equal(signature.length, 64);
  assert.ok(isSignature(publicKey, message, signature));
  assert.equal(isSignature(publicKeyOf(randomBytes(SEED_BYTES)), message, signature), false);
  assert.equal(isSignature(publicKey, message.subarray(1), signature), false);
  for (let byte = 0; byte < signature.length; byte++) {
    const wrong = Uint8Array.from(signature);
    wrong[byte]! ^= 1 << (byte % 8);
    assert.equal(isSignature(publicKey, message, wrong), false, `byte ${byte}`);
  }
  assert.equal(isSignature(publicKey, message, signature.subarray(1)), false);
});
