/** What the log says of a pool that has no address yet, and how often. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PoolStatus } from '../../src/pool/pool-status.ts';
import { FirstAddresses } from '../../src/service/first-addresses.ts';
import { collectedLog } from '../support/collected-log.ts';

const DIFFICULTY = 1000;

interface Now {
  readonly stock?: number;
  readonly rate?: number;
  readonly isPaused?: boolean;
}

function statusOf({ stock = 0, rate = 0, isPaused = false }: Now): PoolStatus {
  const none = { reserved: 0, dispensed: 0, burned: 0, ground: stock, imported: 0, ready: 0 };
  const grinding = {
    active: true,
    threads: 1,
    attemptsPerSecond: rate,
    hitsPerSecond: rate / DIFFICULTY,
    etaSeconds: null,
  };
  const settings = { target: 10, lowHours: 1, paused: isPaused };
  const taken = { consumptionPerHour: 0, hoursOfStock: null };
  return { ...none, ...settings, ...taken, stock, available: stock, leased: 0, grinding };
}

/** Five looks a second, as the server has them, until `seconds`. */
class Run {
  readonly log = collectedLog();
  readonly #firsts = new FirstAddresses(this.log);
  #ms = 5_000_000;

  go(seconds: number, now: Now, name = 'pet'): void {
    this.#firsts.keep(new Set([name]));
    for (const end = this.#ms + seconds * 1000; this.#ms < end; this.#ms += 200) {
      this.#firsts.look([{ name, status: statusOf(now) }], this.#ms);
    }
  }

  get said(): string[] {
    return this.log.lines.map(({ level, msg }) => `${level} ${msg}`);
  }
}

test('reported once, as soon as there is a rate, and when it is there', () => {
  const run = new Run();
  run.go(2, {});
  assert.deepEqual(run.said, []);
  run.go(20, { rate: 100 });
  run.go(1000, { stock: 3, rate: 100 });
  assert.deepEqual(run.said, [
    'info no address yet: the first address is expected in about 10 s',
    'info the first address is there',
  ]);
  assert.deepEqual(run.log.lines.at(-1)!.fields, { pool: 'pet', afterSeconds: 22 });
});

test('much later than expected it is reported again, with the rate, three times at most', () => {
  const run = new Run();
  run.go(1, { rate: 1000 });
  run.go(8.8, { rate: 2 });
  assert.equal(run.said.length, 1, 'ten seconds are no long wait');
  run.go(100_000, { rate: 2 });
  assert.deepEqual(run.said, [
    'info no address yet: the first address is expected in about 1 s',
    'warn no address after 10 s: the grinder tries 2 a second; the first address is expected in about 8 min',
    'warn no address after 9 min: the grinder tries 2 a second; the first address is expected in about 8 min',
    'warn no address after 34 min: the grinder tries 2 a second; the first address is expected in about 8 min',
  ]);
});

test('a grinder that gets no time at all is reported, too', () => {
  const run = new Run();
  run.go(9.8, {});
  assert.deepEqual(run.said, []);
  run.go(5, {});
  assert.deepEqual(run.said, ['warn no address after 10 s: the grinder tries 0 a second']);
});

test('a pool with stock at the start is never reported, empty or not later', () => {
  const run = new Run();
  run.go(1, { stock: 1, rate: 1 });
  run.go(5000, { rate: 1 });
  assert.deepEqual(run.said, []);
});

test('nothing is reported of a paused one, and one that is recreated starts over', () => {
  const run = new Run();
  run.go(100, { isPaused: true, rate: 10 });
  assert.deepEqual(run.said, []);
  run.go(1, { stock: 1 });
  run.go(1, { stock: 1 }, 'other');
  run.go(1, { rate: 100 });
  assert.deepEqual(run.said, ['info no address yet: the first address is expected in about 10 s']);
});
