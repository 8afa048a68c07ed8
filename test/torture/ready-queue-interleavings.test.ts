/**
 * Every interleaving of a few threads on the ready queue, from the text of the source that ships:
 * each access to shared memory is a step, any thread may take the next one, and any may die there.
 * `test/support/interleavings.ts` says how, and what this covers of the memory model;
 * `test/support/ready-queue-judge.ts` says what is checked, after each operation and at each step.
 *
 * Then the source is broken in memory, one fault at a time (`test/support/ready-queue-faults.ts`):
 * the same search must find each. `TORTURE_INTERLEAVINGS=long` adds cases with three consumers and
 * more operations: a minute of CPU time, and 600 MB of memory.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Explored, explore } from '../support/interleavings.ts';
import { FAULTS, type Fault } from '../support/ready-queue-faults.ts';
import {
  memoryAt,
  type Operation,
  ReadyQueueJudge,
  type ReadyQueueSource,
  type Start,
  threadOf,
} from '../support/ready-queue-judge.ts';
import { Violation, WatchedSource } from '../support/shared-memory.ts';

const TEXT = readFileSync(new URL('../../src/pool/ready-queue.ts', import.meta.url), 'utf8');
const IS_LONG = process.env.TORTURE_INTERLEAVINGS === 'long';
/** Layout and capacity lie before this byte: nobody writes them after the start. */
const CONSTANT = 128;
/** The cells begin here: who reads them may do nothing else for what it finds. */
const STEERLESS = 384;

interface Case extends Start {
  readonly producer: readonly Operation[];
  /** Takes over when the producer has ended or died at any step, while the others go on. */
  readonly successor?: readonly Operation[];
  readonly consumers: readonly (readonly Operation[])[];
  /** Fewer would mean that the search passes something by. */
  readonly statesMin: number;
}

const push = (count: number) => ['push', count] as const;
const pop = (count: number) => ['pop', count] as const;
const wipe = ['wipe'] as const;
const size = ['size'] as const;
const WRAP = 2 ** 32;

const CASES: Readonly<Record<Fault['shows'], Case>> = {
  'one cell': {
    ...{ capacity: 1, position: WRAP - 1, pushed: 0, popped: 0 },
    producer: [push(1), push(1)],
    consumers: [[pop(1)], [pop(1)]],
    statesMin: 3000,
  },
  reuse: {
    ...{ capacity: 2, position: WRAP - 2, pushed: 2, popped: 0 },
    producer: [push(1), wipe, push(1)],
    consumers: [[pop(1)], [pop(1)]],
    statesMin: 10_000,
  },
  twos: {
    ...{ capacity: 2, position: WRAP - 1, pushed: 0, popped: 0 },
    producer: [push(2), wipe, push(2)],
    consumers: [[pop(2)], [pop(1), pop(1)]],
    statesMin: 30_000,
  },
  'four cells': {
    ...{ capacity: 4, position: WRAP - 3, pushed: 3, popped: 1 },
    producer: [push(2), push(1)],
    consumers: [[pop(2)], [pop(1)]],
    statesMin: 20_000,
  },
  sizes: {
    ...{ capacity: 4, position: WRAP - 5, pushed: 4, popped: 2 },
    producer: [push(3), wipe],
    consumers: [
      [pop(2), size],
      [size, pop(1)],
    ],
    statesMin: 25_000,
  },
  takeover: {
    ...{ capacity: 2, position: WRAP - 2, pushed: 2, popped: 1 },
    producer: [push(2)],
    successor: [push(1)],
    consumers: [[pop(1)], [pop(1)]],
    statesMin: 75_000,
  },
};

const LONG_CASES: Readonly<Record<string, Case>> = {
  'one cell, three consumers': {
    ...{ capacity: 1, position: WRAP - 1, pushed: 1, popped: 0 },
    producer: [push(1), push(1)],
    consumers: [[pop(1)], [pop(1)], [pop(1)]],
    statesMin: 180_000,
  },
  'two cells, three consumers': {
    ...{ capacity: 2, position: WRAP - 2, pushed: 2, popped: 0 },
    producer: [push(1), push(1)],
    consumers: [[pop(1)], [pop(2)], [pop(1)]],
    statesMin: 360_000,
  },
  'a pop of both cells and pops of one': {
    ...{ capacity: 2, position: WRAP - 2, pushed: 2, popped: 0 },
    producer: [push(1), wipe, push(2), push(1)],
    consumers: [
      [pop(1), pop(1)],
      [pop(2), pop(1)],
    ],
    statesMin: 500_000,
  },
  'four cells, twice round': {
    ...{ capacity: 4, position: WRAP - 3, pushed: 3, popped: 1 },
    producer: [push(2), push(2)],
    consumers: [[pop(2)], [pop(1), pop(2)]],
    statesMin: 180_000,
  },
  'takeover by one who pushes two': {
    ...{ capacity: 2, position: WRAP - 2, pushed: 2, popped: 1 },
    producer: [push(2), wipe],
    successor: [push(2)],
    consumers: [[pop(1), pop(1)], [pop(2)]],
    statesMin: 380_000,
  },
};

for (const [name, start] of Object.entries({ ...CASES, ...(IS_LONG && LONG_CASES) })) {
  test(`no interleaving breaks a promise: ${name}`, (t) => {
    const { states, schedules, histories } = exploreCase(sourceOf(TEXT), start);
    t.diagnostic(
      `${states} states, ${schedules.toExponential(1)} schedules, ${histories} histories`,
    );
    assert.ok(states >= start.statesMin, `${states} states; at least ${start.statesMin}`);
    assert.ok(schedules > states);
  });
}

for (const [name, { is, becomes, shows, found }] of Object.entries(FAULTS)) {
  test(`found if ${name}`, (t) => {
    assert.equal(TEXT.split(is).length, 2, 'the source has that text once');
    const faulty = sourceOf(TEXT.replace(is, () => becomes));
    assert.throws(
      () => exploreCase(faulty, CASES[shows]),
      (error) => {
        assert.ok(error instanceof Violation, String(error));
        t.diagnostic(error.message.slice(0, 120).split('\n', 1)[0]!);
        assert.match(error.message, found);
        return true;
      },
    );
  });
}

function sourceOf(text: string): ReadyQueueSource {
  return new WatchedSource(text, 'ReadyQueue');
}

function exploreCase(source: ReadyQueueSource, start: Case): Explored {
  const { producer, successor, consumers } = start;
  const operations = [producer, ...consumers, ...(successor ? [successor] : [])];
  return explore({
    source,
    memory: memoryAt(source, start),
    threads: operations.map((each, thread) => {
      if (thread === 0) return threadOf('producer', each, start);
      if (thread <= consumers.length) return threadOf(`consumer ${thread}`, each, start);
      return threadOf('successor', each, start, 0);
    }),
    judge: new ReadyQueueJudge(source, start, operations),
    constant: CONSTANT,
    steerless: STEERLESS,
  });
}
