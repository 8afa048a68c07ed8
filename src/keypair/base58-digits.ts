/** The digits of base58. Pure data; any thread may use it, and a browser. */

export const BASE58_ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export const CODE_OF_DIGIT = Uint8Array.from(BASE58_ALPHABET, (digit) => digit.charCodeAt(0));
const NO_DIGIT = 255;
const DIGIT_OF_CODE = new Uint8Array(128).fill(NO_DIGIT);
CODE_OF_DIGIT.forEach((code, digit) => {
  DIGIT_OF_CODE[code] = digit;
});

/** The value 0..57 of a base58 character at `index`, or undefined if it is not one. */
export function digitAt(text: string, index: number): number | undefined {
  const digit = DIGIT_OF_CODE[text.charCodeAt(index)];
  return digit === NO_DIGIT ? undefined : digit;
}
