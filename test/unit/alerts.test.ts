/** The clock of these tests is a number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/errors.ts';
import { Consumption } from '../../src/grinder/consumption.ts';
import { UrgencyWatch } from '../../src/grinder/urgency.ts';
import { type AlertFigures, Alerts } from '../../src/service/alerts.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Of a pool that nobody consumes: low below 100. */
const POOL: AlertFigures = {
  pool: 'pet',
  stock: 1000,
  target: 1000,
  perHour: 0,
  lowHours: 1,
  isShort: true,
  isPaused: false,
  everHad: 1000,
};

class Watched {
  failure: ErrorCode | undefined;
  nowMs = 5000;
  readonly data: Readonly<Record<string, unknown>>[] = [];
  #raised: string[] = [];
  readonly alerts = new Alerts(
    (type, data) => {
      this.#raised.push(type);
      this.data.push(data);
    },
    () => this.failure,
  );

  /** What the next look raises, a minute later unless it is said. */
  look(figures: Partial<AlertFigures>, afterMs = MINUTE): string[] {
    this.nowMs += afterMs;
    this.alerts.look([{ ...POOL, ...figures }], this.nowMs);
    const raised = this.#raised;
    this.#raised = [];
    return raised;
  }
}

test('a pool that nobody consumes is low below a tenth of its target, and recovers above 1.5 times that', () => {
  const watched = new Watched();
  assert.deepEqual(watched.look({}), []);
  assert.deepEqual(watched.look({ stock: 100 }), []);
  assert.deepEqual(watched.look({ stock: 99 }), ['pool.low']);
  assert.deepEqual(watched.look({ stock: 98 }), []);
  assert.deepEqual(watched.look({ stock: 150 }), []);
  assert.deepEqual(watched.look({ stock: 99 }), [], 'one alert for one want');
  assert.deepEqual(watched.look({ stock: 151 }), ['pool.recovered']);
  assert.deepEqual(watched.look({ stock: 99 }), ['pool.low'], 'again, after it recovered');
  assert.deepEqual(watched.data[0], {
    pool: 'pet',
    stock: 99,
    target: 1000,
    hoursOfStock: null,
    consumedPerHour: 0,
    lowHours: 1,
  });
});

test('a pool that is consumed is low when its stock lasts for less than low_hours', () => {
  const watched = new Watched();
  const consumed = { perHour: 400, lowHours: 2 };
  assert.deepEqual(watched.look({ ...consumed, stock: 800 }), []);
  assert.deepEqual(watched.look({ ...consumed, stock: 799 }), ['pool.low']);
  assert.deepEqual(watched.look({ ...consumed, stock: 1200 }), []);
  assert.deepEqual(watched.look({ ...consumed, stock: 1201 }), ['pool.recovered']);
  const [low] = watched.data;
  assert.deepEqual([low?.hoursOfStock, low?.consumedPerHour, low?.lowHours], [2, 400, 2]);
});

test('it is low when the grinder would get a higher priority for it', () => {
  const consumption = new Consumption();
  const watched = new Watched();
  for (let left = 0; left < 60; left++) {
    consumption.note(left, watched.nowMs + SECOND);
    const figures = { ...POOL, stock: 1000 - left, perHour: consumption.perHour };
    const raised = watched.look(figures, SECOND);
    const isStocked = new UrgencyWatch().next([figures], 0)?.urgency === 'stocked';
    assert.deepEqual(raised, isStocked ? [] : ['pool.low'], `after ${left} s`);
    if (!isStocked) return;
  }
  assert.fail('it never was low');
});

