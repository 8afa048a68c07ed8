/**
 * A real store that passes for one of many runs: the test ends this run, changes what others would change,
 * and says how late it hears of what others did. Everything else is the store's own.
 */
import type { HandOuts } from '../../src/store/hand-out.ts';
import type { Removal } from '../../src/store/pool-removal.ts';
import { EpochOver, type Store, type StoreEvents, StoreRewound } from '../../src/store/store.ts';

import type { StoredPool } from '../../src/store/stored-pool.ts';

type Look = 'handOut' | 'used' | 'madeWith';

export class SharedStore {
  readonly store: Store;
  /** Calls of `everywhere`, each of which waits until the test lets it go. */
  readonly waiting: (() => void)[] = [];
  /** Whether `everywhere` waits. */
  areOthersSlow = false;
  /** Whether others have something leased of pools that this run deletes. */
  haveOthersLeased = false;
  events: StoreEvents | undefined;
  #isOver = false;
  #isRewound = false;
  /** Other nodes are missed: why this one cannot join again. */
  missed: string | undefined;
  readonly #missed = new Set<Look>();
  readonly #removed = new Set<string>();
  readonly #lost = new Set<string>();
  readonly #targets = new Map<string, number>();

  /** `inner` is what others see and change. */
  constructor(inner: Store) {
    const get = (target: object, name: string | symbol) => this.#get(target, name);
    const parts = {
      tokens: new Proxy(inner.tokens, { get }),
      reservations: new Proxy(inner.reservations, { get }),
      signatures: new Proxy(inner.signatures, { get }),
    };
    this.store = new Proxy(inner, {
      get: (target, name) => Reflect.get(parts, name) ?? get(target, name),
    });
  }

  /** Another run has ended this one. */
  end(): void {
    this.#isOver = true;
  }

  /** The database goes back, before it had any of these pools. */
  goBack(...lost: readonly string[]): void {
    this.#isRewound = true;
    for (const pool of lost) this.#lost.add(pool);
  }

  /** Another run deletes the pool, and waits for this one to end its queue. */
  remove(pool: string): void {
    this.#removed.add(pool);
  }

  /** Another run starts with a configuration that has this target for the pool. */
  retarget(pool: string, target: number): void {
    this.#targets.set(pool, target);
  }

  /** The next such look comes before what another run does at the same moment. */
  miss(look: Look): void {
    this.#missed.add(look);
  }

  #get(target: object, name: string | symbol): unknown {
    if (name === 'isShared') return true;
    if (name === 'watch') {
      return (events: StoreEvents) => {
        this.events = events;
        return { [Symbol.dispose]: () => undefined };
      };
    }
    if (name === 'everywhere') return () => this.#everywhere();
    const value = Reflect.get(target, name, target);
    if (typeof value !== 'function' || name === 'close') return value;
    return async (...args: unknown[]) => {
      if (name === 'rejoin' && this.missed !== undefined) throw new StoreRewound(this.missed);
      if (name === 'rejoin') this.#isOver = this.#isRewound = false;
      if (this.#isRewound) throw new StoreRewound();
      if (this.#isOver) throw new EpochOver();
      if (name === 'definePools') this.#lost.clear();
      if (name === 'removePool' && this.haveOthersLeased)
        return this.#endOwn(target as Store, args as [string]);
      if (this.#missed.delete(name as Look)) return name === 'used' ? 0 : undefined;
      const result = await Reflect.apply(value, target, args);
      if (name !== 'pools') return result;
      const kept = (result as StoredPool[]).filter((pool) => !this.#lost.has(pool.name));
      return kept.map((pool) => {
        const target = this.#targets.get(pool.name);
        return {
          ...pool,
          ...(target !== undefined && { target }),
          ...(this.#removed.has(pool.name) && { isRemoved: true }),
        };
      });
    };
  }

  async #endOwn(
    store: Store,
    [pool, head, handOuts]: [string, number?, HandOuts?],
  ): Promise<Removal> {
    if (head === undefined) return { burned: 0, isOver: false };
    const queue = { pool, head, ...(handOuts && { handOuts }) };
    return { burned: (await store.endQueues([queue], 'burn')).rest, isOver: false };
  }

  async #everywhere(): Promise<void> {
    if (!this.areOthersSlow) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.waiting.push(resolve);
    await promise;
  }
}
