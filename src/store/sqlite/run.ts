/**
 * How a call of the store runs: its transaction with the fence and the stamp of every commit, and
 * when what it did takes effect. Runs in the store thread.
 */
import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import type { OwnClock } from '../own-clock.ts';
import { transaction } from './database.ts';
import type { Effects } from './effects.ts';
import { storeError } from './error.ts';
import { metaOf, type Statements } from './statements.ts';
import type { Runner } from './tokens.ts';

export interface RunOptions {
  readonly db: DatabaseSync;
  readonly storeFile: string;
  readonly statements: Statements;
  readonly epoch: number;
  readonly effects: Effects;
  readonly clock: OwnClock;
  readonly onCommit: ((ms: number) => void) | undefined;
}

export class Run implements Runner {
  /** Of the run, which `begin` replaces. */
  epoch: number;
  readonly #options: Omit<RunOptions, 'epoch'>;
  readonly #inode: number;

  constructor({ epoch, ...options }: RunOptions) {
    this.epoch = epoch;
    this.#options = options;
    this.#inode = statSync(options.storeFile).ino;
  }

  get now(): number {
    return this.#options.clock.now;
  }

  async call<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw storeError(cause, this.#options.storeFile, 'running');
    }
  }

  /** A call that is one transaction. */
  write<T>(work: () => T): Promise<T> {
    return this.call(() => this.transaction(work));
  }

  afterEffects<T>(work: () => T | Promise<T>): Promise<T> {
    return this.call(() => {
      this.take();
      return work();
    });
  }

  /** Only while this is the store that was opened, and no other epoch has begun in it. */
  transaction<T>(work: () => T, hasEffect = false): T {
    const { db, effects, onCommit } = this.#options;
    const fenced = () => {
      this.#fence();
      const result = work();
      effects.stamp(hasEffect);
      return result;
    };
    const result = transaction(db, fenced, onCommit);
    effects.committed();
    return result;
  }

  effect<T>(work: () => T): T {
    const result = this.transaction(work, true);
    this.take();
    return result;
  }

  /** Lets all that is committed take effect. Errors as of `Effects.take`. */
  take(): void {
    const { effects } = this.#options;
    if (effects.areTaken) return;
    this.#fence();
    effects.take();
  }

  /** Why effects wait that cannot be taken now; undefined if none waits any longer. */
  notTaken(): VanityError | undefined {
    try {
      this.take();
      return undefined;
    } catch (cause) {
      const error = storeError(cause, this.#options.storeFile, 'running');
      if (error instanceof VanityError) return error;
      throw error;
    }
  }

  #fence(): void {
    const { storeFile, statements } = this.#options;
    if (statSync(storeFile, { throwIfNoEntry: false })?.ino !== this.#inode) {
      const message = `${storeFile}: removed or replaced under the running server`;
      throw new VanityError('STORE_UNAVAILABLE', message);
    }
    const { epoch: newest } = metaOf(statements);
    // No code: to lease on after another took over would hand its addresses out again.
    if (newest !== this.epoch) throw new Error(`epoch ${this.epoch} is over: ${newest} has begun`);
  }
}
