import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PoolView } from '../../src/api/pools.ts';
import {
  duration,
  exact,
  outlook,
  perHour,
  ratesOf,
  type Samples,
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

test('the rates of a chart are those between its samples', () => {
  const rates = ratesOf(history.day, 'dispensed');
  assert.deepEqual([rates.length, new Set(rates)], [288, new Set([360])]);
  assert.deepEqual(ratesOf(NONE, 'ground'), []);
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

test('whether a pool runs out, and when', () => {
  const of = (perHour: number, hoursOfStock: number | null, found: number, paused = false) => {
    const grinding = { hitsPerSecond: found / HOUR };
    return outlook({ consumptionPerHour: perHour, hoursOfStock, paused, grinding } as PoolView);
  };
  assert.match(of(0, null, 5), /^Nobody takes any/);
  assert.match(of(100, 3, 100), /does not run out/);
  assert.match(of(100, 3, 0), /runs out in about 3 h,/);
  assert.match(of(100, 3, 50), /runs out in about 6 h,/);
  assert.match(of(100, 0, 50), /is empty/);
  assert.match(of(100, 3, 0, true), /^Paused/);
});
