/**
 * Signatures with the dispensed addresses of sign-only pools in a running server. Runs in the store
 * thread. Each is one transaction of the database, durable before it is answered. By whichever route two
 * requests come, they meet here.
 */
import { hash } from 'node:crypto';
import { VanityError } from '../errors.ts';
import { ExpandedSigner } from '../keypair/expanded-signer.ts';
import { signMessage } from '../keypair/sign.ts';
import { parseSignPolicy, type SignPolicy } from '../keypair/sign-policy.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import type { Signer, SigningOrder } from '../pool/calls.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

export interface ServedSignaturesOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  /** Sees to it that the store knows what has left a pool by now, and with whom it went. */
  readonly record: (pool: string) => Promise<void>;
}

/** What an address of a pool signs. */
interface Signing {
  readonly limit: number;
  readonly policy: SignPolicy;
  readonly keys: KeyType;
}

export class ServedSignatures {
  readonly #options: ServedSignaturesOptions;
  readonly #pools = new Map<string, Signing>();
  #expandedSigner: Promise<ExpandedSigner> | undefined;

  constructor(options: ServedSignaturesOptions) {
    this.#options = options;
  }

  add(shared: SharedPool): void {
    if (shared.handout !== 'sign-only') return;
    const { name, keys, signLimit: limit } = shared;
    this.#pools.set(name, { limit, keys, policy: parseSignPolicy(shared) });
    // Now, so that no client waits for it; a failure is reported to those that want a signature.
    if (keys === 'expanded') this.#loadSigner().catch(() => undefined);
  }

  remove(pool: string): void {
    this.#pools.delete(pool);
  }

  async sign({ pools, publicKey, token, message }: SigningOrder): Promise<Uint8Array> {
    const { store, exclusively } = this.#options;
    const signing = await this.#recorded(pools);
    const limits = limitsOf(signing);
    const isExpanded = [...signing.values()].some(({ keys }) => keys === 'expanded');
    const signer = isExpanded ? await this.#loadSigner() : undefined;
    const messageHash = hash('sha256', message, 'buffer');
    return exclusively(() =>
      store.signatures.sign({
        limits,
        publicKey,
        token,
        messageHash,
        sign: (key, pool) => signMessage(key, message, signing.get(pool)!.policy, signer),
      }),
    );
  }

  async assertSigner({ pools, publicKey, token }: Signer): Promise<void> {
    const { store, exclusively } = this.#options;
    const limits = limitsOf(await this.#recorded(pools));
    await exclusively(() => store.signatures.assertSigner({ limits, publicKey, token }));
  }

  /** Once. Error: INTERNAL. */
  #loadSigner(): Promise<ExpandedSigner> {
    this.#expandedSigner ??= ExpandedSigner.load();
    return this.#expandedSigner;
  }

  /**
   * A client may ask as soon as it has an address, before a turn has recorded that. All of the pools are
   * recorded, whichever the address is of: how long it takes says nothing of that. Gives what an
   * address of each signs.
   */
  async #recorded(pools: readonly string[]): Promise<Map<string, Signing>> {
    const recorded = new Map<string, Signing>();
    for (const name of pools) {
      const pool = this.#pools.get(name);
      if (pool === undefined) continue;
      try {
        await this.#options.record(name);
        recorded.set(name, pool);
      } catch (error) {
        // It is being deleted.
        if (!(error instanceof VanityError) || error.code !== 'POOL_NOT_FOUND') throw error;
      }
    }
    return recorded;
  }
}

function limitsOf(signing: ReadonlyMap<string, Signing>): Map<string, number> {
  return new Map([...signing].map(([name, { limit }]) => [name, limit]));
}
