/** What native code does to the whole process. Main thread. */
import { loadAddon } from './addon.ts';

/**
 * No core dumps of this process, and no reading of its memory by others of the same user. False
 * where that cannot be had.
 */
export function hardenProcess(): boolean {
  return loadAddon().addon?.harden() === 0;
}

/**
 * Ends the process at once with this exit code. `process.exit` waits for every thread, and one that
 * gets no core may take half a minute. What is to be written must be written before.
 */
export function endProcess(code: number): never {
  loadAddon().addon?.exit(code);
  // Without native code no thread is lowered.
  process.exit(code);
}
