/**
 * The end of the server's process: at once, without the threads that still run. Main thread.
 */
import { endProcess } from '../system/process.ts';

/** What Node.js writes to, by a handle that it does not document. */
interface Handled {
  readonly _handle?: { setBlocking?(isBlocking: boolean): number } | null;
}

/**
 * Ends the process with this exit code. Node.js has made pipes non-blocking, for all programs that have
 * them: it takes that back when it ends by itself, so here it is done for it. Otherwise the next command of
 * a script writes to a pipe that is full, and fails.
 */
export function endServer(code: number): never {
  for (const stream of [process.stdout, process.stderr] as Handled[]) {
    stream._handle?.setBlocking?.(true);
  }
  endProcess(code);
}
