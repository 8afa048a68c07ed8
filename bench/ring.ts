/**
 * How fast is the ready queue? Addresses a second through push and pop in one thread, for queues
 * of 1k to 1M addresses; with the JSON of a reply; and from a producer thread to a consumer.
 *
 *     node bench/ring.ts [--json] [--trials N] [--addresses N]
 *
 * N processes per row (5), N addresses a round (524288, a multiple of 512). Each trial is a process of its own: warm-up, then rounds, of which the median counts. Trials of
 * all rows alternate, so that a noisy minute hits all alike. A row shows the median of its trials
 * and the span from the slowest to the fastest, and the processor time that the measuring thread
 * (that of the pops) spent on an address, which a busy machine distorts less. The queue is full before it starts; the store
 * pushes 256 at a time, and wiping what was popped is part of its push.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { addressJson } from '../src/http/address-json.ts';
import { encodeBase58 } from '../src/keypair/address.ts';
import { signingKeyOf } from '../src/keypair/keypair.ts';
import type { ReadyAddress } from '../src/pool/ready-address.ts';
import { ReadyQueue } from '../src/pool/ready-queue.ts';
import { commit, median, runBench } from './report.ts';

const ROUNDS = 5;
const ROUND_STEP = 512;
const BATCH = 256;
const SAMPLES = 4096;
const MILLION = 2 ** 20;

interface Row {
  readonly name: string;
  readonly capacity: number;
  readonly threads: 1 | 2;
  readonly push: number;
  readonly pop: number;
  readonly json: boolean;
}

const row = (name: string, capacity: number, push: number, pop: number, more = {}): Row => ({
  name,
  capacity,
  threads: 1,
  push,
  pop,
  json: false,
  ...more,
});

const ROWS: readonly Row[] = [
  ...[1024, 32 * 1024, MILLION].map((capacity) => row('push 256, pop 1', capacity, BATCH, 1)),
  ...[1024, 32 * 1024, MILLION].map((capacity) => row('push 256, pop 100', capacity, BATCH, 100)),
  row('push 1, pop 1', 1024, 1, 1),
  row('push 256, pop 100, JSON', 1024, BATCH, 100, { json: true }),
  row('push 256, pop 100, JSON', MILLION, BATCH, 100, { json: true }),
  row('push 256 | pop 1', 1024, BATCH, 1, { threads: 2 }),
  row('push 256 | pop 100', 1024, BATCH, 100, { threads: 2 }),
  row('push 256 | pop 100, JSON', 1024, BATCH, 100, { threads: 2, json: true }),
];

/** Addresses as the store makes them; their keys are random bytes. */
function samples(): readonly ReadyAddress[] {
  return Array.from({ length: SAMPLES }, (_, index) => {
    const { keyType, key, publicKey } = signingKeyOf(randomBytes(64));
    return {
      id: index + 1,
      address: encodeBase58(publicKey),
      secret: encodeBase58(key),
      keyType,
      origin: 'ground',
      createdAt: 1_767_225_600_000 + 997 * index,
    };
  });
}

class Producer {
  readonly #queue: ReadyQueue;
  readonly #batches: readonly (readonly ReadyAddress[])[];
  #next = 0;

  constructor(queue: ReadyQueue, batch: number) {
    const addresses = samples();
    this.#queue = queue;
    this.#batches = Array.from({ length: SAMPLES / batch }, (_, index) =>
      addresses.slice(index * batch, (index + 1) * batch),
    );
  }

  push(): void {
    this.#queue.push(this.#batches[this.#next++ % this.#batches.length]!);
  }

  fill(): void {
    while (this.#queue.size < this.#queue.capacity) this.push();
  }
}

/** Takes `count` addresses, at most `pop` at a time; the sum keeps the work from being elided. */
function take(queue: ReadyQueue, count: number, { pop, json }: Row): number {
  let sum = 0;
  for (let left = count; left > 0; ) {
    const addresses = queue.pop(Math.min(pop, left));
    if (addresses === undefined) continue;
    left -= addresses.length;
    if (json)
      sum += `{"addresses":[${addresses.map((address) => addressJson(address, true)).join(',')}]}`
        .length;
    else
      for (const { id, address, secret } of addresses) sum += id + address.length + secret.length;
  }
  return sum;
}

