/**
 * Ed25519 by the Web Crypto API of Node.js and browsers: verifies signatures, and signs with seeds. Keys
 * cannot be read again from what it imports.
 */
import { VanitypoolError } from '../error.ts';

const NAME = 'Ed25519';
export const SEED_BYTES = 32;
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** What stands before the 32 bytes of a seed in PKCS #8 (RFC 8410, section 7). */
const PKCS8 = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

export type Verify = (signature: Uint8Array, message: Uint8Array) => Promise<boolean>;

/** Verifies signatures of a public key of 32 bytes. Error: CRYPTO_UNAVAILABLE. */
export async function verifierOf(publicKey: Uint8Array): Promise<Verify> {
  const key = await imported('raw', Uint8Array.from(publicKey), 'verify');
  return (signature, message) =>
    crypto.subtle.verify(NAME, key, Uint8Array.from(signature), Uint8Array.from(message));
}

/** Signs with a seed of 32 bytes, and keeps no copy that could be read. Error: CRYPTO_UNAVAILABLE. */
export async function seedSigner(
  seed: Uint8Array,
): Promise<(message: Uint8Array) => Promise<Uint8Array>> {
  const encoded = new Uint8Array(PKCS8.length + SEED_BYTES);
  encoded.set(PKCS8);
  encoded.set(seed, PKCS8.length);
  try {
    const key = await imported('pkcs8', encoded, 'sign');
    return async (message) =>
      new Uint8Array(await crypto.subtle.sign(NAME, key, Uint8Array.from(message)));
  } finally {
    encoded.fill(0);
  }
}

async function imported(
  format: 'raw' | 'pkcs8',
  bytes: Uint8Array<ArrayBuffer>,
  use: 'sign' | 'verify',
): Promise<Key> {
  try {
    return await crypto.subtle.importKey(format, bytes, NAME, false, [use]);
  } catch (cause) {
    const detail =
      'Ed25519 of the Web Crypto API is needed: Node.js 20, Chrome 137, Firefox 129, Safari 17 or newer; ' +
      'in a page, only over https:// or from localhost';
    throw new VanitypoolError('CRYPTO_UNAVAILABLE', detail, { cause });
  }
}
