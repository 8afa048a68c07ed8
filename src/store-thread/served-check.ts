/**
 * The check behind the start of a server, which cannot wait for it (sqlite/check-runner.ts), and behind reads that look
 * damaged. Runs in the store thread. Damage that it finds stays until the next start. A check that
 * could not run, or not to its end, is no damage: it is made again after a second, and later after up
 * to ten minutes, since each reads the whole store. What it could not read is read again.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BackOff } from '../back-off.ts';
import { STORE_FILE } from '../disk/held.ts';
import type { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type Check, isUnchecked, startCheck, type Use } from '../store/sqlite/check-runner.ts';

const FIRST_MS = 1000;
const LONGEST_MS = 600_000;
const AGAIN_MS = 10_000;

export interface ServedCheckOptions {
  readonly directory: string;
  /** What is wrong with the store; undefined: all of it was read, and nothing is. */
  readonly onFound: (error: VanityError | undefined) => void;
  /** It could not run. */
  readonly onUnstarted: () => void;
  readonly log: Pick<Log, 'warn'>;
  readonly backOff?: BackOff;
}

export class ServedCheck {
  readonly #options: ServedCheckOptions;
  readonly #backOff: BackOff;
  #check: Check | undefined;
  #again: NodeJS.Timeout | undefined;
  /** What was read looked damaged, or could not be read, since the last check began. */
  #isInDoubt = false;
  /** Damaged, or stopped. */
  #isOver = false;

  constructor(options: ServedCheckOptions) {
    this.#options = options;
    this.#backOff = options.backOff ?? new BackOff(FIRST_MS, LONGEST_MS);
    this.#start('in-use');
  }

  /** Something that was read looks damaged: soon all of it is. */
  doubt(): void {
    this.#isInDoubt = true;
    if (this.#check === undefined) this.#startIn(AGAIN_MS, 'in-doubt');
  }

  /** Ends it, without waiting for a result. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#again);
    this.#check?.stop();
    this.#check = undefined;
  }

  #start(use: Use): void {
    this.#isInDoubt = false;
    let check: Check;
    try {
      check = startCheck(this.#options.directory, use);
    } catch (error) {
      // Its file is gone: the next write reports that.
      this.#startLater(error as VanityError, use);
      return;
    }
    this.#check = check;
    const end = (error?: VanityError): void => {
      if (this.#check !== check) return;
      this.#check = undefined;
      this.#ended(error, use);
      if (this.#isInDoubt) this.#startIn(AGAIN_MS, 'in-doubt');
    };
    check.result.then(() => end(), end);
  }

  #ended(error: VanityError | undefined, use: Use): void {
    // No other process can look at it where only SQLite itself keeps others out.
    if (error?.code === 'STORE_LOCKED') return;
    if (error !== undefined && (isUnchecked(error) || this.#isGone)) {
      this.#startLater(error, use);
      return;
    }
    this.#backOff.succeeded();
    this.#isOver = error?.code === 'STORE_CORRUPT';
    this.#isInDoubt ||= error !== undefined;
    this.#options.onFound(error);
  }

  /** Its file was removed: the next write reports that; a check would not. */
  get #isGone(): boolean {
    return !existsSync(join(this.#options.directory, STORE_FILE));
  }

  #startLater({ message: reason }: VanityError, use: Use): void {
    const { log, onUnstarted } = this.#options;
    const waitMs = this.#backOff.next();
    onUnstarted();
    log.warn({ reason, waitMs }, 'the store cannot be checked; retrying');
    this.#startIn(waitMs, use);
  }

  #startIn(ms: number, use: Use): void {
    if (this.#isOver || this.#again !== undefined) return;
    const start = (): void => {
      this.#again = undefined;
      this.#start(use);
    };
    this.#again = setTimeout(start, ms).unref();
  }
}
