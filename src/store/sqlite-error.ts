/**
 * What SQLite's result codes mean to the product. Pure; runs in the store thread. Messages of
 * SQLite name tables and columns, never values.
 */
import { type ErrorCode, VanityError } from '../errors.ts';

/** Primary result codes (sqlite3.h); an extended code holds its primary one in the low byte. */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const CONSTRAINT = 19;
const NOTADB = 26;
/** An extended code: no room for the index of the write-ahead log. */
const IOERR_SHMSIZE = 4874;

/** A full or read-only disk stops a start for good; a running server waits for it to end. */
export type Moment = 'opening' | 'running';

/** The VanityError for an error of SQLite on `path`; any other error is returned as it is. */
export function storeError(cause: unknown, path: string, moment: Moment): unknown {
  const primary = primaryCode(cause);
  if (primary === undefined) return cause;
  const reason = primary === FULL ? 'the disk is full' : (cause as Error).message;
  return new VanityError(codeOf(primary, moment), `${path}: ${reason}`, { cause });
}

export function isBusy(error: unknown): boolean {
  const primary = primaryCode(error);
  return primary === BUSY || primary === LOCKED;
}

export function isFull(error: unknown): boolean {
  return primaryCode(error) === FULL;
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
      return moment === 'opening' ? 'DISK_FULL' : 'STORE_UNAVAILABLE';
    case READONLY:
    case CANTOPEN:
      return moment === 'opening' ? 'DATA_NOT_WRITABLE' : 'STORE_UNAVAILABLE';
    default:
      return 'STORE_UNAVAILABLE';
  }
}

function primaryCode(error: unknown): number | undefined {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (code !== 'ERR_SQLITE_ERROR' || typeof errcode !== 'number') return undefined;
  return errcode === IOERR_SHMSIZE ? FULL : errcode & 0xff;
}
