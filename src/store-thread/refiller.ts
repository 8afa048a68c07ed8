/**
 * Keeps the ready queues filled, and records in the store what was popped. Runs in the store thread,
 * and is the one producer of every queue.
 *
 * One turn of a pool is one transaction of the store: the addresses popped since the last turn
 * become dispensed, and new ones are leased. Only when that is durable are the leased ones
 * published in the counts, and only then pushed: when one is popped, the counts already include it.
 *
 * A turn that leases costs several syncs, one that only records costs one: so new ones are leased when
 * the queue has fallen below half its goal, when a request asks for more than there is, and once a
 * second to fill the rest.
 *
 * A queue's goal is two seconds of its demand, between `ready` and `ready_max`, and no more than
 * the dispense journals have room for. Demand rises at once with what is popped and halves every ten
 * seconds. Pops are recorded within 100 ms.
 *
 * When the store fails, requests go on from what is ready; turns are tried again after 100 ms,
 * then after twice as long each time, at most every 5 s. When a turn is durable but nothing may leave
 * for it yet (store.ts, `failure`), pops are recorded as ever, and what has to wait is refused.
 */
import { setImmediate as afterMessages, setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import type { ChangedPools } from '../pool/changed-pools.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { PoolCounts } from '../store/address.ts';
import type { Removal } from '../store/pool-removal.ts';
import type { Store } from '../store/store.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import type { Exclusively } from './in-turn.ts';
import { Line } from './line.ts';
import { UnrecordedHandOuts } from './unrecorded-hand-outs.ts';

const TICK_MS = 25;
/** While all pools are at rest. */
const RESTING_TICK_MS = 50;
const BACK_OFF_MIN_MS = 100;
const BACK_OFF_MAX_MS = 5000;
const STOP_TRIES = 10;
const STOP_WAIT_MS = 500;

export interface RefillerOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  /** Those of all pools that are served. */
  readonly changes: ChangedPools;
  /** Called after every attempt at a turn, with what made it fail. */
  readonly onTurn: (pool: string, error: VanityError | undefined, burned: number) => void;
}

type Stored = Pick<StoredPool, 'counts' | 'position'>;

export class Refiller {
  readonly #options: RefillerOptions;
  readonly #lines = new Map<string, Line>();
  readonly #byPlace = new Map<number, Line>();
  /** Those that are to be served again, each with another queue. */
  readonly #left = new Set<string>();
  /** Those that are not at rest. */
  readonly #awake = new Set<Line>();
  #lookedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #backOffMs = 0;
  #notBefore = 0;
  /** Of a turn that is durable, but nothing may leave for it yet. */
  #failure: VanityError | undefined;
  #isStopped = false;

  constructor(options: RefillerOptions) {
    this.#options = options;
  }

  /** As the store has it now: nothing of the pool is leased. */
  add(shared: SharedPool, stored: Stored, handOuts = new UnrecordedHandOuts()): void {
    const { counts, position } = stored;
    const { store } = this.#options;
    const line = new Line(shared, handOuts, position, () => store.runs);
    line.publish(counts);
    this.#lines.set(shared.name, line);
    this.#left.delete(shared.name);
    this.#byPlace.set(shared.place, line);
  }

  /** The counts of a pool after the store was changed by another call. */
  publish(pool: string, counts: PoolCounts): void {
    this.#lines.get(pool)?.publish(counts);
  }

