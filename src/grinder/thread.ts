/**
 * One of the grinder's threads, seen from the main thread: started when there is first something
 * to grind, and replaced when it dies of whatever. What the dead one had posted arrives before
 * its end is told, so the account of unstored hits goes on with its successor.
 *
 * A thread that dies is replaced after 100 ms; the wait doubles with each death, up to 10 s, until
 * a thread's hits have proved.
 */
import { Worker } from 'node:worker_threads';
import type { Log } from '../log.ts';
import type { Sender } from './delivery.ts';
import type { GrindJob } from './grinder.ts';
import type { GrinderWorkerData, Loaded, Opened, Order, Progress, Report } from './worker.ts';

export interface GrinderThreadOptions {
  readonly batch: number;
  readonly sliceMs: number;
  readonly priority: 'idle' | 'normal';
  /** Hits that may wait to be stored before the thread pauses. */
  readonly unstoredMax: number;
  readonly onLoaded: (loaded: Loaded) => void;
  readonly onOpened: (opened: Opened) => void;
  readonly onProgress: (thread: GrinderThread, progress: Progress) => void;
  readonly log: Log;
}

const BACK_OFF_MIN_MS = 100;
const BACK_OFF_MAX_MS = 10_000;

export class GrinderThread implements Sender {
  readonly #options: GrinderThreadOptions;
  #jobs: readonly GrindJob[] = [];
  #worker: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #unstored = 0;
  #restarts = 0;
  #backOffMs = BACK_OFF_MIN_MS;
  #backOff: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: GrinderThreadOptions) {
    this.#options = options;
  }

  /** Threads that died and gave way to this one. */
  get restarts(): number {
    return this.#restarts;
  }

  /** It has something to grind and is not let: its hits wait to be stored. */
  get isPaused(): boolean {
    return this.#jobs.length > 0 && this.#unstored >= this.#options.unstoredMax;
  }

  get isActive(): boolean {
    return this.#worker !== undefined && this.#jobs.length > 0 && !this.isPaused;
  }

  steer(jobs: readonly GrindJob[]): void {
    this.#jobs = jobs;
    if (this.#worker !== undefined) this.#order({ kind: 'grind', jobs });
    else if (this.#backOff === undefined) this.#start();
  }

  stored(count: number): void {
    this.#unstored -= count;
    this.#order({ kind: 'stored', count });
  }

  /** Resolves when the thread has ended and everything it posted has arrived. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#jobs = [];
    clearTimeout(this.#backOff);
    this.#order({ kind: 'stop' });
    await this.#ended;
  }

  #order(order: Order): void {
    this.#worker?.postMessage(order);
  }

  #start(): void {
    if (this.#jobs.length === 0) return;
    const { batch, sliceMs, priority, unstoredMax, log } = this.#options;
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: 'grinder',
      workerData: {
        batch,
        sliceMs,
        priority,
        unstoredMax,
        unstored: this.#unstored,
      } satisfies GrinderWorkerData,
    });
    this.#worker = worker;
    let reason: string | undefined;
    worker.on('message', (report: Report) => this.#take(report));
    worker.on('error', (error) => {
      reason = error.message;
    });
    this.#ended = new Promise((resolve) => {
      worker.on('exit', () => {
        this.#worker = undefined;
        if (!this.#isClosed) {
          log.error({ reason, waitMs: this.#backOffMs }, 'a grinder thread ended; it is replaced');
          this.#replace();
        }
        resolve();
      });
    });
    this.#order({ kind: 'grind', jobs: this.#jobs });
  }

  #replace(): void {
    this.#restarts++;
    this.#backOff = setTimeout(() => {
      this.#backOff = undefined;
      this.#start();
    }, this.#backOffMs);
    this.#backOffMs = Math.min(2 * this.#backOffMs, BACK_OFF_MAX_MS);
  }

  #take(report: Report): void {
    if (report.kind === 'loaded') {
      this.#options.onLoaded(report);
      return;
    }
    if (report.kind === 'opened') {
      this.#options.onOpened(report);
      return;
    }
    const { hits, faults } = report;
    if (hits.length > 0 && faults === 0) this.#backOffMs = BACK_OFF_MIN_MS;
    this.#unstored += hits.length;
    this.#options.onProgress(this, report);
  }
}
