/**
 * Runs the command line within a process: finds the command, answers `--help`, and turns what goes
 * wrong into a message on standard error and an exit code. Each command is loaded only when it runs.
 * Main thread.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
 */
import { VanityError } from '../errors.ts';
import { startPool } from '../system/threads.ts';
import { COMMAND_NAMES, type CommandName, HELP } from './help.ts';
import { adviceOf, hint, usage } from './options.ts';

const NAME_WIDTH = Math.max(...COMMAND_NAMES.map(({ length }) => length)) + 2;

const USAGE = `usage: vanitypool COMMAND [options]

Solana vanity addresses, ground ahead of time and handed out exactly once.

${COMMAND_NAMES.map((name) => `  ${name.padEnd(NAME_WIDTH)}${HELP[name].summary}`).join('\n')}

"vanitypool COMMAND --help" explains a command. "vanitypool --version" prints the version.
Start with:  vanitypool serve
`;

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;

const RUN: Readonly<Record<CommandName, (args: string[]) => Promise<number>>> = {
  serve: async (args) => (await import('./serve.ts')).serve(args),
  grind: async (args) => (await import('./grind.ts')).grind(args),
  estimate: async (args) => (await import('./estimate.ts')).estimate(args),
  status: async (args) => (await import('./status.ts')).status(args),
  top: async (args) => (await import('./top.ts')).top(args),
  audit: async (args) => (await import('./audit.ts')).audit(args),
  backup: async (args) => (await import('./backup.ts')).backup(args),
  restore: async (args) => (await import('./restore.ts')).restore(args),
  adopt: async (args) => (await import('./adopt.ts')).adopt(args),
  dispense: async (args) => (await import('./dispense.ts')).dispense(args),
  import: async (args) => (await import('./import.ts')).importKeys(args),
  export: async (args) => (await import('./export.ts')).exportKeys(args),
  verify: async (args) => (await import('./verify.ts')).verify(args),
  pool: async (args) => (await import('./pool.ts')).pool(args),
  token: async (args) => (await import('./token.ts')).token(args),
  bench: async (args) => (await import('./bench.ts')).bench(args),
  completions: async (args) => (await import('./completions.ts')).completions(args),
};

/** Where help, the version and errors go; what a command finds goes to standard output itself. */
export interface Outputs {
  /** Error: FILE_NOT_WRITABLE; then nothing was done yet. */
  readonly assertOutput: () => void;
  /** Written when it resolves. Error: FILE_NOT_WRITABLE. */
  readonly print: (text: string) => Promise<void>;
  readonly printError: (text: string) => void;
}

/** Returns the exit code; errors are printed. */
export function run(args: readonly string[], outputs: Outputs): Promise<number> {
  return dispatch(args, outputs).catch((error) => report(error, outputs));
}

async function dispatch(args: readonly string[], outputs: Outputs): Promise<number> {
  const [first, ...rest] = args;
  const show = (text: string) => outputs.print(text).then(() => DONE);
  // A server writes its log alone, which goes elsewhere.
  if (first !== 'serve') outputs.assertOutput();
  if (first === undefined) {
    outputs.printError(USAGE);
    return WRONG_USAGE;
  }
  if (first === '--version' || first === '-v') {
    const { VERSION } = await import('../version.ts');
    return show(`${VERSION}\n`);
  }
  if (first === '--help' || first === '-h') return show(USAGE);
  if (first === 'help') {
    const [name] = rest;
    if (name !== undefined && !isCommand(name)) throw unknownCommand(name);
    return show(name === undefined ? USAGE : HELP[name].text);
  }
  if (!isCommand(first)) throw unknownCommand(first);
  if (rest.includes('--help') || rest.includes('-h')) return show(HELP[first].text);
  assertWorkingDirectory();
  await startPool();
  return RUN[first](rest);
}

/** Whatever is done asks for it, threads that start too, whether or not a path begins there. */
function assertWorkingDirectory(): void {
  try {
    process.cwd();
  } catch {
    throw usage('the working directory was removed; go to one that is there first: cd /');
  }
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(HELP, name);
}

function unknownCommand(name: string): VanityError {
  const quoted = JSON.stringify(name);
  if (name.startsWith('-')) {
    const all = COMMAND_NAMES.join(', ');
    return usage(`option ${quoted} stands before the command; first give one of ${all}`);
  }
  return usage(`there is no command ${quoted}${hint(name, COMMAND_NAMES, 'commands')}`);
}

/** Prints the error on standard error, and returns the exit code. */
export function report(error: unknown, { printError }: Pick<Outputs, 'printError'>): number {
  if (!(error instanceof VanityError)) {
    const text = error instanceof Error ? error.stack : error;
    printError(`vanitypool: ${text}\n${adviceOf(error)}`);
    return FAILED;
  }
  const { code, message, retryAfterSeconds } = error;
  const retry = retryAfterSeconds === undefined ? '' : `; try again in ${retryAfterSeconds} s`;
  printError(`vanitypool: ${message}${retry} (${code})\n${adviceOf(error)}`);
  return /^(USAGE|CONFIG|PATTERN)_/.test(code) ? WRONG_USAGE : FAILED;
}
