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
import { join } from 'node:path';
import { LINE_BYTES_MAX, readText } from '../disk/regular-files.ts';
import {
  ifPossible,
  makeDirectory,
  syncDirectory,
  syncName,
  writeNewFile,
} from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import { type Address, addressOf, decodeBase58, encodeBase58, isAddress } from './address.ts';
import { proveExpandedKey } from './expanded.ts';
import { KEYPAIR_BYTES, proveKeypair, SEED_BYTES } from './keypair.ts';
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
 * The key of a file in either format, proved to belong to its address. Error: KEY_FILE_INVALID, with
 * the path and what is wrong, and nothing of what is in the file.
 */
export function readKeyFile(path: string): FiledKey {
  const value = readJson(path);
  if (Array.isArray(value)) return keypairIn(value, path);
  const { address, keyType, expandedKey } = (value ?? {}) as Record<string, unknown>;
  if (keyType !== 'expanded' || typeof address !== 'string' || typeof expandedKey !== 'string') {
    throw invalid(path, 'not a key file: neither 64 numbers nor an expanded key');
  }
  const key = decoded(expandedKey);
  if (key === undefined || !isAddress(address) || !proveExpandedKey(key, decodeBase58(address))) {
    throw invalid(path, 'the expanded key is not that of the address');
  }
  return { address, keyType, key };
}

function keypairIn(numbers: readonly unknown[], path: string): FiledKey {
  const areBytes = numbers.every(
    (number) => Number.isInteger(number) && Number(number) >= 0 && Number(number) <= 255,
  );
  if (numbers.length !== KEYPAIR_BYTES || !areBytes) {
    throw invalid(path, `not ${KEYPAIR_BYTES} numbers from 0 to 255`);
  }
  const key = Uint8Array.from(numbers as number[]);
  if (!proveKeypair(key)) {
    throw invalid(path, 'the last 32 numbers are not the public key of the first 32');
  }
  return { address: addressOf(key.subarray(SEED_BYTES)), keyType: 'seed', key };
}

function readJson(path: string): unknown {
  let text: string;
  try {
    text = readText(path, LINE_BYTES_MAX);
  } catch (cause) {
    throw invalid(path, (cause as Error).message, cause);
  }
  try {
    return JSON.parse(text);
  } catch {
    // Its message quotes the text.
    throw invalid(path, 'not a key file: not JSON');
  }
}

function decoded(text: string): Uint8Array | undefined {
  try {
    return decodeBase58(text);
  } catch {
    return undefined;
  }
}

function invalid(path: string, reason: string, cause?: unknown): VanityError {
  return new VanityError('KEY_FILE_INVALID', `${path}: ${reason}`, { cause });
}
