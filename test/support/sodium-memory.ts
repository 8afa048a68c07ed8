/** The memory of libsodium in this thread, and what a signature by an expanded key must not leave in it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import sodium from 'libsodium-wrappers-sumo';
import { fromBytes, L, toBytes } from './expanded-oracle.ts';

/** As many bytes of a secret in a row are a part of it. */
const PART_BYTES = 8;
/** Nothing so long is allocated behind what was ever written. */
const BEYOND = 100_000;

interface Signed {
  readonly expandedKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export class SodiumMemory {
  readonly #whole = heap();
  /** Behind the last byte that is not 0 nothing was ever written. */
  readonly #used = this.#whole.findLastIndex((byte) => byte !== 0) + BEYOND;

  /** Of all that the signature was computed from and with, no part is there. */
  assertNothingOf(signed: Signed): void {
    assert.ok(heap() === this.#whole && this.#whole.length > this.#used, 'it has not grown');
    const memory = Buffer.from(this.#whole.buffer, 0, this.#used);
    for (const [name, secret] of Object.entries(secretsOf(signed))) {
      for (let at = 0; at + PART_BYTES <= secret.length; at++) {
        const found = memory.indexOf(secret.subarray(at, at + PART_BYTES));
        assert.equal(found, -1, `${PART_BYTES} bytes of ${name}, from ${at}`);
      }
    }
  }
}

function heap(): Uint8Array {
  return (sodium as unknown as { libsodium: { readonly HEAPU8: Uint8Array } }).libsodium.HEAPU8;
}

function secretsOf({ expandedKey, publicKey, message, signature }: Signed) {
  const [scalar, prefix] = [expandedKey.subarray(0, 32), expandedKey.subarray(32)];
  const digest = sha512(prefix, message);
  const nonce = toBytes(fromBytes(digest) % L);
  const challenge = fromBytes(sha512(signature.subarray(0, 32), publicKey, message)) % L;
  const product = toBytes((challenge * fromBytes(scalar)) % L);
  const digits = { 'digits of the scalar': digitsOf(scalar), 'of the nonce': digitsOf(nonce) };
  return { scalar, prefix, digest, nonce, product, ...digits };
}

function sha512(...parts: Uint8Array[]): Buffer {
  return createHash('sha512').update(Buffer.concat(parts)).digest();
}

/** As libsodium multiplies the base point: 64 digits from -8 to 8. */
function digitsOf(scalar: Uint8Array): Buffer {
  const digits = new Int8Array(64);
  let carry = 0;
  for (let index = 0; index < 64; index++) {
    const digit = ((scalar[index >> 1]! >> (4 * (index & 1))) & 15) + carry;
    carry = index < 63 ? (digit + 8) >> 4 : 0;
    digits[index] = digit - carry * 16;
  }
  return Buffer.from(digits.buffer);
}
