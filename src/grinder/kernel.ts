/**
 * The contract of a grind kernel: it tries candidates in bounded slices. There are two, native code
 * and the portable path; both pass the same conformance tests. A search belongs to the thread that
 * opened it.
 */
import type { Pattern } from '../keypair/pattern.ts';
import type { KeyType, SigningKey } from '../keypair/signing-key.ts';
import type { Priority } from '../system/priority.ts';

/** Not proved yet. */
export interface KernelHit extends SigningKey {
  /** Index of the first pattern that matches. */
  readonly pattern: number;
}

export interface Slice {
  /** Candidates tested exactly. */
  readonly attempts: number;
  readonly hits: readonly KernelHit[];
  /** Hits dropped because their public key came out wrong: a broken machine. Expected to be 0. */
  readonly faults: number;
}

export interface Search {
  /** Of the table that all searches for seeds share; 0 without one. */
  readonly tableBytes: number;
  /**
   * Tries candidates for about `budgetMs` (at most 50) or until there are `maxHits` hits, and
   * blocks the thread meanwhile. Two hits are never related.
   */
  slice(budgetMs: number, maxHits: number): Slice;
  /** Wipes and frees the batch. */
  close(): void;
}

export interface Kernel {
  /** 'portable' and faster levels of the native kernel, or 'js'. */
  readonly isa: string;
  /** `patterns`: 1 to PATTERNS_MAX. `keyType`: 'seed' if not given. */
  open(patterns: readonly Pattern[], keyType?: KeyType): Search;
  /** Lowers this thread alone to a priority; does nothing where the system cannot. */
  lower(priority: Priority): void;
}

/** As GRIND_PATTERNS_MAX in native/kernel.h. */
export const PATTERNS_MAX = 1024;
