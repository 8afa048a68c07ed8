/**
 * What a search is for: one pattern or many, each with how many addresses are wanted, read from the options of `grind` and
 * from a file of words. They are those of `solana-keygen grind`, too, and mean the same there.
 */
import { readText } from '../disk/regular-files.ts';
import { VanityError } from '../errors.ts';
import { PATTERNS_MAX } from '../grinder/kernel.ts';
import { matches, type Pattern, parsePattern } from '../keypair/pattern.ts';
import { optionWords, readWhole, usage } from './options.ts';

/** In all. */
export const COUNT_MAX = 1_000_000;

export interface Goal {
  readonly pattern: Pattern;
  readonly count: number;
  readonly found: number;
}

export interface GoalValues {
  readonly prefix?: readonly string[] | undefined;
  readonly suffix?: readonly string[] | undefined;
  readonly 'starts-with'?: readonly string[] | undefined;
  readonly 'ends-with'?: readonly string[] | undefined;
  readonly 'starts-and-ends-with'?: readonly string[] | undefined;
  readonly words?: string | undefined;
  readonly 'ignore-case'?: boolean | undefined;
  readonly count?: string | undefined;
}

/** A pattern as it was typed. */
interface Typed {
  readonly prefix: string;
  readonly suffix: string;
  readonly count: string | undefined;
  /** Where: an option, or a line of a file. */
  readonly where: string;
}

export class Goals {
  readonly all: readonly Goal[];
  readonly count: number;
  readonly #found: number[];

  constructor(wanted: readonly Omit<Goal, 'found'>[]) {
    this.#found = wanted.map(() => 0);
    const found = this.#found;
    this.all = wanted.map((goal, index) => ({
      ...goal,
      get found() {
        return found[index]!;
      },
    }));
    this.count = wanted.reduce((sum, { count }) => sum + count, 0);
  }

  /** Those that lack addresses, in the order in which they were given. */
  get open(): readonly Goal[] {
    return this.all.filter(({ found, count }) => found < count);
  }

  get found(): number {
    return this.#found.reduce((sum, found) => sum + found, 0);
  }

  get isReached(): boolean {
    return this.all.every(({ found, count }) => found === count);
  }

  /** The first goal that lacks such an address; undefined if nobody wants it. */
  of(address: string): Goal | undefined {
    return this.open.find(({ pattern }) => matches(pattern, address));
  }

  /** One more is kept. */
  add(goal: Goal): void {
    this.#found[this.all.indexOf(goal)]!++;
  }

  /** Options that search for what is left, as they are typed. */
  wordsLeft(): string[] {
    return this.open.flatMap(({ pattern: { prefix, suffix }, found, count }) => {
      const left = String(count - found);
      if (suffix === '') return optionWords('--prefix', `${prefix}:${left}`);
      if (prefix === '') return optionWords('--suffix', `${suffix}:${left}`);
      return optionWords('--starts-and-ends-with', `${prefix}:${suffix}:${left}`);
    });
  }
}

/** Errors: USAGE_INVALID, and those of a pattern. */
export function readGoals(values: GoalValues): Goals {
  const typed = [...ofSides(values), ...ofBoth(values), ...ofWords(values.words)];
  if (typed.length === 0) {
    throw usage('which address? give --suffix PATTERN, --prefix PATTERN or both');
  }
  if (typed.length > PATTERNS_MAX) {
    throw usage(`grind: ${typed.length} patterns; a search takes at most ${PATTERNS_MAX}`);
  }
  const each = readWhole('--count', values.count, 1, COUNT_MAX);
  const ignoreCase = values['ignore-case'] ?? false;
  const isOne = typed.length === 1;
  const goals = new Goals(typed.map((one) => goalOf(one, ignoreCase, each, isOne)));
  if (goals.count <= COUNT_MAX) return goals;
  throw usage(`grind: ${goals.count} addresses in all; allowed: at most ${COUNT_MAX}`);
}

function goalOf(typed: Typed, ignoreCase: boolean, each: number, isOne: boolean) {
  const { prefix, suffix, count, where } = typed;
  try {
    const pattern = parsePattern({ prefix, suffix, ignoreCase });
    return { pattern, count: readWhole(where, count, each, COUNT_MAX) };
  } catch (error) {
    // An error of a pattern names the side, which is an option's name.
    const isNamed = isOne && /^--(prefix|suffix|count)$/.test(where);
    if (!(error instanceof VanityError) || isNamed || error.code === 'USAGE_INVALID') throw error;
    const what = where.startsWith('--') ? `${where} ${prefix}${suffix}` : where;
    throw new VanityError(error.code, `${what}: ${error.message}`);
  }
}

/** One of each without a number are one pattern, as in a pool; all else are patterns of their own. */
function ofSides(values: GoalValues): Typed[] {
  const fronts = (values.prefix ?? []).map((text) => counted('--prefix', text));
  const backs = (values.suffix ?? []).map((text) => counted('--suffix', text));
  const [front, back] = [fronts[0], backs[0]];
  const areOnly = fronts.length === 1 && backs.length === 1;
  if (areOnly && front?.count === undefined && back?.count === undefined) {
    return [{ prefix: front!.text, suffix: back!.text, count: undefined, where: '--count' }];
  }
  const starts = (values['starts-with'] ?? []).map((text) => counted('--starts-with', text));
  const ends = (values['ends-with'] ?? []).map((text) => counted('--ends-with', text));
  return [
    ...[...fronts, ...starts].map(({ text, ...one }) => ({ ...one, prefix: text, suffix: '' })),
    ...[...backs, ...ends].map(({ text, ...one }) => ({ ...one, prefix: '', suffix: text })),
  ];
}

/** `PATTERN`, or `PATTERN:N`: no pattern has a colon. */
function counted(where: string, typed: string) {
  const at = typed.indexOf(':');
  const [text, count] = at === -1 ? [typed, undefined] : [typed.slice(0, at), typed.slice(at + 1)];
  if (text === '') throw usage(`${where}: ${JSON.stringify(typed)} has no pattern`);
  return { text, count, where };
}

function ofBoth(values: GoalValues): Typed[] {
  const where = '--starts-and-ends-with';
  return (values['starts-and-ends-with'] ?? []).map((typed) => {
    const [prefix = '', suffix = '', count, ...more] = typed.split(':');
    if (prefix !== '' && suffix !== '' && more.length === 0)
      return { prefix, suffix, count, where };
    throw usage(`${where}: ${JSON.stringify(typed)} is not allowed; allowed: PREFIX:SUFFIX:N`);
  });
}

/** A line each: `pump` or `...pump`, `abc...`, `abc...pump`, each with `:N` or without. */
function ofWords(path: string | undefined): Typed[] {
  if (path === undefined) return [];
  let text: string;
  try {
    text = readText(path);
  } catch (error) {
    throw usage(`--words: ${path}: ${(error as Error).message}`);
  }
  const typed = text.split('\n').flatMap((line, index): Typed[] => {
    const word = line.trim();
    if (word === '' || word.startsWith('#')) return [];
    const { text: sides, ...one } = counted(`${path}:${index + 1}`, word);
    const [prefix = '', suffix, ...more] = sides.split('...');
    if (more.length > 0) throw usage(`${one.where}: more than one "..."`);
    return [
      suffix === undefined ? { ...one, prefix: '', suffix: sides } : { ...one, prefix, suffix },
    ];
  });
  if (typed.length === 0) throw usage(`--words: ${path}: no word is in it`);
  return typed;
}
