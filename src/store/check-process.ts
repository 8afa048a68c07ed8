/**
 * Entry of the process that checks a store as a whole: at nice 10, with a connection
 * of its own that only reads. Arguments: the file, and `Use` of check.ts. What it finds it
 * writes as one object on standard output; then it exits with 1, else with 0.
 *
 * A process, because SQLite's check of all pages is one statement, which nothing but the end of
 * its process interrupts: a thread that runs it held up the exit by as long as it took, 6 s for a
 * million addresses on a cold disk.
 */
import { constants, setPriority } from 'node:os';
import { VanityError } from '../errors.ts';
import { checkWhole } from './sqlite-check.ts';

// Not lower: on a busy machine its end would take seconds, and in a container the server's with it.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
const [path = '', use] = process.argv.slice(2);
try {
  if (use === 'in-doubt') checkWhole(path, undefined, true);
  else checkWhole(path, use === 'at-rest');
} catch (error) {
  if (!(error instanceof VanityError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message }));
  process.exitCode = 1;
}
