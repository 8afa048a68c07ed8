/**
 * What a key must be to come into a pool from outside: of the pool's key type, one that can be
 * proved, and its address matches the pool's pattern. Any thread may use it. An error names the position
 * of the key in its batch, never the key or its address: that may be in a pool.
 */
import { VanityError } from '../errors.ts';
import { addressOf } from './address.ts';
import { proveExpandedKey } from './expanded.ts';
import { KEYPAIR_BYTES, proveKeypair, SEED_BYTES } from './keypair.ts';
import { matches, type Pattern } from './pattern.ts';
import type { KeyType, SigningKey } from './signing-key.ts';

/** What batches of keys are called, over HTTP and in errors. */
const BATCHES: Readonly<Record<KeyType, string>> = {
  seed: 'secretKeys',
  expanded: 'expandedKeys',
};

/** 100 us: the public key is derived again. Error: KEYPAIR_REFUSED. */
export function assertImportable(keypair: Uint8Array, index: number, pattern: Pattern): void {
  if (keypair.length !== KEYPAIR_BYTES) {
    throw refusedAt(index, `${keypair.length} bytes; a keypair has 64: the seed, its public key`);
  }
  if (!proveKeypair(keypair)) {
    throw refusedAt(index, 'its second half is not the public key of the first');
  }
  assertMatches({ keyType: 'seed', publicKey: keypair.subarray(SEED_BYTES) }, index, pattern);
}

/** The part of it that a proved key still has to pass. Error: KEYPAIR_REFUSED. */
export function assertMatches(
  { keyType, publicKey }: Omit<SigningKey, 'key'>,
  index: number,
  pattern: Pattern,
): void {
  if (matches(pattern, addressOf(publicKey))) return;
  throw refusedAt(index, `its address does not match ${pattern.text}`, keyType);
}

/** The same of an expanded key, 250 us: a signature by it is verified. Error: KEYPAIR_REFUSED. */
export function assertExpandedImportable(
  signingKey: SigningKey,
  index: number,
  pattern: Pattern,
): void {
  if (!proveExpandedKey(signingKey.key, signingKey.publicKey)) {
    throw refusedAt(index, 'the expanded key is not that of the address', 'expanded');
  }
  assertMatches(signingKey, index, pattern);
}

/** Error: IMPORTS_REFUSED. */
export function assertKeyType(pool: string, keys: KeyType, given: KeyType): void {
  if (keys === given) return;
  const detail = `pool ${pool}: its keys are of the type ${keys}; given: ${given}`;
  throw new VanityError('IMPORTS_REFUSED', detail);
}

/** `index` counts from 0. */
export function refusedAt(index: number, reason: string, keyType: KeyType = 'seed'): VanityError {
  const key = `${BATCHES[keyType]}[${index}]`;
  return new VanityError('KEYPAIR_REFUSED', `${key}: ${reason}; nothing came in`);
}
