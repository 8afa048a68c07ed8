/**
 * Signatures by expanded keys, by libsodium: RFC 8032, section 5.1.6, in constant time. Runs in the
 * thread that signs, which loads it when it has a pool that needs it: 30 ms, and 4 MB of memory.
 *
 * Nothing secret stays in the library's memory. Its JavaScript functions copy their arguments there and
 * free them as they are, so its C functions are called directly, on one place that is wiped after each
 * signature. A multiplication leaves digits of its scalar on the stack; one more, of a scalar that is no
 * secret, puts others in their place. Wiping the stack by its position would depend on the compiler.
 */

import { VanityError } from '../errors.ts';
import { isExpandedKey, sha512 } from './expanded.ts';
import { SCALAR_BYTES } from './scalar.ts';
import type { SigningKey } from './signing-key.ts';

/** libsodium as compiled to WebAssembly; arguments are places in its memory. */
interface Sodium {
  /** Another one after the memory has grown. */
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _crypto_scalarmult_ed25519_base_noclamp(point: number, scalar: number): void;
  _crypto_core_ed25519_scalar_reduce(scalar: number, bytes: number): void;
  _crypto_core_ed25519_scalar_mul(product: number, one: number, other: number): void;
  _crypto_core_ed25519_scalar_add(sum: number, one: number, other: number): void;
}

/** Where what is, from the place that was allocated. All are 32 bytes, `wide` is 64. */
const AT = { scalar: 0, nonce: 32, point: 64, challenge: 96, product: 128, wide: 160 } as const;
const PLACE_BYTES = 224;
const POINT_BYTES = 32;

export class ExpandedSigner {
  readonly #sodium: Sodium;
  readonly #place: number;

  /** Error: INTERNAL, if the library cannot be loaded. */
  static async load(): Promise<ExpandedSigner> {
    try {
      const { default: wrappers } = await import('libsodium-wrappers-sumo');
      await wrappers.ready;
      return new ExpandedSigner((wrappers as unknown as { libsodium: Sodium }).libsodium);
    } catch (cause) {
      throw new VanityError('INTERNAL', 'libsodium cannot be loaded', { cause });
    }
  }

  constructor(sodium: Sodium) {
    this.#sodium = sodium;
    this.#place = sodium._malloc(PLACE_BYTES);
  }

  /**
   * 64 bytes; undefined if the public key is not that of the scalar. It is computed each time: two
   * signatures with one nonce and different public keys reveal the scalar.
   */
  sign({ key, publicKey }: SigningKey, message: Uint8Array): Uint8Array | undefined {
    if (!isExpandedKey(key)) return undefined;
    try {
      this.#write(AT.scalar, key.subarray(0, SCALAR_BYTES));
      const own = this.#multiplied(AT.scalar);
      if (Buffer.compare(own, publicKey) !== 0) return undefined;
      const digest = sha512(key.subarray(SCALAR_BYTES), message);
      this.#write(AT.wide, digest);
      digest.fill(0);
      this.#reduceTo(AT.nonce);
      const commitment = this.#multiplied(AT.nonce);
      this.#write(AT.wide, sha512(commitment, own, message));
      this.#reduceTo(AT.challenge);
      const signature = new Uint8Array(POINT_BYTES + SCALAR_BYTES);
      signature.set(commitment);
      signature.set(this.#response(), POINT_BYTES);
      return signature;
    } finally {
      this.#wipe();
    }
  }

  /** Of the base point. */
  #multiplied(scalar: number): Uint8Array {
    const at = this.#place;
    this.#sodium._crypto_scalarmult_ed25519_base_noclamp(at + AT.point, at + scalar);
    return this.#sodium.HEAPU8.slice(at + AT.point, at + AT.point + POINT_BYTES);
  }

  #reduceTo(scalar: number): void {
    const at = this.#place;
    this.#sodium._crypto_core_ed25519_scalar_reduce(at + scalar, at + AT.wide);
  }

  /** S = r + k s. */
  #response(): Uint8Array {
    const [at, sodium] = [this.#place, this.#sodium];
    const product = at + AT.product;
    sodium._crypto_core_ed25519_scalar_mul(product, at + AT.challenge, at + AT.scalar);
    sodium._crypto_core_ed25519_scalar_add(product, product, at + AT.nonce);
    return sodium.HEAPU8.slice(product, product + SCALAR_BYTES);
  }

  #write(at: number, bytes: Uint8Array): void {
    this.#sodium.HEAPU8.set(bytes, this.#place + at);
  }

  /** The place, with ones, and the stack, which no other call needs as much of. */
  #wipe(): void {
    this.#sodium.HEAPU8.fill(1, this.#place, this.#place + PLACE_BYTES);
    this.#multiplied(AT.scalar);
  }
}
