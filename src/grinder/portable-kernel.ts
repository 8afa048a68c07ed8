/**
 * The portable path: the grind kernel without native code, over `node:crypto`. It makes about
 * fifteen thousand attempts a second where the native kernel makes hundreds of thousands, and
 * keeps the same promises. Any thread may use it.
 */
import { randomBytes } from 'node:crypto';
import { VanityError } from '../errors.ts';
import { addressOf } from '../keypair/address.ts';
import { expandedKeyOf } from '../keypair/expanded.ts';
import { KEYPAIR_BYTES, publicKeyOf, SEED_BYTES, signingKeyOf } from '../keypair/keypair.ts';
import { matches, type Pattern } from '../keypair/pattern.ts';
import type { KeyType, SigningKey } from '../keypair/signing-key.ts';
import type { Kernel, KernelHit, Search, Slice } from './kernel.ts';

const BUDGET_MAX_MS = 50;

export function portableKernel(): Kernel {
  return {
    isa: 'js',
    open: (patterns, keyType = 'seed') => new PortableSearch(patterns, keyType),
    // Without native code there is no call for the priority of one thread.
    lower() {},
  };
}

class PortableSearch implements Search {
  readonly #patterns: readonly Pattern[];
  readonly #keyType: KeyType;
  readonly tableBytes = 0;
  #isClosed = false;

  constructor(patterns: readonly Pattern[], keyType: KeyType) {
    this.#patterns = patterns;
    this.#keyType = keyType;
  }

  slice(budgetMs: number, maxHits: number): Slice {
    if (this.#isClosed) throw new VanityError('INTERNAL', 'the search is closed');
    const end = performance.now() + Math.min(budgetMs, BUDGET_MAX_MS);
    const hits: KernelHit[] = [];
    let attempts = 0;
    do {
      attempts++;
      const seed = randomBytes(SEED_BYTES);
      const publicKey = publicKeyOf(seed);
      const address = addressOf(publicKey);
      const pattern = this.#patterns.findIndex((candidate) => matches(candidate, address));
      if (pattern >= 0) hits.push({ ...this.#keyOf(seed, publicKey), pattern });
      seed.fill(0);
    } while (hits.length < maxHits && performance.now() < end);
    return { attempts, hits, faults: 0 };
  }

  close(): void {
    this.#isClosed = true;
  }

  /** An expanded key is that of a seed which nobody keeps: no other way is as fast here. */
  #keyOf(seed: Uint8Array, publicKey: Uint8Array): SigningKey {
    const keyType = this.#keyType;
    if (keyType === 'expanded') return { keyType, key: expandedKeyOf(seed), publicKey };
    const keypair = new Uint8Array(KEYPAIR_BYTES);
    keypair.set(seed);
    keypair.set(publicKey, SEED_BYTES);
    return signingKeyOf(keypair);
  }
}
