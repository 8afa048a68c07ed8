/** The clock of these tests is a number. What goes to whom is counted, not timed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GrindJob } from '../../src/grinder/job.ts';
import { PATTERNS_MAX } from '../../src/grinder/kernel.ts';
import { type PoolFigures, Steering } from '../../src/grinder/steering.ts';
import { Grinding, job, until } from '../support/grinding.ts';

const TURN_MS = 1000;
const TICK_MS = 200;

interface TestPool {
  readonly job: GrindJob;
  readonly target: number;
  held: number;
  dispensed: number;
}

function pool(name: string, suffix: string, held = 0, target = 1000): TestPool {
  return { job: job(name, suffix), target, held, dispensed: 0 };
}

/** Pools under a steering, with a clock that moves by hand. */
class Trial {
  readonly pools: readonly TestPool[];
  readonly #steering: Steering;
  #nowMs = 5000;

  constructor(...pools: TestPool[]) {
    this.pools = pools;
    this.#steering = new Steering(pools);
  }

  next(): GrindJob[] {
    return this.#steering.next(
      this.pools.map((one, index): PoolFigures => ({ ...one, index })),
      this.#nowMs,
    );
  }

  names(): string {
    return this.next()
      .map((one) => one.pool)
      .join(' ');
  }

  pass(ms: number): void {
    this.#nowMs += ms;
  }

  /** The names of one turn after the other. */
  turns(count: number): string[] {
    return Array.from({ length: count }, () => {
      this.pass(TURN_MS);
      return this.names();
    });
  }

  /** Lets addresses leave at these rates, without a change of stock, until the rates are known. */
  consume(...perSecond: number[]): void {
    for (let tick = 0; tick < 600; tick++) {
      for (const [index, rate] of perSecond.entries()) {
        this.pools[index]!.dispensed += (rate * TICK_MS) / 1000;
      }
      this.pass(TICK_MS);
      this.next();
    }
  }
}

test('pools that are short are ground for, and no others', () => {
  const trial = new Trial(pool('pump', 'pump', 999), pool('pet', 'xPet', 1000));
  assert.equal(trial.names(), 'pump');
  trial.pools[1]!.held = 999;
  assert.equal(trial.names(), 'pump pet', 'without waiting for a turn');
  trial.pools[0]!.held = 1200;
  assert.equal(trial.names(), 'pet');
  trial.pools[1]!.held = 1200;
  assert.equal(trial.names(), '');
});

test('rare pools that share no address keep one order, however they are consumed', () => {
  const trial = new Trial(pool('pet', '[a-z]Pet', 5), pool('pump', 'pump', 5));
  const seen = new Set(trial.turns(4));
  trial.consume(50, 1);
  for (const names of trial.turns(4)) seen.add(names);
  assert.deepEqual([...seen], ['pump pet']);
});

test('what fits two pools goes to the one that runs out, and in turn to the harder one', () => {
  const trial = new Trial(pool('easy', '[a-z]Pet', 100), pool('hard', 'xPet', 100));
  trial.consume(10, 1);
  assert.deepEqual(trial.turns(2).toSorted(), ['easy hard', 'hard easy']);
  trial.consume(0, 10);
  assert.deepEqual(new Set(trial.turns(4)), new Set(['hard easy']));
});

test('a turn lasts, whatever happens to stocks meanwhile', () => {
  const trial = new Trial(pool('a', 'xPet', 100), pool('b', 'xPet', 200));
  trial.consume(1, 1);
  assert.equal(trial.turns(1)[0], 'a b');
  trial.pools[0]!.held = 300;
  trial.pass(TURN_MS - 1);
  assert.equal(trial.names(), 'a b');
  trial.pass(1);
  assert.equal(trial.names(), 'b a');
});

test('of pools with one pattern the one that will run out first comes first, in every turn', () => {
  const trial = new Trial(pool('slow', 'xPet', 100), pool('fast', 'xPet', 900));
  trial.consume(1, 100);
  assert.deepEqual(new Set(trial.turns(4)), new Set(['fast slow']));
  trial.consume(100, 1);
  assert.deepEqual(new Set(trial.turns(4)), new Set(['slow fast']));
  trial.pools[1]!.held = 0;
  assert.deepEqual(new Set(trial.turns(4)), new Set(['fast slow']), 'an empty one cannot wait');
});

