/**
 * Entry of the process that checks a store as a whole: at nice 10, with a connection
 * of its own that only reads. Arguments: the file, `Use` of check-runner.ts, and the process that asks,
 * with which it ends. On standard output it writes a line when it has begun, and what it finds as one
 * object; then it exits with 1, else with 0.
 *
 * A process, because SQLite's check of all pages is one statement, which nothing but the end of
 * its process interrupts: a thread that runs it held up the exit by as long as it took, 6 s for a
 * million addresses on a cold disk.
 */
import { writeSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { VanityError } from '../../errors.ts';
import { endWithParent } from '../../system/end-with-parent.ts';
import { checkWhole } from './check.ts';

const STDOUT = 1;

// Not lower: on a busy machine its end would take seconds, and in a container the server's with it.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
const [path = '', use, parent] = process.argv.slice(2);
try {
  await endWithParent(Number(parent));
  writeSync(STDOUT, 'begun\n');
  if (use === 'in-doubt') checkWhole(path, undefined, true);
  else checkWhole(path, use === 'at-rest');
} catch (error) {
  if (!(error instanceof VanityError)) throw error;
  writeSync(STDOUT, JSON.stringify({ code: error.code, message: error.message }));
  process.exitCode = 1;
}
