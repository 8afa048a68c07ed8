/**
 * How fast is the grind kernel, and is what it says true? Keys of both types tried a second at
 * every level that this machine has, against libsodium's crypto_sign_seed_keypair.
 *
 *     node bench/grind.ts [--json] [--trials N] [--ms N] [--keys seed|expanded] [--suffix PATTERN]
 *     node bench/grind.ts --patterns N[,N...] [--length N] [--json] [--trials N] [--ms N] [--keys seed|expanded]
 *
 * N trials a row (5) of N ms each (1000); both key types; the suffix is [a-z]Pet. With --patterns the fastest level alone
 * searches for N patterns at once, of 4 characters or as long as is said: random suffixes, prefixes, and half of each.
 * `ofOne` is the share of the speed with one of that side. Of both, it is that of one prefix: where prefixes are among the
 * patterns, one key of each point is tried instead of two.
 *
 * Each trial is a process of its own; trials of all rows alternate, so that a noisy minute hits all
 * alike, and medians are compared. Rates are per second of the processor time of a thread, which a
 * busy machine distorts less than the clock; rows with two threads add up theirs. Hits are counted
 * against what the attempts should bring: a kernel that skips work cannot look fast.
 *
 * The yardstick needs a C compiler and libsodium (apt-get install libsodium-dev).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { kernelLevels, loadKernel } from '../src/grinder/load-kernel.ts';
import { BASE58_ALPHABET } from '../src/keypair/base58-digits.ts';
import { parsePattern } from '../src/keypair/pattern.ts';
import { KEY_TYPES, type KeyType } from '../src/keypair/signing-key.ts';
import { findCompiler } from '../tools/build-native.mjs';
import { commit, median, runBench } from './report.ts';

const SLICE_MS = 25;
const SIDES = ['suffixes', 'prefixes', 'both'] as const;
const root = fileURLToPath(new URL('../', import.meta.url));
const yardstick = join(root, 'build', 'bench-libsodium');

interface Row {
  readonly keys: KeyType;
  readonly suffix: string;
  readonly isa: string;
  readonly threads: number;
  /** Searched for instead of the suffix. */
  readonly random?: RandomPatterns;
}

interface RandomPatterns {
  readonly count: number;
  readonly length: number;
  readonly sides: (typeof SIDES)[number];
}

interface Result {
  readonly perSecond: number;
  readonly attempts: number;
  readonly hits: number;
  readonly faults: number;
  /** Until the first search was open: the table. */
  readonly openMs: number;
}

function patternOf(suffix: string) {
  return parsePattern({ prefix: '', suffix, ignoreCase: false });
}

/** The same for each trial: the state of a linear congruence chooses the characters. */
function patternsOf({ suffix, random }: Row) {
  if (random === undefined) return [patternOf(suffix)];
  const { count, length, sides } = random;
  let state = 1;
  const character = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return BASE58_ALPHABET[(state >>> 8) % BASE58_ALPHABET.length];
  };
  return Array.from({ length: count }, (_, index) => {
    const text = Array.from({ length }, character).join('');
    const isPrefix = sides === 'prefixes' || (sides === 'both' && index % 2 === 0);
    const [prefix, back] = isPrefix ? [text, ''] : ['', text];
    return parsePattern({ prefix, suffix: back, ignoreCase: false });
  });
}

/** One thread of a trial. */
function grind(row: Row, ms: number): Result {
  const patterns = patternsOf(row);
  const begin = process.threadCpuUsage();
  const search = loadKernel(row.isa).kernel.open(patterns, row.keys);
  const openMs = cpuMs(begin);
  let [attempts, hits, faults] = [0, 0, 0];
  search.slice(SLICE_MS, 100); // Warm-up.
  const start = process.threadCpuUsage();
  while (cpuMs(start) < ms) {
    const slice = search.slice(SLICE_MS, 100);
    attempts += slice.attempts;
    hits += slice.hits.length;
    faults += slice.faults;
  }
  const perSecond = (attempts / cpuMs(start)) * 1000;
  search.close();
  return { perSecond, attempts, hits, faults, openMs };
}

function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(since);
  return (user + system) / 1000;
}

async function trial(row: Row, ms: number): Promise<Result> {
  const workers = Array.from(
    { length: row.threads },
    () => new Worker(new URL(import.meta.url), { workerData: { row, ms } }),
  );
  const results = await Promise.all(
    workers.map(async (worker) => (await once(worker, 'message'))[0] as Result),
  );
  const sum = (of: (result: Result) => number) => results.reduce((all, one) => all + of(one), 0);
  return {
    perSecond: sum(({ perSecond }) => perSecond),
    attempts: sum(({ attempts }) => attempts),
    hits: sum(({ hits }) => hits),
    faults: sum(({ faults }) => faults),
    openMs: Math.max(...results.map(({ openMs }) => openMs)),
  };
}

