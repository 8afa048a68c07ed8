/**
 * How rare a pattern is, exactly. Pure arithmetic; any thread may use it.
 *
 * An address is the number N of its public key (big-endian, uniform below 2^256) in base 58 with
 * one '1' for each leading zero byte, so neither the first characters nor the length are
 * uniform: three quarters of 44-character addresses start with 2 to J. Instead of estimating, all N
 * that match are counted: for each number of leading zero bytes and each number of digits, every
 * character has a set of
 * digits allowed there, and numbers below a bound with digits in given sets are counted digit
 * by digit. Curve points are a fixed subset of all N; that they are uniform in it is assumed.
 */

/** A set of base58 digits: bit d for digit d, 0..57. */
export type DigitSet = bigint;

const ALL_DIGITS: DigitSet = (1n << 58n) - 1n;
const LOW_HALF: DigitSet = (1n << 29n) - 1n;
const ZERO: DigitSet = 1n;
const PUBLIC_KEY_BYTES = 32;

/**
 * Expected attempts per hit: 2^256 / (number of public keys whose address matches). A count of
 * none cannot come up: with at most 10 characters a side, every prefix begins some address of
 * every number of leading '1's, as keys with one zero byte more are 256 > 58 times rarer.
 */
export function difficultyOf(prefix: readonly DigitSet[], suffix: readonly DigitSet[]): number {
  const count = countMatching(PUBLIC_KEY_BYTES, prefix, suffix);
  const scaleBits = 64n;
  const scaled = (1n << (BigInt(8 * PUBLIC_KEY_BYTES) + scaleBits)) / count;
  return Number(scaled) / 2 ** Number(scaleBits);
}

/** How many of the 256^`bytes` keys of that many bytes have a base58 text that matches. */
export function countMatching(
  bytes: number,
  prefix: readonly DigitSet[],
  suffix: readonly DigitSet[],
): bigint {
  let count = 0n;
  for (let zeros = 0; zeros <= bytes; zeros++) {
    const from = zeros === bytes ? 0n : 256n ** BigInt(bytes - zeros - 1);
    const below = 256n ** BigInt(bytes - zeros);
    const most = digitsOf(below - 1n).length;
    for (let digits = digitsOf(from).length; digits <= most; digits++) {
      const sets = characterSets(zeros, digits, prefix, suffix);
      if (sets !== undefined) count += countBelow(sets, below) - countBelow(sets, from);
    }
  }
  return count;
}

/** For people and scripts: whole attempts, as far as a fraction says nothing to anybody. */
export function shownDifficulty(difficulty: number): number {
  return difficulty < 100 ? difficulty : Math.round(difficulty);
}

/** The chance of at least one hit in `attempts`. */
export function chanceAfter(difficulty: number, attempts: number): number {
  return attempts === 0 ? 0 : -Math.expm1(attempts * Math.log1p(-1 / difficulty));
}

/** Attempts after which the chance of at least one hit is `chance` (above 0, below 1). */
export function attemptsFor(difficulty: number, chance: number): number {
  return Math.max(1, Math.ceil(Math.log1p(-chance) / Math.log1p(-1 / difficulty)));
}

/** The allowed digits of each character, or undefined if the text is shorter than a side. */
function characterSets(
  zeros: number,
  digits: number,
  prefix: readonly DigitSet[],
  suffix: readonly DigitSet[],
): DigitSet[] | undefined {
  const length = zeros + digits;
  if (length < prefix.length || length < suffix.length) return undefined;
  const sets = Array.from({ length }, (_, index) => (index < zeros ? ZERO : ALL_DIGITS));
  // A number does not begin with a zero digit: that would be one more leading '1'.
  if (digits > 0) sets[zeros] = ALL_DIGITS & ~ZERO;
  for (const [index, set] of prefix.entries()) sets[index]! &= set;
  for (const [index, set] of suffix.entries()) sets[length - suffix.length + index]! &= set;
  return sets;
}

/** How many numbers below `bound` have, in as many digits as there are sets, one of each set. */
function countBelow(sets: readonly DigitSet[], bound: bigint): bigint {
  // ways[i]: choices for all characters from i on.
  const ways: bigint[] = [1n];
  for (const set of sets.toReversed()) ways.unshift(ways[0]! * sizeOf(set));
  const digits = digitsOf(bound);
  if (digits.length > sets.length) return ways[0]!;
  const padded = [...Array<number>(sets.length - digits.length).fill(0), ...digits];
  let count = 0n;
  for (const [index, digit] of padded.entries()) {
    const set = sets[index]!;
    const bit = 1n << BigInt(digit);
    count += sizeOf(set & (bit - 1n)) * ways[index + 1]!;
    if ((set & bit) === 0n) return count;
  }
  return count;
}

/** Base 58, most significant first; none for zero. */
function digitsOf(value: bigint): number[] {
  const digits: number[] = [];
  for (let rest = value; rest > 0n; rest /= 58n) digits.unshift(Number(rest % 58n));
  return digits;
}

function sizeOf(set: DigitSet): bigint {
  let size = 0;
  for (const half of [Number(set & LOW_HALF), Number(set >> 29n)]) {
    for (let rest = half; rest > 0; rest &= rest - 1) size++;
  }
  return BigInt(size);
}
