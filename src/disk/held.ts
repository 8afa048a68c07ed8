/**
 * Whether a process holds a data directory. Nothing is locked to find out, so no other process is refused by
 * the question. Any thread may ask, before SQLite opens a file there in this process: to close a descriptor
 * of it drops the locks that its process has on it.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { loadAddon } from '../system/addon.ts';

/** In a data directory: its holder has a lock on both, as long as they are there. */
export const LOCK_FILE = 'lock';
export const STORE_FILE = 'store.db';

/**
 * A reader of the store holds it too, while it reads. Undefined if that cannot be known: the addon
 * is missing, another system, files that cannot be opened or are not there.
 */
export function isHeld(directory: string): boolean | undefined {
  const answers = [LOCK_FILE, STORE_FILE].map((name) => isLocked(join(directory, name)));
  return answers.includes(true) || answers.find((answer) => answer !== undefined);
}

function isLocked(path: string): boolean | undefined {
  const { addon } = loadAddon();
  if (addon === undefined) return undefined;
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const answer = addon.isLocked(file);
    return answer < 0 ? undefined : answer === 1;
  } finally {
    closeSync(file);
  }
}
