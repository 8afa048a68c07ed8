/**
 * What the store fails with now, for all that asks, and one line of log per change of that, however many calls fail
 * in between: the store works again when all that failed does. Runs in the store thread.
 */
import type { ErrorCode, VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoreHealth } from '../pool/health.ts';

/** What may fail while the rest works: a turn may still fit on a disk that has no room for hits. */
export type StoreWork =
  | 'turn'
  | 'insert'
  | 'counters'
  | 'destroy'
  | 'reseal'
  | 'expire'
  | 'check'
  | 'rejoin';

export class StoreFailures {
  readonly #health: StoreHealth;
  readonly #log: Pick<Log, 'info' | 'error'>;
  readonly #failures = new Map<StoreWork, VanityError>();
  readonly #tally = { turns: 0, inserts: 0 };
  #failure: ErrorCode | undefined;

  constructor(health: StoreHealth, log: Pick<Log, 'info' | 'error'>) {
    this.#health = health;
    this.#log = log;
  }

  /** One more. */
  count(what: 'turns' | 'inserts'): void {
    this.#tally[what]++;
  }

  /** How this work ended. */
  note(work: StoreWork, error: VanityError | undefined): void {
    if (error === undefined) this.#failures.delete(work);
    else this.#failures.set(work, error);
    const [found] = this.#failures.values();
    const damage = this.#failures.get('check');
    const first = damage?.code === 'STORE_CORRUPT' ? damage : found;
    if (first?.code !== this.#failure) {
      if (first === undefined) this.#log.info('the store works again');
      else this.#log.error({ code: first.code, reason: first.message }, 'the store fails');
      this.#failure = first?.code;
    }
    this.#health.write(this.#failure, this.#tally);
  }
}
