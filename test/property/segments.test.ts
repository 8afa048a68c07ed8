/**
 * Segments against a plain array of states, with holes wherever they may come: leases of any
 * available range, and single addresses that leave the middle of a run. FC_RUNS sets how many runs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Range } from '../../src/store/ranges.ts';
import type { State } from '../../src/store/sqlite/segments.ts';
import { AT, SegmentPool } from '../support/segment-pool.ts';

const RUNS = Number(process.env.FC_RUNS ?? 100);
const SIZE = 30;

interface Step {
  readonly name: 'lease' | 'dispense' | 'burn' | 'correct' | 'return';
  /** What it happens to is chosen by these. */
  readonly at: number;
  readonly size: number;
  readonly elapsedMs: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  name: fc.constantFrom('lease', 'lease', 'dispense', 'dispense', 'burn', 'correct', 'return'),
  at: fc.nat({ max: 1000 }),
  size: fc.integer({ min: 1, max: 8 }),
  elapsedMs: fc.nat({ max: 700 }),
});

class Model {
  readonly states: State[] = new Array<State>(SIZE).fill('available');
  /** In the order of leasing. */
  leased: number[] = [];

  seqs(...states: State[]): number[] {
    return Array.from(this.states.keys(), (index) => index + 1).filter((seq) =>
      states.includes(this.states[seq - 1]!),
    );
  }

  set(seqs: readonly number[], state: State): void {
    for (const seq of seqs) this.states[seq - 1] = state;
    this.leased = this.leased.filter((seq) => this.states[seq - 1] === 'leased');
    if (state === 'leased') this.leased.push(...seqs);
  }
}

const seqsOf = ({ first, last }: Range) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** The run of at most `size` addresses in this state that starts at one of them. */
function runOf(model: Model, state: State, { at, size }: Step): Range | undefined {
  const seqs = model.seqs(state);
  const first = seqs[at % seqs.length];
  if (first === undefined) return undefined;
  let last = first;
  while (last - first + 1 < size && seqs.includes(last + 1)) last++;
  return { first, last };
}

function apply(step: Step, model: Model, pool: SegmentPool, now: number): void {
  switch (step.name) {
    case 'lease': {
      const range = runOf(model, 'available', step);
      if (range === undefined) return;
      pool.lease(range);
      model.set(seqsOf(range), 'leased');
      return;
    }
    case 'dispense': {
      const seqs = model.leased.slice(0, step.size);
      for (const range of pool.oldest('leased', step.size)) pool.dispense(range, now);
      model.set(seqs, 'dispensed');
      return;
    }
    case 'burn': {
      const seqs = model.seqs('available', 'leased');
      const seq = seqs[step.at % seqs.length];
      if (seq === undefined) return;
      pool.burn({ first: seq, last: seq }, model.states[seq - 1]!, 'unsealable');
      model.set([seq], 'burned');
      return;
    }
    case 'correct': {
      const seqs = model.seqs('burned');
      const seq = seqs[step.at % seqs.length];
      if (seq === undefined) return;
      pool.dispense({ first: seq, last: seq }, now, 'burned');
      model.set([seq], 'dispensed');
      return;
    }
    case 'return': {
      assert.equal(pool.returnLease(), model.leased.length);
      model.set(model.seqs('leased'), 'available');
    }
  }
}

function check(model: Model, pool: SegmentPool): void {
  const states: State[] = [];
  let next = 1;
  for (const { first, last, state } of pool.db
    .prepare('SELECT * FROM segments ORDER BY first')
    .all()) {
    assert.equal(first, next, 'segments are a partition');
    next = Number(last) + 1;
    for (let seq = Number(first); seq < next; seq++) states.push(state as State);
  }
  assert.deepEqual(states, model.states);
  assert.deepEqual(pool.oldest('leased').flatMap(seqsOf), model.leased, 'the order of leasing');
  assert.deepEqual(pool.oldest('available').flatMap(seqsOf), model.seqs('available'));
  for (const state of ['available', 'leased', 'dispensed', 'burned'] as const) {
    assert.equal(pool.figure(state), model.seqs(state).length, state);
  }
}

test('any steps in any order leave a partition that says what the array says', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const pool = new SegmentPool(SIZE);
      const model = new Model();
      let now = AT;
      for (const step of steps) {
        now += step.elapsedMs;
        apply(step, model, pool, now);
        check(model, pool);
      }
      pool.db.close();
    }),
    { numRuns: RUNS },
  );
});
