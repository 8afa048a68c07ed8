import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PoolView } from '../../src/api/pools.ts';
import {
  answer,
  duration,
  exact,
  lasting,
  type Outlook,
  outlook,
  perHour,
  ratesOf,
  type Samples,
  short,
} from '../../src/dashboard/figures.ts';

const HOUR = 3600;

/** Samples of a pool that hands out one address every ten seconds and finds nothing. */
function steady(spanS: number, everyS: number): Samples {
  const count = spanS / everyS + 1;
  const secondsAgo = Array.from({ length: count }, (_, index) => spanS - index * everyS);
  const dispensed = secondsAgo.map((ago) => 100_000 - ago / 10);
  const same = secondsAgo.map(() => 7);
  return { secondsAgo, stock: same, ready: same, dispensed, ground: same };
}

const history = { hour: steady(HOUR, 15), day: steady(24 * HOUR, 300) };
const NONE: Samples = { secondsAgo: [], stock: [], ready: [], dispensed: [], ground: [] };

test('a rate is that of the span, up to now, however old the history is', () => {
  for (const spanS of [900, HOUR, 24 * HOUR]) {
    assert.equal(perHour(history, 'dispensed', 100_000, spanS, 0), 360);
    assert.equal(perHour(history, 'dispensed', 100_003, spanS, 30), 360);
    assert.equal(perHour(history, 'ground', 7, spanS, 0), 0);
  }
  // A rush of the last half minute counts for each span by its length.
  const rush = (spanS: number) => perHour(history, 'dispensed', 100_900, spanS, 0);
  assert.deepEqual([rush(900), rush(HOUR)], [360 + 3600, 360 + 900]);
});

test('a server that has just started says no rate, then that of the time it knows', () => {
  assert.equal(perHour({ hour: NONE, day: NONE }, 'ground', 5, HOUR, 10), undefined);
  const hour = { ...NONE, secondsAgo: [45], dispensed: [10] };
  const young = { hour, day: hour };
  assert.equal(perHour(young, 'dispensed', 20, HOUR, 10), undefined);
  assert.equal(perHour(young, 'dispensed', 20, 24 * HOUR, 15), 600);
});

test('the rates of a chart are those between its samples, or over some of them', () => {
  const { secondsAgo, dispensed } = history.hour;
  const rates = ratesOf(secondsAgo, dispensed, 1);
  assert.deepEqual([rates.length, rates[0], new Set(rates.slice(1))], [241, null, new Set([360])]);
  assert.deepEqual(ratesOf([], [], 1), []);
  // One address after a minute of none, and nobody knows what was before the first sample.
  assert.deepEqual(ratesOf([60, 45, 30, 15, 0], [0, 0, 0, 0, 1], 1), [null, 0, 0, 0, 240]);
  assert.deepEqual(ratesOf([60, 45, 30, 15, 0], [0, 0, 0, 0, 1], 4), [null, 0, 0, 0, 60]);
  assert.deepEqual(ratesOf([5, 5], [0, 1], 1), [null, null], 'two of one moment');
});

test('figures are written as the server says them, and times in words', () => {
  assert.deepEqual([0, 1234567, 8.333, 0.0001234].map(exact), [
    '0',
    '1,234,567',
    '8.333',
    '0.0001234',
  ]);
  const times = [0, 1, 119, 120, 7200, 3 * 86_400, 1e9].map(duration);
  assert.deepEqual(times, ['1 s', '1 s', '119 s', '2 min', '2 h', '3 days', '32 years']);
});

test('short figures of axes, and how long the stock lasts in large letters', () => {
  assert.deepEqual([0, 999, 1500, 3_020_000].map(short), ['0', '999', '1.5K', '3.02M']);
  assert.deepEqual([null, 0, 0.5, 8.333, 100].map(lasting), ['∞', '0', '30 min', '8 h', '4 days']);
});

/** A pool for which `found` an hour would be found by a grinder at work. */
function outlookOf(taken: number, hoursOfStock: number | null, found: number, more: object = {}) {
  const pool = { consumptionPerHour: taken, hoursOfStock, paused: false, difficulty: 1000 };
  const rate = found === 0 ? null : (found / HOUR) * 1000;
  const stock = { stock: hoursOfStock === 0 ? 0 : 5, leased: 0, grinding: { hitsPerSecond: 0 } };
  return outlook({ ...pool, ...stock, keys: 'expanded', ...more } as PoolView, {
    seed: 1,
    expanded: rate,
  });
}

test('whether a pool runs out, and when', () => {
  const of = (...args: Parameters<typeof outlookOf>) => {
    const { seconds, text } = outlookOf(...args);
    return [seconds / HOUR, text];
  };
  const never = Number.POSITIVE_INFINITY;
  assert.deepEqual(of(0, null, 5), [never, 'Nobody takes any.']);
  assert.deepEqual(of(100, 3, 250), [
    never,
    'It does not run out: 2.5 times as many can be found as are taken.',
  ]);
  assert.deepEqual(of(100, 3, 0), [3, 'It runs out in about 3 h if nothing is found meanwhile.']);
  assert.deepEqual(of(100, 3, 50), [
    6,
    'It runs out in about 6 h: fewer can be found than are taken.',
  ]);
  assert.deepEqual(of(100, 0, 60), [0, 'It is empty: one is found in about 60 s.']);
  assert.deepEqual(of(0, null, 0, { stock: 0 }), [0, 'It is empty.']);
  const paused = outlookOf(100, 0, 50, { paused: true });
  assert.deepEqual([paused.seconds, paused.isPaused], [never, true]);
  // For who does not see the grinder: what is ground now counts.
  const grinding = { hitsPerSecond: 50 / HOUR };
  assert.equal(of(100, 3, 0, { grinding })[0], 6);
});

test('the answer is about the pool that runs out first', () => {
  const of = (pools: Record<string, Partial<Outlook> & { seconds: number }>) => {
    const all = Object.entries(pools).map(([name, one]) => {
      return [name, { isPaused: false, text: '', ...one }] as const;
    });
    return answer(new Map(all));
  };
  const never = { seconds: Number.POSITIVE_INFINITY };
  assert.deepEqual(of({}), { text: 'There is no pool.', isGood: true });
  assert.deepEqual(of({ a: never, b: never }), { text: 'Nothing runs out.', isGood: true });
  assert.equal(
    of({ a: never, b: { seconds: 7200 }, c: { seconds: 3600 } }).text,
    'c runs out in about 60 min. 1 more after it.',
  );
  assert.deepEqual(of({ a: { seconds: 0 }, b: { ...never, isPaused: true } }), {
    text: 'a is empty. b is paused.',
    isGood: false,
  });
  assert.equal(of({ a: { seconds: 0 }, b: { seconds: 0 } }).text, '2 pools are empty.');
});
