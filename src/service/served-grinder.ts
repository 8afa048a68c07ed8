/**
 * The grinder of a server: for which pools it grinds, at which priority, and what all threads know of
 * it. Runs in the main thread. Five times a second it reads the figures of each pool from shared
 * memory; it asks nobody.
 */
import type { Config } from '../config/config.ts';
import { Consumption } from '../grinder/consumption.ts';
import { Grinder, type GrinderOptions } from '../grinder/grinder.ts';
import { type PoolFigures, Steering } from '../grinder/steering.ts';
import { hoursOfStock, type StockFigures, UrgencyWatch } from '../grinder/urgency.ts';
import type { Log } from '../log.ts';
import type { ChangedPools } from '../pool/changed-pools.ts';
import { GrinderThreads } from '../pool/grinder-threads.ts';
import { grinderBoard } from '../pool/health.ts';
import { History } from '../pool/history.ts';
import { monotonicMs } from '../pool/monotonic.ts';
import { Pool } from '../pool/pool.ts';
import type { PoolStatus } from '../pool/pool-status.ts';
import { type GrindingBoard, grindingBoard, type SharedPool } from '../pool/shared-pool.ts';
import type { Tallies } from '../pool/tallies.ts';
import { ISA_LEVELS } from '../system/isa.ts';
import { ownNice } from '../system/priority.ts';
import type { AlertFigures, Alerts } from './alerts.ts';
import { FirstAddresses } from './first-addresses.ts';
import { milliPerHour, Samples } from './samples.ts';

const STEER_MS = 200;
const TOTALS = ['attempts', 'hits', 'faults', 'restarts', 'priorityChanges'] as const;

type Totals = Record<(typeof TOTALS)[number], number>;

interface GroundPool {
  /** Among all that are steered. */
  readonly index: number;
  readonly shared: SharedPool;
  readonly status: Pool;
  readonly grinding: GrindingBoard;
  readonly consumption: Consumption;
  readonly history: History;
}

export class ServedGrinder {
  /** What HTTP threads join by. */
  readonly buffers: { readonly board: SharedArrayBuffer; readonly threads: SharedArrayBuffer };
  readonly #options: Config['grinder'];
  readonly #tallies: Tallies;
  readonly #log: Log;
  readonly #board = grinderBoard();
  readonly #threads: GrinderThreads;
  readonly #urgency = new UrgencyWatch();
  readonly #firstAddresses: FirstAddresses;
  readonly #changes: ChangedPools;
  readonly #alerts: Alerts | undefined;
  #samples = new Samples();
  #pools: readonly GroundPool[] = [];
  #byPlace: ReadonlyMap<number, GroundPool> = new Map();
  /** Those that are ground for, that changed, or whose recovery is watched: all others are as they were. */
  readonly #awake = new Set<GroundPool>();
  #lookedAt = performance.now();
  #steering = new Steering([]);
  #grinder: Grinder | undefined;
  /** Of all runs before this one. */
  #before: Readonly<Record<string, number>> = {};
  #timer: NodeJS.Timeout | undefined;

