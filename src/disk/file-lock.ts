/**
 * The lock on a database file that says: a server has it. It is on the file itself, so it holds
 * whatever name or directory the file is reached by, and with every lock file deleted. Any thread
 * may use it.
 *
 * Promises: at most one holder, in this process or another; free when the process dies by whatever
 * means. It is an open file description lock (Linux 3.15) on one byte far beyond those of SQLite,
 * which neither sees nor needs it. Other systems, and an installation without the addon, have none.
 *
 * Does not: survive that the file is replaced by another of its name. And whoever closes a descriptor of
 * a file drops all POSIX locks that his process has on it, those of SQLite: take this lock before SQLite
 * opens the file, let it go after SQLite has closed it, and never ask `isLocked` in between.
 */
import { closeSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { loadAddon } from '../addon.ts';

export interface FileLock extends Disposable {
  /** A descriptor of the file, open for reading and writing; closed with the lock. */
  readonly file: number;
}

/** An old kernel, a file system without locks, no system of ours. */
const UNSUPPORTED = new Set(['ENOSYS', 'EINVAL', 'ENOLCK', 'ENOTSUP', 'EOPNOTSUPP']);

/**
 * Locks the file at `path`, which is no symbolic link. 'taken': another has it. 'unsupported':
 * there is no such lock here. Errors are the system's.
 */
export function lockFile(path: string): FileLock | 'taken' | 'unsupported' {
  const file = loadAddon().addon?.openLocked(path);
  if (file === undefined) return 'unsupported';
  if (file < 0) {
    const error = systemError(file, path);
    if (error.code === 'EAGAIN') return 'taken';
    if (UNSUPPORTED.has(error.code!)) return 'unsupported';
    throw error;
  }
  return { file, [Symbol.dispose]: () => closeSync(file) };
}

/** Whether a server has the file at `path`; undefined where nobody can know. Errors are the system's. */
export function isLocked(path: string): boolean | undefined {
  const answer = loadAddon().addon?.isLocked(path);
  if (answer === undefined) return undefined;
  if (answer >= 0) return answer === 1;
  const error = systemError(answer, path);
  if (UNSUPPORTED.has(error.code!)) return undefined;
  throw error;
}

/** As Node.js writes those of its own calls. */
function systemError(errno: number, path: string): NodeJS.ErrnoException {
  const [code = 'UNKNOWN', description = 'unknown error'] = getSystemErrorMap().get(errno) ?? [];
  const error = new Error(`${code}: ${description}, open '${path}'`);
  return Object.assign(error, { errno, code, syscall: 'open', path });
}
