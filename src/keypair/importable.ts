/**
 * What a keypair must be to come into a pool from outside: one that can be proved, whose address
 * matches the pool's pattern. Any thread may use it. An error names the position of the
 * key in its batch, never the key or its address: that may be in a pool.
 */
import { VanityError } from '../errors.ts';
import { addressOf } from './address.ts';
import { KEYPAIR_BYTES, proveKeypair, SEED_BYTES } from './keypair.ts';
import { matches, type Pattern } from './pattern.ts';

/** 100 us: the public key is derived again. Error: KEYPAIR_REFUSED. */
export function assertImportable(keypair: Uint8Array, index: number, pattern: Pattern): void {
  if (keypair.length !== KEYPAIR_BYTES) {
    throw refusedAt(index, `${keypair.length} bytes; a keypair has 64: the seed, its public key`);
  }
  if (!proveKeypair(keypair)) {
    throw refusedAt(index, 'its second half is not the public key of the first');
  }
  assertMatches({ publicKey: keypair.subarray(SEED_BYTES) }, index, pattern);
}

/** The part of it that a proved key still has to pass. Error: KEYPAIR_REFUSED. */
export function assertMatches(
  { publicKey }: { readonly publicKey: Uint8Array },
  index: number,
  pattern: Pattern,
): void {
  if (matches(pattern, addressOf(publicKey))) return;
  throw refusedAt(index, `its address does not match ${pattern.text}`);
}

/** `index` counts from 0. */
export function refusedAt(index: number, reason: string): VanityError {
  return new VanityError('KEYPAIR_REFUSED', `secretKeys[${index}]: ${reason}; nothing came in`);
}
