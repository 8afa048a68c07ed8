/**
 * Journals in memory that no store will ask for any more. Those of a killed server stay until its
 * next start; so that they do not stay for good when its data directory is removed, a file beside
 * them names it: `owner`. Runs in the store thread of any server of the same user.
 *
 * Promises: nothing is removed that another server has, that is younger than a day, or whose data
 * directory is there; nor what is in there and is not ours.
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LINE_BYTES_MAX, readText } from '../disk/regular-files.ts';
import { JournalDirectory, LOCK } from './journal-places.ts';

/** Holds an absolute path and a line feed, without which it was cut off. */
export const OWNER = 'owner';
const ORPHAN_AGE_MS = 24 * 3_600_000;

/**
 * In all directories below `base`. `dataDirectory` is that of a store whose own have just been
 * removed: what still says that it is of that one is of a store that was there before. `now`: of the
 * store's clock.
 */
export function removeOrphans(base: string, dataDirectory: string, now: number): void {
  for (const name of namesIn(base)) {
    const path = join(base, name);
    try {
      using directory = new JournalDirectory(path, base);
      if (!directory.exists || !isOrphan(path, dataDirectory, now)) continue;
      // Looked at again: its owner may have written meanwhile.
      if (directory.hold() && isOrphan(path, dataDirectory, now)) directory.removeAll(OWNER);
    } catch {
      // Another server sweeps too, or has just begun.
    }
  }
}

function namesIn(base: string): string[] {
  try {
    return readdirSync(base);
  } catch {
    return []; // no store of this user has journals in memory
  }
}

/**
 * Whether the data directory is gone, or has another store by now, and nothing was written for a
 * day. One whose parent is gone too may come back with its disk. Errors are the system's, as for a
 * place that may not be looked at.
 */
function isOrphan(path: string, dataDirectory: string, now: number): boolean {
  const text = readText(join(path, OWNER), LINE_BYTES_MAX);
  const owner = text.slice(0, -1);
  if (!text.startsWith('/') || !text.endsWith('\n')) return false;
  if (isThere(owner) && owner !== dataDirectory) return false;
  if (!isThere(dirname(owner))) return false;
  const names = readdirSync(path).filter((name) => name !== LOCK);
  const times = names.map((name) => lstatSync(join(path, name)).mtimeMs);
  return Math.max(...times) < now - ORPHAN_AGE_MS;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
