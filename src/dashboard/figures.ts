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
const FOR_EVER = '∞';
const UNITS = [
  ['years', 365 * 86_400],
  ['days', 86_400],
  ['h', HOUR_S],
  ['min', 60],
] as const;

const NUMBERS = new Intl.NumberFormat('en-US', { maximumFractionDigits: 10 });
const ROUNDED = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const SHORT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

/** Exactly as the server says it, with commas. */
export function exact(figure: number): string {
  return NUMBERS.format(figure);
}

export function rounded(figure: number): string {
  return ROUNDED.format(figure);
}

/** '1.5K', '3.02M'. */
export function short(figure: number): string {
  return SHORT.format(figure);
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

/**
 * An hour's worth of what was added to a total up to each sample since the one `over` samples before, or since the
 * first one; null for that.
 */
export function ratesOf(
  secondsAgo: readonly number[],
  totals: readonly number[],
  over: number,
): (number | null)[] {
  return totals.map((after, index) => {
    const from = Math.max(0, index - over);
    const elapsed = secondsAgo[from]! - secondsAgo[index]!;
    return elapsed <= 0 ? null : (Math.max(0, after - totals[from]!) * HOUR_S) / elapsed;
  });
}

/** In whole seconds, from 1, or in one larger unit of which it is two at least. */
export function duration(seconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => seconds >= 2 * size) ?? ['s', 1];
  return `${exact(Math.max(Math.round(seconds / size), 1))} ${unit}`;
}

/** Whether a pool runs out, and when. */
export interface Outlook {
  /** Infinity where nobody takes any, or as many can be found. */
  readonly seconds: number;
  readonly isPaused: boolean;
  /** A whole sentence about the pool, "it". */
  readonly text: string;
}

/** Attempts a second of all grinder threads at work, by key type; null where nobody knows. */
export type FullRates = Readonly<Record<PoolView['keys'], number | null>>;

export const UNKNOWN_RATES: FullRates = { seed: null, expanded: null };

/**
 * The rate counts also while the pool is full, and nothing is ground for it: the grinder will when addresses are taken.
 */
export function outlook(pool: PoolView, fullRates: FullRates): Outlook {
  const { consumptionPerHour: taken, hoursOfStock, grinding, difficulty, paused } = pool;
  const of = (seconds: number, text: string): Outlook => ({ seconds, text, isPaused: paused });
  const never = (text: string) => of(Number.POSITIVE_INFINITY, text);
  if (paused) return never('Paused: it hands nothing out, and nothing is ground for it.');
  const possible = Math.max(grinding.hitsPerSecond, (fullRates[pool.keys] ?? 0) / difficulty);
  if (hoursOfStock === 0 || pool.stock + pool.leased === 0) {
    const next = possible > 0 ? `: one is found in about ${duration(1 / possible)}` : '';
    return of(0, `It is empty${next}.`);
  }
  if (hoursOfStock === null) return never('Nobody takes any.');
  const found = possible * HOUR_S;
  if (found >= taken) {
    const times = rounded(found / taken);
    return never(`It does not run out: ${times} times as many can be found as are taken.`);
  }
  // What is found lengthens it.
  const seconds = ((hoursOfStock * taken) / (taken - found)) * HOUR_S;
  const why = found > 0 ? ': fewer can be found than are taken' : ' if nothing is found meanwhile';
  return of(seconds, `It runs out in about ${duration(seconds)}${why}.`);
}

/** The answer to what an operator asks first, for all pools. */
export interface Answer {
  readonly text: string;
  readonly isGood: boolean;
}

export function answer(outlooks: ReadonlyMap<string, Outlook>): Answer {
  const all = [...outlooks];
  const paused = all.filter(([, { isPaused }]) => isPaused).map(([name]) => name);
  const note = paused.length === 0 ? '' : ` ${areAll(paused, 'paused')}`;
  const empty = all.filter(([, { seconds }]) => seconds === 0).map(([name]) => name);
  if (empty.length > 0) return { text: `${areAll(empty, 'empty')}${note}`, isGood: false };
  const ending = all
    .filter(([, { seconds }]) => Number.isFinite(seconds))
    .sort(([, one], [, other]) => one.seconds - other.seconds);
  const [first] = ending;
  if (first === undefined) {
    const text = all.length === 0 ? 'There is no pool.' : 'Nothing runs out.';
    return { text: text + note, isGood: true };
  }
  const [name, { seconds }] = first;
  const more = ending.length === 1 ? '' : ` ${ending.length - 1} more after it.`;
  return { text: `${name} runs out in about ${duration(seconds)}.${more}${note}`, isGood: false };
}

/** 'pet is empty.', '2 pools are empty.' */
function areAll(names: readonly string[], what: string): string {
  return names.length === 1 ? `${names[0]} is ${what}.` : `${names.length} pools are ${what}.`;
}

/** How long the stock lasts, in large letters. */
export function lasting(hoursOfStock: number | null): string {
  if (hoursOfStock === null) return FOR_EVER;
  return hoursOfStock === 0 ? '0' : duration(hoursOfStock * HOUR_S);
}

export function etaText(etaSeconds: number | null): string {
  if (etaSeconds === null) return 'nothing is ground';
  return etaSeconds === 0 ? 'full' : duration(etaSeconds);
}

export function stockText(hoursOfStock: number | null): string {
  return hoursOfStock === null ? FOR_EVER : exact(hoursOfStock);
}
