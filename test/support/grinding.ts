/**
 * A grinder under test, with real threads and the real kernel, and what it did: what it logged,
 * which threads it started, and what each of them posted, seen beside the grinder and not through
 * it. Patterns are easy: a hit takes the slowest kernel milliseconds.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { Grinder, type GrinderOptions } from '../../src/grinder/grinder.ts';
import type { GrindJob } from '../../src/grinder/job.ts';
import type { Report } from '../../src/grinder/messages.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';
import type { Hit, KeyType, SigningKey } from '../../src/keypair/signing-key.ts';
import type { Log } from '../../src/log.ts';

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A log that is kept as the objects that its lines hold. */
export function keptLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const formatters = { level: (level: string) => ({ level }) };
  const write = (line: string) => {
    const entry = JSON.parse(line) as LogLine;
    // Every grinder says this one, and no test is about it.
    if (entry.msg !== 'the grind kernel is ready') lines.push(entry);
  };
  return { log: pino({ base: null, formatters }, { write }), lines };
}

export function job(
  pool: string,
  suffix: string,
  prefix = '',
  keyType: KeyType = 'seed',
): GrindJob {
  return { pool, pattern: parsePattern({ prefix, suffix, ignoreCase: false }), keyType };
}

export function addressIn({ publicKey }: SigningKey) {
  return addressOf(publicKey);
}

const TRIES = 40_000;

/** Asks again every few milliseconds, for 200 s or more: far longer than anything here takes. */
export async function until(isThere: () => boolean): Promise<void> {
  for (let tries = 0; !isThere(); tries++) {
    if (tries === TRIES) throw new Error(`did not come about: ${isThere}`);
    await sleep(5);
  }
}

type Options = Partial<Omit<GrinderOptions, 'log'>>;

export class Grinding implements AsyncDisposable {
  readonly grinder: Grinder;
  readonly lines: LogLine[];
  /** Every thread that was started, in order. */
  readonly workers: Worker[] = [];
  /** Addresses and pools of the hits as the threads posted them, before the grinder was closed. */
  readonly posted: string[] = [];
  /** The same of the hits that were stored, that is, whose `onHits` resolved. */
  readonly stored: string[] = [];
  attemptsPosted = 0;
  #isClosed = false;
  readonly #watch = (worker: Worker) => {
    this.workers.push(worker);
    // The grinder listens first, but wipes no secret before the store has answered.
    worker.on('message', (report: Report) => {
      if (report.kind !== 'progress' || this.#isClosed) return;
      this.posted.push(...report.hits.map(name));
      this.attemptsPosted += report.tried.seed.attempts + report.tried.expanded.attempts;
    });
  };

  constructor(options: Options = {}) {
    process.on('worker', this.#watch);
    const { log, lines } = keptLog();
    this.lines = lines;
    const { onHits = () => Promise.resolve(), ...others } = options;
    this.grinder = new Grinder({
      threads: 2,
      batch: 16,
      sliceMs: 5,
      priority: 'normal',
      ...others,
      onHits: async (hits) => {
        const names = hits.map(name);
        await onHits(hits);
        this.stored.push(...names);
      },
      log,
    });
  }

  /** Waits for the threads too, which the grinder does not. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.grinder.close();
    const alive = this.workers.filter(({ threadId }) => threadId !== -1);
    await Promise.all(alive.map((worker) => once(worker, 'exit')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('worker', this.#watch);
    await this.close();
  }
}

function name(hit: Hit): string {
  return `${hit.pool} ${addressIn(hit)}`;
}

/** Nice values of a process's threads that are not as they began, lowest first; 20 is SCHED_IDLE. */
export function loweredThreads(pid: number | 'self' = 'self'): number[] {
  const nices = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    } catch {
      // It has ended meanwhile.
      return [];
    }
    // The name of the thread, which comes second, may hold spaces; the third field follows (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [nice, policy] = [Number(fields[19 - 3]), Number(fields[41 - 3])];
    return policy === SCHED_IDLE ? [20] : [nice];
  });
  return nices.filter((nice) => nice !== 0).toSorted((one, other) => one - other);
}

const SCHED_IDLE = 5;