/** Whether the yardstick could be built. */
function buildYardstick(): boolean {
  const compiler = findCompiler();
  if (compiler === undefined) return false;
  mkdirSync(join(root, 'build'), { recursive: true });
  const source = join(root, 'bench', 'libsodium.c');
  const args = ['-O2', source, '-lsodium', '-o', yardstick];
  return spawnSync(compiler, args, { stdio: 'ignore' }).status === 0;
}

/** A whole number from 1, or a RangeError that names the option. */
function count(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new RangeError(`--${name}: ${text} is not a whole number from 1`);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      trials: { type: 'string', default: '5' },
      ms: { type: 'string', default: '1000' },
      keys: { type: 'string' },
      patterns: { type: 'string' },
      length: { type: 'string', default: '4' },
      suffix: { type: 'string', default: '[a-z]Pet' },
    },
  });
  const trials = count('trials', values.trials);
  const ms = count('ms', values.ms);
  const hasYardstick = buildYardstick();
  const { suffix } = values;
  const levels = kernelLevels();
  const patterns = values.patterns?.split(',').map((text) => count('patterns', text));
  const length = count('length', values.length);
  const fastest = { suffix, isa: levels.at(-1)! };
  const rows: Row[] = KEY_TYPES.filter(
    (keys) => values.keys === undefined || values.keys === keys,
  ).flatMap((keys): Row[] => {
    if (patterns !== undefined) return randomOf(keys, patterns);
    return [
      ...levels.map((isa) => ({ keys, suffix, isa, threads: 1 })),
      { keys, ...fastest, threads: 2 },
    ];
  });
  function randomOf(keys: KeyType, counts: readonly number[]): Row[] {
    return SIDES.flatMap((sides) =>
      [...new Set(sides === 'both' ? counts : [1, ...counts])].map((count) => {
        return { keys, ...fastest, threads: 1, random: { count, length, sides } };
      }),
    );
  }
  const libsodium: number[] = [];
  const results = rows.map((): Result[] => []);
  for (let index = 0; index < trials; index++) {
    for (const [at, row] of rows.entries()) {
      if (hasYardstick) {
        libsodium.push(Number(execFileSync(yardstick, [String(ms)], { encoding: 'utf8' })));
      }
      const args = [fileURLToPath(import.meta.url), 'trial', JSON.stringify(row), String(ms)];
      results[at]!.push(JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })));
    }
  }
  const speeds = results.map((trials) => median(trials.map(({ perSecond }) => perSecond)));
  const table = rows.map((row, at) => {
    const one = rows.findIndex((other) => isOneOf(row, other));
    const ofOne = one < 0 ? {} : { ofOne: Number((speeds[at]! / speeds[one]!).toFixed(3)) };
    return { ...summary(row, results[at]!, median(libsodium)), ...ofOne };
  });
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`;
  const report = {
    machine,
    commit: commit(),
    trials,
    ms,
    libsodiumPerSecond: hasYardstick ? Math.round(median(libsodium)) : 'not installed',
  };
  if (values.json) {
    console.log(JSON.stringify({ ...report, rows: table }));
    return;
  }
  console.log(report);
  console.table(table);
}

/** Whether `other` is what `row` is compared with: one pattern, of which as many keys of a point are tried. */
function isOneOf({ keys, random }: Row, other: Row): boolean {
  const sides = random?.sides === 'both' ? 'prefixes' : random?.sides;
  return (
    random !== undefined &&
    keys === other.keys &&
    other.random?.count === 1 &&
    sides === other.random.sides
  );
}

function summary(row: Row, results: readonly Result[], libsodium: number) {
  const { keys, isa, threads, random } = row;
  const hitsPerAttempt = patternsOf(row).reduce((all, one) => all + 1 / one.difficulty, 0);
  const rates = results.map(({ perSecond }) => perSecond);
  const sum = (of: (result: Result) => number) => results.reduce((all, one) => all + of(one), 0);
  return {
    keys,
    isa,
    threads,
    ...(random === undefined ? {} : { patterns: `${random.count} ${random.sides}` }),
    perSecond: Math.round(median(rates)),
    slowest: Math.round(Math.min(...rates)),
    fastest: Math.round(Math.max(...rates)),
    timesLibsodium: Number((median(rates) / libsodium).toFixed(1)),
    hits: sum(({ hits }) => hits),
    expected: Number((sum(({ attempts }) => attempts) * hitsPerAttempt).toFixed(1)),
    faults: sum(({ faults }) => faults),
    openMs: Math.round(median(results.map(({ openMs }) => openMs))),
  };
}

if (!isMainThread) {
  parentPort!.postMessage(grind(workerData.row, workerData.ms));
} else if (process.argv[2] === 'trial') {
  const result = await trial(JSON.parse(process.argv[3]!), Number(process.argv[4]));
  console.log(JSON.stringify(result));
} else {
  await runBench(main);
}
