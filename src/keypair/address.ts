/**
 * Base58 and the address: what people call a public key. Any thread may use it. Encoding and
 * decoding are exact inverses, leading zero bytes included (each is a leading '1'); nothing here
 * says that an address is a point of the curve.
 *
 * Both directions work on limbs whose products stay below 2^48, so that plain numbers are exact:
 * 4 digits (58^4 < 2^24) against 3 bytes. BigInt takes twice as long. The cost grows with
 * the square of the length: bound what comes from outside before it gets here.
 */
import { CODE_OF_DIGIT, digitAt } from './base58-digits.ts';

/** A base58 text of 32 bytes: 32 to 44 characters. */
export type Address = string & { readonly __address: true };

const ADDRESS_BYTES = 32;
const ADDRESS_LENGTH_MIN = 32;
const ADDRESS_LENGTH_MAX = 44;

const LIMB_DIGITS = 4;
const LIMB_58 = 58 ** LIMB_DIGITS;
const LIMB_BYTES = 3;
const LIMB_256 = 256 ** LIMB_BYTES;

const ONE = CODE_OF_DIGIT[0]!;

const ENCODE_BYTES_MAX = 64;
const CHUNKS_MAX = Math.ceil(ENCODE_BYTES_MAX / LIMB_BYTES);
/**
 * Row c holds 256^(3c) in limbs of four digits, least significant first. Encoding is then a sum
 * of rows (22 terms, each below 2^48) and one pass of carries: 1.6 times as fast as carrying for
 * each three bytes.
 */
const POWERS = Float64Array.from({ length: CHUNKS_MAX ** 2 }, (_, index) => {
  const power = BigInt(LIMB_256) ** BigInt(Math.floor(index / CHUNKS_MAX));
  const limb = BigInt(LIMB_58) ** BigInt(index % CHUNKS_MAX);
  return Number((power / limb) % BigInt(LIMB_58));
});
/** The codes of two digits, the first of them in the low byte: as they lie in little-endian memory. */
const CODES_OF_PAIR = Uint16Array.from(
  { length: 58 ** 2 },
  (_, pair) => CODE_OF_DIGIT[Math.floor(pair / 58)]! | (CODE_OF_DIGIT[pair % 58]! << 8),
);
/**
 * What a thread encodes in. Memory for each call took 3.6 times as long: a keypair 2.6 instead of
 * 0.7 us.
 */
const LIMBS = new Float64Array(CHUNKS_MAX + 1);
const TEXT = Buffer.alloc(LIMBS.length * LIMB_DIGITS);
const PAIRS = new Uint16Array(TEXT.buffer, TEXT.byteOffset, TEXT.length / 2);

/** For at most 64 bytes: a keypair. Leaves no trace of them but the text. */
export function encodeBase58(bytes: Uint8Array): string {
  const { length } = bytes;
  if (length > ENCODE_BYTES_MAX) {
    throw new RangeError(`${length} bytes; at most ${ENCODE_BYTES_MAX} can be encoded`);
  }
  const zeros = leading(length, (index) => bytes[index] === 0);
  const chunks = Math.ceil((length - zeros) / LIMB_BYTES);
  for (let chunk = 0, end = length; chunk < chunks; chunk++, end -= LIMB_BYTES) {
    const value =
      bytes[end - 1]! +
      (end > 1 ? bytes[end - 2]! : 0) * 256 +
      (end > 2 ? bytes[end - 3]! : 0) * 65_536;
    for (let limb = 0; limb <= chunk; limb++) {
      LIMBS[limb]! += value * POWERS[chunk * CHUNKS_MAX + limb]!;
    }
  }
  // One limb more than chunks: 58^4 is a little less than 256^3.
  let at = chunks + 1;
  const end = at * LIMB_DIGITS;
  let carry = 0;
  for (let limb = 0; limb <= chunks; limb++) {
    const value = LIMBS[limb]! + carry;
    carry = Math.floor(value / LIMB_58);
    const rest = (value - carry * LIMB_58) | 0;
    const high = (rest / 58 ** 2) | 0;
    at--;
    PAIRS[2 * at] = CODES_OF_PAIR[high]!;
    PAIRS[2 * at + 1] = CODES_OF_PAIR[rest - high * 58 ** 2]!;
  }
  // The top limbs may be short of digits: their zeros are not part of the number.
  const text = TEXT.toString(
    'latin1',
    leading(end, (index) => TEXT[index] === ONE),
    end,
  );
  LIMBS.fill(0);
  TEXT.fill(0);
  return zeros === 0 ? text : '1'.repeat(zeros) + text;
}

/** Throws RangeError, with the character and its position, for what is not base58. */
export function decodeBase58(text: string): Uint8Array {
  const zeros = leading(text.length, (index) => text[index] === '1');
  const limbs = new Uint32Array(Math.ceil(((text.length - zeros) * 0.7323) / LIMB_BYTES) + 1);
  let used = 0;
  for (let at = zeros; at < text.length; ) {
    const end = at + ((text.length - at) % LIMB_DIGITS || LIMB_DIGITS);
    const scale = 58 ** (end - at);
    let carry = 0;
    for (; at < end; at++) {
      const digit = digitAt(text, at);
      if (digit === undefined) {
        const character = JSON.stringify(String.fromCodePoint(text.codePointAt(at)!));
        throw new RangeError(`character ${at + 1}, ${character}, is not in the base58 alphabet`);
      }
      carry = carry * 58 + digit;
    }
    for (let limb = 0; limb < used; limb++) {
      const value = limbs[limb]! * scale + carry;
      carry = Math.floor(value / LIMB_256);
      limbs[limb] = value - carry * LIMB_256;
    }
    if (carry > 0) limbs[used++] = carry;
  }
  const bytes = new Uint8Array(zeros + used * LIMB_BYTES);
  for (let limb = 0, at = bytes.length; limb < used; limb++) {
    for (let value = limbs[limb]!, step = 0; step < LIMB_BYTES; step++) {
      bytes[--at] = value % 256;
      value = Math.floor(value / 256);
    }
  }
  const padding = leading(bytes.length - zeros, (index) => bytes[zeros + index] === 0);
  return bytes.slice(padding);
}

export function isAddress(text: string): text is Address {
  if (text.length < ADDRESS_LENGTH_MIN || text.length > ADDRESS_LENGTH_MAX) return false;
  for (let index = 0; index < text.length; index++) {
    if (digitAt(text, index) === undefined) return false;
  }
  return decodeBase58(text).length === ADDRESS_BYTES;
}

/** Throws RangeError, without the text, for what is no address. */
export function assertAddress(text: string): asserts text is Address {
  if (!isAddress(text)) {
    throw new RangeError('an address is base58 of 32 bytes, 32 to 44 characters');
  }
}

export function toAddress(text: string): Address {
  assertAddress(text);
  return text;
}

/** The address of a public key of 32 bytes. */
export function addressOf(publicKey: Uint8Array): Address {
  if (publicKey.length !== ADDRESS_BYTES) {
    throw new RangeError(`a public key has ${ADDRESS_BYTES} bytes, not ${publicKey.length}`);
  }
  return encodeBase58(publicKey) as Address;
}

/** How many of the first `length` places in a row are `wanted`. */
function leading(length: number, wanted: (index: number) => boolean): number {
  let count = 0;
  while (count < length && wanted(count)) count++;
  return count;
}
