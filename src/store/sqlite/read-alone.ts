/**
 * Reading a database that nobody else of this process has open, and leaving no trace: its log stays as it
 * was. Runs in the thread that calls it.
 */
import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { BUSY_TIMEOUT_MS } from './database.ts';
import { assertReadable, isOfSqlite } from './error.ts';

/**
 * Reads a store, its log included, that nobody else has open or opens meanwhile; what this process
 * holds of it by locks of POSIX would be lost. No file appears, and none changes. Errors as of
 * `openDatabase`.
 */
export function readAlone<T>(path: string, look: (db: DatabaseSync) => T): T {
  const file = pathToFileURL(path);
  // Without locks of any kind, and with the index of the log in this thread's own memory.
  if (process.platform !== 'win32') file.searchParams.set('vfs', 'unix-none');
  using _ = keptLog(`${path}-wal`);
  const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, readOnly: true });
  try {
    if (process.platform !== 'win32') db.exec('PRAGMA locking_mode = EXCLUSIVE');
    return look(db);
  } finally {
    db.close();
  }
}

/**
 * SQLite removes a log in which nothing is valid, also one that is only looked at: then it is written
 * again. It is read only then, because a log may be larger than the memory.
 */
function keptLog(log: string): Disposable {
  const from = existsSync(log) ? openSync(log, 'r') : undefined;
  return {
    [Symbol.dispose]() {
      if (from === undefined) return;
      try {
        if (!existsSync(log)) copy(from, log);
      } finally {
        closeSync(from);
      }
    },
  };
}

function copy(from: number, path: string): void {
  const to = openSync(path, 'wx', 0o600);
  try {
    const piece = Buffer.allocUnsafe(2 ** 20);
    for (let at = 0, read = 0; ; at += read) {
      read = readSync(from, piece, 0, piece.length, at);
      if (read === 0) return;
      for (let done = 0; done < read; ) done += writeSync(to, piece, done, read - done, at + done);
    }
  } finally {
    closeSync(to);
  }
}

/**
 * The same without the log: what a checkpoint that was cut off has left in the file. Undefined if
 * SQLite makes nothing of it, though the disk reads it: the tables may be in the log as yet. Nobody has
 * it open, as for `readAlone`. Error: STORE_UNAVAILABLE.
 */
export function readWithoutLog<T>(path: string, look: (db: DatabaseSync) => T): T | undefined {
  const file = pathToFileURL(path);
  file.searchParams.set('immutable', '1');
  for (let isReadable = false; ; isReadable = true) {
    try {
      using db = new DatabaseSync(file, { readOnly: true, defensive: false });
      // A file that is shorter than it says is none of the pages that are looked at. A schema that the
      // disk refuses to read looks like an empty one then: no error alone shows which it is.
      db.exec('PRAGMA writable_schema = ON');
      return look(db);
    } catch (cause) {
      if (!isOfSqlite(cause)) throw cause;
      if (isReadable) return undefined;
      assertReadable(path);
    }
  }
}
