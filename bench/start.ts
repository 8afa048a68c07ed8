/**
 * How long from typing `bin/vanitypool serve` to the first address, and does it matter how much is
 * stored? With 1,000 addresses stored and with a million.
 *
 *     node bench/start.ts [--json] [--rounds N] [--stored N]
 *
 * N rounds (5), in which both take turns; the first start of each is warm-up. Measured from the
 * spawn of the program to the last byte of the first dispense. The server stops cleanly between.
 */
import { below, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const SMALL = 1000;
const MARK_MS = 1000;

/** From the spawn to the log line that it listens, and to the first address, in milliseconds. */
async function startIn(store: BenchStore): Promise<{ listeningMs: number; dispensedMs: number }> {
  const spawnedAt = performance.now();
  await using server = await BenchServer.start(store);
  const listeningMs = performance.now() - spawnedAt;
  await server.dispense('pet', 1);
  return { listeningMs, dispensedMs: performance.now() - spawnedAt };
}

async function main(): Promise<void> {
  const { json, rounds, stored } = readOptions({ rounds: 5, stored: 1_000_000 });
  const loadBefore = currentLoad();
  using small = new BenchStore();
  using large = new BenchStore();
  const stores = [
    { store: small, stored: SMALL },
    { store: large, stored },
  ];
  for (const { store, stored } of stores) {
    await store.fill([{ name: 'pet', suffix: 't', stored }]);
    await startIn(store);
  }
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    for (const { store, stored } of stores) {
      const { listeningMs, dispensedMs } = await startIn(store);
      figures.add(`${stored} stored: listening`, 'ms', listeningMs);
      figures.add(`${stored} stored: first address`, 'ms', dispensedMs, below(MARK_MS));
    }
  }
  report(figures, { json, rounds, loadBefore });
}

await main();
