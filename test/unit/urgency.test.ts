/** The clock of these tests is a number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Consumption } from '../../src/grinder/consumption.ts';
import { hoursOfStock, type StockFigures, UrgencyWatch } from '../../src/grinder/urgency.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function consumed(perMinute: readonly number[], each = SECOND): number {
  const consumption = new Consumption();
  let left = 100;
  let nowMs = 5000;
  consumption.note(left, nowMs);
  for (const count of perMinute) {
    for (let at = each; at <= MINUTE; at += each) {
      left += (count * each) / MINUTE;
      nowMs += each;
      consumption.note(left, nowMs);
    }
  }
  return consumption.perHour;
}

const minutes = (count: number, perMinute: number) => Array(count).fill(perMinute) as number[];

test('what leaves at a steady rate is consumed at that rate', () => {
  for (const count of [1, 5, 15, 20, 60, 200]) {
    assert.equal(Math.round(consumed(minutes(count, 10))), 600, `${count} minutes`);
  }
});

test('a pool that nobody asks is consumed at no rate, also right after the start', () => {
  assert.equal(new Consumption().perHour, 0);
  assert.equal(consumed(minutes(90, 0)), 0);
});

test('the larger counts: of the last 15 minutes, and of the last hour', () => {
  // A rush of a quarter of an hour, after a quiet one.
  assert.ok(consumed([...minutes(60, 0), ...minutes(15, 40)]) >= 40 * 60 * 0.99);
  // A lull of 20 minutes.
  const lull = consumed([...minutes(60, 30), ...minutes(20, 0)]);
  assert.ok(lull > 1100 && lull < 1300, `${lull}: two thirds of the hour`);
  // What lies further back than an hour counts no more.
  assert.equal(consumed([...minutes(60, 30), ...minutes(62, 0)]), 0);
});

test('a few addresses in the first seconds are no rush', () => {
  const consumption = new Consumption();
  consumption.note(0, 0);
  consumption.note(10, 100);
  assert.equal(consumption.perHour, 600);
});

test('released reservations are no consumption below nothing', () => {
  const consumption = new Consumption();
  consumption.note(50, 0);
  consumption.note(20, 30 * SECOND);
  assert.equal(consumption.perHour, 0);
});

test('it remembers a mark a minute, of an hour', () => {
  const consumption = new Consumption();
  for (let nowMs = 0; nowMs < 300 * MINUTE; nowMs += 200) consumption.note(nowMs, nowMs);
  assert.equal(Math.round(consumption.perHour), 3_600_000);
});

function figures(more: Partial<StockFigures> = {}): StockFigures {
  return {
    pool: 'pet',
    stock: 1000,
    target: 10_000,
    perHour: 0,
    lowHours: 1,
    isShort: true,
    ...more,
  };
}

const urgencyOf = (...pools: StockFigures[]) => new UrgencyWatch().next(pools, 0)?.urgency;

test('by hours of stock: low below low_hours, dry below a tenth', () => {
  for (const [stock, urgency] of [
    [0, 'dry'],
    [99, 'dry'],
    [100, 'low'],
    [999, 'low'],
    [1000, 'stocked'],
    [9999, 'stocked'],
  ] as const) {
    assert.equal(urgencyOf(figures({ stock, perHour: 1000 })), urgency, `${stock}`);
    assert.equal(urgencyOf(figures({ stock: 2 * stock, perHour: 1000, lowHours: 2 })), urgency);
  }
  assert.equal(hoursOfStock({ stock: 500, perHour: 1000 }), 0.5);
});

test('a pool that was at rest is consumed as fast as one that was looked at all the time', () => {
  const [looked, woken] = [new Consumption(), new Consumption()];
  let left = 0;
  let isAwake = true;
  for (let nowMs = 0; nowMs < 300 * MINUTE; nowMs += 10 * SECOND) {
    // Rushes of a minute, with longer and longer rests.
    const isBusy = Math.sqrt(nowMs / MINUTE) % 1 < 0.1;
    if (isBusy) left += 7;
    looked.note(left, nowMs);
    if (isBusy && !isAwake) woken.rested(nowMs - 10 * SECOND);
    if (isBusy) woken.note(left, nowMs);
    isAwake = isBusy;
    if (isBusy) assert.ok(Math.abs(woken.perHour - looked.perHour) <= 0.1 * looked.perHour);
  }
});

test('without consumption: low below a tenth of the target, dry below a hundredth', () => {
  for (const [stock, urgency] of [
    [0, 'dry'],
    [99, 'dry'],
    [100, 'low'],
    [999, 'low'],
    [1000, 'stocked'],
  ] as const) {
    assert.equal(urgencyOf(figures({ stock })), urgency, `${stock}`);
  }
  assert.equal(hoursOfStock({ stock: 5, perHour: 0 }), Number.POSITIVE_INFINITY);
});

test('low_hours 0: never low while anything is there', () => {
  assert.equal(urgencyOf(figures({ stock: 1, perHour: 1e9, lowHours: 0 })), 'stocked');
  assert.equal(urgencyOf(figures({ stock: 0, perHour: 1e9, lowHours: 0 })), 'dry');
});

test('the neediest pool decides, of those that are ground for', () => {
  const full = figures({ pool: 'full', stock: 0, isShort: false });
  const stocked = figures({ pool: 'stocked', stock: 5000 });
  const low = figures({ pool: 'low', stock: 50, perHour: 100 });
  assert.equal(urgencyOf(full), undefined);
  assert.equal(urgencyOf(), undefined);
  assert.equal(urgencyOf(full, stocked), 'stocked');
  const found = new UrgencyWatch().next([stocked, full, low], 0);
  assert.deepEqual(found, { urgency: 'low', neediest: low });
});

test('it rises at once, and falls when there is more than enough and 10 s have passed', () => {
  const watch = new UrgencyWatch();
  const at = (nowMs: number, stock: number) => watch.next([figures({ stock })], nowMs)?.urgency;
  assert.equal(at(0, 5000), 'stocked');
  assert.equal(at(200, 5000), undefined, 'reported once');
  assert.equal(at(400, 999), 'low');
  assert.equal(at(600, 50), 'dry');
  assert.equal(at(800, 5000), undefined, 'not so soon');
  assert.equal(at(10_500, 5000), undefined);
  assert.equal(at(10_600, 110), undefined, 'not a quarter more than enough');
  assert.equal(at(10_700, 126), 'low');
  assert.equal(at(20_800, 1100), undefined);
  assert.equal(at(20_900, 1250), 'stocked');
  assert.equal(at(21_000, 999), 'low', 'a rise does not wait');
});

test('between what is enough and a quarter more it stays what it is, however long', () => {
  const watch = new UrgencyWatch();
  const at = (nowMs: number, stock: number) => watch.next([figures({ stock })], nowMs)?.urgency;
  assert.equal(at(0, 5000), 'stocked');
  for (const stock of [1249, 1100, 1000]) assert.equal(at(60_000, stock), undefined, `${stock}`);
  assert.equal(at(60_200, 999), 'low');
  for (const stock of [1249, 124, 100]) assert.equal(at(120_000, stock), undefined, `${stock}`);
  assert.equal(at(120_200, 99), 'dry');
});

test('while nothing is ground it stays what it is', () => {
  const watch = new UrgencyWatch();
  assert.equal(watch.next([figures({ stock: 0 })], 0)?.urgency, 'dry');
  assert.equal(watch.next([figures({ stock: 10_000, isShort: false })], 60_000), undefined);
  assert.equal(watch.next([figures({ stock: 9000 })], 70_000)?.urgency, 'stocked');
});
