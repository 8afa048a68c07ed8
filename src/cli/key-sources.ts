/**
 * The keys of what a command is given: files, folders and, as "-", standard input, each with any number of keys in
 * any form (key-text.ts). One after the other, as they are read; what is no key is named by file and line, and the next one
 * follows.
 */
import { closeSync, type Dirent, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openRegular } from '../disk/regular-files.ts';
import { VanityError } from '../errors.ts';
import { type Broken, KeyEntries, type KeyEntry } from '../keypair/key-entries.ts';
import { BARE_SEED, isNamedAfter } from '../keypair/key-file.ts';
import { keysIn, NoKeyError, type TextKey } from '../keypair/key-text.ts';

/** What stands in one place of a source. */
export interface Found {
  readonly file: string;
  readonly line: number;
  /** `FILE:LINE`, and which item of a list. */
  readonly where: string;
  /** The caller wipes it. */
  readonly key?: TextKey;
  /** Why it is none. */
  readonly reason?: string;
}

export const STANDARD_INPUT = '-';
const CHUNK_BYTES = 65_536;
const AGE = /^(?:age-encryption\.org\/|-----BEGIN AGE ENCRYPTED FILE-----)/;

/** What is wrong with 32 bytes alone whose file is not named after their address. */
export function ofNamedFile({ file, key }: Found): string | undefined {
  return key?.isBareSeed && !isNamedAfter(file, key.address) ? BARE_SEED : undefined;
}

/** `signal` ends the wait for standard input. Errors: the reason of `signal`. */
export async function* keysOf(
  sources: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<Found, void> {
  for (const source of sources) {
    if (source === STANDARD_INPUT) yield* keysOfParts('standard input', standardInput(signal));
    else yield* keysOfPath(source);
  }
}

async function* keysOfPath(path: string): AsyncGenerator<Found, void> {
  let files = [path];
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) files = filesIn(path);
    if (files.length === 0) throw new Error('a folder without files');
  } catch (error) {
    yield { file: path, line: 1, where: path, reason: (error as Error).message };
    return;
  }
  for (const file of files) yield* keysOfFile(file);
}

async function* keysOfFile(path: string): AsyncGenerator<Found, void> {
  let parts: Generator<string, void>;
  try {
    parts = fileParts(path, openRegular(path));
  } catch (error) {
    yield { file: path, line: 1, where: path, reason: (error as Error).message };
    return;
  }
  yield* keysOfParts(path, parts);
}

/** In order, those of folders within too; none that begins with a dot. */
function filesIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.'))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry: Dirent) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? filesIn(path) : [path];
    });
}

async function* keysOfParts(
  file: string,
  parts: Iterable<string> | AsyncIterable<string>,
): AsyncGenerator<Found, void> {
  const entries = new KeyEntries();
  let isEmpty = true;
  let isFirst = true;
  for await (const part of parts) {
    if (isFirst && AGE.test(part)) {
      const reason = `encrypted with age; decrypt it first: age -d ${file} | vanitypool ... -`;
      yield { file, line: 1, where: `${file}:1`, reason };
      return;
    }
    isFirst = false;
    for (const entry of entries.read(part)) {
      yield* foundIn(file, entry);
      isEmpty = false;
    }
    // Signals are heard here: a part takes 50 ms to prove.
    await nextTurn();
  }
  for (const entry of entries.end()) {
    yield* foundIn(file, entry);
    isEmpty = false;
  }
  if (isEmpty) yield { file, line: 1, where: `${file}:1`, reason: 'no key: nothing is in it' };
}

function* foundIn(file: string, entry: KeyEntry | Broken): Generator<Found, void> {
  const { line, item } = entry;
  const place = (of: number | undefined) => {
    return { file, line, where: `${file}:${line}${of === undefined ? '' : ` [${of}]`}` };
  };
  if ('reason' in entry) return yield { ...place(item), reason: entry.reason };
  try {
    const keys = keysIn(entry.text);
    for (const [index, key] of keys.entries()) {
      yield { ...place(keys.length > 1 ? index + 1 : item), key };
    }
  } catch (error) {
    if (!(error instanceof NoKeyError)) throw error;
    yield { ...place(item), reason: error.message };
  }
}

/** Error: KEY_FILE_INVALID, for a disk that fails. */
function* fileParts(path: string, file: number): Generator<string, void> {
  const bytes = Buffer.alloc(CHUNK_BYTES);
  // It takes a byte order mark off.
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const length = readSync(file, bytes);
      if (length === 0) return yield decoder.decode();
      yield decoder.decode(bytes.subarray(0, length), { stream: true });
    }
  } catch (cause) {
    throw new VanityError('KEY_FILE_INVALID', `${path}: ${(cause as Error).message}`, { cause });
  } finally {
    bytes.fill(0);
    closeSync(file);
  }
}

async function* standardInput(signal?: AbortSignal): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  if (signal !== undefined) addAbortSignal(signal, process.stdin);
  for await (const chunk of process.stdin) {
    yield decoder.decode(chunk as Buffer, { stream: true });
  }
  yield decoder.decode();
}
