/**
 * The entry of the command line's process: output goes to standard output and standard error, and
 * the exit code is what `run` says.
 */
import { flushCompileCache } from 'node:module';
import { keepHangUpIgnored } from './hang-up.ts';
import { PROCESS_OUTPUTS, unwritable } from './output.ts';
import { report, run } from './run.ts';

keepHangUpIgnored();
// Of what goes on for ever, and is not written by `print`.
process.stdout.on('error', (error) => {
  process.exit(report(unwritable(error), PROCESS_OUTPUTS));
});
// Output that cannot be written must not end the work.
process.stderr.on('error', () => undefined);
const args = process.argv.slice(2);
process.exitCode = await run(args, PROCESS_OUTPUTS);
// Its grinder threads may get no core for long, and there is nothing left for them to do.
if (args[0] === 'serve') {
  flushCompileCache();
  (await import('./end.ts')).endServer(process.exitCode);
}
