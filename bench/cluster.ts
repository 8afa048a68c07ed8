/**
 * What does the store of many nodes cost, and does it matter how many they are, how much a turn leases and how much
 * is stored? Leases and dispenses a second, and processor time per address of the nodes and of PostgreSQL.
 *
 *     node bench/cluster.ts [--json] [--rounds N] [--url URL] [--nodes N,...] [--batches N,...] [--stored N,...]
 *
 * Without a URL a PostgreSQL of its own is started, as for tests. With one, its account must be allowed to make
 * databases: those that are made there, vanitypool_bench_*, are removed at the end, but not if it is interrupted; nothing
 * else is touched. Each node is a process. For each number of nodes a round has a new copy of a database that stores so
 * much; the nodes insert what they are going to lease. Medians of N rounds (3) count. The processor time of the server
 * is that of the backends of the nodes, and can be read only if they run on this machine.
 *
 * A turn of N leases N addresses and records the N before as dispensed, in ten replies; "with a key": each by itself,
 * with an idempotency key. "a call" is the time of a turn or an insert, of which half took longer.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../src/cli/format.ts';
import { Session } from '../src/store/postgres/session.ts';
import { connectionSettings } from '../src/store/postgres/settings.ts';
import { PostgresServer } from '../test/support/postgres.ts';
import { fill, type Message, type Order, openNode, type Taken } from './cluster-node.ts';
import { commit, currentLoad, median, runBench } from './report.ts';

const NODE = new URL('./cluster-node.ts', import.meta.url);
const INSERT = 256;
const KEYED = [1, 64];
/** Of a row, as far as that makes neither more nor less calls than these. */
const ADDRESSES = 8192;
const [LEAST_CALLS, MOST_CALLS] = [5, 100];
/** For measurements: what is there by default has a test's memory. */
const SETTINGS = `shared_buffers = '256MB'\nmax_wal_size = '4GB'`;

/** Otherwise a copy would be taken for a database that went back in time. */
const COPIED = `UPDATE vanitypool.nodes SET retired_at = created_at;
  UPDATE vanitypool.cluster SET system_id = NULL`;

/** Of one row in one round. */
interface Measured {
  readonly perSecond: number;
  readonly p50: number;
  readonly nodeUs: number;
  readonly serverUs: number | undefined;
}

/** What a row is. */
interface Case extends Order {
  readonly stored: number;
  readonly nodes: number;
}

/** Databases of the server, removed at the end. */
class Databases implements AsyncDisposable {
  readonly #url: string;
  readonly #session: Session;
  readonly #made: string[] = [];

  /** RangeError for a URL that nothing can be asked at. */
  static async of(url: string): Promise<Databases> {
    try {
      return new Databases(url, await Session.open(connectionSettings(url)));
    } catch (cause) {
      throw new RangeError(`--url: ${(cause as Error).message}`, { cause });
    }
  }

  private constructor(url: string, session: Session) {
    this.#url = url;
    this.#session = session;
  }

