/**
 * What does a server cost that nobody asks for anything? Processor time of its threads, by their own
 * clocks, in a minute in which nothing happens: 256 full pools for 8 HTTP threads, and one pool for one.
 *
 *     node bench/idle.ts [--json] [--rounds N] [--seconds N]
 *
 * N rounds (3) of N seconds (20), in which both servers are measured one after the other; the one that
 * waits is stopped by signal. A server is left alone for ten seconds first: its start is no part of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { atMost, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const SETTLE_MS = 10_000;
const STORED = 300;
const KINDS = [
  { what: '256 pools, 8 threads', pools: 256, threads: 8, mark: atMost(0.6) },
  { what: '1 pool, 1 thread', pools: 1, threads: 1, mark: undefined },
] as const;
const THREADS = ['main', 'store', 'http', 'grinder'] as const;

async function started(pools: number, threads: number) {
  const store = new BenchStore();
  const all = Array.from({ length: pools }, (_, index) => ({
    name: `pool-${index}`,
    suffix: 't',
    stored: STORED,
    target: STORED,
  }));
  await store.fill(all);
  store.configure(all, `[http]\nthreads = ${threads}\n`);
  const server = await BenchServer.start(store);
  return { store, server };
}

async function main(): Promise<void> {
  const { json, rounds, seconds } = readOptions({ rounds: 3, seconds: 20 });
  const loadBefore = currentLoad();
  await using resources = new AsyncDisposableStack();
  const servers: BenchServer[] = [];
  for (const { pools, threads } of KINDS) {
    const { store, server } = await started(pools, threads);
    resources.use(store);
    servers.push(resources.use(server));
  }
  await sleep(SETTLE_MS);
  for (const server of servers) server.pause();
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    for (const [index, { what, mark }] of KINDS.entries()) {
      const server = servers[index]!;
      server.resume();
      const before = THREADS.map((name) => server.cpuMsOf(name));
      const begun = performance.now();
      await sleep(seconds * 1000);
      const minutes = (performance.now() - begun) / 60_000;
      const spent = THREADS.map(
        (name, at) => (server.cpuMsOf(name) - before[at]!) / 1000 / minutes,
      );
      server.pause();
      figures.add(
        `${what}: all`,
        's a minute',
        spent.reduce((sum, one) => sum + one),
        mark,
      );
      for (const [at, name] of THREADS.entries()) {
        figures.add(`${what}: ${name}`, 's a minute', spent[at]!);
      }
    }
  }
  report(figures, { json, rounds, loadBefore });
}

await main();
