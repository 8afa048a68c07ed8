/**
 * What do readers of the event stream cost the server? Processor time of its HTTP threads, a second: with no
 * stream, with one a thread, and with many, which all see the same pools, or each of them others.
 *
 *     node bench/events.ts [--json] [--rounds N] [--seconds N] [--streams N] [--pools N]
 *
 * N streams (200) of N pools (256), read by this process as fast as they come; N rounds (3) in which all
 * take turns of N seconds (4). Streams that see the same carry one token for all pools; those that do not, one
 * each, for all pools but one. There is a thread for every 40, for the system spreads connections unevenly
 * and a thread serves 64. The time is that of the threads' own clocks (/proc/PID/task/N/schedstat: Linux), which
 * neighbours hardly move. Nothing is ground and nothing dispensed, so that pools do not change.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqliteStore } from '../src/store/sqlite/open.ts';
import { newToken, tokenHash } from '../src/token.ts';
import { currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const STREAMS_A_THREAD = 40;
/** After streams were opened: each takes a message of its own. */
const SETTLE_MS = 2000;
const DIGITS = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const EVENT = '\nevent: status\n';

/** Streams that are read as fast as they come, by this process. */
class Streams implements Disposable {
  events = 0;
  readonly #calls: ClientRequest[] = [];

  /** One for each of these tokens; resolves when all are open. */
  static async open({ port }: BenchServer, tokens: readonly string[]): Promise<Streams> {
    const streams = new Streams();
    for (const [index, token] of tokens.entries()) {
      while (streams.#calls.length === index) await streams.#open(port, token);
    }
    return streams;
  }

  /** One more, unless its thread has all that it serves. */
  #open(port: number, token: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const headers = { authorization: `Bearer ${token}` };
    const call = request({ port, path: '/v1/events', agent: false, headers });
    call.on('error', reject).on('response', (reply: IncomingMessage) => {
      if (reply.statusCode === 200) this.#calls.push(call);
      reply.on('error', () => undefined).on('data', (piece: Buffer) => this.#count(piece));
      resolve();
    });
    call.end();
    return promise;
  }

  #count(piece: Buffer): void {
    for (let at = piece.indexOf(EVENT); at >= 0; at = piece.indexOf(EVENT, at + 1)) this.events++;
  }

  [Symbol.dispose](): void {
    for (const call of this.#calls) call.destroy();
  }
}

/** Tokens that may read: one for all pools, and so many that each see all but one. */
async function makeTokens(store: BenchStore, pools: readonly string[], count: number) {
  const directory = join(store.path, 'data');
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  await using opened = await openSqliteStore({ directory, sealingKey });
  const make = async (name: string, pools?: string[]): Promise<string> => {
    const text = newToken();
    const more = { pools, quota: undefined, expiresAt: undefined };
    await opened.tokens.create({ name, hash: tokenHash(text), scopes: ['read'], ...more });
    return text;
  };
  const own: string[] = [];
  for (let index = 0; index < count; index++) {
    const others = pools.toSpliced(index % pools.length, 1);
    own.push(await make(`reader-${index}`, others));
  }
  return { all: await make('reader'), own };
}

async function main(): Promise<void> {
  const options = readOptions({ rounds: 3, seconds: 4, streams: 200, pools: 256 });
  const { json, rounds, seconds, streams } = options;
  const loadBefore = currentLoad();
  const threads = Math.ceil(streams / STREAMS_A_THREAD);
  using store = new BenchStore();
  const pools = Array.from({ length: options.pools }, (_, index) => ({
    name: `pool-${index}`,
    suffix: `${DIGITS[index % 58]}${DIGITS[Math.floor(index / 58)]}t`,
    stored: 1,
  }));
  await store.fill(pools);
  store.configure(pools, `[http]\nthreads = ${threads}\n`);
  const names = pools.map(({ name }) => name);
  const { all, own } = await makeTokens(store, names, streams);
  await using server = await BenchServer.start(store, '--threads', '0');
  const turns: [what: string, tokens: string[]][] = [
    ['no stream', []],
    ['a stream a thread', Array(threads).fill(all)],
    [`${streams} streams`, Array(streams).fill(all)],
    [`${streams} streams of other pools`, own],
  ];
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    for (const [what, tokens] of turns) {
      using opened = await Streams.open(server, tokens);
      await sleep(SETTLE_MS);
      const before = {
        cpuMs: server.cpuMsOf('http'),
        events: opened.events,
        at: performance.now(),
      };
      await sleep(seconds * 1000);
      const passed = (performance.now() - before.at) / 1000;
      const cpuMs = server.cpuMsOf('http') - before.cpuMs;
      figures.add(`${what}: processor time a second`, 'ms', cpuMs / passed);
      if (tokens.length === 0) continue;
      const events = opened.events - before.events;
      figures.add(`${what}: events a second`, '', events / passed);
    }
  }
  report(figures, { json, rounds, loadBefore });
}

await main();
