/**
 * One pool's ready queue as its producer sees it: how much it is to hold, when a turn is due, and
 * what has left it and is not recorded in the store yet. Runs in the store thread.
 */
import type { VanityError } from '../errors.ts';
import { ChangedPools } from '../pool/changed-pools.ts';
import { readyAddress } from '../pool/ready-address.ts';
import { ReadyQueue } from '../pool/ready-queue.ts';
import {
  type CountsBoard,
  countsBoard,
  type SettingsBoard,
  type SharedPool,
  settingsBoard,
} from '../pool/shared-pool.ts';
import type { PoolCounts } from '../store/address.ts';
import type { TurnReport } from '../store/store.ts';
import type { UnrecordedHandOuts } from './unrecorded-hand-outs.ts';

/** Shorter spans would take a burst for a rate. */
const MEASURE_MS = 100;
/** The longest wait of a turn that is not urgent: it gathers pops, and costs a disk sync. */
const TURN_MS = 50;
/** The same for each of many runs, whose turns are on one disk. */
const TURN_OF_RUN_MS = 5;
const TURN_MAX_MS = 1000;
/** Addresses leased by one turn: a few milliseconds of the store thread. */
const LEASE_MAX = 2048;
/** The longest wait of a lease into a queue that is more than half full. */
const LEASE_MS = 1000;
const DEMAND_SECONDS = 2;
const DEMAND_HALF_LIFE_MS = 10_000;
const EMPTY_MAX = 1024;

/** One pool's queue and what its producer knows of it. */
export class Line {
  readonly shared: SharedPool;
  readonly queue: ReadyQueue;
  readonly handOuts: UnrecordedHandOuts;
  /** Pops before this position of the queue are recorded: a whole number, as the store has it. */
  position: number;
  available = 0;
  /** The queue has ended, here or by another run: what was popped can be recorded no more, and nothing is leased. */
  isOver = false;
  /** What the last turn leased is to come with a later one. */
  isHeldUp = false;
  /** The turn that is requested and not begun, and for how many addresses. */
  nextTurn: Promise<VanityError | undefined> | undefined;
  wanted = 0;
  readonly #settings: SettingsBoard;
  readonly #counts: CountsBoard;
  readonly #changes: ChangedPools;
  /** Ready addresses that were promised to requests since the last turn. */
  #promised = 0;
  #lastTurn = Number.NEGATIVE_INFINITY;
  #leasedAt = Number.NEGATIVE_INFINITY;
  #demand = 0; // addresses a second
  #measuredAt = performance.now();
  #measuredHead: number;
  readonly #runs: () => number;

  /** `position` as the store has it now; `runs` as of `Store`. */
  constructor(
    shared: SharedPool,
    handOuts: UnrecordedHandOuts,
    position: number,
    runs: () => number = () => 1,
  ) {
    this.shared = shared;
    this.#runs = runs;
    this.handOuts = handOuts;
    this.queue = new ReadyQueue(shared.queue);
    this.#settings = settingsBoard(shared);
    this.#counts = countsBoard(shared);
    this.#changes = new ChangedPools(shared.changes);
    this.position = position;
    this.#measuredHead = this.queue.head;
  }

  /** Everything before this position was popped: a whole number. */
  get head(): number {
    return this.position + this.unrecorded;
  }

  /** How many were popped and are not recorded. */
  get unrecorded(): number {
    return (this.queue.head - this.position) >>> 0;
  }

  get goal(): number {
    const { readyMax } = this.shared;
    const ready = this.#settings.get('ready');
    const demand = this.#demandAt(performance.now());
    return Math.min(Math.max(Math.ceil(demand * DEMAND_SECONDS), ready), readyMax, this.#share);
  }

  /** What lies here is out of reach of other runs: all of them together keep half of a small stock at hand. */
  get #share(): number {
    const runs = this.#runs();
    if (runs <= 1) return Number.POSITIVE_INFINITY;
    return Math.floor((this.available + this.queue.size) / (2 * runs));
  }

