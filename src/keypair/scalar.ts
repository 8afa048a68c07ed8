/**
 * Scalars of Ed25519: numbers modulo L, the order of the base point, as 32 bytes with the least
 * significant first. Pure; any thread may use it.
 *
 * Scalars are secret, so time and memory accesses do not depend on them: no branch, no index and no
 * BigInt, whose cost grows with the number. All sums are whole numbers below 2^53 in doubles.
 */

export const SCALAR_BYTES = 32;

/** L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032, section 5.1). */
const L = Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex');
/** Of 512 bits: what SHA-512 returns, or a product. */
const WIDE_BYTES = 64;
const LAST = SCALAR_BYTES - 1;

/** Bytes 0 to 31 of the number from 0 to L - 1 that is `a * b + c` modulo L. 32 bytes each. */
export function multiplyAdd(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
  const sum = new Float64Array(WIDE_BYTES);
  sum.set(c);
  for (let i = 0; i < SCALAR_BYTES; i++) {
    for (let j = 0; j < SCALAR_BYTES; j++) sum[i + j]! += a[i]! * b[j]!;
  }
  return reduced(sum);
}

/** `bytes` modulo L; 32 or 64 of them. */
export function reduce(bytes: Uint8Array): Uint8Array {
  const wide = new Float64Array(WIDE_BYTES);
  wide.set(bytes);
  return reduced(wide);
}

/** Whether it is from 1 to L - 1. */
export function isScalar(bytes: Uint8Array): boolean {
  if (bytes.length !== SCALAR_BYTES) return false;
  let borrow = 0;
  let bits = 0;
  for (let i = 0; i < SCALAR_BYTES; i++) {
    borrow = (bytes[i]! - L[i]! - borrow) >>> 31;
    bits |= bytes[i]!;
  }
  return borrow === 1 && bits !== 0;
}

/** Modulo L; wipes `limbs`, which are 64 numbers below 2^22 that count in steps of 2^8. */
function reduced(limbs: Float64Array): Uint8Array {
  // From the top, 16 L for each unit of a limb: that is 2^256 and a little, so the limb becomes 0.
  for (let top = WIDE_BYTES - 1; top >= SCALAR_BYTES; top--) {
    const times = limbs[top]!;
    limbs[top - 1]! += 256 * times;
    limbs[top] = 0;
    subtract(limbs, top - SCALAR_BYTES, 16 * times);
    carry(limbs, top - SCALAR_BYTES);
  }
  // Now it is below 2^271, of either sign; then it is from -2^144 to L + 2^144.
  carry(limbs, 0);
  subtract(limbs, 0, Math.floor(limbs[LAST]! / 16));
  carry(limbs, 0);
  addIfNegative(limbs);
  subtract(limbs, 0, 1);
  carry(limbs, 0);
  addIfNegative(limbs);
  const bytes = Uint8Array.from(limbs.subarray(0, SCALAR_BYTES));
  limbs.fill(0);
  return bytes;
}

function addIfNegative(limbs: Float64Array): void {
  subtract(limbs, 0, Math.floor(limbs[LAST]! / 2 ** 22));
  carry(limbs, 0);
}

/** `times` L, from the limb at `at` on. */
function subtract(limbs: Float64Array, at: number, times: number): void {
  for (let i = 0; i < SCALAR_BYTES; i++) limbs[at + i]! -= times * L[i]!;
}

/** Leaves 0 to 255 in each of 31 limbs; the one behind them keeps the rest, of either sign. */
function carry(limbs: Float64Array, at: number): void {
  for (let i = at; i < at + LAST; i++) {
    const rest = Math.floor(limbs[i]! / 256);
    limbs[i]! -= rest * 256;
    limbs[i + 1]! += rest;
  }
}