  /** Empty, or a copy of the one of this URL. */
  async make(template?: string): Promise<string> {
    const name = `vanitypool_bench_${randomBytes(6).toString('hex')}`;
    const of = template === undefined ? '' : `TEMPLATE ${nameOf(template)} STRATEGY FILE_COPY`;
    await this.#session.query(`CREATE DATABASE ${name} ${of}`);
    this.#made.push(name);
    const url = new URL(this.#url);
    url.pathname = name;
    return url.href;
  }

  /** One that stores so many addresses, as the server would have it after a while. */
  async makeFilled(stored: number, root: string): Promise<string> {
    const url = await this.make();
    {
      await using store = await openNode(url, join(root, 'filler'), sealingKeyIn(root));
      await fill(store, stored);
    }
    const session = await Session.open(connectionSettings(url));
    await session.query(COPIED);
    await session.query('VACUUM (ANALYZE)');
    await session.close();
    return url;
  }

  async remove(name: string): Promise<void> {
    await this.#session.query(`DROP DATABASE ${name} WITH (FORCE)`);
    this.#made.splice(this.#made.indexOf(name), 1);
  }

  /** Processor time of its backends until now; undefined where they cannot be seen. */
  async cpuUsOf(url: string): Promise<number | undefined> {
    const { rows } = await this.#session.query<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE datname = $1',
      [nameOf(url)],
    );
    const used = rows.map(({ pid }) => backendUs(pid, nameOf(url)));
    if (used.some((us) => us === undefined)) return undefined;
    return used.reduce<number>((sum, us) => sum + us!, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#made]) await this.remove(name);
    await this.#session.close();
  }
}

function sealingKeyIn(root: string): string {
  return join(root, 'sealing.key');
}

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

/** Of the process, if it is one of PostgreSQL for this database. */
function backendUs(pid: number, database: string): number | undefined {
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1');
  try {
    if (!read('cmdline').includes(database)) return undefined;
    return Number(read('schedstat').split(' ')[0]) / 1000;
  } catch {
    return undefined;
  }
}

/** Ends when it is disposed of. */
class BenchNode implements Disposable {
  readonly #process: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(sealingKey: string) {
    this.#process = fork(NODE, ['serve', sealingKey]);
    this.#ended = once(this.#process, 'exit').then(() => {
      throw new Error('a node of the benchmark ended');
    });
    this.#ended.catch(() => undefined);
  }

  async ask(message: Message): Promise<unknown> {
    this.#process.send(message);
    const [answer] = await Promise.race([once(this.#process, 'message'), this.#ended]);
    return answer;
  }

  [Symbol.dispose](): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

async function measure(
  databases: Databases,
  url: string,
  nodes: readonly BenchNode[],
  order: Order,
): Promise<Measured> {
  for (const node of nodes) await node.ask(order);
  const before = await databases.cpuUsOf(url);
  const taken = (await Promise.all(nodes.map((node) => node.ask({ task: 'go' })))) as Taken[];
  const after = await databases.cpuUsOf(url);
  const addresses = taken.reduce((sum, one) => sum + one.addresses, 0);
  return {
    perSecond: taken.reduce((sum, one) => sum + one.addresses / one.seconds, 0),
    p50: median(taken.flatMap(({ ms }) => ms)),
    nodeUs: taken.reduce((sum, { cpuUs }) => sum + cpuUs, 0) / addresses,
    serverUs:
      before === undefined || after === undefined ? undefined : (after - before) / addresses,
  };
}

/** The inserts come first: they are what the others lease. */
function ordersOf(batches: readonly number[]): Order[] {
  const callsOf = (size: number) =>
    Math.min(Math.max(Math.ceil(ADDRESSES / size), LEAST_CALLS), MOST_CALLS);
  const orders: Order[] = [
    ...batches.map((size) => ({ task: 'turn' as const, size, calls: callsOf(size) })),
    ...KEYED.map((size) => ({ task: 'keyed' as const, size, calls: callsOf(size) })),
  ];
  // One call of each is not measured.
  const needed = orders.reduce((sum, { size, calls }) => sum + size * (calls + 1), 0);
  return [{ task: 'insert', size: INSERT, calls: Math.ceil(needed / INSERT) }, ...orders];
}

const NAMES = { insert: 'insert of', turn: 'turn of', keyed: 'with a key,' } as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
      url: { type: 'string' },
      nodes: { type: 'string', default: '1,2,4' },
      batches: { type: 'string', default: '1,16,256,2048' },
      stored: { type: 'string', default: '1000,100000' },
    },
  });
  const numbersOf = (name: 'rounds' | 'nodes' | 'batches' | 'stored'): number[] =>
    values[name].split(',').map((text) => {
      if (/^[1-9]\d*$/.test(text)) return Number(text);
      throw new RangeError(`--${name}: ${text} is not a whole number from 1`);
    });
  const [rounds] = numbersOf('rounds');
  const [counts, batches, sizes] = [numbersOf('nodes'), numbersOf('batches'), numbersOf('stored')];
  const loadBefore = currentLoad();
  await using held = new AsyncDisposableStack();
  const root = held.adopt(mkdtempSync(join(tmpdir(), 'vanitypool-bench-')), (path) =>
    rmSync(path, { recursive: true }),
  );
  const server =
    values.url === undefined
      ? held.use(await PostgresServer.start({ settings: SETTINGS }))
      : undefined;
  const databases = held.use(await Databases.of(values.url ?? server!.url()));
  const filled = new Map<number, string>();
  for (const stored of sizes) filled.set(stored, await databases.makeFilled(stored, root));
  const all = Array.from({ length: Math.max(...counts) }, () =>
    held.use(new BenchNode(sealingKeyIn(root))),
  );
  const measured = new Map<string, { readonly of: Case; readonly rounds: Measured[] }>();
  for (let round = 0; round < rounds!; round++) {
    for (const [stored, template] of filled) {
      for (const count of counts) {
        const url = await databases.make(template);
        const nodes = all.slice(0, count);
        for (const node of nodes) {
          await node.ask({ task: 'open', url, directory: mkdtempSync(join(root, 'node-')) });
        }
        for (const order of ordersOf(batches)) {
          const of = { stored, nodes: count, ...order };
          const row = measured.get(JSON.stringify(of)) ?? { of, rounds: [] };
          row.rounds.push(await measure(databases, url, nodes, order));
          measured.set(JSON.stringify(of), row);
        }
        for (const node of nodes) await node.ask({ task: 'close' });
        await databases.remove(nameOf(url));
      }
    }
  }
  report([...measured.values()].map(rowOf), { json: values.json, rounds: rounds!, loadBefore });
}

