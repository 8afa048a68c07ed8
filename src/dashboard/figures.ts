/** What the dashboard computes and how it writes it. Pure; also the tests run it. */
import type { HistoryView, PoolView } from '../client/replies.ts';

export type Samples = HistoryView['pools'][number]['hour'];

/** What a pool was, and how long ago that was asked for. */
export interface PoolHistory {
  readonly hour: Samples;
  readonly day: Samples;
}

export type Total = 'dispensed' | 'ground';

export const SPANS = [
  { name: '15 min', seconds: 900 },
  { name: 'hour', seconds: 3600 },
  { name: 'day', seconds: 86_400 },
] as const;

/** A few addresses in the first seconds are no rate of thousands an hour. */
const ELAPSED_MIN_S = 60;
const HOUR_S = 3600;
const UNITS = [
  ['years', 365 * 86_400],
  ['days', 86_400],
  ['h', HOUR_S],
  ['min', 60],
] as const;

const NUMBERS = new Intl.NumberFormat('en-US', { maximumFractionDigits: 10 });
const ROUNDED = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

/** Exactly as the server says it, with commas. */
export function exact(figure: number): string {
  return NUMBERS.format(figure);
}

export function rounded(figure: number): string {
  return ROUNDED.format(figure);
}

/**
 * An hour's worth of what was added to a total over the span, or as much of it as is known; undefined while that is
 * less than a minute. `sinceS`: how long ago the history was asked for.
 */
export function perHour(
  { hour, day }: PoolHistory,
  total: Total,
  now: number,
  spanS: number,
  sinceS: number,
): number | undefined {
  let elapsed = 0;
  let before = now;
  for (const samples of [day, hour]) {
    for (const [index, secondsAgo] of samples.secondsAgo.entries()) {
      const age = secondsAgo + sinceS;
      if (age > spanS || age <= elapsed) continue;
      elapsed = age;
      before = samples[total][index]!;
    }
  }
  if (elapsed < ELAPSED_MIN_S) return undefined;
  return (Math.max(0, now - before) * HOUR_S) / elapsed;
}

/** The rates between neighbouring samples, one fewer than there are. */
export function ratesOf(samples: Samples, total: Total): number[] {
  const { secondsAgo } = samples;
  const totals = samples[total];
  return totals.slice(1).map((after, index) => {
    const elapsed = secondsAgo[index]! - secondsAgo[index + 1]!;
    return (Math.max(0, after - totals[index]!) * HOUR_S) / elapsed;
  });
}

/** In whole seconds, from 1, or in one larger unit of which it is two at least. */
export function duration(seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => seconds >= 2 * size) ?? ['s', 1];
  return `${exact(Math.max(Math.round(seconds / size), 1))} ${unit}`;
}

/** The answer to what an operator asks first: will it run out, and when? */
export function outlook(pool: PoolView): string {
  const { consumptionPerHour, hoursOfStock, grinding, paused } = pool;
  if (paused) return 'Paused: it hands nothing out, and nothing is ground for it.';
  if (hoursOfStock === null) return 'Nobody takes any.';
  if (hoursOfStock === 0) return 'It is empty.';
  const found = grinding.hitsPerSecond * HOUR_S;
  if (found >= consumptionPerHour) return 'It does not run out: more are found than are taken.';
  // What is found lengthens it.
  const hours = (hoursOfStock * consumptionPerHour) / (consumptionPerHour - found);
  return `It runs out in about ${duration(hours * HOUR_S)}, if all goes on as it is.`;
}
