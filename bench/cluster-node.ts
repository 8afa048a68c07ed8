/**
 * One node of `cluster.ts`, in a process of its own: answers each message with what the store of many nodes took
 * for it. Processor time is that of the whole process.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { signingKeyOf } from '../src/keypair/keypair.ts';
import type { Hit } from '../src/keypair/signing-key.ts';
import type { HandOut } from '../src/store/hand-out.ts';
import { nodeIn } from '../src/store/postgres/node-file.ts';
import { openPostgresStore } from '../src/store/postgres/open.ts';
import { connectionSettings } from '../src/store/postgres/settings.ts';
import type { Store } from '../src/store/store.ts';

/** `calls` times: this many addresses inserted, leased, or handed out with an idempotency key each. */
export interface Order {
  readonly task: 'insert' | 'turn' | 'keyed';
  readonly size: number;
  readonly calls: number;
}

/** An order is prepared, and carried out at `go`. */
export type Message =
  | Order
  | { readonly task: 'open'; readonly url: string; readonly directory: string }
  | { readonly task: 'go' }
  | { readonly task: 'close' };

export interface Taken {
  readonly addresses: number;
  readonly seconds: number;
  readonly cpuUs: number;
  /** Of each call. */
  readonly ms: readonly number[];
}

const POOL = {
  name: 'pet',
  prefix: '',
  suffix: '[a-z]Pet',
  ignoreCase: false,
  keys: 'seed',
  handout: 'secret',
} as const;
const FILL_BATCH = 4096;
/** The addresses of a turn left in so many replies. */
const REPLIES = 10;

/** `directory` is of this node alone, `sealingKey` of all. */
export async function openNode(url: string, directory: string, sealingKey: string) {
  mkdirSync(directory, { recursive: true });
  const settings = connectionSettings(url);
  const node = nodeIn(directory);
  const store = await openPostgresStore({
    ...{ settings, node, data: directory },
    sealingKey: `file:${sealingKey}`,
  });
  await store.definePool(POOL);
  return store;
}

export async function fill(store: Store, count: number): Promise<void> {
  for (let left = count; left > 0; left -= FILL_BATCH) {
    await store.insert(newHits(Math.min(left, FILL_BATCH)));
  }
}

function newHits(count: number): Hit[] {
  return Array.from({ length: count }, () => ({
    pool: POOL.name,
    ...signingKeyOf(randomBytes(64)),
  }));
}

/** Leases, and records in each turn what the one before leased. */
class Queue {
  readonly #store: Store;
  #head = 0;
  #tail = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** What is leased leaves in hand-outs of `each`. How many were leased: fewer where other nodes lease as well. */
  async turn(wanted: number, each: number, key?: () => Partial<HandOut>): Promise<number> {
    const at = Date.now();
    const records: HandOut[] = [];
    for (let position = this.#head; position < this.#tail; position += each) {
      const count = Math.min(each, this.#tail - position);
      records.push({ position, count, at: at + records.length, token: 0, ...key?.() });
    }
    const order = { pool: POOL.name, head: this.#tail, wanted };
    const { leased } = await this.#store.turn({
      ...order,
      handOuts: { records, journals: new Map() },
    });
    if (leased.length === 0) throw new Error('the store ran out of addresses');
    this.#head = this.#tail;
    this.#tail += leased.length;
    return leased.length;
  }
}

const KEYED = () => ({ key: randomBytes(32), body: randomBytes(32), mayBeRefused: true }) as const;

/** Gives how many addresses it took through the store. */
type Call = () => Promise<number>;

function callOf(store: Store, queue: Queue, { task, size }: Order): Call {
  if (task === 'keyed') return () => queue.turn(size, 1, KEYED);
  if (task === 'turn') return () => queue.turn(size, Math.ceil(size / REPLIES));
  const hits = newHits(size);
  return async () => (await store.insert(hits)).inserted;
}

/** What a measurement is not to take time for: connections, keys, and what others than its calls leased. */
async function prepared(store: Store, queue: Queue, order: Order) {
  const calls = Array.from({ length: order.calls }, () => callOf(store, queue, order));
  await callOf(store, queue, { ...order, calls: 1 })();
  return calls;
}

async function take(calls: readonly Call[]): Promise<Taken> {
  let addresses = 0;
  const ms: number[] = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (const call of calls) {
    const before = performance.now();
    addresses += await call();
    ms.push(performance.now() - before);
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { addresses, seconds, cpuUs: user + system, ms };
}

async function serve(sealingKey: string): Promise<void> {
  process.on('disconnect', () => process.exit());
  let store: Store;
  let queue: Queue;
  let calls: readonly Call[];
  process.on('message', async (message: Message) => {
    let answer: Taken | 'done' = 'done';
    if (message.task === 'open') {
      store = await openNode(message.url, message.directory, sealingKey);
      queue = new Queue(store);
    } else if (message.task === 'close') {
      await store.close();
    } else if (message.task === 'go') {
      answer = await take(calls);
    } else {
      calls = await prepared(store, queue, message);
    }
    process.send!(answer);
  });
}

if (process.argv[2] === 'serve') await serve(process.argv[3]!);
