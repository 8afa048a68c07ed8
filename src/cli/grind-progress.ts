/**
 * The progress of a search on standard error: one line, rewritten in place on a terminal; a line
 * every 10 s anywhere else; and what it came to at the end.
 */
import type { GrinderStats } from '../grinder/grinder.ts';
import { chanceAfter } from '../keypair/difficulty.ts';
import type { Pattern } from '../keypair/pattern.ts';
import { formatChance, formatCount, formatRate, formatSeconds } from './format.ts';
import type { Screen } from './output.ts';

const TERMINAL_MS = 200;
const ELSEWHERE_MS = 10_000;
/** Of a terminal that does not say how wide it is. */
const COLUMNS = 80;
const CLEAR_LINE = '\r\x1b[K';

type Figures = Pick<GrinderStats, 'attempts' | 'attemptsPerSecond'>;

export class GrindProgress {
  readonly #pattern: Pattern;
  readonly #count: number;
  readonly #figures: () => Figures;
  readonly #startedAt = performance.now();
  readonly #screen: Screen;
  readonly #isTerminal: boolean;
  readonly #timer: NodeJS.Timeout;
  #found = 0;
  #attemptsAtHit = 0;

  constructor(pattern: Pattern, count: number, figures: () => Figures, screen: Screen) {
    this.#pattern = pattern;
    this.#count = count;
    this.#figures = figures;
    this.#screen = screen;
    this.#isTerminal = screen.isTTY === true;
    this.#timer = setInterval(() => this.#draw(), this.#isTerminal ? TERMINAL_MS : ELSEWHERE_MS);
    for (const note of pattern.notes) screen.write(`${note}\n`);
  }

  get found(): number {
    return this.#found;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * One more is found, and makes way for what is written of it at once. `attempts` are all of the
   * search.
   */
  hit(attempts: number): void {
    this.#found++;
    this.#attemptsAtHit = attempts;
    if (this.#isTerminal) this.#screen.write(CLEAR_LINE);
  }

  end(): void {
    clearInterval(this.#timer);
    const { attempts } = this.#figures();
    const seconds = this.elapsedMs / 1000;
    this.#write(
      `${this.#pattern.text}: ${formatCount(this.#found)} of ${formatCount(this.#count)} found ` +
        `in ${formatCount(attempts)} attempts, ${formatSeconds(seconds)}`,
    );
    if (this.#isTerminal) this.#screen.write('\n');
  }

  #draw(): void {
    if (this.#found === this.#count) return;
    const { attempts, attemptsPerSecond } = this.#figures();
    this.#write(
      progressLine({
        difficulty: this.#pattern.difficulty,
        count: this.#count,
        found: this.#found,
        attempts,
        sinceHit: attempts - this.#attemptsAtHit,
        attemptsPerSecond,
        elapsedMs: this.elapsedMs,
      }),
    );
  }

  #write(line: string): void {
    const columns = this.#screen.columns || COLUMNS;
    this.#screen.write(this.#isTerminal ? CLEAR_LINE + line.slice(0, columns - 1) : `${line}\n`);
  }
}

export interface ProgressFigures {
  readonly difficulty: number;
  readonly count: number;
  readonly found: number;
  readonly attempts: number;
  /** Attempts since the last hit, or since the start. */
  readonly sinceHit: number;
  readonly attemptsPerSecond: number;
  readonly elapsedMs: number;
}

/**
 * The chance is that of having found the next address by now. The ETA is the expected time for
 * all that are left: a search has no memory, so it does not shrink while nothing is found.
 */
export function progressLine(figures: ProgressFigures): string {
  const { difficulty, count, found, attempts, sinceHit, attemptsPerSecond, elapsedMs } = figures;
  return [
    `${formatCount(found)} of ${formatCount(count)} found`,
    `${formatCount(attempts)} attempts`,
    formatRate(attemptsPerSecond),
    formatSeconds(elapsedMs / 1000),
    `chance ${formatChance(chanceAfter(difficulty, sinceHit))}`,
    `ETA ${formatSeconds(((count - found) * difficulty) / attemptsPerSecond)}`,
  ].join('  ');
}
