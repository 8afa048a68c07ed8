/**
 * Base58 as Solana writes keys, addresses and signatures, for Node.js and browsers. For 32 and 64 bytes a
 * simple loop is fast enough (10 us); the server has its own, which needs Node.js.
 */

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export function encodeBase58(bytes: Uint8Array): string {
  const digits: number[] = [];
  for (const byte of bytes) {
    let carry = byte;
    for (let at = 0; at < digits.length; at++) {
      carry += digits[at]! * 256;
      digits[at] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  const text = digits.reverse().map((digit) => ALPHABET[digit]);
  return '1'.repeat(zerosIn(bytes)) + text.join('');
}

/** Exactly `length` bytes; undefined if the text is not base58 of so many. */
export function decodeBase58(text: string, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  for (const character of text) {
    let carry = ALPHABET.indexOf(character);
    for (let at = length - 1; at >= 0 && carry >= 0; at--) {
      carry += bytes[at]! * 58;
      bytes[at] = carry;
      carry >>= 8;
    }
    // -1: not in the alphabet. More than 0: the number has more bytes. Long texts end here, too.
    if (carry !== 0) return undefined;
  }
  const ones = /^1*/.exec(text)![0].length;
  return ones === zerosIn(bytes) ? bytes : undefined;
}

/** In front. */
function zerosIn(bytes: Uint8Array): number {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first === -1 ? bytes.length : first;
}
