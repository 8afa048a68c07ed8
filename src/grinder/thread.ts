/**
 * One of the grinder's threads, seen from the main thread: a worker that is started when there is
 * first something to grind, and replaced when it dies of whatever. What the dead one had posted
 * arrives before its end is reported, so its successor continues the count of unstored hits.
 *
 * A worker that dies is replaced after 100 ms; the wait doubles with each death, up to 10 s, until
 * a worker's hits have proved. One that the system has no thread for is tried again in the same way.
 * Another priority is another worker too (system/priority.ts): it starts at the
 * priority of the main thread, which is never lowered, while the one before ends after its slice.
 *
 * A close waits for nothing: a worker that gets no core would hold up the stop of the server. What
 * it finds from then on is dropped.
 */

import type { Worker } from 'node:worker_threads';
import { BackOff } from '../back-off.ts';
import { entry } from '../entry.ts';
import type { Log } from '../log.ts';
import type { Priority } from '../system/priority.ts';
import { isLimit, startThread } from '../system/threads.ts';
import type { Sender } from './delivery.ts';
import type { Allowance, GrindJob } from './job.ts';
import type { GrinderWorkerData, Loaded, Opened, Order, Progress, Report } from './messages.ts';

export interface GrinderThreadOptions {
  readonly batch: number;
  readonly sliceMs: number;
  readonly priority: Priority;
  /** Hits that may wait to be stored before the thread pauses. */
  readonly unstoredMax: number;
  readonly onLoaded: (loaded: Loaded) => void;
  readonly onOpened: (opened: Opened) => void;
  readonly onProgress: (thread: GrinderThread, progress: Progress) => void;
  /** The system gave no thread. */
  readonly onUnstarted: () => void;
  readonly log: Log;
}

const ENTRY = entry(import.meta.url, './worker');
/** The share of a core is one of about this time. */
const SHARE_WINDOW_MS = 10_000;

export class GrinderThread implements Sender {
  readonly #options: GrinderThreadOptions;
  #priority: Priority;
  #jobs: readonly GrindJob[] = [];
  #allowed: Allowance = { seed: 0, expanded: 0 };
  #worker: Worker | undefined;
  #unstored = 0;
  #restarts = 0;
  readonly #backOff = new BackOff();
  #nextStart: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** What it got of the time in which it had work. */
  #got = { attempts: 0, cpuMs: 0, elapsedMs: 0, reportedAt: 0 };

  constructor(options: GrinderThreadOptions) {
    this.#options = options;
    this.#priority = options.priority;
  }

  /** Workers that died and gave way to another. */
  get restarts(): number {
    return this.#restarts;
  }

  get priority(): Priority {
    return this.#priority;
  }

  /** It has something to grind and is not let: its hits wait to be stored. */
  get isPaused(): boolean {
    return this.#jobs.length > 0 && this.#unstored >= this.#options.unstoredMax;
  }

  get isActive(): boolean {
    return this.#worker !== undefined && this.#jobs.length > 0 && !this.isPaused;
  }

  /**
   * The share of a core that it got over about the last 10 s, 0 to 1; undefined while it has nothing
   * to grind. One that gets none has reported nothing since.
   */
  get share(): number | undefined {
    if (!this.isActive) return undefined;
    const { cpuMs, elapsedMs, reportedAt } = this.#got;
    return Math.min(cpuMs / (elapsedMs + performance.now() - reportedAt), 1);
  }

  /** Over the same time; undefined as `share` is. */
  get attemptsPerSecond(): number | undefined {
    if (!this.isActive) return undefined;
    const { attempts, elapsedMs, reportedAt } = this.#got;
    return (attempts * 1000) / Math.max(elapsedMs + performance.now() - reportedAt, 1);
  }

