/**
 * Runs the real command line as a process, for tests: in a directory of its own if the test gives
 * one, with nothing on standard input, and collects what it says.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const PROGRAM = fileURLToPath(new URL('../../bin/vanitypool', import.meta.url));

/**
 * For NODE_OPTIONS: makes a program see little free memory. To build the largest table of the grind
 * kernel takes as long as all the rest of a start, the next one a tenth of that, and patterns of tests
 * are easy. V8 has one thread
 * instead of four: by that a start takes 4 % less. And its threads begin with the room for new objects
 * that they would grow to: by that tests with servers take 3 % less.
 */
export const SMALL_MACHINE = `--v8-pool-size=1 --import=data:text/javascript,${[
  'import{setFlagsFromString}from%22node:v8%22',
  'setFlagsFromString(%22--min-semi-space-size=16%22)',
  'process.availableMemory=()=>20e6',
].join(';')}`;

/** Of programs that run in no directory of their own. */
const STATE = join(tmpdir(), `vanitypool-cli-${process.pid}`);
process.once('exit', () => rmSync(STATE, { recursive: true, force: true }));

/**
 * Where programs keep what outlives them (`XDG_STATE_HOME`): never in the home directory of the user who
 * tests. Each directory in which a test runs the program has its own, as a `Workspace` has.
 */
export function stateHome(cwd?: string): string {
  return cwd === undefined ? STATE : join(cwd, 'state');
}

export interface Outcome {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of standard output. */
  readonly lines: string[];
}

export interface RunOptions {
  readonly cwd?: string;
  /** Another name of the program. */
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What comes on standard input. */
  readonly input?: string;
  /** Called once, when the process has said something on standard error or output. */
  readonly onFirstOutput?: (child: ChildProcess) => void;
}

export async function vanitypool(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const { cwd, env, program = PROGRAM, input, onFirstOutput } = options;
  const child = spawn(program, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    // One that hangs fails its test instead of holding it up.
    timeout: 300_000,
    env: {
      ...process.env,
      XDG_STATE_HOME: stateHome(cwd),
      NODE_OPTIONS: SMALL_MACHINE,
      ...env,
    },
    ...(cwd !== undefined && { cwd }),
  });
  child.stdin?.end(input);
  const output = { stdout: '', stderr: '' };
  let isSilent = true;
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      if (isSilent) onFirstOutput?.(child);
      isSilent = false;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output, lines: output.stdout.split('\n').slice(0, -1) };
}
