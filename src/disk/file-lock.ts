/**
 * The lock on a database file that says: a server has it. It is on the file itself, so it holds
 * whatever name or directory the file is reached by, and with every lock file deleted. Any thread
 * may use it.
 *
 * Promises: at most one holder, in this process or another; free when the process dies, however it dies. It
 * is an open file description lock (Linux 3.15) on one byte far beyond those of SQLite, which neither sees
 * nor needs it. Other systems, and an installation without the addon, have none.
 *
 * Does not: survive that the file is replaced by another of its name. And to close a descriptor of a
 * file drops all POSIX locks that this process has on it, those of SQLite: take this lock before SQLite
 * opens the file, and let it go after SQLite has closed it.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { loadAddon } from '../system/addon.ts';

export interface FileLock extends Disposable {
  /** A descriptor of the file, open for reading and writing; closed with the lock. */
  readonly file: number;
}

/**
 * Locks the file at `path`, which is no symbolic link. 'taken': another has it. 'unsupported':
 * there is no such lock here (the addon is missing; another system, an old kernel, a file system without
 * locks). Errors of opening the file are the system's.
 */
export function lockFile(path: string): FileLock | 'taken' | 'unsupported' {
  const { addon } = loadAddon();
  if (addon === undefined) return 'unsupported';
  // Node.js opens everything so that no program it starts inherits it.
  const file = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  const answer = addon.lock(file);
  if (answer === 0) return { file, [Symbol.dispose]: () => closeSync(file) };
  closeSync(file);
  return answer === -system.errno.EAGAIN ? 'taken' : 'unsupported';
}