  start(): void {
    const tick = async () => {
      await this.look();
      const waitMs = this.#awake.size > 0 ? TICK_MS : RESTING_TICK_MS;
      if (this.#timer !== undefined) this.#timer = setTimeout(tick, waitMs);
    };
    this.#timer = setTimeout(tick, TICK_MS);
  }

  /** At the pools to which something happened, until they are at rest again. */
  async look(): Promise<void> {
    const restedUntil = this.#lookedAt;
    this.#lookedAt = performance.now();
    for (const place of this.#options.changes.take('refill')) {
      const line = this.#byPlace.get(place);
      if (line === undefined || this.#awake.has(line)) continue;
      line.wake(restedUntil);
      this.#awake.add(line);
    }
    for (const line of this.#awake) {
      line.measure(performance.now());
      if (line.isDue(performance.now()) && !this.#isBackingOff) await this.#turn(line, 0);
      if (line.isAtRest) this.#awake.delete(line);
    }
  }

  /**
   * Fills the queue until it holds `count` or the store has no more. Errors: STORE_UNAVAILABLE,
   * at once while the store fails.
   */
  async refill(pool: string, count: number): Promise<void> {
    const line = this.#lineOf(pool);
    this.assertWorks();
    while (!line.promise(count)) {
      const error = await this.#turn(line, count);
      if (error !== undefined) throw unavailable();
      if (line.available === 0) return;
    }
  }

  /**
   * Records what was popped of the pool by now. Those who wait share one transaction: the turn of
   * the first records what all of them have popped by then. Requests that came during a turn lie
   * here as messages; all of them are taken before the next one begins, for a turn in the same
   * moment as the first message would record that one alone. Errors: STORE_UNAVAILABLE.
   */
  async commit(pool: string): Promise<void> {
    const line = this.#lineOf(pool);
    const end = line.head;
    await afterMessages();
    while (line.position < end || this.#failure !== undefined) {
      this.assertWorks();
      const error = await this.#turn(line, 0);
      if (error !== undefined) throw unavailable();
    }
  }

  /** Records what has left the pool by now, and with whom it went. Error: STORE_UNAVAILABLE. */
  async record(pool: string): Promise<void> {
    const line = this.#lineOf(pool);
    if (line.unrecorded === 0 && !line.handOuts.isPending) return;
    if (this.#isBackingOff) throw unavailable();
    const error = await this.#turn(line, 0);
    if (error !== undefined) throw unavailable();
  }

  /** Throws while turns fail: what is to wait for one need not begin. Error: STORE_UNAVAILABLE. */
  assertWorks(): void {
    if (this.#isBackingOff || this.#failure !== undefined) throw unavailable(this.#failure);
  }

  /**
   * Deletes a pool that nobody pops from any more: what was popped is recorded, what could still
   * leave is burned and wiped. As `Store.removePool`; after an error the pool is as it was, and
   * nobody pops of one that others share.
   */
  remove(pool: string): Promise<Removal> {
    const line = this.#lineOf(pool);
    return this.#options.exclusively(async () => {
      const handOuts = line.handOuts.take();
      const { head } = line;
      const removal = await this.#options.store.removePool(pool, head, handOuts);
      line.position = head;
      line.handOuts.confirm();
      this.#forget(line);
      line.empty();
      return removal;
    });
  }

  /**
   * Serves a pool no more that nobody pops from any more: what was popped is recorded, what was ready is
   * wiped, and its leases are returned, or burned. Errors: those of the store; then it can be tried again.
   */
  async leave(pool: string, rest: 'return' | 'burn' = 'return'): Promise<void> {
    const line = this.#lines.get(pool);
    if (line === undefined) return;
    await this.#end([line], rest);
    this.#forget(line);
    this.#left.add(pool);
  }

  /** The same where another run has ended the queue: nothing of it is recorded any more. */
  abandon(pool: string): void {
    const line = this.#lines.get(pool);
    if (line === undefined) return;
    line.isOver = true;
    line.empty();
    this.#forget(line);
    this.#left.add(pool);
  }

  #forget(line: Line): void {
    line.available = 0;
    this.#lines.delete(line.shared.name);
    this.#byPlace.delete(line.shared.place);
    this.#awake.delete(line);
  }

  /** Position of the pool's queue before which every pop is recorded, with whom it went. */
  recordedBefore(pool: string): number {
    return this.#lineOf(pool).position;
  }

  #lineOf(pool: string): Line {
    const line = this.#lines.get(pool);
    if (line !== undefined) return line;
    if (this.#left.has(pool)) throw unavailable();
    throw new VanityError('POOL_NOT_FOUND', `pool ${pool}: not served here`);
  }

  /**
   * After the last pop: records what was popped and returns the rest of all leases. A store that
   * fails is tried again for some seconds; then its error is thrown, after all pools had their
   * turn. What could not be returned is settled at the next start. A turn that was asked for before
   * does not begin any more: it would lease again what was returned.
   */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isStopped = true;
    const lines = [...this.#lines.values()];
    // All in one commit; where that fails each by itself: one does not keep the others.
    if (lines.length === 0 || (await this.#areGivenBack(lines))) return;
    const ended = await Promise.allSettled(lines.map((line) => this.#end([line], 'return')));
    const failed = ended.find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  async #areGivenBack(lines: readonly Line[]): Promise<boolean> {
    try {
      await this.#endOnce(lines, 'return');
      return true;
    } catch (error) {
      if (error instanceof VanityError) return false;
      throw error;
    }
  }

  async #end(lines: readonly Line[], rest: 'return' | 'burn'): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#endOnce(lines, rest);
      } catch (error) {
        if (tries === STOP_TRIES || !(error instanceof VanityError)) throw error;
        await sleep(STOP_WAIT_MS);
      }
    }
  }

  /** Errors: those of the store, also where it is durable and nothing may leave for it yet. */
  #endOnce(lines: readonly Line[], rest: 'return' | 'burn'): Promise<void> {
    const { store, exclusively } = this.#options;
    return exclusively(async () => {
      const ended = lines.map((line) => {
        const handOuts = line.handOuts.take();
        return { line, queue: { pool: line.shared.name, head: line.head, handOuts } };
      });
      const queues = ended.map(({ queue }) => queue);
      const { failure, refused } = await store.endQueues(queues, rest);
      for (const { line, queue } of ended) {
        line.position = queue.head;
        line.isOver = true;
        line.handOuts.confirm(refused.filter(({ pool }) => pool === queue.pool));
      }
      // Returned all the same: the next start lets it take effect.
      this.#failure = failure;
      if (failure !== undefined) throw failure;
      for (const { line, queue } of ended) {
        line.empty();
        line.publish(await store.counts(queue.pool));
      }
    });
  }

  get #isBackingOff(): boolean {
    return performance.now() < this.#notBefore;
  }

  /**
   * Callers before the next turn share it: it leases the sum of their counts. With a turn for each,
   * the last caller would wait for seconds.
   */
  #turn(line: Line, count: number): Promise<VanityError | undefined> {
    line.wanted += count;
    line.nextTurn ??= this.#runTurn(line);
    return line.nextTurn;
  }

