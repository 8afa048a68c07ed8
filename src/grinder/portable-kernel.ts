/**
 * The portable path: the grind kernel without native code, over `node:crypto`. It makes about
 * fifteen thousand attempts a second where the native kernel makes hundreds of thousands, and
 * keeps the same promises. Any thread may use it.
 */
import { randomBytes } from 'node:crypto';
import { VanityError } from '../errors.ts';
import { addressOf } from '../keypair/address.ts';
import { KEYPAIR_BYTES, keypairOf, SEED_BYTES } from '../keypair/keypair.ts';
import { matches, type Pattern } from '../keypair/pattern.ts';
import type { Kernel, KernelHit, Search, Slice } from './kernel.ts';

const BUDGET_MAX_MS = 50;

export function portableKernel(): Kernel {
  return {
    isa: 'js',
    open: (patterns) => new PortableSearch(patterns),
    // Without native code there is no call for the priority of one thread.
    idlePriority() {},
  };
}

class PortableSearch implements Search {
  readonly #patterns: readonly Pattern[];
  #isClosed = false;

  constructor(patterns: readonly Pattern[]) {
    this.#patterns = patterns;
  }

  slice(budgetMs: number, maxHits: number): Slice {
    if (this.#isClosed) throw new VanityError('INTERNAL', 'the search is closed');
    const end = performance.now() + Math.min(budgetMs, BUDGET_MAX_MS);
    const hits: KernelHit[] = [];
    let attempts = 0;
    do {
      attempts++;
      const keypair = keypairOf(randomBytes(SEED_BYTES));
      const address = addressOf(keypair.subarray(SEED_BYTES, KEYPAIR_BYTES));
      const pattern = this.#patterns.findIndex((candidate) => matches(candidate, address));
      if (pattern >= 0) hits.push({ keypair, pattern });
      else keypair.fill(0);
    } while (hits.length < maxHits && performance.now() < end);
    return { attempts, hits, faults: 0 };
  }

  close(): void {
    this.#isClosed = true;
  }
}
