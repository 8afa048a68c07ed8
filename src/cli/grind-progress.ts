/**
 * The progress of a search on standard error: rewritten in place on a terminal; every 10 s anywhere else; and what it
 * came to at the end. One pattern has one line; of several each that is not found has one, as far as there is room.
 */
import type { GrinderStats } from '../grinder/grinder.ts';
import { chanceAfter } from '../keypair/difficulty.ts';
import { formatChance, formatCount, formatRate, formatSeconds } from './format.ts';
import type { Goal, Goals } from './grind-goals.ts';
import type { Screen } from './output.ts';

const TERMINAL_MS = 200;
const ELSEWHERE_MS = 10_000;
/** Of a terminal that does not say how wide it is. */
const COLUMNS = 80;
/** Patterns that have a line: a small terminal has 24. */
const SHOWN_MAX = 16;
const CLEAR_LINE = '\r\x1b[K';
const CLEAR_BELOW = '\r\x1b[J';

type Figures = Pick<GrinderStats, 'attempts' | 'attemptsPerSecond'>;

export class GrindProgress {
  readonly #goals: Goals;
  readonly #figures: () => Figures;
  readonly #startedAt = performance.now();
  readonly #screen: Screen;
  readonly #isTerminal: boolean;
  readonly #timer: NodeJS.Timeout;
  /** Of the whole search, when the last address of a goal was found. */
  readonly #attemptsAtHit = new Map<Goal, number>();
  #linesShown = 0;

  constructor(goals: Goals, figures: () => Figures, screen: Screen) {
    this.#goals = goals;
    this.#figures = figures;
    this.#screen = screen;
    this.#isTerminal = screen.isTTY === true;
    this.#timer = setInterval(() => this.#draw(), this.#isTerminal ? TERMINAL_MS : ELSEWHERE_MS);
    const notes = new Set(goals.all.flatMap(({ pattern }) => pattern.notes));
    for (const note of notes) screen.write(`${note}\n`);
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * One more is found, and makes way for what is written of it at once. `attempts` are all of the
   * search.
   */
  hit(goal: Goal, attempts: number): void {
    this.#attemptsAtHit.set(goal, attempts);
    if (this.#isTerminal) this.#screen.write(this.#cleared());
  }

  end(): void {
    clearInterval(this.#timer);
    const { all, found, count } = this.#goals;
    const { attempts } = this.#figures();
    const what = all.length === 1 ? all[0]!.pattern.text : `${formatCount(all.length)} patterns`;
    this.#show([
      `${what}: ${formatCount(found)} of ${formatCount(count)} found ` +
        `in ${formatCount(attempts)} attempts, ${formatSeconds(this.elapsedMs / 1000)}`,
    ]);
    if (this.#isTerminal) this.#screen.write('\n');
  }

  #draw(): void {
    const { all, open } = this.#goals;
    if (open.length === 0) return;
    const { attempts, attemptsPerSecond } = this.#figures();
    const search = { attempts, attemptsPerSecond, elapsedMs: this.elapsedMs };
    const ofGoal = (goal: Goal): ProgressFigures => ({
      difficulty: goal.pattern.difficulty,
      count: goal.count,
      found: goal.found,
      sinceHit: attempts - (this.#attemptsAtHit.get(goal) ?? 0),
      ...search,
    });
    if (all.length === 1) this.#show([progressLine(ofGoal(all[0]!))]);
    else this.#show(progressLines(this.#goals, search, ofGoal));
  }

  #show(lines: readonly string[]): void {
    if (!this.#isTerminal) {
      this.#screen.write(lines.map((line) => `${line}\n`).join(''));
      return;
    }
    const columns = this.#screen.columns || COLUMNS;
    const text = lines.map((line) => line.slice(0, columns - 1)).join('\n');
    this.#screen.write(this.#cleared() + text);
    this.#linesShown = lines.length;
  }

  /** What takes the lines away that are shown. */
  #cleared(): string {
    const above = this.#linesShown - 1;
    this.#linesShown = 0;
    return above > 0 ? `\x1b[${above}A${CLEAR_BELOW}` : CLEAR_LINE;
  }
}

export interface SearchFigures {
  readonly attempts: number;
  readonly attemptsPerSecond: number;
  readonly elapsedMs: number;
}

export interface ProgressFigures extends SearchFigures {
  readonly difficulty: number;
  readonly count: number;
  readonly found: number;
  /** Attempts since the last hit, or since the start. */
  readonly sinceHit: number;
}

/**
 * The chance is that of having found the next address by now. The ETA is the expected time for
 * all that are left: a search has no memory, so it does not shrink while nothing is found.
 */
export function progressLine(figures: ProgressFigures): string {
  const { count, found, attempts, attemptsPerSecond, elapsedMs } = figures;
  return [
    `${formatCount(found)} of ${formatCount(count)} found`,
    `${formatCount(attempts)} attempts`,
    formatRate(attemptsPerSecond),
    formatSeconds(elapsedMs / 1000),
    ...odds(figures),
  ].join('  ');
}

/**
 * Of several patterns: what is common to them, and each that is open. All of them take longer than the slowest is
 * expected to: there is no ETA of all, but the expected time until the next address of any.
 */
export function progressLines(
  { all, open, found, count }: Goals,
  { attempts, attemptsPerSecond, elapsedMs }: SearchFigures,
  figuresOf: (goal: Goal) => ProgressFigures,
): string[] {
  const hitsPerAttempt = open.reduce((sum, { pattern }) => sum + 1 / pattern.difficulty, 0);
  const shown = open.slice(0, SHOWN_MAX);
  const width = Math.max(...shown.map(({ pattern }) => pattern.text.length));
  const more = open.length - shown.length;
  return [
    [
      `${formatCount(found)} of ${formatCount(count)} found`,
      `${formatCount(all.length - open.length)} of ${formatCount(all.length)} patterns done`,
      `${formatCount(attempts)} attempts`,
      formatRate(attemptsPerSecond),
      formatSeconds(elapsedMs / 1000),
      `next in ${formatSeconds(1 / hitsPerAttempt / attemptsPerSecond)}`,
    ].join('  '),
    ...shown.map((goal) => {
      const start = `  ${goal.pattern.text.padEnd(width)}  ${goal.found} of ${goal.count}`;
      return [start, ...odds(figuresOf(goal))].join('  ');
    }),
    ...(more > 0 ? [`  and ${formatCount(more)} more`] : []),
  ];
}

function odds({
  difficulty,
  count,
  found,
  sinceHit,
  attemptsPerSecond,
}: ProgressFigures): string[] {
  return [
    `chance ${formatChance(chanceAfter(difficulty, sinceHit))}`,
    `ETA ${formatSeconds(((count - found) * difficulty) / attemptsPerSecond)}`,
  ];
}
