/**
 * The entry of the command line's process: output goes to standard output and standard error, and
 * the exit code is what `run` says.
 */
import { flushCompileCache } from 'node:module';
import { keepHangUpIgnored } from './hang-up.ts';
import { assertOutput, print, unwritable } from './output.ts';
import { type Outputs, report, run } from './run.ts';

const outputs: Outputs = {
  assertOutput,
  print,
  printError: (text) => process.stderr.write(text),
};

keepHangUpIgnored();
// Of what goes on for ever, and is not written by `print`.
process.stdout.on('error', (error) => {
  process.exit(report(unwritable(error), outputs));
});
// Output that cannot be written must not end the work.
process.stderr.on('error', () => undefined);
const args = process.argv.slice(2);
process.exitCode = await run(args, outputs);
// Its grinder threads may get no core for long, and there is nothing left for them to do.
if (args[0] === 'serve') {
  flushCompileCache();
  (await import('./end.ts')).endServer(process.exitCode);
}
