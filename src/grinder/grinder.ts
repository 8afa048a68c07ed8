/**
 * The grinder: worker threads that search for the addresses that the pools lack. Runs in the main
 * thread, which only passes hits on. It never sees the store: it calls `onHits`.
 *
 * Promises: nothing ground is lost. A hit that was posted is kept until `onHits` has it stored,
 * whatever happens to the thread that found it, and also when its pool is not wanted any more. Only a
 * close drops what threads find after it.
 * At most `maxUnstored` hits wait, in all threads together; then grinding pauses. A pool that lacks a
 * number of addresses gets about so many, however fast they are found: each thread may find its share of
 * them, and is allowed more when it has reported; a pool that lacks none is dropped at once. With no jobs
 * nothing runs: no timer here, every thread asleep. A hit that a thread had not posted when it
 * died is gone; nobody ever saw it.
 */
import { type Hit, KEY_TYPES, type KeyType } from '../keypair/signing-key.ts';
import type { Log } from '../log.ts';
import type { Priority } from '../system/priority.ts';
import { Delivery } from './delivery.ts';
import type { Allowance, GrindJob } from './job.ts';
import type { Loaded, Opened, Progress } from './messages.ts';
import { GrinderThread } from './thread.ts';
import { TypeRates } from './type-rates.ts';
import type { Urgency } from './urgency.ts';

export interface GrinderOptions {
  /** 0: never grinds. */
  readonly threads: number;
  /** Most hits of one call of `onHits`. */
  readonly batch: number;
  /** The longest that a thread is deaf to orders. */
  readonly sliceMs: number;
  /** 'auto': by `prioritize`, low until then. */
  readonly priority: Priority | 'auto';
  /** Hits that may wait to be stored, 4 batches if not given; each thread may hold one at least. */
  readonly maxUnstored?: number;
  /**
   * Resolves when the hits are durably stored; their keys are wiped then. When it rejects, the
   * same hits come again. Never called twice at once.
   */
  readonly onHits: (hits: Hit[]) => Promise<void>;
  /** The system gave no thread; retrying. */
  readonly onUnstarted?: () => void;
  readonly log: Log;
}

export interface GrinderStats {
  readonly threads: number;
  /** Threads that grind now. */
  readonly active: number;
  /** Of this run, as the threads have reported them: at most 100 ms and a slice late. */
  readonly attempts: number;
  readonly hits: number;
  /** All threads together, over about the last 10 s of grinding; 0 when none grinds. */
  readonly attemptsPerSecond: number;
  /** The same of each key type, which take turns. */
  readonly attemptsPerSecondOf: Readonly<Record<KeyType, number>>;
  /** If all threads searched for that type alone, also while none does; undefined before any did. */
  readonly fullAttemptsPerSecondOf: Readonly<Record<KeyType, number | undefined>>;
  readonly restarts: number;
  /** Times that threads got another priority. */
  readonly priorityChanges: number;
  /** Hits that came out wrong and were dropped: a broken machine. Expected to be 0. */
  readonly faults: number;
  /** Of the kernel; undefined until the first thread has loaded it. */
  readonly isa: string | undefined;
  /** Hits that wait to be stored. */
  readonly unstored: number;
  /** A thread waits for its hits to be stored. */
  readonly paused: boolean;
  readonly perThread: readonly ThreadStats[];
}

export interface ThreadStats {
  readonly priority: Priority;
  /** Of a core, over about the last 10 s, 0 to 1; undefined while it has nothing to grind. */
  readonly share: number | undefined;
  /** Over the same time; undefined as `share` is. */
  readonly attemptsPerSecond: number | undefined;
}

/** The priority of the first thread and of the others: one is enough for a pool that runs dry, and
 * leaves the other cores to requests. */
const BY_URGENCY: Readonly<Record<Urgency, readonly [Priority, Priority]>> = {
  stocked: ['low', 'low'],
  low: ['raised', 'raised'],
  dry: ['normal', 'raised'],
};

export class Grinder implements AsyncDisposable {
  readonly #log: Log;
  readonly #delivery: Delivery;
  readonly #threads: readonly GrinderThread[];
  readonly #isAuto: boolean;
  /** What the threads grind for. */
  #jobs: readonly GrindJob[] = [];
  #allowed: Allowance = { seed: 0, expanded: 0 };
  /** By pool, since the last `steer`. */
  readonly #lacking = new Map<string, number>();
  #attempts = 0;
  #hits = 0;
  #faults = 0;
  #isa: string | undefined;
  #origin: string | undefined;
  #isOpened = false;
  #priorityChanges = 0;
  readonly #rates: TypeRates;
  #closing: Promise<void> | undefined;

