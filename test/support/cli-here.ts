/**
 * Runs the command line in this process and its working directory, one command at a time: a process takes
 * fifty times as long. For commands that only explain themselves or refuse: what a command finds goes to
 * standard output itself, and what it does is cleaned up when its process ends.
 */
import { run } from '../../src/cli/run.ts';
import { type Outcome, stateHome } from './cli.ts';

export async function vanitypoolHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const told = { stdout: '', stderr: '' };
  const before = { ...process.env };
  Object.assign(process.env, { XDG_STATE_HOME: stateHome(process.cwd()) }, env);
  try {
    const code = await run(args, {
      assertOutput: () => undefined,
      print: async (text) => {
        told.stdout += text;
      },
      printError: (text) => {
        told.stderr += text;
      },
    });
    return { code, ...told, lines: told.stdout.split('\n').slice(0, -1) };
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  }
}
