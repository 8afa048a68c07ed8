/** What the grinder is asked for. Any thread may use it. */
import type { Pattern } from '../keypair/pattern.ts';
import type { KeyType } from '../keypair/signing-key.ts';

/** A pool that needs addresses. */
export interface GrindJob {
  readonly pool: string;
  readonly pattern: Pattern;
  readonly keyType: KeyType;
  /** Addresses that it lacks; undefined: as many as are found. */
  readonly missing?: number;
}

/** Of each key type, how many more hits a thread may find until the next order. */
export type Allowance = Readonly<Record<KeyType, number>>;
