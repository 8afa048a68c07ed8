/**
 * What benchmarks of the whole server have in common in how they report: a row for each figure
 * with its target (mark), the machine and its load, and the commit. A mark that is missed
 * is reported and is no failure: a busy machine misses some.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { formatTable } from '../src/cli/format.ts';

/** What a figure should be: `< 5`, `>= 10000`. */
export interface Mark {
  readonly is: '<' | '<=' | '>=';
  readonly value: number;
}

export const below = (value: number): Mark => ({ is: '<', value });
export const atMost = (value: number): Mark => ({ is: '<=', value });
export const atLeast = (value: number): Mark => ({ is: '>=', value });

interface Row {
  readonly what: string;
  readonly unit: string;
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
  readonly mark?: string;
  readonly isMet?: boolean;
}

interface Figure {
  readonly unit: string;
  readonly mark: Mark | undefined;
  readonly values: number[];
}

/** Figures of all rounds by what they measure, in the order of their first. */
export class Figures {
  readonly #figures = new Map<string, Figure>();

  add(what: string, unit: string, value: number, mark?: Mark): void {
    const known = this.#figures.get(what);
    if (known === undefined) this.#figures.set(what, { unit, mark, values: [value] });
    else known.values.push(value);
  }

  rows(): Row[] {
    return [...this.#figures].map(([what, { unit, mark, values }]) => {
      const figure = median(values);
      const span = { lowest: Math.min(...values), highest: Math.max(...values) };
      const plain = { what, unit, median: figure, ...span };
      if (mark === undefined) return plain;
      return { ...plain, mark: `${mark.is} ${mark.value}`, isMet: isMet(figure, mark) };
    });
  }
}

function isMet(figure: number, { is, value }: Mark): boolean {
  if (is === '<') return figure < value;
  return is === '<=' ? figure <= value : figure >= value;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Prints a table, or one object of JSON. `loadBefore` is the load average before it began. */
export function report(
  figures: Figures,
  { json, rounds, loadBefore }: { json: boolean; rounds: number; loadBefore: readonly number[] },
): void {
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`;
  const load = loadBefore.map((value) => Number(value.toFixed(2)));
  const rows = figures.rows();
  const about = { machine, node: process.version, commit: commit(), load, rounds };
  if (json) {
    console.log(JSON.stringify({ ...about, rows }, null, 2));
    return;
  }
  console.log(
    `${machine}; load average ${load.join(' ')}; Node.js ${about.node}; commit ${about.commit}; ` +
      `medians of ${rounds} rounds\n`,
  );
  console.log(formatTable([['', 'median', 'spread', '', 'mark', ''], ...rows.map(cells)], 1));
}

function cells({ what, unit, median, lowest, highest, mark = '', isMet }: Row): string[] {
  const verdict = isMet === undefined ? '' : isMet ? 'met' : 'MISSED';
  return [what, shown(median), `${shown(lowest)} .. ${shown(highest)}`, unit, mark, verdict];
}

/** Three digits, or all of a whole number. */
function shown(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

export function currentLoad(): readonly number[] {
  return loadavg();
}

/** Of the checkout, and whether it was changed since. */
export function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim();
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no', '..') !== '';
    return git('rev-parse', '--short', 'HEAD') + (isChanged ? ' and changes' : '');
  } catch {
    return 'unknown';
  }
}

/**
 * Reads `--json` and whole numbers from 1 by name, each with its default. What is wrong ends the
 * process with exit code 2.
 */
export function readOptions<K extends string>(
  numbers: Readonly<Record<K, number>>,
): Record<K, number> & { json: boolean } {
  const options: ParseArgsOptionsConfig = { json: { type: 'boolean' } };
  for (const name of Object.keys(numbers)) options[name] = { type: 'string' };
  try {
    const { values } = parseArgs({ options });
    const read: Record<string, number> = { ...numbers };
    for (const [name, text] of Object.entries(values)) {
      if (typeof text !== 'string') continue;
      if (!/^[1-9]\d*$/.test(text)) {
        throw new RangeError(`--${name}: ${text} is not a whole number from 1`);
      }
      read[name] = Number(text);
    }
    return { ...(read as Record<K, number>), json: values.json === true };
  } catch (error) {
    return refuse(error);
  }
}

/** Runs a benchmark; a flag or a number that it does not take ends it with 2 and one line. */
export async function runBench(main: () => void | Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!(error instanceof RangeError) && !code?.startsWith('ERR_PARSE_ARGS_')) throw error;
    refuse(error);
  }
}

function refuse(error: unknown): never {
  console.error(`bench: ${(error as Error).message}`);
  process.exit(2);
}
