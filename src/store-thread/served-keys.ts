/**
 * The rotation of the sealing key of a running server. Runs in the store thread. Data keys are sealed to
 * the new key a few at a time between the calls that requests wait for; then one transaction, while no
 * insert is under way.
 */
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { KeyOrder } from '../pool/calls.ts';
import { goneOver, type RotatedKey, type SealingKeyState } from '../store/key-rotation.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

export interface ServedKeysOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly withoutInserts: Exclusively;
  /** Where the key is by now, for what reads the store beside this thread. */
  readonly onMoved: (source: string) => void;
  /** Rows are to be resealed from now on. */
  readonly onReseal: () => void;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

export class ServedKeys {
  readonly #options: ServedKeysOptions;
  #isRunning = false;

  constructor(options: ServedKeysOptions) {
    this.#options = options;
  }

  /** Errors: KEY_ROTATION_REFUSED, also of a second one meanwhile; STORE_FORGED, those of the store. */
  async rotate(order: KeyOrder): Promise<RotatedKey> {
    if (this.#isRunning) {
      throw new VanityError('KEY_ROTATION_REFUSED', 'another rotation is under way');
    }
    this.#isRunning = true;
    try {
      return await this.#rotate(order);
    } finally {
      this.#isRunning = false;
    }
  }

  state(): Promise<SealingKeyState> {
    const { store, exclusively } = this.#options;
    return exclusively(() => store.sealingKey());
  }

  async #rotate(order: KeyOrder): Promise<RotatedKey> {
    const { store, exclusively, withoutInserts, onMoved, onReseal, log } = this.#options;
    const rotation = await exclusively(() => store.beginRotation(order));
    log.info({ dataKeys: rotation.total }, 'rotating the sealing key');
    try {
      while (rotation.done < rotation.total) await exclusively(() => rotation.prepare());
      await rotation.handOver();
    } catch (error) {
      rotation.cancel();
      throw error;
    }
    const rotated = await withoutInserts(() => exclusively(() => rotation.finish()));
    onMoved(rotated.source);
    log.info({ ...rotated }, 'the sealing key was rotated: back up the new one now');
    if (order.reseal) onReseal();
    await goneOver(store);
    return rotated;
  }
}
