/** What a pool would be, before it is made: by the same code by which the server reads a pattern. Pure. */
import { VanityError } from '../errors.ts';
import { shownDifficulty } from '../keypair/difficulty.ts';
import { type PatternSource, parsePattern } from '../keypair/pattern.ts';
import { duration, exact } from './figures.ts';

export interface Estimate {
  /** Whether there can be such a pool. */
  readonly isPossible: boolean;
  readonly lines: readonly string[];
}

/** `attemptsPerSecond`: of all grinder threads at work; null where nobody knows. */
export function estimate(
  source: PatternSource,
  target: number,
  attemptsPerSecond: number | null,
): Estimate {
  if (source.prefix === '' && source.suffix === '') return { isPossible: false, lines: [] };
  try {
    const { text, difficulty, notes } = parsePattern(source);
    const attempts = exact(shownDifficulty(difficulty));
    const odds = `${text}: ${attempts} attempts a hit are expected; odds 1 in ${attempts}.`;
    return {
      isPossible: true,
      lines: [odds, time(difficulty, target, attemptsPerSecond), ...notes],
    };
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
    return { isPossible: false, lines: [error.message] };
  }
}

function time(difficulty: number, target: number, attemptsPerSecond: number | null): string {
  if (attemptsPerSecond === null) {
    return 'Time to fill: not known before the grinder has worked.';
  }
  const one = difficulty / attemptsPerSecond;
  const rate = `at ${exact(attemptsPerSecond)} attempts a second`;
  return `Time to fill: ${duration(target * one)} for ${exact(target)}, ${duration(one)} for each, ${rate}.`;
}
