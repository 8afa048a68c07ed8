/**
 * Looks for idempotency keys in the store. Those that are asked for while it does something else are looked up
 * together: a way to a database and back for each would bound how many requests a node answers. Runs in the store
 * thread.
 */
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

export class KeyLooks {
  readonly #store: Pick<Store, 'areServed'>;
  readonly #exclusively: Exclusively;
  /** Of the look that has not begun. */
  #keys: Uint8Array[] = [];
  #next: Promise<readonly boolean[]> | undefined;

  constructor(store: Pick<Store, 'areServed'>, exclusively: Exclusively) {
    this.#store = store;
    this.#exclusively = exclusively;
  }

  /** Whether turns recorded something for it, as of a moment after this call. Errors: those of the store. */
  async isServed(key: Uint8Array): Promise<boolean> {
    const place = this.#keys.push(key) - 1;
    this.#next ??= this.#exclusively(() => {
      const keys = this.#keys;
      this.#keys = [];
      this.#next = undefined;
      return this.#store.areServed(keys);
    });
    return (await this.#next)[place]!;
  }
}
