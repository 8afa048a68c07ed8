/**
 * Copies of a data directory, taken and put back file by file, for tests: with every byte, and with
 * what no ordinary copy keeps, the inode. Files of the lock are no part of it. The process that
 * copies must not have the store open: to close a file drops the locks that it holds on it.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

const LOCK_FILES = new Set(['lock', 'lock.pid']);
export const ANCHOR = /^store\.db-anchor-[0-9a-f]{32}$/;
/** For owners of journals in memory. */
const MEMORY = '/dev/shm';

export interface KeptFile {
  readonly bytes: Buffer;
  readonly inode: bigint;
  readonly born: bigint;
  readonly mode: number;
}

/** By name, with `/` where directories are in it. */
export type Copy = ReadonlyMap<string, KeptFile>;

/** 'in place' is what `cp` does to a file that is there: other bytes under the same inode. */
export type Manner = 'in place' | 'as a new file';

export function copyOf(directory: string): Copy {
  const copy = new Map<string, KeptFile>();
  for (const name of filesIn(directory)) {
    const path = join(directory, name);
    try {
      const { ino, birthtimeNs, mode } = lstatSync(path, { bigint: true });
      const kept = { inode: ino, born: birthtimeNs, mode: Number(mode) & 0o777 };
      copy.set(name, { ...kept, bytes: bytesOf(path) });
    } catch (error) {
      // A running server has taken it away meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return copy;
}

/** Those of the copy whose names are asked for. */
export function only(copy: Copy, isAskedFor: (name: string) => boolean): Copy {
  return new Map([...copy].filter(([name]) => isAskedFor(name)));
}

export function anchorsIn(names: Iterable<string>): string[] {
  return [...names].filter((name) => ANCHOR.test(name));
}

/**
 * Puts these files into the directory. What they replace `as a new file` goes to `aside`, from which
 * `revert` brings it back; where it is not given it is removed.
 */
export function putBack(directory: string, copy: Copy, manner: Manner, aside?: string): void {
  for (const [name, { bytes, mode }] of copy) {
    const path = join(directory, name);
    const isThere = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    if (isThere && manner === 'as a new file') take(path, aside);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (isThere && manner === 'in place') overwrite(path, bytes);
    else writeFileSync(path, bytes, { mode, flag: 'wx' });
  }
}

/** Takes a file away: to `aside`, or for good. */
export function take(path: string, aside?: string): void {
  if (aside === undefined) {
    rmSync(path, { force: true });
    return;
  }
  mkdirSync(aside, { recursive: true });
  renameSync(path, join(aside, `${readdirSync(aside).length}`));
}

/**
 * Makes the directory what the copy says: files that are still there, under whatever name, here or
 * `aside`, keep their inode; the others are new.
 */
export function revert(directory: string, copy: Copy, aside?: string): void {
  const wanted = new Map([...copy].map(([name, { inode }]) => [inode, name]));
  const places = [directory, aside].filter((place) => place !== undefined);
  const kept = new Map<string, string>();
  for (const place of places) {
    for (const name of filesIn(place)) {
      const path = join(place, name);
      const found = wanted.get(lstatSync(path, { bigint: true }).ino);
      // An inode that was free may be another file's by now.
      if (found === undefined || copy.get(found)!.born !== bornAt(path)) continue;
      const parked = join(directory, `${kept.size}.parked`);
      renameSync(path, parked);
      kept.set(found, parked);
    }
  }
  const parked = new Set(kept.values());
  for (const name of filesIn(directory)) {
    if (!parked.has(join(directory, name))) rmSync(join(directory, name), { force: true });
  }
  for (const [name, { bytes, mode }] of copy) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const from = kept.get(name);
    if (from === undefined) writeFileSync(path, bytes, { mode });
    else {
      renameSync(from, path);
      overwrite(path, bytes);
    }
  }
  if (aside !== undefined) rmSync(aside, { recursive: true, force: true });
  const missed = [...copy].filter(([name, { inode }]) => {
    const isKnown = name === 'store.db' || ANCHOR.test(name);
    return isKnown && lstatSync(join(directory, name), { bigint: true }).ino !== inode;
  });
  assert.deepEqual(
    missed.map(([name]) => name),
    [],
    'what distinguishes a store from its copy is as it was',
  );
}

/** In what the directory is not as the copy says. */
export function changesSince(copy: Copy, directory: string): string[] {
  const now = copyOf(directory);
  const changes: string[] = [];
  for (const name of new Set([...copy.keys(), ...now.keys()])) {
    const [before, after] = [copy.get(name), now.get(name)];
    if (before === undefined) changes.push(`${name} is new`);
    else if (after === undefined) changes.push(`${name} is gone`);
    else if (after.inode !== before.inode || after.born !== before.born) {
      changes.push(`${name} is another file`);
    } else if (!after.bytes.equals(before.bytes)) changes.push(`${name} has other bytes`);
    else if (after.mode !== before.mode) changes.push(`${name} has another mode`);
  }
  return changes.sort();
}

/** The same without what a log is that holds nothing, and its index: they may be made anew. */
export function lossesSince(copy: Copy, directory: string): string[] {
  const isMadeAnew = /^store\.db-(wal|shm) is another file$/;
  return changesSince(copy, directory).filter((change) => !isMadeAnew.test(change));
}

/** Journals that servers with their data below `path` have left in memory. */
export function removeJournalsBelow(path: string): void {
  const base = join(MEMORY, `vanitypool-${process.getuid!()}`);
  for (const directory of namesIn(base).map((name) => join(base, name))) {
    let owner: string;
    try {
      owner = readFileSync(join(directory, 'owner'), 'utf8');
    } catch {
      continue;
    }
    if (owner.startsWith(`${path}/`)) rmSync(directory, { recursive: true, force: true });
  }
}

/** Of a stopped server's journals in memory: their directories, by what their `owner` names. */
export function journalsOf(data: string): string[] {
  const base = join(MEMORY, `vanitypool-${process.getuid!()}`);
  return namesIn(base)
    .map((name) => join(base, name))
    .filter((directory) => {
      try {
        return readFileSync(join(directory, 'owner'), 'utf8') === `${data}\n`;
      } catch {
        return false;
      }
    });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function filesIn(directory: string, below = ''): string[] {
  const names: string[] = [];
  const here = lstatSync(directory, { throwIfNoEntry: false });
  if (here === undefined) return names;
  for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    if (LOCK_FILES.has(entry.name)) continue;
    if (entry.isDirectory()) names.push(...filesIn(directory, name));
    else names.push(name);
  }
  return names;
}

function bytesOf(path: string): Buffer {
  const isLink = lstatSync(path).isSymbolicLink();
  return isLink ? Buffer.from(readlinkSync(path)) : readFileSync(path);
}

function bornAt(path: string): bigint {
  return lstatSync(path, { bigint: true }).birthtimeNs;
}

function overwrite(path: string, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at);
    ftruncateSync(file, bytes.length);
  } finally {
    closeSync(file);
  }
}
