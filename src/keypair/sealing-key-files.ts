/**
 * The files of a sealing key that is rotated (sealing-key.ts). What the store records decides which of
 * them is its key: so it does not matter where a rotation is cut off.
 *
 *   PATH         the key
 *   PATH.new     the next one, from before the store is sealed with it until it takes the name
 *   PATH.<id>    one that was replaced, by its id: backups that were made before need it. It is no key
 *                of a start, which would serve an older database that was put back
 */
import { readFileSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { ifPossible, syncName, writeNewFile } from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import {
  createSealingKey,
  loadSealingKey,
  type SealingKey,
  sealingKeyId,
  writeSealingKey,
} from './sealing-key.ts';

export interface FoundKey {
  /** The one that was asked for, or else what `source` holds. */
  readonly key: SealingKey | undefined;
  /** It has not taken its name yet. */
  readonly isNext: boolean;
}

/**
 * The key with this public half: the one that `source` holds, or the next one beside it. Errors: those
 * of `loadSealingKey` for the file of that name.
 */
export async function findSealingKey(
  source: string,
  publicKey: Uint8Array | null,
): Promise<FoundKey> {
  // The second look is for one that takes its name at this moment.
  for (let look = 1; look <= 2; look++) {
    const key = await loadSealingKey(source);
    const isIt = key !== undefined && isKey(key, publicKey);
    if (isIt || publicKey === null || source.startsWith('env:')) return { key, isNext: false };
    const next = await loadSealingKey(nextOf(source)).catch(() => undefined);
    if (next !== undefined && isKey(next, publicKey)) return { key: next, isNext: true };
  }
  return { key: await loadSealingKey(source), isNext: false };
}

export function isKey({ publicKey: its }: SealingKey, publicKey: Uint8Array | null): boolean {
  return publicKey !== null && Buffer.compare(its, publicKey) === 0;
}

/**
 * A new key beside the one of `source`, which is the one in use; on disk when this returns. One that was
 * made before and never used is replaced. Errors: those of `createSealingKey`.
 */
export function createNextKey(source: string): Promise<SealingKey> {
  dropNextKey(source);
  return createSealingKey(nextOf(source));
}

/** The same with a key that another node has made. Errors: those of `createSealingKey`. */
export function writeNextKey(source: string, key: SealingKey): void {
  dropNextKey(source);
  writeSealingKey(nextOf(source), key);
}

export function dropNextKey(source: string): void {
  rmSync(pathOf(nextOf(source)), { force: true });
}

/**
 * Keeps the key that `source` holds under its id as well, on disk when this returns: the path. Errors:
 * SEALING_KEY_INVALID where it is not `expected`, or another file has that name; those of the system.
 */
export async function keepKey(source: string, expected?: Uint8Array): Promise<string> {
  const path = pathOf(source);
  const key = await loadSealingKey(source);
  if (key === undefined || (expected !== undefined && !isKey(key, expected))) {
    const detail = `${path}: ${key === undefined ? 'missing' : 'replaced'} since the store was opened`;
    throw new VanityError('SEALING_KEY_INVALID', `${detail}; put the key of the store back first`);
  }
  const kept = keptOf(path, key.publicKey);
  const known = await loadSealingKey(`file:${kept}`);
  if (known !== undefined && !isKey(known, key.publicKey)) {
    throw new VanityError('SEALING_KEY_INVALID', `${kept}: holds another key; move it away`);
  }
  if (known === undefined) {
    const bytes = readFileSync(path);
    try {
      rmSync(kept, { force: true }); // empty, if it is there at all
      writeNewFile(kept, bytes);
    } finally {
      bytes.fill(0);
    }
  }
  ifPossible(() => syncName(kept));
  return kept;
}

/** The next key takes the name of the one before, which is kept. Errors: of `keepKey`. */
export async function takeNextKey(source: string): Promise<void> {
  const path = pathOf(source);
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) await keepKey(source);
  renameSync(pathOf(nextOf(source)), path);
  ifPossible(() => syncName(path));
}

/** The key of a store that is only read. Error: SEALING_KEY_INVALID. */
export function keyToRead(
  source: string,
  key: SealingKey | undefined,
  needed: Uint8Array | null,
): SealingKey {
  if (key !== undefined && (needed === null || isKey(key, needed))) return key;
  const fault =
    key === undefined
      ? 'missing'
      : `not the key that the store is sealed with (${wrongKey(source, key, needed)})`;
  const message =
    `${source}: ${fault}; without that key no address in the store can be read: put your copy of ` +
    'it there (mode 0600), or name its place as store.sealing_key';
  throw new VanityError('SEALING_KEY_INVALID', message);
}

/** Which key there is, which one is needed, and where that may be: for an error. */
export function wrongKey(
  source: string,
  { publicKey }: SealingKey,
  needed: Uint8Array | null,
): string {
  const given = `its id is ${sealingKeyId(publicKey)}`;
  if (needed === null) return given;
  const kept = source.startsWith('env:') ? undefined : keptOf(pathOf(source), needed);
  const isKept = kept !== undefined && statSync(kept, { throwIfNoEntry: false }) !== undefined;
  return `${given}, and ${sealingKeyId(needed)} is needed${isKept ? `: ${kept}` : ''}`;
}

/** 'file:PATH' of the next key; a link stays where it is. */
export function nextOf(source: string): string {
  return `file:${pathOf(source)}.new`;
}

function keptOf(path: string, publicKey: Uint8Array): string {
  return `${path}.${sealingKeyId(publicKey)}`;
}

function pathOf(source: string): string {
  const path = source.slice('file:'.length);
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
