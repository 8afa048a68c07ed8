/**
 * Which sealing key a store takes: the one that it is sealed with, or a new one as long as nothing
 * is sealed. Runs in the thread that opens the store.
 */
import { VanityError } from '../errors.ts';
import {
  createSealingKey,
  keepSealingKey,
  loadSealingKey,
  type SealingKey,
} from '../keypair/sealing-key.ts';
import { metaOf, type Statements } from './sqlite-statements.ts';

/** A store without data keys takes any key: nothing is sealed yet. */
export async function sealingKeyOf(statements: Statements, source: string): Promise<SealingKey> {
  const isUsed = statements.anyDataKey.get() !== undefined;
  const key = await loadSealingKey(source);
  if (!isUsed) {
    if (key === undefined) return createSealingKey(source);
    keepSealingKey(source);
    return key;
  }
  if (key === undefined) {
    throw new VanityError(
      'SEALING_KEY_INVALID',
      `${source}: missing, and the store is sealed with it; restore it from a backup`,
    );
  }
  const { sealing_key } = metaOf(statements);
  if (sealing_key === null || Buffer.compare(sealing_key, key.publicKey) !== 0) {
    throw new VanityError(
      'SEALING_KEY_INVALID',
      `${source}: not the key that the store is sealed with; restore that one from a backup`,
    );
  }
  return key;
}
