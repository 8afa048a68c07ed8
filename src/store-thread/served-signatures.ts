/**
 * Signatures with the dispensed addresses of sign-only pools in a running server. Runs in the store
 * thread. Each is one transaction of the database, durable before it is answered. By whichever route two
 * requests come, they meet here.
 */
import { hash } from 'node:crypto';
import { VanityError } from '../errors.ts';
import { signMessage } from '../keypair/sign.ts';
import type { SigningOrder } from '../pool/calls.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

export interface ServedSignaturesOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  /** Sees to it that the store knows what has left a pool by now, and with whom it went. */
  readonly record: (pool: string) => Promise<void>;
}

export class ServedSignatures {
  readonly #options: ServedSignaturesOptions;
  readonly #pools = new Map<string, SharedPool>();

  constructor(options: ServedSignaturesOptions) {
    this.#options = options;
  }

  add(shared: SharedPool): void {
    if (shared.handout === 'sign-only') this.#pools.set(shared.name, shared);
  }

  remove(pool: string): void {
    this.#pools.delete(pool);
  }

  async sign({ pools, publicKey, token, message }: SigningOrder): Promise<Uint8Array> {
    const { store, exclusively } = this.#options;
    const limits = await this.#recorded(pools);
    const messageHash = hash('sha256', message, 'buffer');
    return exclusively(() =>
      store.signatures.sign({
        limits,
        publicKey,
        token,
        messageHash,
        sign: (key) => signMessage(key, message),
      }),
    );
  }

  /**
   * A client may ask as soon as it has an address, before a turn has recorded that. All of the pools are
   * recorded, whichever the address is of: how long it takes says nothing of that. Gives how many
   * signatures an address of each has.
   */
  async #recorded(pools: readonly string[]): Promise<Map<string, number>> {
    const limits = new Map<string, number>();
    for (const name of pools) {
      const pool = this.#pools.get(name);
      if (pool === undefined) continue;
      try {
        await this.#options.record(name);
        limits.set(name, pool.signLimit);
      } catch (error) {
        // It is being deleted.
        if (!(error instanceof VanityError) || error.code !== 'POOL_NOT_FOUND') throw error;
      }
    }
    return limits;
  }
}
