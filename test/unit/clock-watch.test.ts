/** Looks at the clock while the store is busy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OwnClock } from '../../src/store/own-clock.ts';
import { ClockWatch } from '../../src/store-thread/clock-watch.ts';
import { inTurn } from '../../src/store-thread/in-turn.ts';
import { TestTime } from '../support/test-time.ts';

const YEAR = 365 * 86_400_000;
const NO_LOG = { info: () => undefined, warn: () => undefined };

/** A watch of a start in doubt whose store is busy until it is let go; what it has taken. */
class Busy {
  readonly time = new TestTime();
  readonly clock = new OwnClock(this.time.system() + 1, this.time);
  readonly taken: number[] = [];
  readonly #work = Promise.withResolvers<void>();
  readonly #looks: Promise<void>[] = [];
  readonly #watch: ClockWatch;

  constructor() {
    const exclusively = inTurn();
    void exclusively(() => this.#work.promise);
    const takeStep = async (stepMs: number) => {
      this.taken.push(stepMs);
      this.clock.take(stepMs);
    };
    const health = { writeClock: () => undefined };
    const store = { clock: this.clock, takeStep };
    this.#watch = new ClockWatch({ store, exclusively, health, log: NO_LOG });
  }

  look(): void {
    this.time.pass(1000);
    this.#looks.push(this.#watch.look());
  }

  async letGo(): Promise<void> {
    this.#work.resolve();
    await Promise.all(this.#looks);
  }
}

test('a step that several looks find while the store is busy is taken once', async () => {
  const busy = new Busy();
  busy.time.set(YEAR);
  for (let seconds = 0; seconds < 3; seconds++) busy.look();
  await busy.letGo();
  assert.deepEqual(busy.taken, [YEAR]);
  assert.equal(busy.clock.now, busy.time.system());
});

test('one that is over by then is not taken', async () => {
  const busy = new Busy();
  busy.time.set(YEAR);
  busy.look();
  busy.time.set(-YEAR);
  busy.look();
  await busy.letGo();
  assert.deepEqual(busy.taken, []);
});
