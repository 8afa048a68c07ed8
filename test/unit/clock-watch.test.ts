/** Looks at the clock while the store is busy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClockWatch } from '../../src/pool/clock-watch.ts';
import { inTurn } from '../../src/pool/refill.ts';
import { OwnClock } from '../../src/store/own-clock.ts';
import { TestTime } from '../support/test-time.ts';

const YEAR = 365 * 86_400_000;
const NO_LOG = { info: () => undefined, warn: () => undefined };

test('a step is taken once, however often it is seen while the store is busy', async () => {
  const time = new TestTime();
  // In doubt: it takes steps at once.
  const clock = new OwnClock(time.system() + 1, time);
  const taken: number[] = [];
  const store = {
    clock,
    takeStep: async (stepMs: number) => {
      taken.push(stepMs);
      clock.take(stepMs);
    },
  };
  const exclusively = inTurn();
  const watch = new ClockWatch({
    store,
    exclusively,
    health: { writeClock: () => undefined },
    log: NO_LOG,
  });
  const busy = Promise.withResolvers<void>();
  void exclusively(() => busy.promise);
  time.set(YEAR);
  const looks: Promise<void>[] = [];
  for (let seconds = 0; seconds < 3; seconds++) {
    time.pass(1000);
    looks.push(watch.look());
  }
  busy.resolve();
  await Promise.all(looks);
  assert.deepEqual(taken, [YEAR]);
  assert.equal(clock.now, time.system());
});

test('one that is over by then is not taken', async () => {
  const time = new TestTime();
  const clock = new OwnClock(time.system() + 1, time);
  const taken: number[] = [];
  const store = { clock, takeStep: async (stepMs: number) => void taken.push(stepMs) };
  const exclusively = inTurn();
  const watch = new ClockWatch({
    store,
    exclusively,
    health: { writeClock: () => undefined },
    log: NO_LOG,
  });
  const busy = Promise.withResolvers<void>();
  void exclusively(() => busy.promise);
  time.set(YEAR);
  time.pass(1000);
  const first = watch.look();
  time.set(-YEAR);
  time.pass(1000);
  const second = watch.look();
  busy.resolve();
  await Promise.all([first, second]);
  assert.deepEqual(taken, []);
});
