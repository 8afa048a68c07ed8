/**
 * Signatures by expanded keys, by libsodium: RFC 8032, section 5.1.6, in constant time.
 *
 * Nothing secret stays in the library's memory. Its JavaScript functions copy their arguments there and
 * free them as they are, so its C functions are called directly, on one place, which is wiped before it is
 * freed. A multiplication leaves digits of its scalar on the stack; one more, of a scalar that is no
 * secret, puts others in their place.
 */
import { VanitypoolError } from '../error.ts';

/** libsodium as compiled to WebAssembly; arguments are places in its memory. */
interface Library {
  /** Another one after the memory has grown. */
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(place: number): void;
  /** The length as two halves, the lower one first. */
  _crypto_hash_sha512(digest: number, bytes: number, length: number, high: number): number;
  /** Not 0 if the scalar is. */
  _crypto_scalarmult_ed25519_base_noclamp(point: number, scalar: number): number;
  _crypto_core_ed25519_scalar_reduce(scalar: number, wide: number): void;
  _crypto_core_ed25519_scalar_mul(product: number, one: number, other: number): void;
  _crypto_core_ed25519_scalar_add(sum: number, one: number, other: number): void;
}

/**
 * Where what is, from the place that was allocated: 32 bytes each, 64 for `wide`. What is hashed is there as
 * one piece: first prefix and message, then commitment, public key and message.
 */
const AT = {
  scalar: 0,
  nonce: 32,
  point: 64,
  challenge: 96,
  product: 128,
  wide: 160,
  commitment: 224,
  prefix: 256,
  publicKey: 256,
  message: 288,
} as const;
const HALF = 32;

export class Sodium {
  readonly #library: Library;

  /** Error: CRYPTO_UNAVAILABLE. */
  static async load(): Promise<Sodium> {
    try {
      const { default: wrappers } = await import('libsodium-wrappers-sumo');
      await wrappers.ready;
      return new Sodium((wrappers as unknown as { libsodium: Library }).libsodium);
    } catch (cause) {
      const detail = 'expanded keys need the package libsodium-wrappers-sumo, of version 0.8';
      throw new VanitypoolError('CRYPTO_UNAVAILABLE', detail, { cause });
    }
  }

  private constructor(library: Library) {
    this.#library = library;
    // Fails where the library has another form.
    new Place(library, 0).free();
  }

  /** Whether the scalar of an expanded key is from 1 to L - 1, and the public key is that of it. */
  isKeyOf(key: Uint8Array, publicKey: Uint8Array): boolean {
    const place = new Place(this.#library, 0);
    try {
      return place.hasKey(key, publicKey);
    } finally {
      place.free();
    }
  }

  /**
   * 64 bytes; undefined if the public key is not that of the scalar. It is computed each time: two
   * signatures with one nonce and different public keys reveal the scalar.
   */
  sign(key: Uint8Array, publicKey: Uint8Array, message: Uint8Array): Uint8Array | undefined {
    const place = new Place(this.#library, message.length);
    try {
      if (!place.hasKey(key, publicKey)) return undefined;
      place.write(AT.message, message);
      place.write(AT.prefix, key.subarray(HALF));
      place.hash(AT.prefix, AT.nonce);
      place.multiplyBase(AT.commitment, AT.nonce);
      place.write(AT.publicKey, publicKey);
      place.hash(AT.commitment, AT.challenge);
      return place.signature();
    } finally {
      place.free();
    }
  }
}

/** Memory of the library for one signature. */
class Place {
  readonly #library: Library;
  readonly #start: number;
  readonly #end: number;

  constructor(library: Library, messageBytes: number) {
    const bytes = AT.message + messageBytes;
    this.#library = library;
    this.#start = library._malloc(bytes);
    if (this.#start === 0) throw new RangeError(`no memory to sign ${messageBytes} bytes`);
    this.#end = this.#start + bytes;
  }

  /** Leaves the scalar there. */
  hasKey(key: Uint8Array, publicKey: Uint8Array): boolean {
    const scalar = key.subarray(0, HALF);
    this.write(AT.scalar, scalar);
    this.write(AT.wide, scalar);
    this.write(AT.wide + HALF, new Uint8Array(HALF));
    this.#library._crypto_core_ed25519_scalar_reduce(
      this.#start + AT.product,
      this.#start + AT.wide,
    );
    if (!isSame(this.#read(AT.product), scalar)) return false;
    return this.multiplyBase(AT.point, AT.scalar) && isSame(this.#read(AT.point), publicKey);
  }

  write(at: number, bytes: Uint8Array): void {
    this.#library.HEAPU8.set(bytes, this.#start + at);
  }

  /** SHA-512 of all from a place on, modulo L. */
  hash(from: number, scalar: number): void {
    const [library, wide] = [this.#library, this.#start + AT.wide];
    const first = this.#start + from;
    library._crypto_hash_sha512(wide, first, this.#end - first, 0);
    library._crypto_core_ed25519_scalar_reduce(this.#start + scalar, wide);
  }

  /** False if the scalar is 0. */
  multiplyBase(point: number, scalar: number): boolean {
    const [to, by] = [this.#start + point, this.#start + scalar];
    return this.#library._crypto_scalarmult_ed25519_base_noclamp(to, by) === 0;
  }

  /** The commitment, and S = r + k s. */
  signature(): Uint8Array {
    const [library, start] = [this.#library, this.#start];
    const product = start + AT.product;
    library._crypto_core_ed25519_scalar_mul(product, start + AT.challenge, start + AT.scalar);
    library._crypto_core_ed25519_scalar_add(product, product, start + AT.nonce);
    const signature = new Uint8Array(2 * HALF);
    signature.set(this.#read(AT.commitment));
    signature.set(this.#read(AT.product), HALF);
    return signature;
  }

  /** Wipes it, with ones; and the stack, of which no other call needs as much. */
  free(): void {
    this.#library.HEAPU8.fill(1, this.#start, this.#end);
    this.multiplyBase(AT.point, AT.scalar);
    this.#library._free(this.#start);
  }

  /** A view, until the next call of the library. */
  #read(at: number): Uint8Array {
    return this.#library.HEAPU8.subarray(this.#start + at, this.#start + at + HALF);
  }
}

/** Of 32 bytes; takes as long whichever differ. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.reduce((bits, byte, at) => bits | (byte ^ other[at]!), 0) === 0;
}
