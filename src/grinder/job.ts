/** What the grinder is asked for. Any thread may use it. */
import type { Pattern } from '../keypair/pattern.ts';
import type { KeyType } from '../keypair/signing-key.ts';

/** A pool that needs addresses. */
export interface GrindJob {
  readonly pool: string;
  readonly pattern: Pattern;
  readonly keyType: KeyType;
}
