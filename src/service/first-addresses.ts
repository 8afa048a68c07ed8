/**
 * Says in the log when the first address of a pool without stock is to be expected, again when it is
 * much later than that, and when it is there: a machine that is busy or slow looks like a fault
 * otherwise. A few lines for each pool and run; one that runs empty later is seen in its figures.
 * Runs in the main thread.
 */
import type { Log } from '../log.ts';
import { duration, expectation } from '../pool/expectation.ts';
import type { PoolStatus } from '../pool/pool-status.ts';

/** One search in twenty takes three times its mean. */
const LATE_TIMES = 3;
/** However short the mean is, and before there is a rate: threads start, tables are built. */
const PATIENCE_MS = 10_000;
const LATE_LINES_MAX = 3;

/** Of a pool that has had no address in this run. */
interface Wait {
  readonly since: number;
  /** When the next line is due that it is late. */
  lateAt: number;
  isTold: boolean;
  lateLines: number;
}

export interface PoolInWant {
  readonly name: string;
  readonly status: PoolStatus;
}

export class FirstAddresses {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  /** By pool; undefined for one that has had its first. */
  readonly #waits = new Map<string, Wait | undefined>();

  constructor(log: Pick<Log, 'info' | 'warn'>) {
    this.#log = log;
  }

  /** These alone are there. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#waits.keys()) if (!names.has(name)) this.#waits.delete(name);
  }

  /** At `now`, in milliseconds, of pools that lack addresses or that changed. */
  look(pools: readonly PoolInWant[], now: number): void {
    for (const { name, status } of pools) this.#lookAt(name, status, now);
  }

  #lookAt(pool: string, status: PoolStatus, now: number): void {
    if (!this.#waits.has(pool)) {
      const lateAt = now + PATIENCE_MS;
      this.#waits.set(pool, { since: now, lateAt, isTold: false, lateLines: 0 });
    }
    const wait = this.#waits.get(pool);
    if (wait === undefined) return;
    const waitedMs = now - wait.since;
    if (status.available + status.leased > 0) {
      this.#waits.set(pool, undefined);
      if (!wait.isTold) return;
      const afterSeconds = Math.round(waitedMs / 1000);
      this.#log.info({ pool, afterSeconds }, 'the first address is there');
      return;
    }
    // Nobody waits for one: see the line that says so.
    if (status.paused) return;
    const { attemptsPerSecond } = status.grinding;
    const { seconds, words } = expectation(status, 1);
    if (seconds !== undefined && !wait.isTold) {
      wait.isTold = true;
      wait.lateAt = now + Math.max(LATE_TIMES * seconds * 1000, PATIENCE_MS);
      this.#log.info({ pool, attemptsPerSecond }, `no address yet: ${words}`);
    } else if (now >= wait.lateAt && wait.lateLines < LATE_LINES_MAX) {
      wait.isTold = true;
      wait.lateLines++;
      wait.lateAt = now + Math.max(LATE_TIMES * waitedMs, (seconds ?? 0) * 1000);
      const waited = duration(waitedMs / 1000);
      const next = seconds === undefined ? '' : `; ${words}`;
      const message = `no address after ${waited}: the grinder tries ${attemptsPerSecond} a second${next}`;
      this.#log.warn({ pool, attemptsPerSecond }, message);
    }
  }
}
