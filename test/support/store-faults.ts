/** A real store, of which single calls wait or fail as a test says. */
import type { Store } from '../../src/store/store.ts';

type Call = 'insert' | 'turn' | 'counts' | 'handOut' | 'removePool' | 'endQueues' | 'rejoin';

export class StoreFaults {
  readonly store: Store;
  readonly #gates = new Map<Call, Promise<void>>();
  readonly #answers = new Map<Call, Promise<void>>();
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

  /** From now on such calls do not begin until what is returned is called. */
  hang(call: Call): () => void {
    return shut(this.#gates, call);
  }

  /** From now on such calls are made, and answered when what is returned is called. */
  hold(call: Call): () => void {
    return shut(this.#answers, call);
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
    const answer = this.#answers.get(name);
    if (gate ?? error ?? answer) {
      return (async () => {
        await gate;
        if (error !== undefined) throw error;
        const result = await Reflect.apply(value, target, args);
        await answer;
        return result;
      })();
    }
    return Reflect.apply(value, target, args);
  }
}

function shut(gates: Map<Call, Promise<void>>, call: Call): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  gates.set(call, promise);
  return () => {
    gates.delete(call);
    resolve();
  };
}
