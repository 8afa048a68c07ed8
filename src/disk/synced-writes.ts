/**
 * Files and directories of this user alone, which are on disk when a call returns. Any thread may use it.
 * Errors are the system's.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes the directory and what is missing above it, each with mode 0700. By hand, because Node's
 * own recursive call never returns where the system refuses a name as if its parent were missing,
 * as /proc does.
 */
export function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  mkdirSync(path, { mode: 0o700 });
  syncDirectory(parent);
}

/**
 * Writes a file, mode 0600, that must not exist yet: its data are on disk when this returns, and a
 * write that fails leaves none. Its name is on disk after `syncName`, which removes nothing.
 */
export function writeNewFile(path: string, data: string | Uint8Array): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    try {
      writeFileSync(file, data);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** Adds to a file: on disk when it returns, and none of it when it throws. */
export function appendToFile(path: string, data: string): void {
  const file = openSync(path, 'a');
  try {
    const { size } = fstatSync(file);
    try {
      writeFileSync(file, data);
      fsyncSync(file);
    } catch (error) {
      ftruncateSync(file, size);
      throw error;
    }
  } finally {
    closeSync(file);
  }
}

/** What is answered for that no program can sync: its file system cannot, or it may not be read. */
const NOT_SYNCED = new Set(['EINVAL', 'ENOTSUP', 'ENOSYS', 'EACCES', 'EPERM']);

/** Runs a sync; what cannot be synced at all is no error: returns why, or undefined. */
export function ifPossible(sync: () => void): string | undefined {
  try {
    sync();
    return undefined;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (NOT_SYNCED.has(code)) return code;
    throw error;
  }
}

/** Makes the name of a file durable. Whatever this fails with, the file is there. */
export function syncName(path: string): void {
  syncDirectory(dirname(path));
}

/** A new name is durable when its directory is. Windows has no such call and needs none. */
export function syncDirectory(path: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
