import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TypeRates } from '../../src/grinder/type-rates.ts';

const NOTHING = { attempts: 0, turns: 0, turnsMs: 0 };
/** In 100 ms: four turns of 25 ms. */
const SEEDS = { attempts: 4000, turns: 4, turnsMs: 100 };
/** In 10 ms: two turns of 5 ms. */
const EXPANDED = { attempts: 1_000_000, turns: 2, turnsMs: 10 };

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 1e-9, `${actual}, not ${expected}`);
}

test('nothing is known before anything was tried, and a type that is not ground has no rate', () => {
  const rates = new TypeRates(2);
  assert.deepEqual(rates.perSecond(['seed', 'expanded']), { seed: 0, expanded: 0 });
  rates.add({ seed: SEEDS, expanded: NOTHING });
  assert.deepEqual(rates.perSecond([]), { seed: 0, expanded: 0 });
  assert.deepEqual(rates.perSecond(['expanded']), { seed: 0, expanded: 0 });
  near(rates.perSecond(['seed', 'expanded']).seed, 40_000);
});

test('types that take turns get what a turn makes, over the time of a turn of each', () => {
  const rates = new TypeRates(1);
  rates.add({ seed: SEEDS, expanded: EXPANDED });
  near(rates.perSecond(['seed']).seed, 40_000);
  near(rates.perSecond(['expanded']).expanded, 100_000_000);
  const both = rates.perSecond(['seed', 'expanded']);
  // A round of 25 + 5 ms: 1,000 seeds and 500,000 expanded keys.
  near(both.seed, 1000 / 0.03);
  near(both.expanded, 500_000 / 0.03);
});

test('what lies further back fades, by the time of its own type', () => {
  const rates = new TypeRates(1);
  rates.add({ seed: SEEDS, expanded: EXPANDED });
  const slow = { attempts: 1000, turns: 400, turnsMs: 10_000 };
  for (let round = 0; round < 10; round++) rates.add({ seed: slow, expanded: NOTHING });
  const { seed } = rates.perSecond(['seed']);
  assert.ok(Math.abs(seed / 100 - 1) < 0.001, `${seed}`);
  near(rates.perSecond(['expanded']).expanded, 100_000_000);
});
