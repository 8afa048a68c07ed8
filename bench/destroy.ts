/**
 * What do requests feel of secrets that are destroyed beside them? Two real servers without grinders:
 * one for which many secrets fall due at once, as after a night off, and one with none. Plain
 * dispenses and such with an idempotency key, at steady rates; and how fast the backlog goes.
 *
 *     node bench/destroy.ts [--json] [--rounds N] [--seconds N] [--stored N]
 *
 * N secrets (1,000,000) are due; N rounds (3) of loads of N seconds (2) each. The servers take turns,
 * and the one that waits is stopped by signal, so that a noisy minute hits both. Any answer but 200
 * ends the benchmark: so none is refused. The backlog has to outlast all rounds.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqliteStore } from '../src/store/sqlite/open.ts';
import { buildLoad, type Loaded, run } from './load.ts';
import { atLeast, atMost, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const LOADS = [
  { what: 'plain, 2000/s', perSecond: 2000, isKeyed: false },
  { what: 'with a key, 500/s', perSecond: 500, isKeyed: true },
] as const;
const WARM = 1000;
const LEASE = 4096;
const TWO_DAYS_MS = 48 * 3_600_000;
const LOOK_MS = 200;
/** The first look for what is due comes ten seconds after the start. */
const BEGIN_MS = 60_000;

/** All that is stored of the pool leaves, two days ago. */
async function letGo(store: BenchStore, pool: string, stored: number): Promise<void> {
  const directory = join(store.path, 'data');
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  {
    await using opened = await openSqliteStore({ directory, sealingKey });
    let head = 0;
    while (head < stored) {
      const wanted = Math.min(LEASE, stored - head);
      head += (await opened.turn({ pool, head, wanted })).leased.length;
    }
    await opened.turn({ pool, head, wanted: 0 });
  }
  const db = new DatabaseSync(join(directory, 'store.db'));
  db.prepare(`UPDATE segments SET changed_at = changed_at - ? WHERE state = 'dispensed'`).run(
    TWO_DAYS_MS,
  );
  db.close();
}

async function dueOf({ port }: BenchServer): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^vanitypool_secrets_due (\d+)$/m.exec(text)![1]);
}

async function untilBegun(server: BenchServer): Promise<void> {
  for (let waited = 0; waited < BEGIN_MS; waited += LOOK_MS) {
    if ((await dueOf(server)) > 0) return;
    await sleep(LOOK_MS);
  }
  throw new Error('no secret is due');
}

async function main(): Promise<void> {
  const options = readOptions({ rounds: 3, seconds: 2, stored: 1_000_000 });
  const { json, rounds, seconds, stored } = options;
  const loadBefore = currentLoad();
  buildLoad();
  const each = seconds * LOADS.reduce((sum, { perSecond }) => sum + perSecond, 0);
  const pet = { name: 'pet', suffix: 't', stored: LOADS.length * WARM + rounds * each + LEASE };
  using quietStore = new BenchStore();
  using dueStore = new BenchStore();
  await quietStore.fill([pet]);
  await dueStore.fill([pet, { name: 'old', suffix: 'd', stored }]);
  await letGo(dueStore, 'old', stored);
  const figures = new Figures();
  await using quiet = await BenchServer.start(quietStore, '--threads', '0');
  await using busy = await BenchServer.start(dueStore, '--threads', '0');
  const measure = async (server: BenchServer, load: { perSecond: number; isKeyed: boolean }) => {
    server.resume();
    const loaded = await run({ port: server.port, requests: load.perSecond * seconds, ...load });
    const due = await dueOf(server);
    server.pause();
    return { ...loaded, due };
  };
  for (const { isKeyed } of LOADS) {
    for (const { port } of [quiet, busy]) await run({ port, requests: WARM, isKeyed });
  }
  quiet.pause();
  await untilBegun(busy);
  let due = await dueOf(busy);
  busy.pause();
  for (let round = 0; round < rounds; round++) {
    for (const { what, ...load } of LOADS) {
      const own = await measure(quiet, load);
      const beside = await measure(busy, load);
      if (beside.due === 0) throw new Error('none is due any longer: give more with --stored');
      const add = (name: string, value: (loaded: Loaded) => number) => {
        figures.add(`${what}, none due: ${name}`, 'ms', value(own));
        figures.add(`${what}, many due: ${name}`, 'ms', value(beside));
      };
      add('p50', ({ p50Ms }) => p50Ms);
      add('p99', ({ p99Ms }) => p99Ms);
      const mark = load.isKeyed ? atMost(2) : undefined;
      figures.add(`${what}, many : none: p99`, 'times', beside.p99Ms / own.p99Ms, mark);
      const rate = (due - beside.due) / beside.seconds;
      figures.add(`${what}: destroyed beside`, 'secrets/s', rate, atLeast(1000));
      due = beside.due;
    }
  }
  busy.resume();
  const began = performance.now();
  while ((await dueOf(busy)) > 0) await sleep(LOOK_MS);
  const alone = due / ((performance.now() - began) / 1000);
  figures.add('nothing asked: destroyed', 'secrets/s', alone);
  report(figures, { json, rounds, loadBefore });
}

await main();
