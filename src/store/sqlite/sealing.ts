/**
 * Which sealing key a store takes: the one that it is sealed with, or a new one as long as nothing
 * is sealed. Runs in the thread that opens the store.
 */
import type { DatabaseSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import { createSealingKey, keepSealingKey, type SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, takeNextKey, wrongKey } from '../../keypair/sealing-key-files.ts';

/**
 * A store takes any key as long as nothing is sealed in it, and no token was made. Of a rotation that was
 * cut off it takes the key that it records (rotation.ts), and gives it its name.
 */
export async function sealingKeyOf(db: DatabaseSync, source: string): Promise<SealingKey> {
  const { sealing_key, isUsed } = db
    .prepare(`SELECT sealing_key, had_tokens OR EXISTS (SELECT 1 FROM data_keys)
      OR EXISTS (SELECT 1 FROM tokens) AS isUsed FROM meta`)
    .get() as { sealing_key: Uint8Array | null; isUsed: 0 | 1 };
  const { key, isNext } = await findSealingKey(source, sealing_key);
  // One that cannot be renamed is found by the next start, too.
  if (isNext) await takeNextKey(source).catch(() => undefined);
  if (isUsed === 0) {
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
  if (!isKey(key, sealing_key)) {
    throw new VanityError(
      'SEALING_KEY_INVALID',
      `${source}: not the key that the store is sealed with (${wrongKey(source, key, sealing_key)}); ` +
        'restore that one from a backup. After "vanitypool key rotate --to env:NAME" set ' +
        'store.sealing_key = "env:NAME"',
    );
  }
  return key;
}
