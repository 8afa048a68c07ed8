/**
 * How much memory does the server take? Resident with 1,000 addresses stored and with a million,
 * grinder off, after some hundred requests; and for each address in the ready queue.
 *
 *     node bench/memory.ts [--json] [--rounds N] [--stored N]
 *
 * N rounds (3), in which both sizes take turns; each takes 500 addresses out of some more that are
 * stored for that. The ready queue is measured in this process: what is resident more after a queue
 * is made and filled to the last cell. What it costs on top of that in the dispense journals, 96
 * bytes of memory-backed storage in each as soon as so many are ready, is no part of a process.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeBase58 } from '../src/keypair/address.ts';
import { signingKeyOf } from '../src/keypair/keypair.ts';
import type { ReadyAddress } from '../src/pool/ready-address.ts';
import { ReadyQueue } from '../src/pool/ready-queue.ts';
import { atMost, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const SMALL = 1000;
const REQUESTS = 500;
/** For the demand to be forgotten and the collectors to have run. */
const SETTLE_MS = 2000;
const QUEUE = 2 ** 19;
const BATCH = 1024;
const MEGABYTE = 2 ** 20;

async function residentIn(store: BenchStore): Promise<number> {
  await using server = await BenchServer.start(store, '--threads', '0');
  for (let count = 0; count < REQUESTS; count++) await server.dispense('pet', 1);
  await sleep(SETTLE_MS);
  return server.memory;
}

/** Resident bytes that an address in the ready queue takes. */
function bytesPerReady(): number {
  const batch = Array.from({ length: BATCH }, (_, index): ReadyAddress => {
    const { keyType, key, publicKey } = signingKeyOf(randomBytes(64));
    const address = encodeBase58(publicKey);
    const secret = encodeBase58(key);
    return { id: index, address, secret, keyType, origin: 'ground', createdAt: 0 };
  });
  // Warm-up: what the code itself takes is no part of the queue.
  ReadyQueue.create(BATCH).push(batch);
  const before = process.memoryUsage.rss();
  const queue = ReadyQueue.create(QUEUE);
  while (queue.size < queue.capacity) queue.push(batch);
  return (process.memoryUsage.rss() - before) / queue.capacity;
}

async function main(): Promise<void> {
  const { json, rounds, stored } = readOptions({ rounds: 3, stored: 1_000_000 });
  const loadBefore = currentLoad();
  using small = new BenchStore();
  using large = new BenchStore();
  const [smallStored, largeStored] = [rounds * REQUESTS + SMALL, rounds * REQUESTS + stored];
  await small.fill([{ name: 'pet', suffix: 't', stored: smallStored }]);
  await large.fill([{ name: 'pet', suffix: 't', stored: largeStored }]);
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    const few = await residentIn(small);
    const many = await residentIn(large);
    figures.add(`${SMALL} stored: resident`, 'MB', few / MEGABYTE);
    figures.add(`${stored} stored: resident`, 'MB', many / MEGABYTE);
    figures.add(`${stored} : ${SMALL} stored`, 'times', many / few, atMost(1.2));
    figures.add('an address in the ready queue', 'bytes', bytesPerReady(), atMost(200));
  }
  report(figures, { json, rounds, loadBefore });
}

await main();
