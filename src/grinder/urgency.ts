/**
 * How urgently the pools need the grinder, which decides the priority of its threads. Runs in the
 * main thread; pure but for what it remembers.
 *
 * Hours of stock: what a pool can hand out, by the rate at which it is consumed (consumption.ts). A
 * pool is low below its `low_hours`, and about to run dry below a tenth of that. One that nobody
 * consumes is low below 10 % of its target, and about to run dry below 1 %. Only pools that are ground
 * for count: a full one gains nothing from a faster grinder.
 *
 * It rises at once. It falls when there is a quarter more than what is enough, and 10 s after the last
 * change at the earliest: a change costs new threads.
 */

export type Urgency = 'stocked' | 'low' | 'dry';

export interface StockFigures {
  readonly pool: string;
  /** Addresses that it can still hand out. */
  readonly stock: number;
  readonly target: number;
  /** Addresses an hour. */
  readonly perHour: number;
  readonly lowHours: number;
  /** It is ground for. */
  readonly isShort: boolean;
}

const RANKS: readonly Urgency[] = ['stocked', 'low', 'dry'];
/** Of `low_hours`, and without consumption of the target. */
const DRY = 0.1;
export const LOW_SHARE = 0.1;
const MARGIN = 1.25;
const STEADY_MS = 10_000;

/** How long the stock lasts; Infinity for a pool that nobody consumes. */
export function hoursOfStock({ stock, perHour }: Pick<StockFigures, 'stock' | 'perHour'>): number {
  return perHour === 0 ? Number.POSITIVE_INFINITY : stock / perHour;
}

interface Found {
  readonly urgency: Urgency;
  /** The pool that needs the grinder most, of those that are ground for. */
  readonly neediest: StockFigures;
}

export class UrgencyWatch {
  #current: Urgency | undefined;
  #changedAt = 0;

  /**
   * The new urgency, or undefined while it stays what it is, also while nothing is ground. `nowMs`: of
   * a clock that never goes back.
   */
  next(figures: readonly StockFigures[], nowMs: number): Found | undefined {
    const short = figures.filter(({ isShort }) => isShort);
    const neediest = short
      .toSorted((one, other) => shareOfEnough(one) - shareOfEnough(other))
      .at(0);
    if (neediest === undefined) return undefined;
    const before = RANKS.indexOf(this.#current!);
    const wanted = urgencyAt(shareOfEnough(neediest));
    const isRise = RANKS.indexOf(wanted) > before;
    // Between enough and a quarter more it stays what it is.
    const urgency = isRise ? wanted : urgencyAt(shareOfEnough(neediest) / MARGIN);
    const isFall = RANKS.indexOf(urgency) < before && nowMs - this.#changedAt >= STEADY_MS;
    if (!isRise && !isFall) return undefined;
    this.#current = urgency;
    this.#changedAt = nowMs;
    return { urgency, neediest };
  }
}

/** What it has of what is enough: low below 1. */
export function shareOfEnough(figures: StockFigures): number {
  const { stock, target, perHour, lowHours } = figures;
  if (stock === 0) return 0;
  return perHour === 0 ? stock / (target * LOW_SHARE) : hoursOfStock(figures) / lowHours;
}

function urgencyAt(share: number): Urgency {
  return share < DRY ? 'dry' : share < 1 ? 'low' : 'stocked';
}
