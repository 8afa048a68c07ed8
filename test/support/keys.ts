/** Keys for tests. The second half of an expanded one is not its public key, as of all of them. */
import { randomBytes } from 'node:crypto';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { keypairOf, publicKeyOf, SEED_BYTES, signingKeyOf } from '../../src/keypair/keypair.ts';
import type { KeyType, SigningKey } from '../../src/keypair/signing-key.ts';

/** Of random bytes: it signs nothing, and is as good as any other where nobody proves it. */
export function someKey(keyType: KeyType = 'seed'): SigningKey {
  if (keyType === 'seed') return signingKeyOf(randomBytes(64));
  return { keyType, key: randomBytes(64), publicKey: randomBytes(32) };
}

/** One that signs. */
export function trueKey(keyType: KeyType = 'seed'): SigningKey {
  const seed = randomBytes(SEED_BYTES);
  if (keyType === 'seed') return signingKeyOf(keypairOf(seed));
  return { keyType, key: expandedKeyOf(seed), publicKey: publicKeyOf(seed) };
}