  #runTurn(line: Line): Promise<VanityError | undefined> {
    const { store, exclusively, onTurn } = this.#options;
    return exclusively(async () => {
      const count = line.begin();
      if (this.#isStopped) return unavailable();
      const pool = line.shared.name;
      if (line.isOver) return unavailable();
      if (this.#lines.get(pool) !== line) return undefined; // deleted before its turn came
      // Before the head is read: then every record is of a pop that this turn covers.
      const handOuts = line.handOuts.take();
      const { head } = line;
      const size = line.queue.size;
      const goal = Math.max(line.mayLease(performance.now()) ? line.goal : 0, count);
      const wanted = await line.leasable(goal - size, size);
      const isNews = head > line.position || handOuts.records.length > 0;
      if (!isNews && wanted === 0 && this.#failure === undefined) return undefined;
      const turned = async () => {
        const counted = wanted > 0 ? line.handOuts.countLease(handOuts) : handOuts;
        return store.turn({ pool, head, wanted, handOuts: counted });
      };
      const report = await turned().catch((cause: unknown) => {
        if (cause instanceof VanityError) return cause;
        throw cause;
      });
      // Ended by another run meanwhile: what was leased for it is not ours.
      if (line.isOver) {
        if (!(report instanceof VanityError)) for (const { key } of report.leased) key.fill(0);
        return unavailable();
      }
      if (report instanceof VanityError) {
        const doubled = Math.max(2 * this.#backOffMs, BACK_OFF_MIN_MS);
        this.#backOffMs = Math.min(doubled, BACK_OFF_MAX_MS);
        this.#notBefore = performance.now() + this.#backOffMs;
        onTurn(pool, report, 0);
        return report;
      }
      this.#backOffMs = 0;
      line.position = head;
      line.handOuts.confirm(report.refused);
      line.publish(report.counts);
      line.push(report);
      this.#failure = report.failure;
      line.isHeldUp = report.failure !== undefined;
      onTurn(pool, report.failure, report.burned);
      return report.failure;
    });
  }
}

function unavailable(cause?: unknown): VanityError {
  return new VanityError('STORE_UNAVAILABLE', 'the store cannot lease more addresses now', {
    cause,
    retryAfterSeconds: 1,
  });
}
