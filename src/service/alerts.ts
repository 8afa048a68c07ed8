/**
 * When an alert is raised: of a pool that runs low, is empty or has recovered, and of the store that fails or
 * works again. Runs in the main thread with the steering of the grinder, and knows what that knows. Pure but
 * for what it remembers.
 *
 * A pool is low by the same reckoning by which the grinder gets a higher priority (urgency.ts), and has
 * recovered with half as much again as is enough: a stock that goes up and down around the mark raises one
 * alert; and 10 s later at the earliest. It is empty once for each time that it is low. A new pool fills at first, and is no news until it
 * was above the mark. In a later run its figures show whether it can have been; so one that is low at a
 * start is reported by each start.
 */
import type { WebhookEvent } from '../config/webhooks.ts';
import type { ErrorCode } from '../errors.ts';
import { hoursOfStock, LOW_SHARE, type StockFigures, shareOfEnough } from '../grinder/urgency.ts';
import type { EventData } from '../webhooks/webhooks.ts';

const RECOVERED_SHARE = 1.5;
/** An empty pool whose new addresses are taken one by one does not recover with each. */
const STEADY_MS = 10_000;

export interface AlertFigures extends StockFigures {
  readonly isPaused: boolean;
  /** All that it ever had. */
  readonly everHad: number;
}

type State = 'new' | 'stocked' | 'low' | 'empty';

interface Since {
  readonly state: State;
  readonly atMs: number;
}

export class Alerts {
  readonly #raise: (type: WebhookEvent, data: EventData) => void;
  readonly #states = new Map<string, Since>();
  readonly #failureOf: () => ErrorCode | undefined;
  #failure: ErrorCode | undefined;

  /** `failureOf`: what the store fails with. */
  constructor(
    raise: (type: WebhookEvent, data: EventData) => void,
    failureOf: () => ErrorCode | undefined,
  ) {
    this.#raise = raise;
    this.#failureOf = failureOf;
  }

  /** These alone are there. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#states.keys()) if (!names.has(name)) this.#states.delete(name);
  }

  /** Whether its recovery is still to be seen: time alone can bring it, as consumption declines. */
  watches(pool: string): boolean {
    const state = this.#states.get(pool)?.state;
    return state === 'low' || state === 'empty';
  }

  /** At the store, and at pools that lack addresses or that changed. `nowMs`: of a clock that never goes back. */
  look(pools: readonly AlertFigures[], nowMs: number): void {
    for (const figures of pools) if (!figures.isPaused) this.#lookAt(figures, nowMs);
    const failure = this.#failureOf();
    const before = this.#failure;
    this.#failure = failure;
    if (before === undefined && failure !== undefined) {
      this.#raise('store.unavailable', { code: failure });
    }
    if (before !== undefined && failure === undefined) {
      this.#raise('store.recovered', { code: before });
    }
  }

  #lookAt(figures: AlertFigures, nowMs: number): void {
    const { pool, stock } = figures;
    const { state, atMs } = this.#states.get(pool) ?? { state: firstState(figures), atMs: nowMs };
    const next = nextState(state, stock, shareOfEnough(figures), nowMs - atMs);
    if (next !== state || !this.#states.has(pool))
      this.#states.set(pool, { state: next, atMs: nowMs });
    if (next === state) return;
    // From one look to the next a pool can lose all that it had: then both happened.
    if (state === 'stocked') this.#raise('pool.low', dataOf(figures));
    if (next === 'empty') this.#raise('pool.empty', dataOf(figures));
    if (next === 'stocked' && state !== 'new') this.#raise('pool.recovered', dataOf(figures));
  }
}

function firstState({ everHad, target }: AlertFigures): State {
  return everHad >= target * LOW_SHARE && everHad > 0 ? 'stocked' : 'new';
}

function nextState(state: State, stock: number, share: number, forMs: number): State {
  if (state === 'new') return share >= 1 ? 'stocked' : 'new';
  if (stock === 0) return 'empty';
  if (state !== 'stocked' && share > RECOVERED_SHARE && forMs >= STEADY_MS) return 'stocked';
  return state === 'stocked' && share < 1 ? 'low' : state;
}

function dataOf(figures: AlertFigures): EventData {
  const { pool, stock, target, perHour, lowHours } = figures;
  const hours = hoursOfStock(figures);
  return {
    pool,
    stock,
    target,
    hoursOfStock: Number.isFinite(hours) ? rounded(hours) : null,
    consumedPerHour: rounded(perHour),
    lowHours,
  };
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
