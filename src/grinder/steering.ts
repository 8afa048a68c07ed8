/**
 * Which pools the grinder works for, and which of them comes first. Runs in the main thread; pure
 * but for what it remembers: the rate at which each pool is consumed, and whose turn it is.
 *
 * One stream of candidates is tested against the patterns of all pools that are short, so pools do
 * not wait for each other, however rare they are; but for two things. A candidate that fits
 * several pools goes to the first of them. And a hit takes the time of about 1,000 candidates, for
 * it is derived again and proved: a pool of one character leaves a twelfth of the stream to others
 * (0.25 M attempts per second of CPU, not 2.9 M). Promise: neither starves a pool for ever.
 *
 * Each key type has a stream of its own, and half of the time while both are needed (worker.ts).
 */
import type { DigitSet } from '../keypair/difficulty.ts';
import type { Pattern } from '../keypair/pattern.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import type { GrindJob } from './job.ts';
import { PATTERNS_MAX } from './kernel.ts';

export interface SteeredPool {
  readonly job: GrindJob;
}

/** Of one pool, now. */
export interface PoolFigures {
  /** Of the pool among those that are steered. */
  readonly index: number;
  /** Addresses that it has left: available and leased. */
  readonly held: number;
  /** Ground for while it holds fewer. */
  readonly target: number;
  /** All that ever left it. */
  readonly dispensed: number;
}

/** Of one pool, at the last look. */
interface Seen {
  readonly held: number;
  readonly target: number;
  readonly dispensed: number;
  /** An average. */
  readonly perSecond: number;
  readonly atMs: number;
}

const TURN_MS = 1000;
/** Consumption is an average over about this time. */
const CONSUMPTION_MS = 30_000;
/**
 * Hits for each candidate, above which the easiest pools sit out the turns by difficulty. A hit of an
 * expanded key takes the time of 10,000 to 75,000 candidates, whatever level the kernel has.
 */
const DENSITY_MAX: Readonly<Record<KeyType, number>> = { seed: 1 / 2000, expanded: 1 / 150_000 };

/**
 * There are turns of a second, of two kinds. By need: all pools that are short, in the order of how
 * long they will last at the rate at which they are consumed, so that one that runs out gets
 * whatever fits it. By difficulty: the hardest first, and the easiest left out where hits would
 * take more than a third of the time, so that the hardest keeps a third of what it would get alone,
 * whatever clients take from the others. Where no two patterns share an address, and all are rare,
 * turns are alike, and the threads' searches stay open (another one takes 0.5 ms, and 23 ms to
 * 0.5 s with prefixes).
 */
export class Steering {
  readonly #pools: readonly SteeredPool[];
  /** Pools share candidates, or time that is scarce, or a search that has not room for all. */
  readonly #hasTurns: boolean;
  /** By pool; undefined for one that was never looked at. */
  readonly #seen: (Seen | undefined)[];
  readonly #short = new Set<number>();
  /** All pools, by their place in `#pools`. */
  #order: readonly number[];
  #lookedAt = Number.NEGATIVE_INFINITY;
  #turnAt = Number.NEGATIVE_INFINITY;
  #isByNeed = false;

  constructor(pools: readonly SteeredPool[]) {
    this.#pools = pools;
    this.#order = this.#byDifficulty(pools.map((_, index) => index));
    this.#hasTurns =
      pools.length > PATTERNS_MAX ||
      this.#sparse(this.#order).length < pools.length ||
      isContested(pools.map(({ job }) => job));
    this.#seen = pools.map(() => undefined);
  }

  /**
   * The jobs of the pools that are below their target, first the one that gets what fits several.
   * `figures`: of those pools whose figures are other ones than at the last call; `nowMs`: of a clock
   * that never goes back.
   */
  next(figures: readonly PoolFigures[], nowMs: number): GrindJob[] {
    for (const one of figures) this.#look(one, nowMs);
    this.#lookedAt = nowMs;
    if (this.#short.size === 0) return [];
    if (nowMs - this.#turnAt >= TURN_MS) this.#turn(nowMs);
    const short = this.#order.filter((index) => this.#short.has(index));
    return (this.#isByNeed ? short : this.#sparse(short)).map((index) => {
      const { held, target } = this.#seen[index]!;
      return { ...this.#pools[index]!.job, missing: target - held };
    });
  }

  #look({ index, held, target, dispensed }: PoolFigures, nowMs: number): void {
    if (held < target) this.#short.add(index);
    else this.#short.delete(index);
    const before = this.#seen[index];
    let perSecond = 0;
    if (before !== undefined) {
      // What left has left since the last look, as the pool's figures were the same until then.
      const sinceMs = Math.max(before.atMs, this.#lookedAt);
      const elapsedMs = nowMs - sinceMs;
      perSecond = consumptionAt(before, sinceMs);
      if (elapsedMs > 0) {
        const now = ((dispensed - before.dispensed) * 1000) / elapsedMs;
        perSecond += (now - perSecond) * -Math.expm1(-elapsedMs / CONSUMPTION_MS);
      }
    }
    this.#seen[index] = { held, target, dispensed, perSecond, atMs: nowMs };
  }

  #turn(nowMs: number): void {
    this.#turnAt = nowMs;
    this.#isByNeed = !this.#isByNeed;
    if (!this.#hasTurns) return;
    const lasts = this.#seen.map((seen) =>
      seen === undefined || seen.held === 0 ? 0 : seen.held / consumptionAt(seen, nowMs),
    );
    // Those that last as long keep the order of the turn before, by difficulty: two empty ones, or
    // two that last for ever, whose difference is NaN, which a sort takes for 0.
    const byNeed = this.#order.toSorted((one, other) => lasts[one]! - lasts[other]!);
    this.#order = this.#isByNeed ? byNeed : this.#byDifficulty(byNeed);
  }

  /** The hardest first; of equally hard ones in the order given. */
  #byDifficulty(order: readonly number[]): number[] {
    return order.toSorted((one, other) => this.#difficulty(other) - this.#difficulty(one));
  }

  /** Of each key type the first that are rare enough together: one at least. */
  #sparse(order: readonly number[]): number[] {
    const density = { seed: 0, expanded: 0 };
    return order.filter((index) => {
      const { keyType } = this.#pools[index]!.job;
      const isFirst = density[keyType] === 0;
      density[keyType] += 1 / this.#difficulty(index);
      return isFirst || density[keyType] <= DENSITY_MAX[keyType];
    });
  }

  #difficulty(index: number): number {
    return this.#pools[index]!.job.pattern.difficulty;
  }
}

/** As if nothing had left since. */
function consumptionAt({ perSecond, atMs }: Seen, nowMs: number): number {
  return perSecond * Math.exp((atMs - nowMs) / CONSUMPTION_MS);
}

function isContested(jobs: readonly GrindJob[]): boolean {
  return jobs.some((job, index) =>
    jobs
      .slice(0, index)
      .some((other) => job.keyType === other.keyType && haveCommon(job.pattern, other.pattern)),
  );
}

/** Whether an address can match both; no address is so short that its prefix meets its suffix. */
function haveCommon(one: Pattern, other: Pattern): boolean {
  return (
    agree(one.prefixSets, other.prefixSets) &&
    agree(one.suffixSets.toReversed(), other.suffixSets.toReversed())
  );
}

/** As far as both go. */
function agree(sets: readonly DigitSet[], others: readonly DigitSet[]): boolean {
  return sets.every((set, index) => ((others[index] ?? set) & set) !== 0n);
}