  constructor(options: GrinderOptions) {
    const { threads, batch, sliceMs, priority, onHits, onUnstarted, log } = options;
    const { maxUnstored = 4 * batch } = options;
    this.#log = log;
    this.#isAuto = priority === 'auto';
    this.#rates = new TypeRates(threads);
    this.#delivery = new Delivery(batch, onHits, log);
    const unstoredMax = Math.max(1, Math.floor(maxUnstored / threads));
    this.#threads = Array.from({ length: threads }, () => {
      return new GrinderThread({
        batch,
        sliceMs,
        priority: priority === 'auto' ? 'low' : priority,
        unstoredMax,
        onLoaded: (loaded) => this.#loaded(loaded),
        onOpened: (opened) => this.#opened(opened),
        onProgress: (thread, progress) => this.#progress(thread, progress),
        onUnstarted: () => onUnstarted?.(),
        log,
      });
    });
  }

  /**
   * From now on for these pools, none: not at all. Heard by all threads within a slice. Hits that wait
   * to be stored are not missing.
   */
  steer(jobs: readonly GrindJob[]): void {
    if (this.#closing !== undefined) return;
    this.#lacking.clear();
    for (const { pool, missing } of jobs) {
      if (missing !== undefined) this.#lacking.set(pool, missing - this.#delivery.sizeOf(pool));
    }
    this.#order(jobs);
  }

  /**
   * With priority 'auto' alone: threads of another priority take over. Whether there are any that
   * had another one.
   */
  prioritize(urgency: Urgency): boolean {
    if (!this.#isAuto || this.#closing !== undefined) return false;
    const [first, others] = BY_URGENCY[urgency];
    const changed = this.#threads.filter((thread, index) => {
      return thread.prioritize(index === 0 ? first : others);
    });
    if (changed.length > 0) this.#priorityChanges++;
    return changed.length > 0;
  }

  stats(): GrinderStats {
    const active = this.#threads.filter(({ isActive }) => isActive).length;
    const types = KEY_TYPES.filter((type) => this.#jobs.some(({ keyType }) => keyType === type));
    const { seed, expanded } = this.#rates.perSecond(types);
    const attemptsPerSecondOf = { seed: active * seed, expanded: active * expanded };
    const threads = this.#threads.length;
    const full = (type: KeyType) => threads * this.#rates.perSecond([type])[type] || undefined;
    return {
      threads,
      active,
      attempts: this.#attempts,
      hits: this.#hits,
      attemptsPerSecond: attemptsPerSecondOf.seed + attemptsPerSecondOf.expanded,
      attemptsPerSecondOf,
      fullAttemptsPerSecondOf: { seed: full('seed'), expanded: full('expanded') },
      restarts: this.#threads.reduce((sum, { restarts }) => sum + restarts, 0),
      priorityChanges: this.#priorityChanges,
      faults: this.#faults,
      isa: this.#isa,
      unstored: this.#delivery.size,
      paused: this.#threads.some(({ isPaused }) => isPaused),
      perThread: this.#threads.map(({ priority, share, attemptsPerSecond }) => {
        return { priority, share, attemptsPerSecond };
      }),
    };
  }

  /**
   * Resolves when every hit that was posted is stored or given up. The threads end after their
   * slices, which is not waited for; what they find meanwhile is dropped.
   */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      for (const thread of this.#threads) thread.close();
      this.#closing = this.#delivery.close();
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Those of the jobs whose pools lack any. */
  #order(jobs: readonly GrindJob[], reporting?: GrinderThread): void {
    const wanted = jobs.filter(({ pool }) => this.#lackOf(pool) > 0);
    const allowed = this.#allowanceFor(wanted);
    const before = this.#allowed;
    const isOther = allowed.seed !== before.seed || allowed.expanded !== before.expanded;
    if (!isSame(wanted, this.#jobs)) {
      for (const thread of this.#threads) thread.steer(wanted, allowed);
    } else if (reporting !== undefined) reporting.allow(allowed);
    else if (isOther) for (const thread of this.#threads) thread.allow(allowed);
    this.#jobs = wanted;
    this.#allowed = allowed;
  }

  #lackOf(pool: string): number {
    return this.#lacking.get(pool) ?? Number.POSITIVE_INFINITY;
  }

  /** A thread's share of what the pool lacks that lacks most: a search cannot stop for one of its pools. */
  #allowanceFor(jobs: readonly GrindJob[]): Allowance {
    const most = { seed: 0, expanded: 0 };
    for (const { pool, keyType } of jobs) {
      const share = Math.ceil(this.#lackOf(pool) / this.#threads.length);
      most[keyType] = Math.max(most[keyType], share);
    }
    return most;
  }

  #loaded({ isa, warning, origin }: Loaded): void {
    if (this.#isa !== undefined) return;
    this.#isa = isa;
    this.#origin = origin;
    if (warning !== undefined) this.#log.warn(warning);
  }

  /** Said once: how fast it will be depends on it, and the table on the memory that was free. */
  #opened({ tableBytes }: Opened): void {
    if (this.#isOpened) return;
    this.#isOpened = true;
    const tableMiB = Math.round(tableBytes / 2 ** 20);
    const [isa, origin] = [this.#isa, this.#origin];
    this.#log.info({ isa, origin, tableMiB }, 'the grind kernel is ready');
  }

  #progress(thread: GrinderThread, { tried, hits, faults }: Progress): void {
    this.#attempts += tried.seed.attempts + tried.expanded.attempts;
    this.#hits += hits.length;
    this.#faults += faults;
    this.#rates.add(tried);
    if (faults > 0) {
      this.#log.error({ faults }, 'wrong hits were dropped: this machine miscomputes');
    }
    this.#delivery.add(hits, thread);
    for (const { pool } of hits) this.#lacking.set(pool, this.#lackOf(pool) - 1);
    if (this.#closing === undefined && hits.length > 0) this.#order(this.#jobs, thread);
  }
}

function isSame(jobs: readonly GrindJob[], others: readonly GrindJob[]): boolean {
  return (
    jobs.length === others.length &&
    jobs.every(({ pool, pattern, keyType }, index) => {
      const other = others[index]!;
      return pool === other.pool && pattern === other.pattern && keyType === other.keyType;
    })
  );
}
