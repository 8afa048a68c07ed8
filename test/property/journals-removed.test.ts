/**
 * Dispense journals that are removed at any moment of any run: hand-outs, turns, looks and kills in any
 * order. No address leaves twice; and where nothing was removed since a look that found all whole, a
 * kill burns nothing and knows exactly what left. FC_RUNS sets how many runs.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { WatchedStore } from '../support/watched-store.ts';

const RUNS = Number(process.env.FC_RUNS ?? 15);

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ pop: fc.integer({ min: 1, max: 9 }), thread: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.constantFrom('turn', 'refill', 'look', 'wait') },
  { weight: 1, arbitrary: fc.constantFrom('repair', 'kill', 'all', 'base') },
  { weight: 1, arbitrary: fc.record({ file: fc.nat(5) }) },
);

function remove({ base, memory }: WatchedStore, what: 'all' | 'base' | { file: number }): void {
  let path = what === 'base' ? base : memory;
  if (typeof what !== 'string') {
    const names = existsSync(memory) ? readdirSync(memory) : [];
    if (names.length > 0) path = join(memory, names[what.file % names.length]!);
  }
  rmSync(path, { recursive: true, force: true });
}

test('whatever is removed, and whenever: none leaves twice', { skip: WITHOUT_MEMORY }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      await using watched = await WatchedStore.create();
      let isWhole = true;
      for (const one of [...steps, 'kill'] as const) {
        if (typeof one !== 'string' && 'pop' in one) watched.popIfCan(one.thread, one.pop);
        else if (one === 'turn') await watched.turn();
        else if (one === 'refill') await watched.refiller.refill('pet', 60);
        else if (one === 'look') watched.lookBehind();
        else if (one === 'wait') await nextTurn();
        else if (one === 'repair') {
          await watched.repair();
          isWhole = true;
        } else if (one === 'kill') {
          const { dispensed } = watched;
          const { burned, counts } = await watched.restart();
          if (isWhole) assert.deepEqual([burned, counts.dispensed], [0, dispensed]);
          isWhole = true;
          await watched.refiller.refill('pet', 60);
        } else {
          remove(watched, one);
          isWhole = false;
        }
      }
      await watched.exhaust();
    }),
    { numRuns: RUNS },
  );
});
