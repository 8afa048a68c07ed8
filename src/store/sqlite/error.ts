/**
 * What SQLite's result codes mean to the product. Runs in the thread that calls it. Messages of SQLite
 * name tables and columns, never values.
 *
 * To SQLite a read that the system answers with EIO or ENXIO is a damaged database: its statements end
 * with SQLITE_CORRUPT, as they do after real damage. So that error alone proves no damage: it is in
 * doubt until the files were fully read, and `decided` decides.
 */
import { accessSync, constants } from 'node:fs';
import { readThrough, triedAgain } from '../../disk/reads.ts';
import { type ErrorCode, VanityError } from '../../errors.ts';

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
/** Extended codes of what is done to a file that is written. */
const WRITES: readonly unknown[] = [778, 1034, 1290, 1546]; // write, fsync, of a directory, truncate
/** An extended code: no room for the index of the write-ahead log. */
const IOERR_SHMSIZE = 4874;

const STEPS_AFTER_DAMAGE =
  'Stop what serves it, move its files away and keep them; then go on from the newest backup: ' +
  'vanitypool restore FILE. If "vanitypool audit --json" can still read the damaged store, its ' +
  'list saves what was available: vanitypool restore FILE --dispensed LIST';
const STEPS_AT_REFUSAL = 'This is no damage: look at the disk and its connection';
const STEPS_IN_DOUBT =
  'It is not known to be damage: look at the disk and its connection. A start or a backup reads ' +
  'all of it, and reports which';

/** Not a database: "foreign" while opening, "damaged" while running. */
export type Moment = 'opening' | 'running';

/**
 * The VanityError for an error of SQLite or of the system on `path`; any other error is returned as
 * it is.
 */
export function storeError(cause: unknown, path: string, moment: Moment): unknown {
  const primary = primaryCode(cause);
  if (primary === undefined) {
    if (isTooLarge(cause)) return damaged(path, cause.message, cause);
    if (!isOfTheSystem(cause)) return cause;
    return new VanityError('STORE_UNAVAILABLE', `${path}: ${cause.message}`, { cause });
  }
  const { message } = cause as Error;
  if (isDoubt(cause)) {
    const doubt = `${path}: cannot be read: ${message}. ${STEPS_IN_DOUBT}`;
    return new VanityError('STORE_UNAVAILABLE', doubt, { cause });
  }
  if (primary === IOERR && !isReadOnly(path)) return refused(path, message, cause);
  const code = primary === IOERR ? 'DATA_NOT_WRITABLE' : codeOf(primary, moment);
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

/** STORE_UNAVAILABLE: the disk refuses, which says nothing of what is in the store at `path`. */
export function refused(path: string, reason: string, cause?: unknown): VanityError {
  return new VanityError('STORE_UNAVAILABLE', `${path}: ${reason}. ${STEPS_AT_REFUSAL}`, { cause });
}

/** Whether `found`, a text of SQLite's check of pages, names a page that could not be read. */
export function tellsRefusal(found: string): boolean {
  const codes = Array.from(found.matchAll(/error code=(\d+)/g), ([, code]) => Number(code));
  return found.includes('failed to get page') || codes.some((code) => (code & 0xff) === IOERR);
}

/** Whether `error`, as `storeError` gives it, may be damage as well as a disk that refuses. */
export function isDoubtful(error: unknown): boolean {
  return error instanceof VanityError && error.code === 'STORE_UNAVAILABLE' && isDoubt(error.cause);
}

/** What was in doubt, where the rest of the store is found to be whole. */
export function undoubted(error: unknown): VanityError {
  const { code, message, cause } = error as VanityError;
  return new VanityError(code, message.replace(STEPS_IN_DOUBT, STEPS_AT_REFUSAL), { cause });
}

/** Whether it may pass by itself: `error` as `storeError` gives it. */
export function mayPass(error: unknown): boolean {
  return error instanceof VanityError && error.code === 'STORE_UNAVAILABLE';
}

/**
 * What `look` gives, which changes nothing of the store at `path`. Where the disk refuses, or may, the
 * files are read whole, and looked at once more: damage is damage then. No other connection of this
 * process may be open. Errors: STORE_CORRUPT, STORE_UNAVAILABLE for a disk that refuses all the time, those
 * of `storeError`.
 */
export function decided<T>(path: string, moment: Moment, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    const error = storeError(cause, path, moment);
    if (!mayPass(error)) throw error;
  }
  assertReadable(path);
  try {
    return look();
  } catch (cause) {
    throw isDoubt(cause)
      ? damaged(path, (cause as Error).message, cause)
      : storeError(cause, path, moment);
  }
}

/** Sees that the system reads the database and its log. As of `decided`. Error: STORE_UNAVAILABLE. */
export function assertReadable(path: string): void {
  for (const file of [path, `${path}-wal`]) {
    try {
      triedAgain(() => readThrough(file));
    } catch (cause) {
      throw refused(file, `cannot be read: ${(cause as Error).message}`, cause);
    }
  }
}

/** Whether the disk refused to take something, not to give it. */
export function isWriteError(cause: unknown): boolean {
  return isOfSqlite(cause) && WRITES.includes((cause as { errcode?: unknown }).errcode);
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

/** The plain code: with an extended one SQLite says what it found. */
function isDoubt(cause: unknown): boolean {
  return isOfSqlite(cause) && (cause as { errcode?: unknown }).errcode === CORRUPT;
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

/** A whole number that no number here is: nothing that this program writes comes near. */
function isTooLarge(cause: unknown): cause is Error {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code === 'ERR_OUT_OF_RANGE' && message.startsWith('Value is too large to be represented');
}

function isOfTheSystem(cause: unknown): cause is NodeJS.ErrnoException {
  return cause instanceof Error && 'syscall' in cause && 'errno' in cause;
}

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (code !== 'ERR_SQLITE_ERROR' || typeof errcode !== 'number') return undefined;
  return errcode === IOERR_SHMSIZE ? FULL : errcode & 0xff;
}
