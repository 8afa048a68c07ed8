/** A pool as the store knows it: what never changes of it, what may, and what it holds. */
import type { PoolConfig } from '../config/pool-config.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import type { PoolCounts } from './address.ts';

/** What makes a pool this pool. It never changes after the pool is made. */
export interface PoolIdentity {
  readonly name: string;
  /** As configured; '' when there is none. */
  readonly prefix: string;
  readonly suffix: string;
  readonly ignoreCase: boolean;
  readonly keys: KeyType;
  /** 'sign-only': its secrets never leave. */
  readonly handout: 'secret' | 'sign-only';
}

/** What a pool that was made at run time comes back with. */
export type PoolSettings = Omit<PoolConfig, keyof PoolIdentity>;

export interface StoredPool extends PoolIdentity {
  readonly counts: PoolCounts;
  /** Undefined for one that stands in the configuration, or did. */
  readonly settings: PoolSettings | undefined;
  readonly isPaused: boolean;
  /** Deleted: its name and its history are kept. */
  readonly isRemoved: boolean;
  /** Recorded by turns of this epoch: where the counters of its ready queue start. */
  readonly position: number;
}
