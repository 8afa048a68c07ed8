/**
 * Four servers on one PostgreSQL database, one of them `committed`, each behind a proxy of its own, under clients that ask all
 * of them at once: nodes are killed, stand still and are cut off, for less than the time to live and for longer,
 * answers to commits are lost, and the database crashes. Over all of that nothing comes twice, whatever came is
 * recorded, nothing is missing, and nothing is burned but of runs that were given up. A run that did not see what
 * it is about fails, too.
 *
 * The seed draws which node meets what, and in which order, though not how processes take turns.
 * `CLUSTER_SECONDS` goes on for so long, each time with the next seed, in turn with PostgreSQL 18, with 15, and
 * through PgBouncer, where they are installed; `CLUSTER_SEED` is the first seed.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Cluster, type ClusterOptions } from '../support/cluster.ts';
import { ClusterClients, POOLS } from '../support/cluster-clients.ts';
import { ClusterFaults, FAULTS } from '../support/cluster-faults.ts';
import { judged } from '../support/cluster-judge.ts';
import { withoutPgBouncer, withoutPostgres } from '../support/postgres-program.ts';
import { randomOf } from '../support/sequence.ts';

const SECONDS = Number(process.env.CLUSTER_SECONDS ?? 0);
const SEED = Number(process.env.CLUSTER_SEED ?? Date.now() % 2 ** 31);
const IS_LONG = SECONDS > 0;
/** Alone it takes 35 s. */
const ROUND_MAX_SECONDS = 580;
const QUOTA = 100;
const SUFFIXES = ['t', 'x'];
/** Small queues are refilled all the time. */
const QUEUE = { target: 1000, ready: 24, ready_max: 96 };
/** In the long form past the time to live. */
const OUTAGE_MS = IS_LONG ? 15_000 : 2000;
/** On a slow machine one may miss what it is about. */
const ROUNDS_MAX = 3;
/** Of `wrong` in a failure. */
const SHOWN = 20;

const skip = await withoutPostgres(18);

async function rounds(t: TestContext): Promise<void> {
  const until = performance.now() + SECONDS * 1000;
  const setups = IS_LONG ? await allSetups() : [{}];
  const seen: Record<string, number> = {};
  let missed: string[] = [];
  for (
    let round = 0;
    round === 0 || performance.now() < until || (missed.length > 0 && round < ROUNDS_MAX);
    round++
  ) {
    const setup = setups[round % setups.length]!;
    const seed = SEED + round;
    const name = `CLUSTER_SEED=${seed} ${JSON.stringify(setup)}`;
    try {
      const figures = await oneRound(seed, setup);
      t.diagnostic(`${name} ${JSON.stringify(figures)}`);
      for (const [what, times] of Object.entries(figures.seen)) {
        seen[what] = (seen[what] ?? 0) + times;
      }
      missed = Object.keys(seen).filter((what) => seen[what] === 0);
    } catch (error) {
      throw new Error(name, { cause: error });
    }
  }
  assert.deepEqual(missed, [], `never seen from CLUSTER_SEED=${SEED} on`);
}

type Setup = Pick<ClusterOptions, 'version' | 'isPooled'>;

async function allSetups(): Promise<Setup[]> {
  const setups: Setup[] = [{ version: 18 }];
  if ((await withoutPostgres(15)) === false) setups.push({ version: 15 });
  if (withoutPgBouncer() === false) setups.push({ version: 18, isPooled: true });
  return setups;
}

async function oneRound(seed: number, setup: Setup) {
  const random = randomOf(seed);
  const pools = POOLS.map((name, index) => ({ name, suffix: SUFFIXES[index], ...QUEUE }));
  const nodes = [{}, {}, {}, { durability: 'committed' }] as const;
  await using cluster = await Cluster.start({ ...setup, pools, nodes });
  using clients = new ClusterClients(cluster.nodes, random, await cluster.token(QUOTA));
  const faults = new ClusterFaults(cluster, clients, random, OUTAGE_MS);
  clients.start();
  for (const fault of faults.shuffled(FAULTS)) await faults.happen(fault);
  await clients.stop();
  await clients.askAgain();
  await Promise.all(cluster.nodes.map((node) => node.stop()));

  const { wrong, counts } = await judged(cluster, clients, QUOTA);
  assert.deepEqual(wrong.slice(0, SHOWN), [], `${wrong.length} faults`);
  const { requests, cut, refused, ...ofClients } = clients.seen;
  const seen: Readonly<Record<string, number>> = { ...(await faults.seen()), ...ofClients };
  return { received: clients.received.size, ...counts, seen, requests, cut, refused };
}

test(
  'nodes that are killed, stand still and are cut off',
  { timeout: (SECONDS + ROUNDS_MAX * ROUND_MAX_SECONDS) * 1000, skip },
  rounds,
);
