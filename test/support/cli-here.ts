/**
 * Runs the command line in this process, one command at a time: a process takes fifty times as long. Not for
 * what lasts until a signal comes, and for what is shown on a terminal; of `serve`, only for a start that is
 * refused.
 */
import { run } from '../../src/cli/run.ts';
import { type Outcome, stateHome } from './cli.ts';
import { CollectedOutputs } from './collected-outputs.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export async function vanitypoolHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd = process.cwd(),
): Promise<Outcome> {
  const outputs = new CollectedOutputs();
  const before = { ...process.env };
  const here = process.cwd();
  const umask = process.umask();
  const listeners = SIGNALS.map((signal) => process.listeners(signal));
  Object.assign(process.env, { XDG_STATE_HOME: stateHome(cwd) }, env);
  process.chdir(cwd);
  try {
    const code = await run(args, outputs);
    const { stdout, said } = outputs;
    return { code, stdout, stderr: said.join(''), lines: stdout.split('\n').slice(0, -1) };
  } finally {
    process.chdir(here);
    process.umask(umask);
    // A server listens to them until its process ends.
    for (const [index, signal] of SIGNALS.entries()) {
      const added = process.listeners(signal).filter((one) => !listeners[index]!.includes(one));
      for (const one of added) process.off(signal, one);
    }
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
