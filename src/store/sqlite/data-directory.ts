/**
 * The data directory: one server's own place on a local disk, mode 0700. Runs in the store thread.
 *
 * Promises: while it is held no other process opens the store in it, and when its process dies by
 * whatever means it is free again. There are two locks, which the system drops with the process: an
 * exclusive SQLite transaction on a file of its own, which works everywhere, and a lock on the
 * database file itself, which holds when the other file is deleted, and by whatever name the
 * database is reached. Files of the store that have two names are refused. Files made through it
 * have mode 0600.
 *
 *   store.db, -wal, -shm   the store          lock, lock.pid   the lock; who holds it, for people
 *
 * A directory that others can enter is closed to them if it is empty or holds a store, and refused
 * if it holds anything else: nobody's home directory changes its mode because of a typing error.
 */
import { chmodSync, closeSync, openSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assertOwnFile } from '../../disk/file-guard.ts';
import { type FileLock, lockFile } from '../../disk/file-lock.ts';
import { LOCK_FILE, STORE_FILE } from '../../disk/held.ts';
import { takeLockFile } from '../../disk/lock-file.ts';
import { networkFileSystem } from '../../disk/network.ts';
import {
  assertRegular,
  LINE_BYTES_MAX,
  readRegular,
  writeRegular,
} from '../../disk/regular-files.ts';
import { makeDirectory, syncDirectory } from '../../disk/synced-writes.ts';
import { VanityError } from '../../errors.ts';
import { isOfSqlite, storeError } from './error.ts';

/** Of the files that are one store together. */
const STORE_ENDINGS = ['', '-wal', '-shm'];
const HOLDER_FILE = 'lock.pid';

export interface DataDirectory extends Disposable {
  /** Of the database file, which exists: empty if the store is new. */
  readonly storeFile: string;
  /**
   * On that file. Undefined where there is no such lock (another system, no addon): then open it
   * with `exclusiveProcess`, or two servers can serve it once the file `lock` is deleted.
   */
  readonly storeLock: FileLock | undefined;
}

/**
 * Takes the directory for this process until it is disposed of, which is after SQLite has closed the
 * store. Without `create` a directory that holds no store is an error and stays as it is. Errors:
 * DATA_NOT_WRITABLE, DATA_IN_USE, DISK_FULL, STORE_NOT_FOUND.
 */
export function holdDataDirectory(directory: string, create: boolean): DataDirectory {
  if (!create) storeFileOf(directory);
  return hold(directory, true);
}

/** The same for a directory whose store is still to come: `storeFile` need not exist. */
export function holdWithoutStore(directory: string): DataDirectory {
  return hold(directory, false);
}

/** A directory of this machine without a store, which is made if it is missing. Errors as of `holdDataDirectory`. */
export function holdOwnDirectory(directory: string): Disposable {
  prepareDirectory(directory);
  using resources = new DisposableStack();
  resources.use(takeLock(directory));
  resources.use(noteHolder(directory));
  return resources.move();
}

function hold(directory: string, makesStore: boolean): DataDirectory {
  const storeFile = join(directory, STORE_FILE);
  for (const ending of STORE_ENDINGS) {
    attempt(directory, () => assertOwnFile(storeFile + ending));
  }
  prepareDirectory(directory);
  using resources = new DisposableStack();
  resources.use(takeLock(directory));
  if (makesStore) {
    attempt(directory, () => {
      makeFile(storeFile);
      syncDirectory(directory);
    });
  }
  const storeLock = resources.use(takeStoreLock(directory, storeFile));
  // Only now: until here the file says who else holds the store.
  resources.use(noteHolder(directory));
  const held = resources.move();
  return { storeFile, storeLock, [Symbol.dispose]: () => held.dispose() };
}

/**
 * The database file in `directory`: it and what lies beside it are files, or links to some, at which SQLite does not
 * wait. Errors: STORE_NOT_FOUND, DATA_NOT_WRITABLE.
 */
export function storeFileOf(directory: string): string {
  const storeFile = join(directory, STORE_FILE);
  if (!attempt(directory, () => exists(storeFile))) {
    throw new VanityError('STORE_NOT_FOUND', `${directory}: there is no store in this directory`);
  }
  for (const ending of STORE_ENDINGS) {
    const path = storeFile + ending;
    attempt(path, () => {
      const stats = statSync(path, { throwIfNoEntry: false });
      if (stats !== undefined) assertRegular(stats);
    });
  }
  return storeFile;
}

function prepareDirectory(directory: string): void {
  attempt(directory, () => makeDirectory(directory));
  const stats = attempt(directory, () => statSync(directory));
  if (!stats.isDirectory()) throw refused(directory, 'is not a directory');
  const network = networkFileSystem(attempt(directory, () => statfsSync(directory)).type);
  if (network !== undefined) {
    throw refused(directory, `is on a network file system (${network}); name one on a local disk`);
  }
  if ((stats.mode & 0o077) === 0) return;
  const names = attempt(directory, () => readdirSync(directory));
  if (names.length > 0 && !names.includes(STORE_FILE) && !names.includes(LOCK_FILE)) {
    const remedy = `name a new directory, or type: chmod 700 ${directory}`;
    throw refused(directory, `holds other files, and other users can enter it; ${remedy}`);
  }
  attempt(directory, () => chmodSync(directory, 0o700));
}

function takeLock(directory: string): Disposable {
  const path = join(directory, LOCK_FILE);
  const lock = attempt(path, () => {
    try {
      return takeLockFile(path);
    } catch (cause) {
      throw isOfSqlite(cause) ? storeError(cause, path, 'opening') : cause;
    }
  });
  if (lock === undefined) throw inUse(directory);
  return lock;
}

/** Undefined also when there is no file yet. */
function takeStoreLock(directory: string, storeFile: string): FileLock | undefined {
  const lock = attempt(directory, () => (exists(storeFile) ? lockFile(storeFile) : undefined));
  if (lock === 'taken') throw inUse(directory);
  return lock === 'unsupported' ? undefined : lock;
}

/** Who has the lock. */
function noteHolder(directory: string): Disposable {
  const file = join(directory, HOLDER_FILE);
  attempt(file, () => writeRegular(file, `${process.pid}\n`));
  return { [Symbol.dispose]: () => removeHolder(file) };
}

/** It is for people, and of no use once the lock is gone: what it says then is not asked for. */
function removeHolder(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // A process that ends here has ended as it should, or reports its own error.
  }
}

function inUse(directory: string): VanityError {
  const holder = holderOf(directory);
  const message = `${directory}: process ${holder} holds it; stop that one or name another directory`;
  return new VanityError('DATA_IN_USE', message);
}

function holderOf(directory: string): string {
  try {
    return readRegular(join(directory, HOLDER_FILE), LINE_BYTES_MAX).toString('latin1').trim();
  } catch {
    return '(unknown)'; // it has only just begun
  }
}

/**
 * Makes the file if it is missing. One that exists is not even opened: to close it again would
 * drop every lock that this process holds on it (fcntl(2)).
 */
function makeFile(path: string): void {
  if (!exists(path)) closeSync(openSync(path, 'wx', 0o600));
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof VanityError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new VanityError('DISK_FULL', `${path}: the disk is full`, { cause });
    }
    throw refused(path, `cannot be used: ${message}`, cause);
  }
}

function refused(path: string, reason: string, cause?: unknown): VanityError {
  return new VanityError('DATA_NOT_WRITABLE', `${path}: ${reason}`, { cause });
}
