/**
 * How fast does the server hand addresses out? Latency one after the other, at steady rates with
 * all cores grinding and without, and of crowds; throughput beside that of the same Fastify with a
 * constant body; addresses a second in hundreds.
 *
 *     node bench/serve.ts [--json] [--rounds N] [--seconds N]
 *
 * N rounds (3) whose steady loads last N seconds (2) each. Four real processes with stores filled
 * in advance: a server with a grinder that never ends (a second pool, of a suffix that nobody
 * finds), one whose second pool is empty, so that it grinds at a higher priority, one that does not
 * grind, and the constant one (bench/constant.ts). They take turns, and those that
 * wait are stopped by signal, so that a noisy minute hits all alike; ratios are those of a round,
 * of which the median counts. The load is bench/load.c, which needs a C compiler and Linux; it
 * shares the cores with the server. 50 connections, unless a row says otherwise.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CONSTANT_PATH } from './constant.ts';
import { buildLoad, CONNECTIONS, type Loaded, rateOf, run } from './load.ts';
import { atLeast, atMost, below, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const BULK = '/v1/pools/bulk/dispense';
const RATES = [2000, 5000];
const SEQUENTIAL = 500;
const THROUGHPUT = 10_000;
const WARM = 5000;
const HUNDRED = 100;
/** In hundreds of addresses: the filled ring, and what is taken right after. */
const RING = 600;
const SUSTAINED = 600;
const RING_ADDRESSES = 65_536;
/** The smallest tables take a second. */
const POLL_MS = 100;

interface Bench {
  readonly grinding: BenchServer;
  readonly dry: BenchServer;
  readonly quiet: BenchServer;
  readonly constantPort: number;
  readonly seconds: number;
  readonly figures: Figures;
}

async function measureSteady({ grinding, dry, quiet, seconds, figures }: Bench): Promise<void> {
  for (const perSecond of RATES) {
    const load = { requests: perSecond * seconds, perSecond };
    const beside = async (server: BenchServer): Promise<Loaded> => {
      server.resume();
      const loaded = await run({ port: server.port, ...load });
      const { attemptsPerSecond } = (await server.pool('never')).grinding;
      server.pause();
      if (attemptsPerSecond === 0) throw new Error('the grinder did not grind');
      return loaded;
    };
    const off = await run({ port: quiet.port, ...load });
    const on = await beside(grinding);
    const urgent = await beside(dry);
    const what = `${perSecond}/s`;
    figures.add(`${what}, all cores grinding: p50`, 'ms', on.p50Ms, below(0.3));
    figures.add(`${what}, all cores grinding: p99`, 'ms', on.p99Ms, below(5));
    figures.add(`${what}, grinding off: p50`, 'ms', off.p50Ms);
    figures.add(`${what}, grinding off: p99`, 'ms', off.p99Ms);
    figures.add(`${what}, on : off: p50`, 'times', on.p50Ms / off.p50Ms, atMost(1.3));
    figures.add(`${what}, on : off: p99`, 'times', on.p99Ms / off.p99Ms, atMost(1.5));
    figures.add(`${what}, a pool is dry: p50`, 'ms', urgent.p50Ms);
    figures.add(`${what}, a pool is dry: p99`, 'ms', urgent.p99Ms);
  }
}

async function measureOneByOne({ quiet, figures }: Bench): Promise<void> {
  const before = quiet.cpuMsOf('http');
  const one = await run({ port: quiet.port, requests: SEQUENTIAL, connections: 1 });
  const insideMs = (quiet.cpuMsOf('http') - before) / SEQUENTIAL;
  figures.add('sequential: average', 'ms', one.averageMs, below(1));
  figures.add('sequential: processor time of the HTTP thread', 'ms', insideMs, below(0.1));
}

