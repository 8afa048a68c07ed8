/**
 * Expanded keys: 64 bytes, a scalar and a nonce prefix (RFC 8032, section 5.1.5, steps 1 to 3). They
 * sign like any Ed25519 key (expanded-signer.ts), but no seed leads to those of the grind kernel. Any
 * thread may use it.
 *
 * The scalar is the canonical number from 1 to L - 1, little-endian, and is not clamped: software
 * that clamps the scalars that it is given makes another key of it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { isSignature, PUBLIC_KEY_BYTES, proveKeypair, publicKeyOf, SEED_BYTES } from './keypair.ts';
import { isScalar, multiplyAdd, reduce, SCALAR_BYTES } from './scalar.ts';
import type { SigningKey } from './signing-key.ts';

export const EXPANDED_KEY_BYTES = 64;

/** Whether it may be one: 64 bytes that begin with a scalar. */
export function isExpandedKey(bytes: Uint8Array): boolean {
  return bytes.length === EXPANDED_KEY_BYTES && isScalar(bytes.subarray(0, SCALAR_BYTES));
}

/** The expanded key of a seed, with which a seed's own signatures can be made. */
export function expandedKeyOf(seed: Uint8Array): Uint8Array {
  const digest = sha512(seed);
  const expandedKey = Uint8Array.from(digest);
  expandedKey.set(clampedScalar(digest));
  digest.fill(0);
  return expandedKey;
}

/**
 * Whether `publicKey` is that of the scalar, 0.3 ms: `node:crypto` verifies a signature of which it
 * derived the commitment itself, from a seed that nobody keeps. The nonce prefix has no part in it.
 */
export function proveExpandedKey(expandedKey: Uint8Array, publicKey: Uint8Array): boolean {
  if (!isExpandedKey(expandedKey) || publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const seed = randomBytes(SEED_BYTES);
  const commitment = publicKeyOf(seed);
  // With an odd challenge the equation fails for a public key with a part of small order as well.
  let message: Buffer;
  let challenge: Uint8Array;
  do {
    message = randomBytes(32);
    challenge = reduce(sha512(commitment, publicKey, message));
  } while (challenge[0]! % 2 === 0);
  const nonce = clampedScalar(sha512(seed));
  const scalar = expandedKey.subarray(0, SCALAR_BYTES);
  // With the nonce, it would reveal the scalar; neither leaves.
  const proof = Buffer.concat([commitment, multiplyAdd(challenge, scalar, nonce)]);
  const isProved = isSignature(publicKey, message, proof);
  for (const bytes of [seed, nonce, proof]) bytes.fill(0);
  return isProved;
}

/** Whether the key belongs to its public key, independently of the kernel. */
export function proveKey({ keyType, key, publicKey }: SigningKey): boolean {
  if (keyType === 'expanded') return proveExpandedKey(key, publicKey);
  return proveKeypair(key) && Buffer.compare(key.subarray(SEED_BYTES), publicKey) === 0;
}

export function sha512(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Steps 2 and 3 of section 5.1.5, modulo L. */
function clampedScalar(digest: Uint8Array): Uint8Array {
  const bytes = digest.slice(0, SCALAR_BYTES);
  bytes[0]! &= 0xf8;
  bytes[31] = (bytes[31]! & 0x3f) | 0x40;
  const scalar = reduce(bytes);
  bytes.fill(0);
  return scalar;
}
