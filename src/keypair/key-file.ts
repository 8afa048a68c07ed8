/**
 * Keys as files of their owner: keypairs in the format of `solana-keygen`, and expanded keys, which
 * no other program reads yet, in one of our own. Any thread may use it.
 *
 * A file is on disk when its call returns, readable by its owner alone; a write that fails leaves
 * none, and nothing is ever overwritten.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { VanityError } from '../errors.ts';
import { makeDirectory, writeNewFile } from '../files.ts';
import { addressOf, encodeBase58 } from './address.ts';
import { SEED_BYTES } from './keypair.ts';

/** The text of a `solana-keygen` file: a JSON array of 64 numbers. */
export function keypairFileText(keypair: Uint8Array): string {
  return `[${keypair.join(',')}]`;
}

/**
 * Makes the directory, mode 0700, if it is missing, and sees that files can be made in it: before
 * a long search, or before something is taken that comes only once. Error: FILE_NOT_WRITABLE.
 */
export function makeKeyDirectory(directory: string): void {
  try {
    makeDirectory(directory);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { message } = cause as Error;
    throw new VanityError('FILE_NOT_WRITABLE', `${directory}: ${message}`, { cause });
  }
}

/** Writes `<address>.json` and returns its path. Errors: FILE_EXISTS, FILE_NOT_WRITABLE. */
export function writeKeypairFile(directory: string, keypair: Uint8Array): string {
  const name = `${addressOf(keypair.subarray(SEED_BYTES))}.json`;
  return writeKeyFile(join(directory, name), keypairFileText(keypair));
}

/**
 * Writes `<address>.expanded.json`, an object with `address`, `keyType` and `expandedKey` (base58 of
 * 64 bytes: scalar, nonce prefix), and returns its path. Errors: FILE_EXISTS, FILE_NOT_WRITABLE.
 */
export function writeExpandedKeyFile(
  directory: string,
  publicKey: Uint8Array,
  expandedKey: Uint8Array,
): string {
  const address = addressOf(publicKey);
  const key = { address, keyType: 'expanded', expandedKey: encodeBase58(expandedKey) };
  return writeKeyFile(join(directory, `${address}.expanded.json`), `${JSON.stringify(key)}\n`);
}

function writeKeyFile(path: string, text: string): string {
  try {
    writeNewFile(path, text);
    return path;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new VanityError('FILE_EXISTS', `${path}: the file exists and is kept`, { cause });
    }
    throw new VanityError('FILE_NOT_WRITABLE', `${path}: ${message}`, { cause });
  }
}
