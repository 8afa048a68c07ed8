/**
 * How fast keys of each type are tried. Runs in the main thread; pure but for what it remembers.
 *
 * The key types of a search take turns, and a candidate of one takes a hundredth of the time of the
 * other's. So the rate of a type is what it tries in a turn, over the time in which each type has one.
 * It is right as soon as another type joins in or is done.
 */
import { KEY_TYPES, type KeyType } from '../keypair/signing-key.ts';
import type { Tried } from './messages.ts';

const WINDOW_MS = 10_000;
const NOTHING: Tried = { attempts: 0, turns: 0, turnsMs: 0 };

export class TypeRates {
  readonly #windowMs: number;
  readonly #tried: Record<KeyType, Tried> = { seed: NOTHING, expanded: NOTHING };

  constructor(threads: number) {
    this.#windowMs = WINDOW_MS * Math.max(threads, 1);
  }

  /** What further turns of any thread took. */
  add(tried: Readonly<Record<KeyType, Tried>>): void {
    for (const type of KEY_TYPES) {
      const { attempts, turns, turnsMs } = tried[type];
      const before = this.#tried[type];
      // What lies further back fades with thread time, so that a pause does not dilute the rate.
      const weight = Math.exp(-turnsMs / this.#windowMs);
      this.#tried[type] = {
        attempts: before.attempts * weight + attempts,
        turns: before.turns * weight + turns,
        turnsMs: before.turnsMs * weight + turnsMs,
      };
    }
  }

  /** Of one thread, while these types are ground; 0 where nothing is known yet. */
  perSecond(types: readonly KeyType[]): Readonly<Record<KeyType, number>> {
    const known = types.filter((type) => this.#tried[type].turns > 0);
    const roundMs = known.reduce((sum, type) => sum + this.#perTurn(type).turnsMs, 0);
    const rate = { seed: 0, expanded: 0 };
    if (roundMs === 0) return rate;
    for (const type of known) rate[type] = (this.#perTurn(type).attempts * 1000) / roundMs;
    return rate;
  }

  #perTurn(type: KeyType): { attempts: number; turnsMs: number } {
    const { attempts, turns, turnsMs } = this.#tried[type];
    return { attempts: attempts / turns, turnsMs: turnsMs / turns };
  }
}
