/**
 * A pool as a thread that hands out sees it: addresses from the ready queue, and a status that is
 * exact at any moment without asking anybody. The memory that all threads have in common is that of
 * shared-pool.ts.
 *
 * A dispense that the ready queue can serve is a memory operation and a record in the dispense
 * journal, which is written before the addresses are given to the caller. When the queue
 * holds less than is asked for, the store thread is asked to refill it, and the request tries
 * again: whatever leaves, leaves through the queue.
 *
 * Live figures: the store thread publishes the counts of each transaction together with the
 * position of the queue that they cover. What was popped since then has left `leased` for
 * `dispensed`, though the store has not recorded it; the sum does not change.
 */
import { VanityError } from '../errors.ts';
import type { HandOut } from '../store/hand-out.ts';
import type { Refusal } from '../store/store.ts';
import { ChangedPools } from './changed-pools.ts';
import { Deadline } from './deadline.ts';
import { expectation } from './expectation.ts';
import { History, type Samples } from './history.ts';
import { monotonicMs } from './monotonic.ts';
import type { PoolStatus } from './pool-status.ts';
import type { ReadyAddress } from './ready-address.ts';
import { ReadyQueue } from './ready-queue.ts';
import {
  type CountsBoard,
  countsBoard,
  GATE,
  type GrindingBoard,
  grindingBoard,
  HOUR_MS,
  type SettingsBoard,
  type SharedPool,
  settingsBoard,
} from './shared-pool.ts';

/** A hand-out as the thread has it that made it. */
export interface MadeHandOut extends HandOut {
  /** Given with `mayBeRefused`: called if the store does not take it. */
  readonly onRefused?: (why: Refusal['why']) => void;
}

/** Who gets the addresses, and what makes a repeated request the same one. */
export type Receiver = Pick<
  MadeHandOut,
  'token' | 'key' | 'body' | 'quota' | 'reservation' | 'mayBeRefused' | 'onRefused'
> & {
  /** When it counts, in ms since 1970; now by the system's clock if not given. */
  readonly at?: number;
};

export const NOBODY: Receiver = { token: 0 };

/** What a pool needs of its thread to hand addresses out. */
export interface Hands {
  /** Resolves after the store thread did what it could to have `count` ready. */
  readonly refill: (pool: string, count: number) => Promise<void>;
  /** Throws when a hand-out could not be recorded now: then nothing is popped for it. */
  readonly prepare: (pool: string) => void;
  /** Records a hand-out, in the journal or in memory until a turn; throws when it cannot. */
  readonly record: (pool: string, handOut: MadeHandOut) => void;
}

const RETRY_AFTER_MAX = 3600;
/** Seconds, while the rate of a grinder that has just begun is not known. */
const RETRY_AFTER_SOON = 2;
/** Until it is resumed. */
const PAUSED_RETRY_SECONDS = 60;
/** Refills that one request waits for: each finds the store with enough left, or ends it. */
const REFILLS_MAX = 8;

export class Pool {
  readonly shared: SharedPool;
  readonly #queue: ReadyQueue;
  readonly #settings: SettingsBoard;
  readonly #counts: CountsBoard;
  readonly #grinding: GrindingBoard;
  readonly #history: History;
  readonly #changes: ChangedPools;
  readonly #deadline: Deadline;
  readonly #hands: Hands;

  constructor(shared: SharedPool, hands: Hands) {
    this.shared = shared;
    this.#queue = new ReadyQueue(shared.queue);
    this.#settings = settingsBoard(shared);
    this.#counts = countsBoard(shared);
    this.#grinding = grindingBoard(shared);
    this.#history = new History(shared.history);
    this.#changes = new ChangedPools(shared.changes);
    this.#deadline = new Deadline(shared.deadline);
    this.#hands = hands;
  }

