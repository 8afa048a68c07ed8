/**
 * Keypairs by `node:crypto`, which shares no code with the grind kernel: what it derives is the
 * proof of every hit. Any thread may use it.
 *
 * A keypair here is 64 bytes: the 32-byte seed, then the 32-byte public key (RFC 8032, section
 * 5.1.5). It is not the 64-byte expanded key, which other libraries call the private key.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { SigningKey } from './signing-key.ts';

export const SEED_BYTES = 32;
export const PUBLIC_KEY_BYTES = 32;
export const KEYPAIR_BYTES = 64;

/** What stands before the seed in a PKCS #8 private key of Ed25519 (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The 32-byte public key of a 32-byte seed. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  // A JWK of the public half takes 60 us in all, its DER 85 us.
  const { x } = createPublicKey(privateKeyOf(seed)).export({ format: 'jwk' });
  return Uint8Array.from(Buffer.from(x!, 'base64url'));
}

/** The 64-byte keypair of a 32-byte seed. */
export function keypairOf(seed: Uint8Array): Uint8Array {
  const keypair = new Uint8Array(KEYPAIR_BYTES);
  keypair.set(publicKeyOf(seed), SEED_BYTES);
  keypair.set(seed);
  return keypair;
}

/** A keypair of 64 bytes in the shape that keys of all types have. Not proved. */
export function signingKeyOf(keypair: Uint8Array): SigningKey {
  return { keyType: 'seed', key: keypair, publicKey: keypair.subarray(SEED_BYTES, KEYPAIR_BYTES) };
}

/** Whether the second half of `keypair` is the public key of the first: false for any other length. */
export function proveKeypair(keypair: Uint8Array): boolean {
  if (keypair.length !== KEYPAIR_BYTES) return false;
  const derived = publicKeyOf(keypair.subarray(0, SEED_BYTES));
  return derived.every((byte, index) => byte === keypair[SEED_BYTES + index]);
}

/** The signature, 64 bytes, of RFC 8032 by a 32-byte seed. */
export function signWithSeed(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return sign(null, message, privateKeyOf(seed));
}

/** Whether it is a signature by the holder of this public key of 32 bytes. */
export function isSignature(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const x = Buffer.from(publicKey).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, message, key, signature);
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  if (seed.length !== SEED_BYTES) {
    throw new RangeError(`a seed has ${SEED_BYTES} bytes, not ${seed.length}`);
  }
  const pkcs8 = Buffer.alloc(PKCS8_HEAD.length + SEED_BYTES);
  pkcs8.set(PKCS8_HEAD);
  pkcs8.set(seed, PKCS8_HEAD.length);
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  pkcs8.fill(0);
  return privateKey;
}