interface Result {
  readonly addressesPerSecond: number;
  readonly cpuNsPerAddress: number;
}

interface Measured extends Result {
  readonly slowest: number;
  readonly fastest: number;
}

/** Medians of the rounds. */
async function trial(row: Row, addresses: number): Promise<Result> {
  const queue = ReadyQueue.create(row.capacity);
  const producer = new Producer(queue, row.push);
  producer.fill();
  const worker = row.threads === 2 ? await startProducer(queue, row.push) : undefined;
  const round = (count: number) => {
    if (worker !== undefined) return take(queue, count, row);
    for (let done = 0; done < count; done += row.push) {
      take(queue, row.push, row);
      producer.push();
    }
  };
  round(Math.max(addresses, row.capacity));
  const wallMs: number[] = [];
  const cpuUs: number[] = [];
  for (let index = 0; index < ROUNDS; index++) {
    const start = performance.now();
    const before = process.threadCpuUsage();
    round(addresses);
    const { user, system } = process.threadCpuUsage(before);
    wallMs.push(performance.now() - start);
    cpuUs.push(user + system);
  }
  await worker?.terminate();
  return {
    addressesPerSecond: (addresses * 1000) / median(wallMs),
    cpuNsPerAddress: (median(cpuUs) * 1000) / addresses,
  };
}

async function startProducer(queue: ReadyQueue, batch: number): Promise<Worker> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { buffer: queue.buffer, batch },
  });
  await once(worker, 'online');
  return worker;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      trials: { type: 'string', default: '5' },
      addresses: { type: 'string', default: '524288' },
    },
  });
  const trials = Number(values.trials);
  if (!(Number.isInteger(trials) && trials >= 1)) {
    throw new RangeError(`--trials: ${values.trials} is not a whole number from 1`);
  }
  const addresses = Number(values.addresses);
  if (!(addresses > 0 && addresses % ROUND_STEP === 0)) {
    throw new RangeError(`--addresses: ${values.addresses} is not a multiple of ${ROUND_STEP}`);
  }
  const results = ROWS.map((): Result[] => []);
  for (let index = 0; index < trials; index++) {
    for (const [at, row] of ROWS.entries()) {
      const self = fileURLToPath(import.meta.url);
      const args = [self, 'trial', JSON.stringify(row), String(addresses)];
      results[at]!.push(JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })));
    }
  }
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`;
  const rows = ROWS.map((row, at) => {
    const rates = results[at]!.map(({ addressesPerSecond }) => Math.round(addressesPerSecond));
    const cpuNs = results[at]!.map(({ cpuNsPerAddress }) => Math.round(cpuNsPerAddress));
    return {
      ...row,
      addressesPerSecond: median(rates),
      slowest: Math.min(...rates),
      fastest: Math.max(...rates),
      cpuNsPerAddress: median(cpuNs),
    };
  });
  const about = { machine, node: process.version, commit: commit(), trials };
  if (values.json) console.log(JSON.stringify({ ...about, rows }, null, 2));
  else console.log(table(rows, `${machine}; Node.js ${about.node}; commit ${about.commit}`));
}

function table(rows: readonly (Row & Measured)[], about: string): string {
  const lines = rows.map((row) =>
    line(
      row.name,
      row.capacity,
      row.threads,
      (row.addressesPerSecond / 1e6).toFixed(2),
      `${(row.slowest / 1e6).toFixed(2)} .. ${(row.fastest / 1e6).toFixed(2)}`,
      row.cpuNsPerAddress,
    ),
  );
  const head = line('queue', 'capacity', 'threads', 'million/s', 'spread', 'CPU ns each');
  return [about, head, ...lines].join('\n');
}

function line(name: string, ...cells: (string | number)[]): string {
  return name.padEnd(26) + cells.map((cell) => String(cell).padStart(16)).join('');
}

if (!isMainThread) {
  const { buffer, batch } = workerData as { buffer: SharedArrayBuffer; batch: number };
  const producer = new Producer(new ReadyQueue(buffer), batch);
  for (;;) producer.fill();
} else if (process.argv[2] === 'trial') {
  console.log(JSON.stringify(await trial(JSON.parse(process.argv[3]!), Number(process.argv[4]))));
} else {
  await runBench(main);
}
