/**
 * Prometheus metrics, read from shared memory at the moment they are asked for, so that every HTTP
 * thread gives the same answer and no thread is disturbed. Totals go on from run to run.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import type { GrinderBoard, StoreHealth } from '../pool/health.ts';
import type { Pool, PoolStatus } from '../pool/pool.ts';

interface Sources {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly grinder: GrinderBoard;
  readonly storeHealth: StoreHealth;
}

type Figure = (status: PoolStatus, pool: Pool) => number;

const POOL_TOTALS: Readonly<Record<string, [help: string, figure: Figure]>> = {
  dispensed: ['Addresses that may have left the server.', ({ dispensed }) => dispensed],
  burned: ['Addresses given up for ever.', ({ burned }) => burned],
  ground: ['Addresses found by grinding.', ({ ground }) => ground],
};

const POOL_GAUGES: Readonly<Record<string, [help: string, figure: Figure]>> = {
  available: ['Addresses in the store that are free.', ({ available }) => available],
  ready: ['Addresses in memory, to be handed out at once.', ({ ready }) => ready],
  leased: ['Addresses claimed for hand-out; ready is part of them.', ({ leased }) => leased],
  target: ['Grinding runs while available + leased is below it.', (_, { shared }) => shared.target],
};

export function createMetrics({ pools, grinder, storeHealth }: Sources): Registry {
  const registry = new Registry();
  const registers = [registry];

  for (const [name, [help, figure]] of Object.entries(POOL_TOTALS)) {
    new Counter({
      name: `vanitypool_${name}_total`,
      help,
      labelNames: ['pool'],
      registers,
      collect() {
        this.reset();
        for (const pool of pools.values()) {
          this.inc({ pool: pool.shared.name }, figure(pool.status(), pool));
        }
      },
    });
  }
  for (const [name, [help, figure]] of Object.entries(POOL_GAUGES)) {
    new Gauge({
      name: `vanitypool_${name}`,
      help,
      labelNames: ['pool'],
      registers,
      collect() {
        for (const pool of pools.values()) {
          this.set({ pool: pool.shared.name }, figure(pool.status(), pool));
        }
      },
    });
  }

  const total = (name: string, help: string, read: () => number): void => {
    new Counter({
      name: `vanitypool_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `vanitypool_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  total('attempts', 'Candidates tried.', () => grinder.read().attempts);
  total('hits', 'Candidates that matched and were proved.', () => grinder.read().hits);
  total('grinder_faults', 'Hits that failed the proof.', () => grinder.read().faults);
  total('grinder_restarts', 'Grinder threads replaced.', () => grinder.read().restarts);
  gauge('grinder_threads', 'Threads that search now.', () => grinder.read().threads);
  gauge(
    'grinder_attempts_per_second',
    'Candidates tried a second, all threads.',
    () => grinder.read().attemptsPerSecond,
  );
  total('store_turns', 'Transactions that leased and recorded.', () => storeHealth.read().turns);
  total('store_inserts', 'Transactions that inserted hits.', () => storeHealth.read().inserts);
  gauge('store_up', '1 while the store works.', () => (storeHealth.failure === undefined ? 1 : 0));
  return registry;
}
