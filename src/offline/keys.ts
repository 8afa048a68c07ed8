/** The sealing key of a data directory that no server holds. Runs in the main thread. */
import type { Config } from '../config/config.ts';
import type { RotatedKey } from '../store/key-rotation.ts';
import { withStoreOffline } from './open.ts';

/** Errors: KEY_ROTATION_REFUSED, STORE_FORGED, and those of opening a store. */
export function rotateKeyOffline(
  config: Config,
  to: string | undefined,
  onProgress: (done: number, total: number) => void,
): Promise<RotatedKey> {
  return withStoreOffline(config, async (store) => {
    const rotation = await store.beginRotation({ to });
    try {
      while (rotation.done < rotation.total) {
        await rotation.prepare();
        onProgress(rotation.done, rotation.total);
      }
    } catch (error) {
      rotation.cancel();
      throw error;
    }
    return rotation.finish();
  });
}