  steer(jobs: readonly GrindJob[], allowed: Allowance): void {
    if (!this.isActive) this.#beginShare();
    this.#jobs = jobs;
    this.#allowed = allowed;
    if (this.#worker !== undefined) this.#order({ kind: 'grind', jobs, allowed });
    else if (this.#nextStart === undefined) this.#start();
  }

  /** For the same jobs. */
  allow(allowed: Allowance): void {
    this.#allowed = allowed;
    this.#order({ kind: 'allow', allowed });
  }

  /** Whether it had another one. */
  prioritize(priority: Priority): boolean {
    if (priority === this.#priority) return false;
    this.#priority = priority;
    if (this.#worker === undefined) return true;
    this.#order({ kind: 'stop' });
    this.#worker = undefined;
    this.#beginShare();
    this.#start();
    return true;
  }

  stored(count: number): void {
    this.#unstored -= count;
    this.#order({ kind: 'stored', count });
  }

  close(): void {
    this.#isClosed = true;
    this.#jobs = [];
    clearTimeout(this.#nextStart);
    this.#order({ kind: 'stop' });
  }

  #order(order: Order): void {
    this.#worker?.postMessage(order);
  }

  #beginShare(): void {
    this.#got = { attempts: 0, cpuMs: 0, elapsedMs: 0, reportedAt: performance.now() };
  }

  #start(): void {
    if (this.#jobs.length === 0) return;
    const { batch, sliceMs, unstoredMax } = this.#options;
    const data: GrinderWorkerData = {
      batch,
      sliceMs,
      priority: this.#priority,
      unstoredMax,
      unstored: this.#unstored,
    };
    try {
      const onEnd = (reason: Error | undefined) => this.#ended(worker, reason);
      const worker = startThread({ name: 'grinder', entry: ENTRY, data, onEnd });
      worker.on('message', (report: Report) => this.#take(worker, report));
      this.#worker = worker;
    } catch (error) {
      if (!isLimit(error)) throw error;
      this.#replace(error);
      return;
    }
    this.#order({ kind: 'grind', jobs: this.#jobs, allowed: this.#allowed });
  }

  #ended(worker: Worker, reason: Error | undefined): void {
    // This one was stopped, for another priority.
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    if (!this.#isClosed) this.#replace(reason);
  }

  #replace(error: Error | undefined): void {
    const { log, onUnstarted } = this.#options;
    const waitMs = this.#backOff.next();
    const told = { reason: error?.message, waitMs };
    if (isLimit(error)) {
      onUnstarted();
      log.error(told, 'a grinder thread cannot be started; retrying');
    } else {
      this.#restarts++;
      log.error(told, 'a grinder thread ended; it is replaced');
    }
    this.#nextStart = setTimeout(() => {
      this.#nextStart = undefined;
      this.#start();
    }, waitMs);
  }

  #take(worker: Worker, report: Report): void {
    if (report.kind === 'loaded') {
      this.#options.onLoaded(report);
      return;
    }
    if (report.kind === 'opened') {
      this.#options.onOpened(report);
      return;
    }
    const { hits, faults } = report;
    if (this.#isClosed) {
      for (const { key } of hits) key.fill(0);
      return;
    }
    if (hits.length > 0 && faults === 0) this.#backOff.succeeded();
    this.#unstored += hits.length;
    if (worker === this.#worker) this.#addShare(report);
    // The account of the worker in its place began before these.
    else if (hits.length > 0) this.#order({ kind: 'stored', count: -hits.length });
    this.#options.onProgress(this, report);
  }

  #addShare({ tried, cpuMs, elapsedMs }: Progress): void {
    const attempts = tried.seed.attempts + tried.expanded.attempts;
    const weight = Math.exp(-elapsedMs / SHARE_WINDOW_MS);
    this.#got = {
      attempts: this.#got.attempts * weight + attempts,
      cpuMs: this.#got.cpuMs * weight + cpuMs,
      elapsedMs: this.#got.elapsedMs * weight + elapsedMs,
      reportedAt: performance.now(),
    };
  }
}
