/**
 * `vanitypool estimate`: how rare a pattern is, exactly, and how long this machine takes. The rate
 * is measured with the grinder itself and the pattern that was asked for; what it finds meanwhile
 * is wiped and never shown.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Grinder, type GrinderStats } from '../grinder/grinder.ts';
import { loadKernel } from '../grinder/load-kernel.ts';
import { attemptsFor, shownDifficulty } from '../keypair/difficulty.ts';
import type { Pattern } from '../keypair/pattern.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import { createLog } from '../log.ts';
import { assertMemory } from '../system/memory-limits.ts';
import { assertThreads } from '../system/thread-limits.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { formatChance, formatCount, formatSeconds, formatTable } from './format.ts';
import { readKeyType, readPattern, readThreads } from './options.ts';
import type { Outputs } from './output.ts';

const CHANCES = [0.5, 0.95];
const MEASURE_MS = 1000;
const POLL_MS = 20;

interface Rate {
  readonly keyType: KeyType;
  readonly attemptsPerSecond: number;
  readonly threads: number;
  readonly isa: string;
}

export async function estimate(args: string[], { print, stderr }: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'estimate',
    options: OPTIONS.estimate,
  });
  const pattern = readPattern(values);
  const keyType = readKeyType(values.keys);
  const threads = readThreads(values.threads);
  // Here first, because what fails in the grinder's threads is tried again for ever.
  loadKernel().kernel.open([pattern], keyType).close();
  const rate = await measure(pattern, keyType, threads, stderr.isTTY);
  await print(values.json ? asJson(pattern, rate) : asTable(pattern, rate));
  return 0;
}

/** The rate over about a second, counted from the first report, when all tables are built. */
async function measure(
  pattern: Pattern,
  keyType: KeyType,
  threads: number,
  isPretty: boolean,
): Promise<Rate> {
  assertThreads(threads, 'the grinder');
  assertMemory({ threads, hasTable: true }, 'the grinder');
  await using grinder = new Grinder({
    threads,
    batch: 256,
    sliceMs: 25,
    priority: 'normal',
    onHits: () => Promise.resolve(),
    log: createLog('main', 'warn', isPretty),
  });
  grinder.steer([{ pool: 'estimate', pattern, keyType }]);
  const first = await reported(grinder, 0);
  const startedAt = performance.now();
  await sleep(MEASURE_MS);
  const last = await reported(grinder, first.attempts);
  const seconds = (performance.now() - startedAt) / 1000;
  const attemptsPerSecond = (last.attempts - first.attempts) / seconds;
  return { keyType, attemptsPerSecond, threads, isa: last.isa ?? 'unknown' };
}

/** The first report of more than so many attempts. */
async function reported(grinder: Grinder, attempts: number): Promise<GrinderStats> {
  for (;;) {
    const stats = grinder.stats();
    if (stats.attempts > attempts) return stats;
    await sleep(POLL_MS);
  }
}

function asJson(pattern: Pattern, { keyType, attemptsPerSecond, threads, isa }: Rate): string {
  const { text, prefix, suffix, ignoreCase, difficulty, notes } = pattern;
  const report = {
    pattern: text,
    prefix,
    suffix,
    ignoreCase,
    difficulty: shownDifficulty(difficulty),
    notes,
    keys: keyType,
    attemptsPerSecond: Math.round(attemptsPerSecond),
    threads,
    isa,
    expectedSeconds: difficulty / attemptsPerSecond,
    chances: CHANCES.map((chance) => {
      const attempts = attemptsFor(difficulty, chance);
      return { chance, attempts, seconds: attempts / attemptsPerSecond };
    }),
  };
  return `${JSON.stringify(report)}\n`;
}

function asTable(pattern: Pattern, { keyType, attemptsPerSecond, threads, isa }: Rate): string {
  const { text, difficulty, notes } = pattern;
  const line = (name: string, attempts: number) => [
    name,
    `${formatCount(attempts)} attempts`,
    formatSeconds(attempts / attemptsPerSecond),
  ];
  const rate = `${formatCount(attemptsPerSecond)} attempts/s, ${keyType === 'seed' ? '' : `${keyType} keys, `}${threads} ${threads === 1 ? 'thread' : 'threads'}, ${isa}`;
  return [
    `pattern  ${text}\n`,
    ...notes.map((note) => `note     ${note}\n`),
    `machine  ${rate}\n\n`,
    formatTable(
      [
        line('on average', difficulty),
        ...CHANCES.map((chance) =>
          line(`${formatChance(chance)} chance`, attemptsFor(difficulty, chance)),
        ),
      ],
      1,
    ),
  ].join('');
}