  /**
   * `count` (1..COUNT_MAX) addresses out of memory, or undefined when fewer are ready. Errors:
   * POOL_PAUSED, POOL_NOT_FOUND when it is being deleted, STORE_UNAVAILABLE past the deadline of the process,
   * and JOURNAL_UNAVAILABLE: what was popped for the first request that it fails is given up.
   */
  pop(count: number, receiver: Receiver = NOBODY): ReadyAddress[] | undefined {
    const gate = this.#settings.get('gate');
    if (gate !== GATE.open) throw shut(this.shared.name, gate);
    if (this.#deadline.isOver) throw cutOff(this.shared.name);
    this.#hands.prepare(this.shared.name);
    const addresses = this.#queue.pop(count);
    if (addresses === undefined) return undefined;
    const position = this.#queue.poppedFrom;
    try {
      this.#hands.record(this.shared.name, { position, count, at: Date.now(), ...receiver });
    } finally {
      this.#changes.mark(this.shared.place);
    }
    return addresses;
  }

  /**
   * All `count` (1..COUNT_MAX) addresses or none, at once if they are ready. `isGone` says whether
   * the client is gone: then none is taken. Errors: POOL_EMPTY, STORE_UNAVAILABLE,
   * those of `pop`, REQUEST_TIMEOUT when nobody waits.
   */
  dispense(
    count: number,
    receiver: Receiver = NOBODY,
    isGone: () => boolean = () => false,
  ): ReadyAddress[] | Promise<ReadyAddress[]> {
    return this.pop(count, receiver) ?? this.#refillAndPop(count, receiver, isGone);
  }

  async #refillAndPop(
    count: number,
    receiver: Receiver,
    isGone: () => boolean,
  ): Promise<ReadyAddress[]> {
    for (let refills = 0; refills < REFILLS_MAX; refills++) {
      const { counts, unrecorded } = this.#look();
      // What a turn is leasing right now is not in the stock, and about to be ready.
      const left = counts.available + counts.leasedHere - unrecorded;
      if (left < count) throw this.#empty(count, this.status());
      await this.#hands.refill(this.shared.name, count);
      if (isGone()) throw new VanityError('REQUEST_TIMEOUT', 'the client left before the answer');
      const addresses = this.pop(count, receiver);
      if (addresses !== undefined) return addresses;
    }
    const detail = `pool ${this.shared.name}: others took what came; ask again`;
    throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
  }

  /** Position of the ready queue behind what was popped by now. */
  get head(): number {
    return this.#queue.head;
  }

  /**
   * A number that differs after any change of what `status` returns, at a tenth of its cost: the sum of counters
   * that only grow, all but where those of the queue wrap.
   */
  get changes(): number {
    const boards = this.#settings.version + this.#counts.version + this.#grinding.version;
    return boards + this.#queue.head + this.#queue.tail;
  }

  /** The counts, and of the same moment what is ready and how much was popped and is not in them. */
  #look() {
    const { figures, value } = this.#counts.readWith(() => ({
      head: this.#queue.head,
      ready: this.#queue.size,
    }));
    const { position, ...counts } = figures;
    return { counts, ready: value.ready, unrecorded: (value.head - position) >>> 0 };
  }

  status(): PoolStatus {
    const { counts: all, ready, unrecorded } = this.#look();
    const { leasedHere: _, ...counts } = all;
    const { target, lowMs, gate } = this.#settings.read();
    const { active, threads, attemptsPerSecond, milliPerHour } = this.#grinding.read();
    const hitsPerSecond = attemptsPerSecond / this.shared.pattern.difficulty;
    const held = counts.available + counts.leased - unrecorded;
    const missing = Math.max(0, target - held);
    const perHour = milliPerHour / 1000;
    const eta = hitsPerSecond > 0 ? Math.ceil(missing / hitsPerSecond) : null;
    return {
      ...counts,
      target,
      lowHours: lowMs / HOUR_MS,
      paused: gate === GATE.paused,
      leased: counts.leased - unrecorded,
      dispensed: counts.dispensed + unrecorded,
      ready,
      stock: counts.available + ready,
      consumptionPerHour: perHour,
      hoursOfStock: perHour === 0 ? null : held / perHour,
      grinding: {
        active: active === 1,
        threads,
        attemptsPerSecond,
        hitsPerSecond,
        etaSeconds: missing === 0 ? 0 : eta,
      },
    };
  }

  /** Samples of the last hour and of the last day. */
  history(): { readonly hour: Samples; readonly day: Samples } {
    return this.#history.read(monotonicMs());
  }

  /** Names what is left in sum only: nothing about which addresses. */
  #empty(count: number, status: PoolStatus): VanityError {
    const { stock } = status;
    const unmeasured = status.grinding.active ? RETRY_AFTER_SOON : RETRY_AFTER_MAX;
    const { seconds = unmeasured, words } = expectation(status, count - stock);
    return new VanityError(
      'POOL_EMPTY',
      `pool ${this.shared.name}: ${count} asked for, ${stock} left; ${words}`,
      { retryAfterSeconds: Math.min(Math.max(Math.ceil(seconds), 1), RETRY_AFTER_MAX) },
    );
  }
}

/** Others may take this process for dead, and act on what it does not know. */
function cutOff(pool: string): VanityError {
  const detail = `pool ${pool}: the store has not been reached for too long; ask again, or another node`;
  return new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
}

function shut(pool: string, gate: number): VanityError {
  if (gate === GATE.closed) return new VanityError('POOL_NOT_FOUND', `pool ${pool}: is deleted`);
  if (gate === GATE.replaced) {
    const detail = `pool ${pool}: gets another ready queue; ask again`;
    return new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
  }
  const detail = `pool ${pool}: paused; POST /v1/pools/${pool}/resume lets it go on`;
  return new VanityError('POOL_PAUSED', detail, { retryAfterSeconds: PAUSED_RETRY_SECONDS });
}
