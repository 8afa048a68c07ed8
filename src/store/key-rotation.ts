/** The rotation of the sealing key of a store, in the words of the product. */
import { VanityError } from '../errors.ts';

/** What a rotation has on disk, in this order: cut off after any of them, a start finds its key. */
export type RotationStep = 'old key kept' | 'new key' | 'store sealed' | 'named';

export interface RotationOptions {
  /** 'env:NAME' for a key that stands in a variable; without it a new one is made beside the old. */
  readonly to?: string | undefined;
  /** Rows are to be resealed, too, by `Store.reseal`. */
  readonly reseal?: boolean | undefined;
  /** Hears of each step when it is on disk. */
  readonly onStep?: ((step: RotationStep) => void) | undefined;
}

/** A rotation that is under way. Others may call the store between two of these calls. */
export interface KeyRotation {
  /** Of data keys: how many there are, and how many are sealed to the new key. */
  readonly total: number;
  readonly done: number;
  /** Seals some more data keys to the new key; nothing in the store is changed by it. */
  prepare(): Promise<void>;
  /**
   * Resolves when every other run that opens addresses has the new key beside the old one. Others may call the
   * store meanwhile. Errors: KEY_ROTATION_REFUSED if one cannot have it, or another run rotates; STORE_UNAVAILABLE
   * after a while. Nothing is changed then.
   */
  handOver(): Promise<void>;
  /**
   * Seals the rest, and then, in one transaction, the store goes by the new key. While no insert is
   * under way. Errors: STORE_FORGED, those of the store; then it goes by the old one.
   */
  finish(): Promise<RotatedKey>;
  /** Instead of `finish`: nothing has happened. */
  cancel(): void;
}

export interface RotatedKey {
  /** Ids of the keys (keypair/sealing-key.ts). */
  readonly from: string;
  readonly to: string;
  /** Where the new key is: 'file:PATH' or 'env:NAME'. */
  readonly source: string;
  /** Where the old one is: the same forms. Backups that were made before need it. */
  readonly oldSource: string;
  readonly dataKeys: number;
  /** Rows that are still to be resealed, at most; 0 if nothing is left to do of that. */
  readonly toReseal: number;
  /** Of a store of many nodes: how many others have the new key. One whose key is in a variable has it in memory. */
  readonly handedTo?: number;
}

export interface SealingKeyState {
  /** Of the key that the store is sealed with. */
  readonly id: string;
  /** Where it is, as of `RotatedKey`. */
  readonly source: string;
  /** As of `RotatedKey`. */
  readonly toReseal: number;
}

/** All other runs seal to the new key by then; one that does not answer does so when it hears of anything again. */
export async function goneOver(store: { everywhere(): Promise<void> }): Promise<void> {
  await store.everywhere().catch((error: unknown) => {
    if (!(error instanceof VanityError)) throw error;
  });
}
