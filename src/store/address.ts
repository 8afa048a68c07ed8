/** An address as the store takes it in and gives it out, and what the store counts of a pool's. */
import type { SigningKey } from '../keypair/signing-key.ts';

export type Origin = 'ground' | 'imported';

/** The receiver wipes its key after use. */
export interface LeasedAddress extends SigningKey {
  /** Positive, below 2^53, never given twice, growing in the order of insertion. */
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly origin: Origin;
}

export interface PoolCounts {
  readonly available: number;
  readonly leased: number;
  /** Those of `leased` that the queue of this run has. */
  readonly leasedHere: number;
  readonly reserved: number;
  readonly dispensed: number;
  readonly burned: number;
  readonly ground: number;
  readonly imported: number;
}
