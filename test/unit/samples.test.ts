/** Pools in real shared memory; the clock is a number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { Consumption } from '../../src/grinder/consumption.ts';
import { hoursOfStock } from '../../src/grinder/urgency.ts';
import { History } from '../../src/pool/history.ts';
import { Pool } from '../../src/pool/pool.ts';
import { countsBoard, grindingBoard, sharePool } from '../../src/pool/shared-pool.ts';
import { Samples } from '../../src/service/samples.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function pool() {
  const shared = sharePool(loadConfig({ cwd: '/' }).pools[0]!);
  const counts = countsBoard(shared);
  counts.write({ available: 70, leased: 50 });
  const none = { refill: () => Promise.resolve(), prepare: () => {}, record: () => {} };
  const sampled = {
    status: new Pool(shared, none),
    grinding: grindingBoard(shared),
    consumption: new Consumption(),
    history: new History(shared.history),
  };
  return { ...sampled, counts, sampled };
}

test('a pool to which nothing happens is sampled every 15 s, and no more often', () => {
  const { history, sampled } = pool();
  const samples = new Samples();
  for (let nowMs = 0; nowMs <= 2 * MINUTE; nowMs += 200) {
    samples.takeIfDue([sampled], nowMs, 7 * SECOND + nowMs);
  }
  const { hour } = history.read(7 * SECOND + 2 * MINUTE);
  assert.deepEqual(hour.secondsAgo, [120, 105, 90, 75, 60, 45, 30, 15, 0]);
  assert.deepEqual(hour.stock, Array(9).fill(70));
});

test('what a pool says of its consumption is what the priority of the grinder follows', () => {
  const { status, consumption, counts, sampled } = pool();
  const samples = new Samples();
  let nowMs = 0;
  samples.takeIfDue([sampled], nowMs, nowMs);
  assert.deepEqual([status.status().consumptionPerHour, status.status().hoursOfStock], [0, null]);
  for (let minute = 1; minute <= 30; minute++) {
    nowMs = minute * MINUTE;
    counts.write({ dispensed: minute });
    consumption.note(minute, nowMs);
  }
  samples.takeIfDue([sampled], nowMs, nowMs);
  const { consumptionPerHour, hoursOfStock: hours, available, leased } = status.status();
  assert.equal(consumptionPerHour, 60);
  assert.equal(hours, hoursOfStock({ stock: available + leased, perHour: consumption.perHour }));
  assert.equal(hours, 2);
  // Nobody takes any more, so the steering does not look at it.
  for (const end = nowMs + 120 * MINUTE; nowMs < end; nowMs += 15 * SECOND) {
    samples.takeIfDue([sampled], nowMs, nowMs);
  }
  assert.deepEqual([status.status().consumptionPerHour, status.status().hoursOfStock], [0, null]);
});