test('time alone brings a recovery as consumption declines, and until then the pool is watched', () => {
  const watched = new Watched();
  const consumption = new Consumption();
  consumption.note(0, 0);
  assert.equal(watched.alerts.watches('pet'), false);
  assert.deepEqual(watched.look({}), []);
  assert.equal(watched.alerts.watches('pet'), false);
  consumption.note(500, MINUTE);
  assert.deepEqual(watched.look({ stock: 500, perHour: consumption.perHour }), ['pool.low']);
  assert.equal(watched.alerts.watches('pet'), true);
  let minutes = 1;
  let raised: string[] = [];
  while (raised.length === 0) {
    consumption.note(500, ++minutes * MINUTE);
    raised = watched.look({ stock: 500, perHour: consumption.perHour });
    assert.ok(minutes < 200, 'it never recovered');
  }
  assert.deepEqual(raised, ['pool.recovered']);
  assert.equal(watched.alerts.watches('pet'), false);
});

test('an empty pool is reported once until it recovers, and low before if that was not seen', () => {
  const watched = new Watched();
  watched.look({});
  assert.deepEqual(watched.look({ stock: 0 }), ['pool.low', 'pool.empty']);
  assert.deepEqual(watched.look({ stock: 3 }), []);
  assert.deepEqual(watched.look({ stock: 0 }), []);
  assert.deepEqual(watched.look({ stock: 200 }), ['pool.recovered']);
  assert.deepEqual(watched.look({ stock: 50 }), ['pool.low']);
  assert.deepEqual(watched.look({ stock: 0 }), ['pool.empty']);
});

test('it recovers 10 s after the last change at the earliest', () => {
  const watched = new Watched();
  const each = { lowHours: 0, perHour: 100 };
  watched.look(each);
  assert.deepEqual(watched.look({ ...each, stock: 0 }), ['pool.low', 'pool.empty']);
  for (let looks = 0; looks < 49; looks++) {
    assert.deepEqual(watched.look({ ...each, stock: (looks + 1) % 2 }, 200), []);
  }
  assert.deepEqual(watched.look({ ...each, stock: 1 }, 200), ['pool.recovered']);
});

test('a new pool raises nothing until it was above the mark once', () => {
  const watched = new Watched();
  assert.deepEqual(watched.look({ stock: 0, everHad: 0 }), []);
  assert.deepEqual(watched.look({ stock: 99, everHad: 99 }), []);
  assert.deepEqual(watched.look({ stock: 0, everHad: 99 }), []);
  assert.equal(watched.alerts.watches('pet'), false);
  assert.deepEqual(watched.look({ stock: 100, everHad: 199 }), []);
  assert.deepEqual(watched.look({ stock: 99, everHad: 199 }), ['pool.low']);
});

test('a pool of an earlier run that had enough once is reported when it is low at the start', () => {
  assert.deepEqual(new Watched().look({ stock: 50, everHad: 99 }), []);
  assert.deepEqual(new Watched().look({ stock: 50, everHad: 100 }), ['pool.low']);
});

test('a paused pool raises nothing, and a deleted one is forgotten', () => {
  const watched = new Watched();
  watched.look({});
  assert.deepEqual(watched.look({ stock: 0, target: 0, isPaused: true }), []);
  assert.deepEqual(watched.look({ stock: 0 }), ['pool.low', 'pool.empty'], 'resumed');
  watched.alerts.keep(new Set(['pet']));
  assert.equal(watched.alerts.watches('pet'), true);
  watched.alerts.keep(new Set(['other']));
  assert.equal(watched.alerts.watches('pet'), false);
  assert.deepEqual(watched.look({ stock: 0, everHad: 0 }), [], 'a new one of the same name');
});

test('a store that fails is reported with its code, and when it works again', () => {
  const watched = new Watched();
  assert.deepEqual(watched.look({}), []);
  watched.failure = 'DISK_FULL';
  assert.deepEqual(watched.look({}), ['store.unavailable']);
  watched.failure = 'STORE_UNAVAILABLE';
  assert.deepEqual(watched.look({}), []);
  watched.failure = undefined;
  assert.deepEqual(watched.look({}), ['store.recovered']);
  assert.deepEqual(watched.data, [{ code: 'DISK_FULL' }, { code: 'STORE_UNAVAILABLE' }]);
  assert.deepEqual(watched.look({}), []);
});
