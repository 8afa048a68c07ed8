/**
 * A lock file: the process that has it locked owns what lies beside it, until it ends. Any
 * thread may take one. It works on every system; the lock of a database file is file-lock.ts.
 *
 * It is an exclusive SQLite transaction on a file of its own, into which nothing is ever written:
 * the system drops it when the process ends, however it ends, and SQLite keeps two connections of one process
 * apart as it does two processes. No other program may open the file: to close it again would drop every lock
 * that its process holds on it (fcntl(2)).
 *
 * Not promised: anything on a network file system, or between machines.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { triedAgain } from './reads.ts';
import { assertRegular } from './regular-files.ts';

/** Primary result codes of SQLite: another connection holds the lock. */
const HELD: readonly number[] = [5, 6];
/** The disk refuses to read; to SQLite that is damage, too, of a file that holds nothing. */
const REFUSED: readonly number[] = [10, 11];

/** Held until it is disposed of. */
export interface LockFile extends Disposable {
  /** Whether its path still leads to it; if not, somebody removed it, and others can lock the path. */
  readonly isNamed: boolean;
}

/**
 * Locks the file at `path`, which is made if it is missing, mode 0600; undefined if another holds
 * it. In tmpfs the holder of the lock may remove the file: another that opened it before and locks
 * it after finds that its name is gone or another file's, and starts over. It compares files by their
 * inode numbers, so elsewhere the file has to stay: ext4 gives the number of a removed file to the
 * next one, and three processes that took turns held one lock two at a time within 400 rounds.
 * Errors are the system's and SQLite's, and of what is no regular file; what the disk refuses is tried
 * again before.
 */
export function takeLockFile(path: string): LockFile | undefined {
  return triedAgain(
    () => take(path),
    (error) => isOneOf(REFUSED, error),
  );
}

function take(path: string): LockFile | undefined {
  for (;;) {
    makeFile(path);
    const named = inodeOf(path);
    const lock = new DatabaseSync(path, { timeout: 0 });
    try {
      // Nothing is ever written: a journal of SQLite would only be one more file.
      lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      if (isOneOf(HELD, error)) return undefined;
      throw error;
    }
    // The same before it was opened and after it was locked: what is locked has the name.
    if (named !== undefined && inodeOf(path) === named) {
      return {
        get isNamed() {
          try {
            return inodeOf(path) === named;
          } catch {
            return false; // its directory may not be looked at
          }
        },
        [Symbol.dispose]: () => lock.close(),
      };
    }
    lock.close();
  }
}

/** One that exists is not even opened, see above, but looked at: SQLite would wait at a FIFO. */
function makeFile(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats !== undefined) {
    assertRegular(stats);
    return;
  }
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

function isOneOf(codes: readonly number[], error: unknown): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  return code === 'ERR_SQLITE_ERROR' && codes.includes(Number(errcode) & 0xff);
}