async function measureCrowds({ quiet, figures }: Bench): Promise<void> {
  for (const crowd of [50, 100]) {
    const { seconds } = await run({ port: quiet.port, requests: crowd, connections: crowd });
    figures.add(`${crowd} at once: all answered`, 'ms', 1000 * seconds, below(2 * crowd));
  }
}

async function measureThroughput({ quiet, constantPort, figures }: Bench): Promise<void> {
  const load = { requests: THROUGHPUT };
  const constant = await run({ port: constantPort, path: CONSTANT_PATH, ...load });
  const dispense = await run({ port: quiet.port, ...load });
  figures.add('throughput', 'requests/s', rateOf(dispense), atLeast(10_000));
  figures.add('throughput, constant body', 'requests/s', rateOf(constant));
  const ratio = rateOf(dispense) / rateOf(constant);
  figures.add('throughput, dispense : constant', 'times', ratio, atLeast(0.9));
}

async function measureHundreds({ quiet, figures }: Bench): Promise<void> {
  while ((await quiet.pool('bulk')).ready < RING * HUNDRED) await sleep(POLL_MS);
  const load = { port: quiet.port, path: BULK, count: HUNDRED };
  const filled = await run({ ...load, requests: RING });
  const sustained = await run({ ...load, requests: SUSTAINED });
  const rate = (loaded: Loaded) => rateOf(loaded) * HUNDRED;
  figures.add('count 100, filled ring', 'addresses/s', rate(filled), atLeast(300_000));
  figures.add('count 100, from the store', 'addresses/s', rate(sustained), atLeast(50_000));
}

async function main(): Promise<void> {
  const { json, rounds, seconds } = readOptions({ rounds: 3, seconds: 2 });
  const loadBefore = currentLoad();
  buildLoad();
  const steady = seconds * RATES.reduce((sum, rate) => sum + rate, 0);
  const each = steady + SEQUENTIAL + THROUGHPUT + 3 * CONNECTIONS;
  const pet = { name: 'pet', suffix: 't', stored: 2 * WARM + rounds * each };
  const bulk = {
    name: 'bulk',
    suffix: 'b',
    stored: RING_ADDRESSES + rounds * HUNDRED * (RING + SUSTAINED),
    ready: RING_ADDRESSES,
  };
  using grindingStore = new BenchStore();
  using dryStore = new BenchStore();
  using quietStore = new BenchStore();
  const grindingPet = { ...pet, stored: 2 * WARM + rounds * steady };
  const never = { name: 'never', suffix: 'z'.repeat(10) };
  await grindingStore.fill([grindingPet, { ...never, stored: 1, target: 2 }]);
  await dryStore.fill([grindingPet, { ...never, stored: 0 }]);
  await quietStore.fill([pet, bulk]);
  const constant = fork(fileURLToPath(new URL('./constant.ts', import.meta.url)));
  try {
    const [constantPort] = (await once(constant, 'message')) as [number];
    await using quiet = await BenchServer.start(quietStore, '--threads', '0');
    await using grinding = await BenchServer.start(grindingStore);
    await using dry = await BenchServer.start(dryStore);
    const figures = new Figures();
    const bench = { grinding, dry, quiet, constantPort, seconds, figures };
    for (const server of [grinding, dry]) {
      // Its tables are made at normal priority.
      while ((await server.pool('never')).grinding.attemptsPerSecond === 0) await sleep(POLL_MS);
      await run({ port: server.port, requests: WARM, perSecond: WARM });
      server.pause();
    }
    await run({ port: quiet.port, requests: WARM, perSecond: WARM });
    await run({ port: constantPort, path: CONSTANT_PATH, requests: WARM, perSecond: WARM });
    for (let round = 0; round < rounds; round++) {
      await measureOneByOne(bench);
      await measureCrowds(bench);
      await measureSteady(bench);
      await measureThroughput(bench);
      await measureHundreds(bench);
    }
    report(figures, { json, rounds, loadBefore });
  } finally {
    constant.disconnect();
  }
}

await main();