test('of pools that last as long, empty or untouched, the hardest comes first', () => {
  const trial = new Trial(pool('easy', '[a-z]Pet'), pool('hard', 'xPet'));
  assert.deepEqual(new Set(trial.turns(4)), new Set(['hard easy']));
  trial.pools[0]!.held = trial.pools[1]!.held = 7;
  assert.deepEqual(new Set(trial.turns(4)), new Set(['hard easy']));
  trial.consume(1, 0.1);
  assert.deepEqual(trial.turns(2).toSorted(), ['easy hard', 'hard easy']);
  trial.pools[0]!.held = trial.pools[1]!.held = 0;
  assert.deepEqual(new Set(trial.turns(4)), new Set(['hard easy']));
});

test('a pool whose hits would take the time of a harder one sits out every second turn', () => {
  const trial = new Trial(pool('easy', 'a'), pool('middle', 'xyz'), pool('hard', 'pump'));
  assert.deepEqual(trial.turns(4).toSorted(), [
    'hard middle',
    'hard middle',
    'hard middle easy',
    'hard middle easy',
  ]);
  trial.pools[1]!.held = trial.pools[2]!.held = 1000;
  assert.deepEqual(new Set(trial.turns(4)), new Set(['easy']));
});

test('equally easy pools sit out by turns: the one that runs out does not', () => {
  const trial = new Trial(pool('a', 'a', 100), pool('b', 'b', 100));
  trial.consume(1, 2);
  assert.deepEqual(trial.turns(2).toSorted(), ['b', 'b a']);
  trial.consume(4, 2);
  assert.deepEqual(trial.turns(2).toSorted(), ['a', 'a b']);
});

test('expanded keys sit out by a measure of their own, and never for pools of seeds', () => {
  const expanded = (name: string, suffix: string) => {
    return { ...pool(name, suffix), job: job(name, suffix, '', 'expanded') };
  };
  const trial = new Trial(expanded('easy', 'xy'), expanded('hard', 'pump'), pool('seeds', 'xyz'));
  assert.deepEqual(trial.turns(4).toSorted(), [
    'hard seeds',
    'hard seeds',
    'hard seeds easy',
    'hard seeds easy',
  ]);
  const rare = new Trial(expanded('pet', '[a-z]Pet'), expanded('pump', 'pump'));
  assert.deepEqual(new Set(rare.turns(4)), new Set(['pump pet']));
});

test('a job says what its pool lacks', () => {
  const trial = new Trial(pool('one', 'pump', 990), pool('other', 'xPet', 3));
  const lacks = () => Object.fromEntries(trial.next().map(({ pool, missing }) => [pool, missing]));
  assert.deepEqual(lacks(), { one: 10, other: 997 });
  trial.pools[0]!.held = 995;
  assert.deepEqual(lacks(), { one: 5, other: 997 });
});

test('of more pools than a search takes the ones that run out come in', () => {
  const one = pool('one', 'pumpX', 500);
  const pools = Array.from({ length: PATTERNS_MAX + 2 }, (_, index) => {
    // No two share an address: their last two characters differ.
    const suffixSets = [1n, 1n, 1n, 1n << BigInt(index % 58), 1n << BigInt(Math.floor(index / 58))];
    const pattern = { ...one.job.pattern, suffixSets };
    return { ...one, job: { ...one.job, pool: `p${index}`, pattern } };
  });
  const trial = new Trial(...pools);
  pools.at(-1)!.held = pools.at(-2)!.held = 0;
  assert.match(trial.turns(1)[0]!, new RegExp(`^p${PATTERNS_MAX} p${PATTERNS_MAX + 1} p0 `));
});

test('each of their characters decides whether two patterns share an address', () => {
  const cases: [string, string, string, string, boolean][] = [
    ['', 'pump', '', 'pump', true],
    ['', 'pump', '', 'xpump', true],
    ['', 'pump', '', 'pumq', false],
    ['', 'Pump', '', 'pump', false],
    ['', '[a-f]ump', '', '[f-z]ump', true],
    ['', '[a-f]ump', '', '[g-z]ump', false],
    ['abcd', '', '', 'pump', true],
    ['abcd', '', 'abc', 'pump', true],
    ['abcd', 'pump', 'abx', 'pump', false],
  ];
  for (const [prefix, suffix, otherPrefix, otherSuffix, isShared] of cases) {
    const trial = new Trial(
      { job: job('one', suffix, prefix), target: 1000, held: 10, dispensed: 0 },
      { job: job('other', otherSuffix, otherPrefix), target: 1000, held: 10, dispensed: 0 },
    );
    // The easier one runs out: its turn to be first comes if there is something to share.
    const [hard, easy] = trial.next().map((found) => found.pool);
    for (const each of trial.pools) each.held = each.job.pool === easy ? 1 : 900;
    trial.consume(1, 1);
    const turns = new Set(trial.turns(2));
    assert.equal(turns.has(`${easy} ${hard}`), isShared, `${prefix}...${suffix}`);
  }
  const seeds = pool('seeds', 'xPet', 1);
  const expanded = pool('expanded', 'xPet', 900);
  const other = { ...expanded.job, keyType: 'expanded' as const };
  const trial = new Trial({ ...expanded, job: other }, seeds);
  trial.consume(1, 1);
  assert.deepEqual(new Set(trial.turns(2)), new Set(['expanded seeds']), 'streams of their own');
});

