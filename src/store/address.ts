/** An address as the store takes it in and gives it out, and what the store counts of a pool's. */
import type { KeyType } from '../keypair/keypair.ts';

export type Origin = 'ground' | 'imported';

/** A key that a grinder found or somebody brought, proved by `node:crypto` before it comes here. */
export interface Hit {
  readonly pool: string;
  /** 64 bytes: seed, then public key. */
  readonly keypair: Uint8Array;
}

export interface LeasedAddress {
  /** Positive, below 2^53, never given twice, growing in the order of insertion. */
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly origin: Origin;
  readonly keyType: KeyType;
  /** 64 bytes: seed, then public key. The receiver wipes it after use. */
  readonly keypair: Uint8Array;
}

export interface PoolCounts {
  readonly available: number;
  readonly leased: number;
  readonly reserved: number;
  readonly dispensed: number;
  readonly burned: number;
  readonly ground: number;
  readonly imported: number;
}
