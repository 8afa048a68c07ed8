/** A real store, of which single calls wait or fail as a test says. */
import type { Store } from '../../src/store/store.ts';

type Call = 'insert' | 'turn' | 'counts' | 'handOut' | 'removePool';

export class StoreFaults {
  readonly store: Store;
  readonly #gates = new Map<Call, Promise<void>>();
  readonly #errors = new Map<Call, Error>();
  readonly #begun: Call[] = [];

  constructor(store: Store) {
    this.store = new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => this.#call(target, name as Call, value, args);
      },
    });
  }

  /** Names of the calls that have begun. */
  get begun(): readonly Call[] {
    return this.#begun;
  }

  /** From now on such calls do not go on until what is returned is called. */
  hang(call: Call): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gates.set(call, promise);
    return () => {
      this.#gates.delete(call);
      resolve();
    };
  }

  /** The next such call fails, and nothing of it happened. */
  fail(call: Call, error: Error): void {
    this.#errors.set(call, error);
  }

  #call(
    target: Store,
    name: Call,
    value: (...args: unknown[]) => unknown,
    args: unknown[],
  ): unknown {
    this.#begun.push(name);
    const gate = this.#gates.get(name);
    const error = this.#errors.get(name);
    this.#errors.delete(name);
    if (gate === undefined && error === undefined) return Reflect.apply(value, target, args);
    return (async () => {
      await gate;
      if (error !== undefined) throw error;
      return Reflect.apply(value, target, args);
    })();
  }
}
