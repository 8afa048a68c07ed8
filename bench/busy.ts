/**
 * What a server gets and how fast it stops while other programs want every core: ten busy ones for
 * each core, in its own session, with every grinder thread at work for a pool that has nothing.
 *
 *     node bench/busy.ts [--json] [--rounds N] [--seconds N]
 *
 * In each round (5) each priority of the grinder takes a turn. Its share: processor time of its
 * threads over N seconds (4), by what so many threads would get of the cores if all were equal. A stop
 * is timed from SIGTERM until the system has ended the process and its parent knows.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { atLeast, below, currentLoad, Figures, readOptions, report } from './report.ts';
import { BenchServer, BenchStore } from './server.ts';

const HOGS_PER_CORE = 10;
const POLL_MS = 50;
const STOP_MARK_MS = 2000;
const SHARE_MARK = 0.5;
const POOL = { name: 'never', suffix: 'z'.repeat(10), stored: 0 };
const PRIORITIES = ['auto', 'low'] as const;

class Hogs implements Disposable {
  readonly count = HOGS_PER_CORE * availableParallelism();
  readonly #processes = Array.from({ length: this.count }, () =>
    spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }),
  );
  readonly #end = () => this[Symbol.dispose]();

  constructor() {
    process.once('exit', this.#end);
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#end);
    for (const hog of this.#processes) hog.kill('SIGKILL');
  }
}

async function main(): Promise<void> {
  const { json, rounds, seconds } = readOptions({ rounds: 5, seconds: 4 });
  const loadBefore = currentLoad();
  using store = new BenchStore();
  await store.fill([POOL]);
  const cores = availableParallelism();
  const figures = new Figures();
  using hogs = new Hogs();
  const fair = cores / (hogs.count + cores);
  for (let round = 0; round < rounds; round++) {
    for (const priority of PRIORITIES) {
      store.configure([POOL], `[grinder]\npriority = "${priority}"\nthreads = ${cores}\n`);
      await using server = await BenchServer.start(store);
      while ((await server.pool(POOL.name)).grinding.attemptsPerSecond === 0) await sleep(POLL_MS);
      const before = { cpuMs: server.cpuMsOf('grinder'), at: performance.now() };
      await sleep(seconds * 1000);
      const cpuMs = server.cpuMsOf('grinder') - before.cpuMs;
      const share = cpuMs / cores / (performance.now() - before.at) / fair;
      const termAt = performance.now();
      await server[Symbol.asyncDispose]();
      const stopMs = performance.now() - termAt;
      const isDefault = priority === 'auto';
      const mark = isDefault ? atLeast(SHARE_MARK) : undefined;
      figures.add(`${priority}: grinder's share of its fair share`, '', share, mark);
      figures.add(`${priority}: stop`, 'ms', stopMs, isDefault ? below(STOP_MARK_MS) : undefined);
    }
  }
  report(figures, { json, rounds, loadBefore });
}

await main();
