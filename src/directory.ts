/** Making directories. Any thread may use it. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes the directory and what is missing above it, each with mode 0700. By hand, because Node's
 * own recursive call never returns where the system refuses a name as if its parent were missing,
 * as /proc does. Errors are the system's.
 */
export function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  mkdirSync(path, { mode: 0o700 });
}
