/**
 * Rules of the store that nodes share, and the program without each of them: what a line reads instead, and which
 * test fails then. What is checked twice has no place here: without one of the two nothing is wrong.
 */
import { OF_LOSS } from './mutants-of-loss.ts';
import { OF_RUNS } from './mutants-of-runs.ts';
import { OF_TURNS } from './mutants-of-turns.ts';

export interface Mutant {
  /** Below src. */
  readonly file: string;
  /** Stands there once. */
  readonly from: string;
  readonly to: string;
  /** Below test/unit, without its ending. */
  readonly test: string;
  /** Which of its tests; in parts if it puts the name together. */
  readonly named: string | readonly string[];
}

/** By what does without the rule, and what that then does. */
export type Rules = Readonly<Record<string, Readonly<Record<string, Mutant>>>>;

export const MUTANTS: Readonly<Record<string, Mutant>> = Object.fromEntries(
  [OF_TURNS, OF_RUNS, OF_LOSS].flatMap((rules) =>
    Object.entries(rules).flatMap(([what, group]) =>
      Object.entries(group).map(([does, mutant]) => [`${what} ${does}`, mutant]),
    ),
  ),
);
