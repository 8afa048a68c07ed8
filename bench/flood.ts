/**
 * What a stranger's flood costs a good client: the latency of dispenses at a steady rate beside connections
 * that each ask for many documents at once and read nothing, by that without them; and the memory of the server.
 *
 *     node bench/flood.ts [--json] [--rounds N] [--seconds N]
 *
 * N rounds (5), in which both take turns of N seconds (2). The flood comes with the first request and stays to
 * the end of the turn: 300 connections with 60 requests each, from this process, without a token. The load is
 * bench/load.c, which needs a C compiler and Linux; both share the cores with the server, which does not grind.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildLoad, run } from './load.ts';
import { below, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const PER_SECOND = 500;
const CONNECTIONS = 300;
const REQUESTS = 60;
const TEXT = 'GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(REQUESTS);
const WARM = 1000;
const LOOK_MS = 20;
const MB = 1e6;
/** Of memory, beyond that before. */
const GROWTH_MARK_MB = 300;

class Flood implements Disposable {
  readonly #sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  /** Resolves when all are connected. */
  static async to(port: number): Promise<Flood> {
    const open = () => connect(port, '127.0.0.1').on('error', () => undefined);
    const sockets = Array.from({ length: CONNECTIONS }, () => open().pause());
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    return new Flood(sockets);
  }

  begin(): void {
    for (const socket of this.#sockets) socket.write(TEXT);
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The most that it was until `until` is settled. */
async function mostMemory(server: BenchServer, until: Promise<unknown>): Promise<number> {
  let [most, isOver] = [server.memory, false];
  const end = () => {
    isOver = true;
  };
  until.then(end, end);
  for (; !isOver; await sleep(LOOK_MS)) most = Math.max(most, server.memory);
  return most;
}

async function main(): Promise<void> {
  const { json, rounds, seconds } = readOptions({ rounds: 5, seconds: 2 });
  const loadBefore = currentLoad();
  buildLoad();
  const load = { requests: PER_SECOND * seconds, perSecond: PER_SECOND };
  using store = new BenchStore();
  await store.fill([{ name: 'pet', suffix: 't', stored: 2 * WARM + 2 * rounds * load.requests }]);
  await using server = await BenchServer.start(store, '--threads', '0');
  await run({ port: server.port, requests: WARM, perSecond: WARM });
  const figures = new Figures();
  for (let round = 0; round < rounds; round++) {
    const before = server.memory;
    const quiet = await run({ port: server.port, ...load });
    using flood = await Flood.to(server.port);
    flood.begin();
    const running = run({ port: server.port, ...load });
    const most = await mostMemory(server, running);
    const flooded = await running;
    figures.add('quiet: p50', 'ms', quiet.p50Ms);
    figures.add('quiet: p99', 'ms', quiet.p99Ms);
    figures.add('flooded: p50', 'ms', flooded.p50Ms);
    figures.add('flooded: p99', 'ms', flooded.p99Ms);
    figures.add('flooded : quiet: p50', 'times', flooded.p50Ms / quiet.p50Ms);
    figures.add('flooded : quiet: p99', 'times', flooded.p99Ms / quiet.p99Ms);
    figures.add('before: resident', 'MB', before / MB);
    figures.add('flooded: resident, at most', 'MB', most / MB);
    const mark = below(GROWTH_MARK_MB);
    figures.add('flooded: resident more', 'MB', (most - before) / MB, mark);
  }
  report(figures, { json, rounds, loadBefore });
}

await main();
