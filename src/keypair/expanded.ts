/**
 * Expanded keys: 64 bytes, a scalar and a nonce prefix (RFC 8032, section 5.1.5, steps 1 to 3). They
 * sign like any Ed25519 key, but no seed leads to those of the grind kernel. Any thread may use it.
 *
 * The scalar is the canonical number from 1 to L - 1, little-endian, and is not clamped: software
 * that clamps the scalars that it is given makes another key of it.
 *
 * Points are computed with BigInt here, which shares no code with the kernel; it is neither fast
 * (4 ms a multiplication) nor in constant time. Proofs need no such multiplication: 0.3 ms.
 */
import { createHash, randomBytes } from 'node:crypto';
import { isSignature, PUBLIC_KEY_BYTES, proveKeypair, publicKeyOf, SEED_BYTES } from './keypair.ts';
import type { SigningKey } from './signing-key.ts';

export const EXPANDED_KEY_BYTES = 64;
const SCALAR_BYTES = 32;

const P = 2n ** 255n - 19n;
/** The order of the base point. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/** Extended coordinates: x = X/Z, y = Y/Z, xy = T/Z. */
interface Point {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
  readonly t: bigint;
}

const BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202n;
const BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960n;
const BASE: Point = { x: BASE_X, y: BASE_Y, z: 1n, t: modulo(BASE_X * BASE_Y, P) };

/** The 32-byte public key of an expanded key. RangeError if it is not one. */
export function publicKeyOfExpanded(expandedKey: Uint8Array): Uint8Array {
  return encode(multiple(scalarOf(expandedKey)));
}

/** The signature, 64 bytes, of RFC 8032, section 5.1.6. RangeError if it is no expanded key. */
export function signExpanded(expandedKey: Uint8Array, message: Uint8Array): Uint8Array {
  const scalar = scalarOf(expandedKey);
  const publicKey = encode(multiple(scalar));
  const nonce = modulo(fromBytes(sha512(expandedKey.subarray(SCALAR_BYTES), message)), L);
  return signature(encode(multiple(nonce)), nonce, publicKey, scalar, message);
}

/** The expanded key of a seed, with which a seed's own signatures can be made. */
export function expandedKeyOf(seed: Uint8Array): Uint8Array {
  const digest = sha512(seed);
  const expandedKey = Uint8Array.from(digest);
  expandedKey.set(toBytes(clampedScalar(digest)));
  digest.fill(0);
  return expandedKey;
}

/**
 * Whether `publicKey` is that of the scalar: a signature is made of what `node:crypto` derives from
 * a seed that nobody keeps, and `node:crypto` verifies it. The nonce prefix has no part in it.
 */
export function proveExpandedKey(expandedKey: Uint8Array, publicKey: Uint8Array): boolean {
  if (!isExpandedKey(expandedKey) || publicKey.length !== PUBLIC_KEY_BYTES) return false;
  const seed = randomBytes(SEED_BYTES);
  const commitment = publicKeyOf(seed);
  const nonce = clampedScalar(sha512(seed));
  // With an odd challenge the equation fails for a public key with a part of small order as well.
  let message: Buffer;
  do message = randomBytes(32);
  while (challengeOf(commitment, publicKey, message) % 2n === 0n);
  const proof = signature(commitment, nonce, publicKey, scalarOf(expandedKey), message);
  return isSignature(publicKey, message, proof);
}

/** Whether the key belongs to its public key, independently of the kernel. */
export function proveKey({ keyType, key, publicKey }: SigningKey): boolean {
  if (keyType === 'expanded') return proveExpandedKey(key, publicKey);
  return proveKeypair(key) && Buffer.compare(key.subarray(SEED_BYTES), publicKey) === 0;
}

function isExpandedKey(expandedKey: Uint8Array): boolean {
  if (expandedKey.length !== EXPANDED_KEY_BYTES) return false;
  const scalar = fromBytes(expandedKey.subarray(0, SCALAR_BYTES));
  return scalar > 0n && scalar < L;
}

function scalarOf(expandedKey: Uint8Array): bigint {
  if (!isExpandedKey(expandedKey)) {
    throw new RangeError('an expanded key is 64 bytes: a scalar from 1 to L - 1, a nonce prefix');
  }
  return fromBytes(expandedKey.subarray(0, SCALAR_BYTES));
}

/** S = r + H(R, A, M) s, behind R. */
function signature(
  commitment: Uint8Array,
  nonce: bigint,
  publicKey: Uint8Array,
  scalar: bigint,
  message: Uint8Array,
): Uint8Array {
  const challenge = challengeOf(commitment, publicKey, message);
  return Buffer.concat([commitment, toBytes(modulo(nonce + challenge * scalar, L))]);
}

function challengeOf(commitment: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint {
  return modulo(fromBytes(sha512(commitment, publicKey, message)), L);
}

function sha512(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Steps 2 and 3 of section 5.1.5, modulo L. */
function clampedScalar(digest: Uint8Array): bigint {
  const bits = BigInt.asUintN(254, fromBytes(digest.subarray(0, SCALAR_BYTES)));
  return modulo((bits & ~7n) | (1n << 254n), L);
}

/** Least significant byte first. */
function fromBytes(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

/** 32 bytes, least significant first. */
function toBytes(value: bigint): Uint8Array {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
}

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

/** Section 5.1.4; right for all points, so that doubling is no other case. */
function add(a: Point, b: Point): Point {
  const minus = modulo((a.y - a.x) * (b.y - b.x), P);
  const plus = modulo((a.y + a.x) * (b.y + b.x), P);
  const t = modulo(modulo(2n * D * a.t, P) * b.t, P);
  const z = modulo(2n * a.z * b.z, P);
  const e = plus - minus;
  const f = z - t;
  const g = z + t;
  const h = plus + minus;
  return { x: modulo(e * f, P), y: modulo(g * h, P), z: modulo(f * g, P), t: modulo(e * h, P) };
}

/** scalar * B. */
function multiple(scalar: bigint): Point {
  let sum: Point = { x: 0n, y: 1n, z: 1n, t: 0n };
  let power = BASE;
  for (let rest = scalar; rest > 0n; rest >>= 1n) {
    if (rest & 1n) sum = add(sum, power);
    power = add(power, power);
  }
  return sum;
}

/** Section 5.1.2: y, and the lowest bit of x in the last bit. */
function encode({ x, y, z }: Point): Uint8Array {
  const inverse = inverseOf(z);
  return toBytes(modulo(y * inverse, P) | ((modulo(x * inverse, P) & 1n) << 255n));
}

/** By Fermat: a^(P - 2). */
function inverseOf(a: bigint): bigint {
  let result = 1n;
  let power = a;
  for (let rest = P - 2n; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * power) % P;
    power = (power * power) % P;
  }
  return result;
}
