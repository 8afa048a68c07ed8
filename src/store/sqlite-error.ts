/**
 * What SQLite's result codes mean to the product. Runs in the store thread. Messages of SQLite
 * name tables and columns, never values.
 */
import { accessSync, constants } from 'node:fs';
import { type ErrorCode, VanityError } from '../errors.ts';

/** Primary result codes (sqlite3.h); an extended code holds its primary one in the low byte. */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const CONSTRAINT = 19;
const NOTADB = 26;
/** An extended code: no room for the index of the write-ahead log. */
const IOERR_SHMSIZE = 4874;

const STEPS_AFTER_DAMAGE =
  'Stop what serves it, move its files away and keep them; then go on from the newest backup: ' +
  'vanitypool restore FILE. If "vanitypool audit --json" can still read the damaged store, its ' +
  'list saves what was available: vanitypool restore FILE --dispensed LIST';

/** What is no database was never a store when it is opened, and is damaged when it was one. */
export type Moment = 'opening' | 'running';

/**
 * The VanityError for an error of SQLite or of the system on `path`; any other error is returned as
 * it is.
 */
export function storeError(cause: unknown, path: string, moment: Moment): unknown {
  const primary = primaryCode(cause);
  if (primary === undefined) {
    if (!isOfTheSystem(cause)) return cause;
    return new VanityError('STORE_UNAVAILABLE', cause.message, { cause });
  }
  const code =
    primary === IOERR && isReadOnly(path) ? 'DATA_NOT_WRITABLE' : codeOf(primary, moment);
  const { message } = cause as Error;
  if (code === 'STORE_CORRUPT') return damaged(path, message, cause);
  const reason = code === 'DISK_FULL' ? 'the disk is full' : message;
  return new VanityError(code, `${path}: ${reason}`, { cause });
}

/** For an error of the system: `path`, a file of the store, cannot be changed. */
export function changeError(cause: unknown, path: string): VanityError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new VanityError('DISK_FULL', `${path}: the disk is full`, { cause });
  }
  const isDenied = code === 'EROFS' || code === 'EACCES' || code === 'EPERM';
  return new VanityError(
    isDenied ? 'DATA_NOT_WRITABLE' : 'STORE_UNAVAILABLE',
    `${path}: cannot be changed: ${message}`,
    { cause },
  );
}

/** STORE_CORRUPT: what was `found` in the store at `path`, and the steps to take. */
export function damaged(path: string, found: string, cause?: unknown): VanityError {
  const message = `${path}: damaged: ${found}. ${STEPS_AFTER_DAMAGE}`;
  return new VanityError('STORE_CORRUPT', message, { cause });
}

export function isOfSqlite(error: unknown): boolean {
  return primaryCode(error) !== undefined;
}

function codeOf(primary: number, moment: Moment): ErrorCode {
  switch (primary) {
    case BUSY:
    case LOCKED:
      return 'STORE_LOCKED';
    case CORRUPT:
    case CONSTRAINT: // our own statements break none as long as what they find is whole
      return 'STORE_CORRUPT';
    case NOTADB:
      return moment === 'opening' ? 'STORE_FOREIGN' : 'STORE_CORRUPT';
    case FULL:
      return 'DISK_FULL';
    case READONLY:
    case CANTOPEN:
      return 'DATA_NOT_WRITABLE';
    default:
      return 'STORE_UNAVAILABLE';
  }
}

/** To SQLite a file system that became read-only under an open file is any failure to write. */
function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS';
  }
}

function isOfTheSystem(cause: unknown): cause is NodeJS.ErrnoException {
  return cause instanceof Error && 'syscall' in cause && 'errno' in cause;
}

function primaryCode(error: unknown): number | undefined {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (code !== 'ERR_SQLITE_ERROR' || typeof errcode !== 'number') return undefined;
  return errcode === IOERR_SHMSIZE ? FULL : errcode & 0xff;
}
