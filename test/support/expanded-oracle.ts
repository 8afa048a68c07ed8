/**
 * Ed25519 with an expanded key by BigInt: slow, not in constant time, and with no line of code in
 * common with what the program signs with. What that makes is compared with this.
 */
import { createHash } from 'node:crypto';

const EXPANDED_KEY_BYTES = 64;
const SCALAR_BYTES = 32;

const P = 2n ** 255n - 19n;
/** The order of the base point. */
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;
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

/** Least significant byte first. */
export function fromBytes(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

/** 32 bytes, least significant first. */
export function toBytes(value: bigint): Uint8Array {
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
