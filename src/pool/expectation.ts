/**
 * When addresses of a pool that has too few are to be expected, in seconds and in words. Pure; any
 * thread may use it. A search has no memory: whatever was tried before, the mean wait for the next
 * hit is difficulty / rate.
 */
import type { PoolStatus } from './pool-status.ts';

export interface Expectation {
  /** Undefined while it cannot be estimated. */
  readonly seconds: number | undefined;
  readonly words: string;
}

/** Of `missing` addresses beside those that there are. */
export function expectation(status: PoolStatus, missing: number): Expectation {
  const { available, leased, target, grinding } = status;
  const held = available + leased;
  if (grinding.hitsPerSecond > 0) {
    const seconds = missing / grinding.hitsPerSecond;
    const one = held === 0 ? 'the first address is' : 'one more is';
    const what = missing === 1 ? one : `${missing} more are`;
    return { seconds, words: `${what} expected in about ${duration(seconds)}` };
  }
  let words = 'nothing is ground for it now';
  if (grinding.active) words = 'it is ground for, how fast is not known yet';
  else if (held >= target) words = `its target is ${target}`;
  return { seconds: undefined, words };
}

const UNITS = [
  ['years', 365 * 86_400],
  ['days', 86_400],
  ['h', 3600],
  ['min', 60],
] as const;

/** In whole seconds, from 1, or in one larger unit of which it is two at least. */
export function duration(seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => seconds >= 2 * size) ?? ['s', 1];
  return `${Math.max(Math.round(seconds / size), 1)} ${unit}`;
}