  /** Whether nothing is to be done for it until something happens to it. */
  get isAtRest(): boolean {
    const { head, size } = this.queue;
    const isKnown = this.unrecorded === 0 && head === this.#measuredHead;
    const isFilled = size >= this.goal || this.available === 0;
    return isKnown && isFilled && !this.isHeldUp && !this.handOuts.isPending;
  }

  /** It was at rest until then: what has left since is a matter of moments, and no slow rate. */
  wake(restedUntil: number): void {
    if (restedUntil <= this.#measuredAt) return;
    this.#demand = this.#demandAt(restedUntil);
    this.#measuredAt = restedUntil;
  }

  mayLease(now: number): boolean {
    const size = this.queue.size;
    return size < this.goal / 2 || (size < this.goal && now - this.#leasedAt >= LEASE_MS);
  }

  /** How many of `wanted` addresses can be leased beside the `size` in the queue. After `take`. */
  async leasable(wanted: number, size: number): Promise<number> {
    const { available, queue } = this;
    const most = Math.min(wanted, available, queue.capacity - size, LEASE_MAX);
    if (most <= 0) return 0;
    const room = await this.handOuts.roomFor(size + most);
    return Math.min(Math.max(room - size, 0), most);
  }

  /** Whether `count` are ready besides those promised to others, first come, first served. */
  promise(count: number): boolean {
    if (this.queue.size < this.#promised + count) return false;
    this.#promised += count;
    return true;
  }

  /** For how many addresses the turn that begins was asked. */
  begin(): number {
    const { wanted } = this;
    this.nextTurn = undefined;
    this.wanted = 0;
    this.#promised = 0;
    return wanted;
  }

  measure(now: number): void {
    const elapsedMs = now - this.#measuredAt;
    if (elapsedMs < MEASURE_MS) return;
    const head = this.queue.head;
    const perSecond = (((head - this.#measuredHead) >>> 0) * 1000) / elapsedMs;
    this.#demand = Math.max(perSecond, this.#demandAt(now));
    this.#measuredAt = now;
    this.#measuredHead = head;
  }

  #demandAt(now: number): number {
    const elapsedMs = Math.max(now - this.#measuredAt, 0);
    return this.#demand * 0.5 ** (elapsedMs / DEMAND_HALF_LIFE_MS);
  }

  isDue(now: number): boolean {
    const canFill = this.mayLease(now) && this.available > 0;
    const isNews = this.unrecorded > 0 || this.handOuts.isPending;
    if (!canFill && !isNews && !this.isHeldUp) return false;
    const isUrgent = canFill && !this.isHeldUp;
    const turnMs = Math.min(Math.max(TURN_MS, this.#runs() * TURN_OF_RUN_MS), TURN_MAX_MS);
    if (!isUrgent && now - this.#lastTurn < turnMs) return false;
    this.#lastTurn = now;
    return true;
  }

  publish(counts: PoolCounts): void {
    this.available = counts.available;
    this.#counts.write({ ...counts, position: this.position });
    this.#changes.mark(this.shared.place);
  }

  push({ leased, position }: Pick<TurnReport, 'leased' | 'position'>): void {
    if (leased.length > 0) this.#leasedAt = performance.now();
    const isNext = leased.length === 0 || ((this.queue.tail - position) | 0) === 0;
    const pushed = isNext ? this.queue.push(leased.map(readyAddress)) : 0;
    for (const { key } of leased) key.fill(0);
    // Going on would record the wrong addresses as dispensed. A dead thread's leases are burned.
    const { name } = this.shared;
    if (!isNext) throw new Error(`${name}: position ${position} is not the end of the ready queue`);
    if (pushed !== leased.length) throw new Error(`${name}: the ready queue overran`);
  }

  /** Wipes what was ready. No consumer is left. */
  empty(): void {
    // A pop makes texts of all that it takes.
    while (this.queue.size > 0) this.queue.pop(Math.min(this.queue.size, EMPTY_MAX));
    this.queue.wipe();
  }
}
