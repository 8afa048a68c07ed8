/**
 * Keypairs by `node:crypto`, which shares no code with the grind kernel: what it derives is the
 * proof of every hit. Also the file format of `solana-keygen`. Any thread may use it.
 *
 * A keypair here is 64 bytes: the 32-byte seed, then the 32-byte public key (RFC 8032, section
 * 5.1.5). It is not the 64-byte expanded key, which other libraries call the private key.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  openSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../directory.ts';
import { VanityError } from '../errors.ts';
import { addressOf } from './address.ts';

/** 'seed': a keypair. 'expanded': scalar and nonce prefix; it signs, but has no seed. */
export type KeyType = 'seed' | 'expanded';

export const SEED_BYTES = 32;
export const KEYPAIR_BYTES = 64;

/** What stands before the seed in a PKCS #8 private key of Ed25519 (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The 32-byte public key of a 32-byte seed. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  if (seed.length !== SEED_BYTES) {
    throw new RangeError(`a seed has ${SEED_BYTES} bytes, not ${seed.length}`);
  }
  const pkcs8 = Buffer.alloc(PKCS8_HEAD.length + SEED_BYTES);
  pkcs8.set(PKCS8_HEAD);
  pkcs8.set(seed, PKCS8_HEAD.length);
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  pkcs8.fill(0);
  // A JWK of the public half takes 60 us in all, its DER 85 us.
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return Uint8Array.from(Buffer.from(x!, 'base64url'));
}

/** The 64-byte keypair of a 32-byte seed. */
export function keypairOf(seed: Uint8Array): Uint8Array {
  const keypair = new Uint8Array(KEYPAIR_BYTES);
  keypair.set(publicKeyOf(seed), SEED_BYTES);
  keypair.set(seed);
  return keypair;
}

/** Whether the second half of `keypair` is the public key of the first: false for any other length. */
export function proveKeypair(keypair: Uint8Array): boolean {
  if (keypair.length !== KEYPAIR_BYTES) return false;
  const derived = publicKeyOf(keypair.subarray(0, SEED_BYTES));
  return derived.every((byte, index) => byte === keypair[SEED_BYTES + index]);
}

/** The text of a `solana-keygen` file: a JSON array of 64 numbers. */
export function keypairFileText(keypair: Uint8Array): string {
  return `[${keypair.join(',')}]`;
}

/**
 * Makes the directory, mode 0700, if it is missing, and sees that files can be made in it: before
 * a long search, or before something is taken that comes only once. Error: FILE_NOT_WRITABLE.
 */
export function makeKeypairDirectory(directory: string): void {
  try {
    makeDirectory(directory);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { message } = cause as Error;
    throw new VanityError('FILE_NOT_WRITABLE', `${directory}: ${message}`, { cause });
  }
}

/**
 * Writes `<address>.json`, mode 0600, into `directory` and returns its path. The file is on disk
 * when this returns; a write that fails leaves none. Errors: FILE_EXISTS, FILE_NOT_WRITABLE.
 */
export function writeKeypairFile(directory: string, keypair: Uint8Array): string {
  const path = join(directory, `${addressOf(keypair.subarray(SEED_BYTES))}.json`);
  let created = false;
  try {
    const file = openSync(path, 'wx', 0o600);
    created = true;
    try {
      writeFileSync(file, keypairFileText(keypair));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    syncDirectory(directory);
  } catch (cause) {
    if (created) rmSync(path, { force: true });
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new VanityError('FILE_EXISTS', `${path}: the file exists and is kept`, { cause });
    }
    throw new VanityError('FILE_NOT_WRITABLE', `${path}: ${message}`, { cause });
  }
  return path;
}

/** A new name is durable when its directory is. Windows has no such call and needs none. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
