/** The sealing key of a data directory that no server holds. Runs in the main thread. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { loadSealingKey, publicKeyIn, publicSource, sealingKeyId } from '../keypair/sealing-key.ts';
import { goneOver, type RotatedKey, type RotationOptions } from '../store/key-rotation.ts';
import type { Store } from '../store/store.ts';
import { withStoreOffline } from './open.ts';

/** While another program reads the log. */
const AGAIN_MS = 100;

/**
 * Of the key that the configuration names: which it is, and as grinders have it. Error: SEALING_KEY_INVALID.
 */
export async function publicHalfOf({ store: { sealingKey: source } }: Config) {
  const publicKey = publicKeyIn(source) ?? (await loadSealingKey(source))?.publicKey;
  if (publicKey === undefined) {
    const detail = `${source}: there is no sealing key yet; the first start makes it`;
    throw new VanityError('SEALING_KEY_INVALID', detail);
  }
  return { id: sealingKeyId(publicKey), source, publicKey: publicSource(publicKey) };
}

export interface OfflineRotation extends Pick<RotationOptions, 'to' | 'reseal'> {
  /** The key was rotated before: only what is left is to be resealed. */
  readonly isBegun: boolean;
  /** Of data keys. */
  readonly onProgress: (done: number, total: number) => void;
  /** With the new key in use. Not called where `reseal` goes on with what was left of another time. */
  readonly onRotated: (rotated: RotatedKey) => Promise<void>;
  /** How many addresses are left, before the first and after each step. */
  readonly onReseal: (left: number) => void;
}

/** Errors: KEY_ROTATION_REFUSED, STORE_FORGED, and those of opening a store. */
export function rotateKeyOffline(config: Config, how: OfflineRotation): Promise<void> {
  return withStoreOffline(config, async (store) => {
    const { reseal, isBegun, onRotated, onReseal } = how;
    const toReseal = async () => (reseal ? (await store.sealingKey()).toReseal : 0);
    if (!isBegun && (await toReseal()) === 0) await onRotated(await rotated(store, how));
    let left = await toReseal();
    onReseal(left);
    while (left > 0) {
      const before = left;
      left = await store.reseal();
      onReseal(left);
      if (left === before) await sleep(AGAIN_MS);
      if (store.isLogLong) await store.checkpointLog();
    }
  });
}

async function rotated(store: Store, { to, reseal, onProgress }: OfflineRotation) {
  const rotation = await store.beginRotation({ to, reseal });
  try {
    while (rotation.done < rotation.total) {
      await rotation.prepare();
      onProgress(rotation.done, rotation.total);
    }
    await rotation.handOver();
  } catch (error) {
    rotation.cancel();
    throw error;
  }
  const rotated = await rotation.finish();
  await goneOver(store);
  return rotated;
}