  /** `alerts`: undefined where nobody asks for any. */
  constructor(
    options: Config['grinder'],
    tallies: Tallies,
    changes: ChangedPools,
    log: Log,
    alerts?: Alerts,
  ) {
    this.#alerts = alerts;
    this.#tallies = tallies;
    this.#changes = changes;
    this.#options = options;
    this.#log = log;
    this.#firstAddresses = new FirstAddresses(log);
    this.#threads = GrinderThreads.of(options.threads);
    this.buffers = { board: this.#board.buffer, threads: this.#threads.buffer };
  }

  /** `before`: the totals of the runs before; `onHits` as of `GrinderOptions`. */
  start(before: Readonly<Record<string, number>>, onHits: GrinderOptions['onHits']): void {
    this.#before = before;
    const nice = ownNice();
    if (nice > 0)
      this.#log.warn({ nice }, 'the server was started at a low priority, and stays there');
    const onUnstarted = (): void => this.#tallies.countUnstarted('grinder');
    this.#grinder = new Grinder({ ...this.#options, log: this.#log, onHits, onUnstarted });
    this.#timer = setInterval(() => this.#steer(this.#grinder!), STEER_MS);
    this.#steer(this.#grinder);
  }

  /** Resolves when the hits that threads have posted are stored, or given up. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#grinder?.close();
  }

  /**
   * All that there are. The steering forgets how they were consumed, which it learns anew in half a
   * minute.
   */
  setPools(pools: readonly SharedPool[]): void {
    const known = new Map(this.#pools.map((pool) => [pool.shared.name, pool]));
    this.#pools = pools.map((shared, index) => groundPool(shared, index, known.get(shared.name)));
    this.#byPlace = new Map(this.#pools.map((pool) => [pool.shared.place, pool]));
    // A new one gets its first sample at once.
    this.#samples = new Samples();
    this.#awake.clear();
    for (const pool of this.#pools) this.#wake(pool);
    const names = new Set(pools.map(({ name }) => name));
    this.#firstAddresses.keep(names);
    this.#alerts?.keep(names);
    this.#steering = new Steering(
      pools.map(({ name, pattern, keys }) => ({ job: { pool: name, pattern, keyType: keys } })),
    );
  }

  statusOf(): { readonly shared: SharedPool; readonly status: PoolStatus }[] {
    return this.#pools.map(({ shared, status }) => ({ shared, status: status.status() }));
  }

  /** Since the store was made. */
  totals(): Totals {
    const stats = this.#grinder?.stats();
    const totals = {} as Totals;
    for (const name of TOTALS) {
      // Expanded keys take the largest whole number in years, not in ages; what is larger cannot be read.
      const total = (this.#before[name] ?? 0) + (stats?.[name] ?? 0);
      totals[name] = Math.min(total, Number.MAX_SAFE_INTEGER);
    }
    return totals;
  }

  /** Grinds for the pools that are short, and publishes its figures to all threads. */
  #steer(grinder: Grinder): void {
    const nowMs = performance.now();
    for (const place of this.#changes.take('steering')) this.#wake(this.#byPlace.get(place));
    this.#lookedAt = nowMs;
    const pools = [...this.#awake].map((pool) => ({ ...pool, now: pool.status.status() }));
    if (this.#options.threads > 0) {
      const named = pools.map(({ shared, now }) => ({ name: shared.name, status: now }));
      this.#firstAddresses.look(named, nowMs);
    }
    const figures = pools.map((pool) => figuresOf(pool, nowMs));
    // First: a thread that starts at another priority is replaced at once.
    this.#prioritize(grinder, figures, nowMs);
    grinder.steer(this.#steering.next(figures, nowMs));
    const {
      active,
      attemptsPerSecond,
      attemptsPerSecondOf,
      fullAttemptsPerSecondOf,
      isa,
      perThread,
    } = grinder.stats();
    this.#alerts?.look(figures, nowMs);
    for (const { index, isShort, isPaused } of figures) {
      const isGround = isShort && active > 0;
      const pool = this.#pools[index]!;
      pool.grinding.write({
        active: isGround ? 1 : 0,
        threads: isGround ? active : 0,
        attemptsPerSecond: isGround ? Math.round(attemptsPerSecondOf[pool.shared.keys]) : 0,
        milliPerHour: milliPerHour(pool.consumption),
      });
      const isWatched = !isPaused && this.#alerts?.watches(pool.shared.name);
      if (!isShort && !isWatched) this.#awake.delete(pool);
    }
    this.#threads.write(perThread);
    this.#board.write({
      ...this.totals(),
      threads: active,
      attemptsPerSecond: Math.round(attemptsPerSecond),
      fullSeedAttemptsPerSecond: Math.round(fullAttemptsPerSecondOf.seed ?? 0),
      fullExpandedAttemptsPerSecond: Math.round(fullAttemptsPerSecondOf.expanded ?? 0),
      isa: (ISA_LEVELS as readonly unknown[]).indexOf(isa) + 1,
    });
    this.#samples.takeIfDue(this.#pools, nowMs, monotonicMs());
  }

  #wake(pool: GroundPool | undefined): void {
    if (pool === undefined || this.#awake.has(pool)) return;
    pool.consumption.rested(this.#lookedAt);
    this.#awake.add(pool);
  }

  #prioritize(grinder: Grinder, figures: readonly StockFigures[], nowMs: number): void {
    const found = this.#urgency.next(figures, nowMs);
    if (found === undefined || !grinder.prioritize(found.urgency)) return;
    const { urgency, neediest } = found;
    const hours = hoursOfStock(neediest);
    const priorities = new Set(grinder.stats().perThread.map(({ priority }) => priority));
    this.#log.info(
      {
        priorities: [...priorities],
        urgency,
        pool: neediest.pool,
        stock: neediest.stock,
        ...(Number.isFinite(hours) && { hours: Number(hours.toPrecision(2)) }),
      },
      'grinder threads get another priority',
    );
  }
}

function figuresOf(
  { index, shared, now, consumption }: GroundPool & { readonly now: PoolStatus },
  nowMs: number,
): AlertFigures & PoolFigures {
  const { available, leased, reserved, dispensed, burned, ...pool } = now;
  const target = pool.paused ? 0 : pool.target;
  const held = available + leased;
  consumption.note(reserved + dispensed + burned, nowMs);
  return {
    index,
    pool: shared.name,
    held,
    // Not the stock of the status, which lacks what a turn is leasing: a thread would be made for it.
    stock: held,
    target,
    isShort: held < target,
    dispensed,
    perHour: consumption.perHour,
    lowHours: pool.lowHours,
    isPaused: pool.paused,
    everHad: pool.ground + pool.imported,
  };
}

function groundPool(shared: SharedPool, index: number, known: GroundPool | undefined): GroundPool {
  if (known?.shared.generation === shared.generation) return { ...known, index };
  const none = (): never => {
    throw new Error('the main thread dispenses nothing');
  };
  const status = new Pool(shared, { refill: none, prepare: none, record: none });
  const grinding = grindingBoard(shared);
  const consumption = known?.consumption ?? new Consumption();
  const history = new History(shared.history);
  return { index, shared, status, grinding, consumption, history };
}
