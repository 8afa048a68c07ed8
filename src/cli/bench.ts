/**
 * `vanitypool bench`: runs one of the programs in `bench/` as a process of its own, by the same
 * Node.js, and ends with its exit code. They belong to a checkout: a published package has none.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { VanityError } from '../errors.ts';
import { assertThreads, NODE_THREADS } from '../system/thread-limits.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { hint, usage } from './options.ts';

const DIRECTORY = fileURLToPath(new URL('../../bench/', import.meta.url));
const PROGRAMS: Readonly<Record<string, string>> = {
  grind: 'grind.ts',
  api: 'serve.ts',
  durability: 'durability.ts',
  store: 'store.ts',
  cluster: 'cluster.ts',
  ring: 'ring.ts',
  journal: 'journal.ts',
  start: 'start.ts',
  busy: 'busy.ts',
  flood: 'flood.ts',
  events: 'events.ts',
  memory: 'memory.ts',
  destroy: 'destroy.ts',
  idle: 'idle.ts',
  sign: 'sign.ts',
};
const FAILED = 1;
const INTERRUPTED = 130;

/** Errors: USAGE_INVALID, BENCH_NOT_FOUND. What a flag may be is for the program to say. */
export async function bench(args: string[], directory = DIRECTORY): Promise<number> {
  const { positionals, tokens } = readArguments(args, {
    command: 'bench',
    allowPositionals: true,
    options: OPTIONS.bench,
  });
  const program = `${directory}${programOf(positionals)}`;
  if (!existsSync(program)) {
    const detail = `${program}: not there; the benchmarks come with a checkout, not with a package`;
    throw new VanityError('BENCH_NOT_FOUND', detail);
  }
  const { index } = tokens.find(({ kind }) => kind === 'positional')!;
  const rest = args.toSpliced(index, 1);
  assertThreads(NODE_THREADS, 'the benchmark');
  const child = spawn(process.execPath, [program, ...rest], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? (signal === 'SIGINT' ? INTERRUPTED : FAILED);
}

function programOf([name, ...others]: readonly string[]): string {
  const names = Object.keys(PROGRAMS);
  if (name === undefined) throw usage(`bench: which benchmark? give one of ${names.join(', ')}`);
  if (others.length > 0)
    throw usage(`bench: takes one benchmark, ${name}, not also ${others.join(' ')}`);
  const program = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (program !== undefined) return program;
  throw usage(`there is no benchmark ${JSON.stringify(name)}${hint(name, names, 'benchmarks')}`);
}