type Row = ReturnType<typeof rowOf>;

function rowOf({ of, rounds }: { readonly of: Case; readonly rounds: readonly Measured[] }) {
  const rates = rounds.map(({ perSecond }) => perSecond);
  const server = rounds.map(({ serverUs }) => serverUs);
  return {
    task: `${NAMES[of.task]} ${of.size}`,
    nodes: of.nodes,
    stored: of.stored,
    addressesPerSecond: median(rates),
    slowest: Math.min(...rates),
    fastest: Math.max(...rates),
    p50: median(rounds.map(({ p50 }) => p50)),
    nodeUs: median(rounds.map(({ nodeUs }) => nodeUs)),
    serverUs: server.includes(undefined) ? undefined : median(server as number[]),
  };
}

function report(
  rows: readonly Row[],
  { json, rounds, loadBefore }: { json: boolean; rounds: number; loadBefore: readonly number[] },
): void {
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`;
  const load = loadBefore.map((value) => Number(value.toFixed(2)));
  const about = { machine, node: process.version, commit: commit(), load, rounds };
  if (json) {
    console.log(JSON.stringify({ ...about, rows }, null, 2));
    return;
  }
  console.log(
    `${machine}; load average ${load.join(' ')}; Node.js ${about.node}; commit ${about.commit}; ` +
      `medians of ${rounds} rounds\n`,
  );
  const head = ['', 'nodes', 'stored', 'a second', 'spread', 'a call', 'node', 'server'];
  console.log(formatTable([head, ...rows.map(cells)], 1));
  if (rows.some(({ serverUs }) => serverUs === undefined)) {
    console.log('server: its processor time can be read only on its own machine');
  }
}

function cells(row: Row): string[] {
  const us = (value: number | undefined) => (value === undefined ? '-' : `${value.toFixed(1)} us`);
  return [
    row.task,
    ...[row.nodes, row.stored].map(String),
    row.addressesPerSecond.toFixed(0),
    `${row.slowest.toFixed(0)} .. ${row.fastest.toFixed(0)}`,
    `${row.p50.toFixed(1)} ms`,
    us(row.nodeUs),
    us(row.serverUs),
  ];
}

await runBench(main);
