/**
 * Runs the command line within a process: finds the command, answers `--help`, and turns what goes
 * wrong into a message on standard error and an exit code. Each command is loaded only when it runs.
 * Main thread.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
 */
import { VanityError } from '../errors.ts';
import { prepareAddon } from '../system/addon.ts';
import { startPool } from '../system/threads.ts';
import { COMMAND_NAMES, type CommandName, HELP } from './help.ts';
import { adviceOf, hint, usage } from './options.ts';
import type { Outputs } from './output.ts';

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

type Command = (args: string[], outputs: Outputs) => Promise<number>;

const RUN: Readonly<Record<CommandName, Command>> = {
  serve: async (args) => (await import('./serve.ts')).serve(args),
  grind: async (...to) => (await import('./grind.ts')).grind(...to),
  estimate: async (...to) => (await import('./estimate.ts')).estimate(...to),
  status: async (...to) => (await import('./status.ts')).status(...to),
  top: async (...to) => (await import('./top.ts')).top(...to),
  audit: async (...to) => (await import('./audit.ts')).audit(...to),
  backup: async (...to) => (await import('./backup.ts')).backup(...to),
  restore: async (...to) => (await import('./restore.ts')).restore(...to),
  adopt: async (...to) => (await import('./adopt.ts')).adopt(...to),
  dispense: async (...to) => (await import('./dispense.ts')).dispense(...to),
  import: async (...to) => (await import('./import.ts')).importKeys(...to),
  export: async (...to) => (await import('./export.ts')).exportKeys(...to),
  verify: async (...to) => (await import('./verify.ts')).verify(...to),
  pool: async (...to) => (await import('./pool.ts')).pool(...to),
  token: async (...to) => (await import('./token.ts')).token(...to),
  webhook: async (...to) => (await import('./webhook.ts')).webhook(...to),
  key: async (...to) => (await import('./key.ts')).key(...to),
  nodes: async (...to) => (await import('./nodes.ts')).nodes(...to),
  bench: async (args) => (await import('./bench.ts')).bench(args),
  completions: async (...to) => (await import('./completions.ts')).completions(...to),
};

/** They are slow without native code. */
const GRINDING: ReadonlySet<CommandName> = new Set(['serve', 'grind', 'estimate']);

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
    outputs.stderr.write(USAGE);
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
  if (GRINDING.has(first)) prepareAddon();
  return RUN[first](rest, outputs);
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
export function report(error: unknown, { stderr }: Pick<Outputs, 'stderr'>): number {
  if (!(error instanceof VanityError)) {
    const text = error instanceof Error ? error.stack : error;
    stderr.write(`vanitypool: ${text}\n${adviceOf(error)}`);
    return FAILED;
  }
  const { code, message, retryAfterSeconds } = error;
  const retry = retryAfterSeconds === undefined ? '' : `; try again in ${retryAfterSeconds} s`;
  stderr.write(`vanitypool: ${message}${retry} (${code})\n${adviceOf(error)}`);
  return /^(USAGE|CONFIG|PATTERN)_/.test(code) ? WRONG_USAGE : FAILED;
}
