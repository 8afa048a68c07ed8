/**
 * Keys as files of their owner: keypairs in the format of `solana-keygen`, and expanded keys, which
 * no other program reads yet, in one of our own. Any thread may use it.
 *
 * A file is on disk when its call returns, readable by its owner alone, and so is its name where the
 * directory can be synced. A write that fails leaves none; what is on disk stays there, also when its
 * directory fails, and nothing is ever overwritten.
 */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LINE_BYTES_MAX, readText } from '../disk/regular-files.ts';
import {
  ifPossible,
  makeDirectory,
  syncDirectory,
  syncName,
  writeNewFile,
} from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import { type Address, addressOf, encodeBase58 } from './address.ts';
import { keysIn, NoKeyError, type TextKey } from './key-text.ts';
import { SEED_BYTES } from './keypair.ts';
import type { KeyType } from './signing-key.ts';

/** What a small file takes of most disks. */
const FILE_BLOCK_BYTES = 4096;

export interface FiledKey {
  readonly address: Address;
  readonly keyType: KeyType;
  /** 64 bytes: a keypair, or an expanded key. The caller wipes it. */
  readonly key: Uint8Array;
}

/** The text of a `solana-keygen` file: a JSON array of 64 numbers. */
export function keypairFileText(keypair: Uint8Array): string {
  return `[${keypair.join(',')}]`;
}

/**
 * Makes the directory, mode 0700, if it is missing, and sees that it has room for `count` key files:
 * writes as much to disk and removes it again. Before a long search, and before something is taken
 * that comes only once. Returns why the directory itself cannot be synced, or undefined: then a file
 * is on disk before its name is. Error: FILE_NOT_WRITABLE.
 */
export function probeKeyDirectory(directory: string, count: number): string | undefined {
  const probe = join(directory, `.vanitypool-${randomBytes(8).toString('hex')}.probe`);
  try {
    makeDirectory(directory);
    // Random, since some file systems take no room for what repeats itself.
    writeNewFile(probe, randomBytes(count * FILE_BLOCK_BYTES));
    rmSync(probe);
    return ifPossible(() => syncDirectory(directory));
  } catch (cause) {
    const { message } = cause as Error;
    const detail = `${directory}: not writable for ${count} key files: ${message}`;
    throw new VanityError('FILE_NOT_WRITABLE', detail, { cause });
  }
}

/** 'json': as `solana-keygen` has it. 'base58': one line, as wallets import it. */
export type KeypairFormat = 'json' | 'base58';

/** The name of a keypair's file: `<address>.json`, or `<address>.txt` for base58. */
export function keypairFileName(address: Address, format: KeypairFormat = 'json'): string {
  return `${address}.${format === 'json' ? 'json' : 'txt'}`;
}

/** Writes it and returns its path. Errors: FILE_EXISTS, FILE_NOT_WRITABLE. */
export function writeKeypairFile(
  directory: string,
  keypair: Uint8Array,
  format: KeypairFormat = 'json',
): string {
  const name = keypairFileName(addressOf(keypair.subarray(SEED_BYTES)), format);
  const text = format === 'json' ? keypairFileText(keypair) : `${encodeBase58(keypair)}\n`;
  return writeKeyFile(join(directory, name), text);
}

/**
 * The text of a file of an expanded key: `{ "type": "expanded", "address", "expandedKey" }`, the key as base58
 * of 64 bytes: scalar, nonce prefix. Without the type it could be taken for a keypair.
 */
export function expandedKeyFileText(address: Address, expandedKey: Uint8Array): string {
  const key = { type: 'expanded', address, expandedKey: encodeBase58(expandedKey) };
  return `${JSON.stringify(key)}\n`;
}

/** `<address>.expanded.json`. */
export function expandedKeyFileName(address: Address): string {
  return `${address}.expanded.json`;
}

/** Writes `<address>.expanded.json` and returns its path. Errors: FILE_EXISTS, FILE_NOT_WRITABLE. */
export function writeExpandedKeyFile(
  directory: string,
  publicKey: Uint8Array,
  expandedKey: Uint8Array,
): string {
  const address = addressOf(publicKey);
  return writeKeyFile(
    join(directory, expandedKeyFileName(address)),
    expandedKeyFileText(address, expandedKey),
  );
}

/** Writes a new file of keys and returns its path. Errors: FILE_EXISTS, FILE_NOT_WRITABLE. */
export function writeKeyFile(path: string, text: string | Uint8Array): string {
  try {
    writeNewFile(path, text);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new VanityError('FILE_EXISTS', `${path}: the file exists and is kept`, { cause });
    }
    throw new VanityError('FILE_NOT_WRITABLE', `${path}: ${message}`, { cause });
  }
  keepKeyFile(path);
  return path;
}

/** Sees that a key file is found after a power loss, too. Error: FILE_NOT_WRITABLE; the file stays. */
export function keepKeyFile(path: string): void {
  try {
    ifPossible(() => syncName(path));
  } catch (cause) {
    const { message } = cause as Error;
    const detail = `${path}: the key is in it, but a power loss may take it: its directory cannot be synced: ${message}`;
    throw new VanityError('FILE_NOT_WRITABLE', detail, { cause });
  }
}

/**
 * The one key of a small file, proved to belong to its address, in any form that key-text.ts knows. 32 bytes
 * alone are taken where the file is named after their address. Error: KEY_FILE_INVALID, with the path and
 * what is wrong, and nothing of what is in the file.
 */
export function readKeyFile(path: string): FiledKey {
  let text: string;
  try {
    text = readText(path, LINE_BYTES_MAX);
  } catch (cause) {
    throw invalid(path, (cause as Error).message, cause);
  }
  const { address, keyType, key, isBareSeed } = oneKey(path, text.trim());
  if (isBareSeed && !isNamedAfter(path, address)) throw invalid(path, BARE_SEED);
  return { address, keyType, key };
}

/** Whether a file's name begins with the address: `<address>.json`, `<address>.expanded.json`. */
export function isNamedAfter(path: string, address: Address): boolean {
  return basename(path).split('.', 1)[0] === address;
}

export const BARE_SEED =
  '32 bytes without their address: a seed only in a file that is named after it, or with its publicKey';

function oneKey(path: string, text: string): TextKey {
  try {
    const [key, ...more] = keysIn(text);
    if (key !== undefined && more.length === 0) return key;
  } catch (error) {
    if (!(error instanceof NoKeyError)) throw error;
    throw invalid(path, error.message);
  }
  throw invalid(path, 'not one key');
}

function invalid(path: string, reason: string, cause?: unknown): VanityError {
  return new VanityError('KEY_FILE_INVALID', `${path}: ${reason}`, { cause });
}
