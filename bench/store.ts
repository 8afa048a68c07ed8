/**
 * How fast is the SQLite store, and does it matter how much it holds? Addresses a second through
 * sealed inserts and through turns (the last lease recorded as dispensed, a new one taken and
 * unsealed), in a store that holds 1,000 addresses and in one that holds a million.
 *
 *     node bench/store.ts [--json] [--rounds N] [--stored N] [--directory DIR]
 *
 * Each store has a process of its own. Their rounds alternate, so that a noisy minute hits both;
 * the first one is warm-up, of the others the median counts. A round inserts as many addresses as
 * it leases; the small store is made anew for each, the large one keeps its size. Processor time
 * is that of the whole process, without what the disk takes. `--directory` says on which disk.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { signingKeyOf } from '../src/keypair/keypair.ts';
import type { Hit } from '../src/keypair/signing-key.ts';
import { openSqliteStore } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { commit, median, runBench } from './report.ts';

const SMALL = 1000;
const ROUND = 20_480;
const BATCH = 256;
const FILL_BATCH = 4096;
const POOL = {
  name: 'pet',
  prefix: '',
  suffix: '[a-z]Pet',
  ignoreCase: false,
  keys: 'seed',
  handout: 'secret',
} as const;

/** What is measured, and how many addresses a round of it takes through the store. */
const TASKS = {
  'insert 256': { addresses: ROUND, prepare: () => inserts(ROUND, BATCH) },
  'turn of 256': { addresses: ROUND / 2, prepare: () => turns(ROUND / 2, 256) },
  'turn of 2048': { addresses: ROUND / 2, prepare: () => turns(ROUND / 2, 2048) },
};

type Work = (store: Store) => Promise<void>;

interface Measured {
  readonly addressesPerSecond: number;
  readonly cpuUsPerAddress: number;
}

type Round = Record<string, Measured>;

function inserts(count: number, batch: number): Work {
  const batches: Hit[][] = [];
  for (let left = count; left > 0; left -= batch) {
    batches.push(Array.from({ length: Math.min(batch, left) }, newHit));
  }
  return async (store) => {
    for (const hits of batches) await store.insert(hits);
  };
}

const newHit = (): Hit => ({ pool: POOL.name, ...signingKeyOf(randomBytes(64)) });

function turns(count: number, size: number): Work {
  return async (store) => {
    const [pool] = await store.pools();
    let head = pool!.position;
    for (let left = count, last = 0; left > 0; left -= last) {
      const wanted = Math.min(size, left);
      const { leased } = await store.turn({ pool: POOL.name, head, wanted });
      last = leased.length;
      head += last;
      if (last === 0) throw new Error('the store ran out of addresses');
    }
    await store.turn({ pool: POOL.name, head, wanted: 0 });
  };
}

async function measure(store: Store): Promise<Round> {
  const round: Round = {};
  for (const [name, { addresses, prepare }] of Object.entries(TASKS)) {
    const work = prepare();
    const cpu = process.cpuUsage();
    const start = performance.now();
    await work(store);
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    round[name] = {
      addressesPerSecond: addresses / seconds,
      cpuUsPerAddress: (user + system) / addresses,
    };
  }
  return round;
}

async function openFilled(directory: string, stored: number): Promise<Store> {
  rmSync(directory, { recursive: true, force: true });
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  const store = await openSqliteStore({ directory, sealingKey });
  await store.definePool(POOL);
  await inserts(stored, FILL_BATCH)(store);
  return store;
}

/** The process of one store: answers each message with a round. */
async function serve(directory: string, stored: number): Promise<void> {
  let store = await openFilled(directory, stored);
  process.on('message', async () => {
    process.send!(await measure(store));
    if (stored > SMALL) return;
    await store.close();
    store = await openFilled(directory, stored);
  });
  process.send!('ready');
}

async function ask(child: ChildProcess): Promise<Round> {
  child.send('round');
  const [round] = await once(child, 'message');
  return round as Round;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '7' },
      stored: { type: 'string', default: '1000000' },
      directory: { type: 'string', default: tmpdir() },
    },
  });
  const numberOf = (name: 'rounds' | 'stored', least: number): number => {
    const number = Number(values[name]);
    if (Number.isInteger(number) && number >= least) return number;
    throw new RangeError(`--${name}: ${values[name]} is not a whole number from ${least}`);
  };
  const wantedRounds = numberOf('rounds', 1);
  const sizes = [SMALL, numberOf('stored', SMALL + 1)];
  const root = mkdtempSync(join(values.directory, 'vanitypool-bench-'));
  const children = sizes.map((size) =>
    fork(import.meta.filename, ['serve', join(root, String(size)), String(size)]),
  );
  const rounds = sizes.map((): Round[] => []);
  try {
    await Promise.all(children.map((child) => once(child, 'message')));
    for (let round = 0; round <= wantedRounds; round++) {
      for (const [index, child] of children.entries()) rounds[index]!.push(await ask(child));
    }
  } finally {
    for (const child of children) child.kill();
    rmSync(root, { recursive: true, force: true });
  }
  const rows = sizes.flatMap((stored, index) =>
    Object.keys(TASKS).map((task) => {
      const measured = rounds[index]!.slice(1).map((round) => round[task]!);
      const rates = measured.map(({ addressesPerSecond }) => Math.round(addressesPerSecond));
      const addressesPerSecond = median(rates);
      const [slowest, fastest] = [Math.min(...rates), Math.max(...rates)];
      const cpu = median(measured.map(({ cpuUsPerAddress }) => cpuUsPerAddress));
      return { stored, task, addressesPerSecond, slowest, fastest, cpuUsPerAddress: cpu };
    }),
  );
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`;
  const about = { machine, node: process.version, commit: commit(), rounds: wantedRounds };
  if (values.json) console.log(JSON.stringify({ ...about, rows }, null, 2));
  else {
    console.log(`${machine}; Node.js ${about.node}; commit ${about.commit}`);
    console.log(line('task', 'stored', 'a second', 'spread', 'CPU us each'));
    for (const { task, stored, addressesPerSecond, slowest, fastest, cpuUsPerAddress } of rows) {
      const spread = `${slowest} .. ${fastest}`;
      console.log(line(task, stored, addressesPerSecond, spread, cpuUsPerAddress.toFixed(1)));
    }
  }
}

function line(name: string, ...cells: (string | number)[]): string {
  return name.padEnd(16) + cells.map((cell) => String(cell).padStart(18)).join('');
}

if (process.argv[2] === 'serve') await serve(process.argv[3]!, Number(process.argv[4]));
else await runBench(main);