/** As measured: a hit takes the time of so many candidates. */
const HIT_COST = 1000;

/**
 * One stream of candidates for as many ticks, each worth `effort` candidates without a hit: what
 * fits the first job is its, what is left the next one's. `fits` are the pools whose patterns are
 * a part of another's, with that one. Clients take `demand` a second of each pool, if there is so much.
 */
function flow(
  trial: Trial,
  ticks: number,
  effort: number,
  demand: readonly number[],
  within: Readonly<Record<string, string>> = {},
): number[] {
  const ground = trial.pools.map(() => 0);
  for (let tick = 0; tick < ticks; tick++) {
    const jobs = trial.next();
    const shares = jobs.map(({ pool: name, pattern }, rank) => {
      const part = jobs.findIndex((later) => within[later.pool] === name);
      const isAhead = jobs.findIndex((ahead) => ahead.pool === within[name]);
      if (isAhead !== -1 && isAhead < rank) return 0;
      const taken = part !== -1 && part < rank ? 1 / jobs[part]!.pattern.difficulty : 0;
      return 1 / pattern.difficulty - taken;
    });
    const density = shares.reduce((sum, share) => sum + share, 0);
    const candidates = effort / (1 + HIT_COST * density);
    for (const [rank, { pool: name }] of jobs.entries()) {
      const index = trial.pools.findIndex((one) => one.job.pool === name);
      ground[index]! += candidates * shares[rank]!;
      trial.pools[index]!.held += candidates * shares[rank]!;
    }
    for (const [index, one] of trial.pools.entries()) {
      const left = Math.min(one.held, (demand[index]! * TICK_MS) / 1000);
      one.held -= left;
      one.dispensed += left;
    }
    trial.pass(TICK_MS);
  }
  return ground;
}

test('one stream serves rare pools by their patterns alone: none waits for another', () => {
  const pools = () => [
    pool('pet', '[a-z]Pet', 0, 1e9),
    pool('pump', 'pump', 0, 1e9),
    pool('rare', 'wxyzPet', 0, 1e9),
  ];
  const effort = 1e6;
  const together = flow(new Trial(...pools()), 1000, effort, [9, 0.1, 0]);
  for (const [index, one] of pools().entries()) {
    const [alone] = flow(new Trial(one), 1000, effort, [0]);
    assert.ok(together[index]! > 0.99 * alone!, `${one.job.pool}: ${together[index]} of ${alone}`);
  }
});

test('an easy pool that clients never let fill starves neither a hard one nor its own part', () => {
  const effort = 1e6;
  const trial = new Trial(
    pool('easy', 't', 0, 1e6),
    pool('part', 'Pet', 0, 1000),
    pool('hard', 'pump', 0, 1000),
  );
  const [easy, part, hard] = flow(trial, 500, effort, [1e9, 0, 0], { part: 'easy' });
  const [hardAlone] = flow(new Trial(pool('hard', 'pump', 0, 1000)), 500, effort, [0]);
  const [partAlone] = flow(new Trial(pool('part', 'Pet', 0, 1000)), 500, effort, [0]);
  assert.ok(hard! > hardAlone! / 3, `${hard} of ${hardAlone}`);
  assert.ok(part! > Math.min(1000, partAlone! / 3), `${part} of ${partAlone}`);
  assert.ok(easy! > 1e5, `${easy}`);
});

test('a real grinder fills a pool whose every hit fits another that is always empty', async () => {
  const trial = new Trial(pool('all', '[a-z]', 0, 1e6), pool('part', 'ta', 0, 20));
  const [all, part] = trial.pools as [TestPool, TestPool];
  await using grinding = new Grinding({
    onHits: async (hits) => {
      for (const hit of hits) (hit.pool === 'all' ? all : part).held++;
      all.dispensed += all.held;
      all.held = 0;
    },
  });
  await until(() => {
    trial.pass(TICK_MS);
    grinding.grinder.steer(trial.next());
    return part.held >= 20 && all.dispensed >= 100;
  });
});
