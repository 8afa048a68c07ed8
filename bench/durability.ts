/**
 * What does it cost to wait for the disk, or for the store thread? A dispense in "leased" mode, the
 * same with an idempotency key, and one in "committed" mode, side by side: latency at steady rates,
 * and throughput.
 *
 *     node bench/durability.ts [--json] [--rounds N] [--seconds N] [--requests N]
 *
 * N rounds (5) whose steady loads last N seconds (2) each, and whose throughputs are those of N requests
 * (10,000). Two real servers without grinders, each with a store of its own, filled in advance. The three
 * ways take turns, each time at one rate, so that a noisy minute hits all alike; a server that waits is
 * stopped by signal. 50 connections; bench/load.c makes the load and shares the cores with the server.
 */
import { buildLoad, rateOf, run } from './load.ts';
import { atLeast, below, currentLoad, Figures, type Mark, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const RATES = [500, 2000];
/** Of those that measure throughput: a disk that waits long for each sync would take minutes of more. */
const COMMITTED_SHARE = 0.2;

interface Way {
  readonly what: string;
  readonly server: BenchServer;
  readonly isKeyed?: boolean;
  /** For its throughput. */
  readonly requests: number;
  readonly p50?: Mark;
  readonly throughput?: Mark;
}

interface Rate {
  readonly requests: number;
  readonly perSecond?: number;
}

/** Of one way, whose server is stopped again. */
async function measure(way: Way, rate: Rate) {
  way.server.resume();
  const load = { port: way.server.port, isKeyed: way.isKeyed ?? false, ...rate };
  const loaded = await run(load);
  way.server.pause();
  return loaded;
}

async function round(ways: readonly Way[], seconds: number, figures: Figures): Promise<void> {
  for (const perSecond of RATES) {
    for (const way of ways) {
      const { p50Ms, p99Ms } = await measure(way, { requests: perSecond * seconds, perSecond });
      figures.add(`${way.what}, ${perSecond}/s: p50`, 'ms', p50Ms, way.p50);
      figures.add(`${way.what}, ${perSecond}/s: p99`, 'ms', p99Ms);
    }
  }
  const rates: number[] = [];
  for (const way of ways) {
    const rate = rateOf(await measure(way, { requests: way.requests }));
    figures.add(`${way.what}: throughput`, 'requests/s', rate, way.throughput);
    rates.push(rate);
  }
  for (const [index, { what }] of ways.entries()) {
    if (index === 0) continue;
    figures.add(`throughput, ${what} : ${ways[0]!.what}`, 'times', rates[index]! / rates[0]!);
  }
}

async function main(): Promise<void> {
  const options = readOptions({ rounds: 5, seconds: 2, requests: 10_000 });
  const { json, rounds, seconds, requests } = options;
  const few = Math.ceil(COMMITTED_SHARE * requests);
  const loadBefore = currentLoad();
  buildLoad();
  const each = requests + seconds * RATES.reduce((sum, rate) => sum + rate, 0);
  const stored = few + rounds * each;
  using leasedStore = new BenchStore();
  using committedStore = new BenchStore('committed');
  await leasedStore.fill([{ name: 'pet', suffix: 't', stored: 2 * stored }]);
  await committedStore.fill([{ name: 'pet', suffix: 't', stored }]);
  await using leased = await BenchServer.start(leasedStore, '--threads', '0');
  await using committed = await BenchServer.start(committedStore, '--threads', '0');
  const ways: Way[] = [
    { what: 'leased', server: leased, requests, throughput: atLeast(10_000) },
    {
      what: 'leased, with a key',
      server: leased,
      isKeyed: true,
      requests,
      p50: below(1),
      throughput: atLeast(5000),
    },
    { what: 'committed', server: committed, requests: few },
  ];
  for (const way of ways) await measure(way, { requests: few });
  const figures = new Figures();
  for (let index = 0; index < rounds; index++) await round(ways, seconds, figures);
  report(figures, { json, rounds, loadBefore });
}

await main();
