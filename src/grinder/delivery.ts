/**
 * Takes hits from the grinder to the store. Runs in the main thread. Calls are made
 * one at a time, each with what has gathered meanwhile, so that a slow store gets large batches
 * and a fast one small ones, and no hit is held back for others to come.
 *
 * A hit is forgotten, and its secret wiped, only when it is stored. A call that fails is made
 * again after 100 ms, then after twice as long each time, at most every 5 s, for ever: a disk may
 * be full for a day. Only a close gives up, after `CLOSE_TRIES` failures, because the stop
 * of a server whose store is gone must not wait for ever; it logs how many hits were lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hit } from '../keypair/signing-key.ts';
import type { Log } from '../log.ts';

/** Where hits come from; notified when they are stored. */
export interface Sender {
  stored(count: number): void;
}

interface Parcel {
  readonly hits: readonly Hit[];
  readonly sender: Sender;
}

const BACK_OFF_MIN_MS = 100;
const BACK_OFF_MAX_MS = 5000;
/** About 6 s: what is lost then was never in the store. */
const CLOSE_TRIES = 7;

export class Delivery {
  readonly #batch: number;
  readonly #onHits: (hits: Hit[]) => Promise<void>;
  readonly #log: Log;
  readonly #parcels: Parcel[] = [];
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  #size = 0;

  /** `onHits` resolves when the hits are durably stored; it gets at most `batch` at a time. */
  constructor(batch: number, onHits: (hits: Hit[]) => Promise<void>, log: Log) {
    this.#batch = batch;
    this.#onHits = onHits;
    this.#log = log;
  }

  /** Hits that are not stored yet. */
  get size(): number {
    return this.#size;
  }

  /** Of one pool. */
  sizeOf(pool: string): number {
    const sizes = this.#parcels.map(({ hits }) => hits.filter((hit) => hit.pool === pool).length);
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** At most `batch` hits. */
  add(hits: readonly Hit[], sender: Sender): void {
    if (hits.length === 0) return;
    this.#parcels.push({ hits, sender });
    this.#size += hits.length;
    this.#running ??= this.#run();
  }

  /** Resolves when all that was added is stored, or given up. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#parcels.length > 0) {
      const count = this.#nextCount();
      const isStored = await this.#store(this.#parcels.slice(0, count).flatMap(({ hits }) => hits));
      if (!isStored)
        this.#log.error({ hits: this.#size }, 'hits were lost: the store could not save them');
      const done = this.#parcels.splice(0, isStored ? count : this.#parcels.length);
      for (const { hits, sender } of done) {
        for (const { key } of hits) key.fill(0);
        this.#size -= hits.length;
        sender.stored(hits.length);
      }
    }
    this.#running = undefined;
  }

  /** How many parcels fit into one call: at least one. */
  #nextCount(): number {
    let room = this.#batch;
    const end = this.#parcels.findIndex(({ hits }) => {
      room -= hits.length;
      return room < 0;
    });
    return end === -1 ? this.#parcels.length : Math.max(end, 1);
  }

  /** False when closing and nothing helps. */
  async #store(hits: Hit[]): Promise<boolean> {
    const { signal } = this.#closing;
    let hasFailed = false;
    let triesLeft = CLOSE_TRIES;
    for (let waitMs = BACK_OFF_MIN_MS; ; waitMs = Math.min(2 * waitMs, BACK_OFF_MAX_MS)) {
      try {
        await this.#onHits(hits);
        if (hasFailed) this.#log.info({ hits: hits.length }, 'hits are stored again');
        return true;
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'unknown';
        if (!hasFailed)
          this.#log.error({ reason }, 'hits cannot be stored; keeping them in memory');
        hasFailed = true;
      }
      if (!signal.aborted) {
        await sleep(waitMs, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) waitMs = BACK_OFF_MIN_MS / 2;
      } else if (--triesLeft > 0) await sleep(waitMs);
      else return false;
    }
  }
}
