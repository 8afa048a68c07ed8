/**
 * Refuses a file that can be reached by a second name. Two servers that open one database by two
 * names have two logs and two locks, and hand out the same addresses. Any thread may use it.
 *
 * Promises: looks at the name itself and opens nothing. Does not: see a name that is made later; that
 * is what the lock of the file is for.
 */
import { lstatSync } from 'node:fs';
import { VanityError } from '../errors.ts';

/**
 * What is at `path` is a file with this one name, or nothing. Error: DATA_NOT_WRITABLE, with what
 * to do; those of the system.
 */
export function assertOwnFile(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (stats.isSymbolicLink()) {
    throw refused(
      path,
      'is a symbolic link, and the file that it leads to can be served under its own name too; ' +
        'name the directory of that file instead, or move the file to this place',
    );
  }
  if (!stats.isFile()) throw refused(path, 'is no file; move it away');
  if (stats.nlink > 1) {
    throw refused(
      path,
      `has ${stats.nlink} names (hard links), and can be served under each of them; ` +
        `remove the others, which this finds: find / -xdev -samefile ${path}`,
    );
  }
}

function refused(path: string, reason: string): VanityError {
  return new VanityError('DATA_NOT_WRITABLE', `${path}: ${reason}`);
}
