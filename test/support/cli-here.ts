/**
 * Runs the command line in this process and its working directory, one command at a time: a process takes
 * fifty times as long. Not for `serve`, for what lasts until a signal comes, and for what is shown on a terminal.
 */
import { run } from '../../src/cli/run.ts';
import { type Outcome, stateHome } from './cli.ts';
import { CollectedOutputs } from './collected-outputs.ts';

export async function vanitypoolHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const outputs = new CollectedOutputs();
  const before = { ...process.env };
  Object.assign(process.env, { XDG_STATE_HOME: stateHome(process.cwd()) }, env);
  try {
    const code = await run(args, outputs);
    const { stdout, said } = outputs;
    return { code, stdout, stderr: said.join(''), lines: stdout.split('\n').slice(0, -1) };
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
