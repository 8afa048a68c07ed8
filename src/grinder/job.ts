/** What the grinder is asked for, and what it finds. Any thread may use it. */
import type { KeyType } from '../keypair/keypair.ts';
import type { Pattern } from '../keypair/pattern.ts';

/** A pool that needs addresses. */
export interface GrindJob {
  readonly pool: string;
  readonly pattern: Pattern;
  /** 'seed' if not given. */
  readonly keyType?: KeyType;
}

/** A key that `node:crypto` proved to be that of its address, which matches the pool. */
export interface FoundHit {
  readonly pool: string;
  /** 64 bytes: seed, then public key; or an expanded key. */
  readonly keypair: Uint8Array;
  /** 32 bytes; of an expanded key alone, as a keypair ends with it. */
  readonly publicKey?: Uint8Array;
}
