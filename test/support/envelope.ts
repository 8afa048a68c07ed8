/** Sealing without a store, for tests. */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import {
  type Place,
  publicKeyHash,
  type RowInPlace,
  type SealedRow,
  Sealer,
  Unsealer,
} from '../../src/keypair/seal.ts';
import { SealingKey } from '../../src/keypair/sealing-key.ts';
import type { KeyType, SigningKey } from '../../src/keypair/signing-key.ts';
import { someKey } from './keys.ts';

export const STORE_ID = 'ab'.repeat(16);
export const BINDING = 'b'.repeat(32);

/** A sealer, an unsealer of the same sealing key, and the data keys between them. */
export class Envelope {
  readonly sealedDataKeys = new Map<number, Uint8Array>();
  readonly sealer: Sealer;
  readonly unsealer: Unsealer;
  readonly #key: SealingKey;
  readonly #storeId: string;
  now = 0;
  saveFails = false;

  constructor(key: SealingKey, storeId = STORE_ID) {
    const save = (sealed: Uint8Array) => {
      if (this.saveFails) throw new Error('no disk');
      this.sealedDataKeys.set(this.sealedDataKeys.size + 1, sealed);
      return this.sealedDataKeys.size;
    };
    const { publicKey } = key;
    this.#key = key;
    this.#storeId = storeId;
    this.sealer = new Sealer({ storeId, binding: BINDING, publicKey, save, now: () => this.now });
    this.unsealer = new Unsealer(storeId, BINDING, key);
  }

  get publicKey(): Uint8Array {
    return this.#key.publicKey;
  }

  static async make(storeId = STORE_ID): Promise<Envelope> {
    return new Envelope(await SealingKey.from(randomBytes(32)), storeId);
  }

  /** Opened as documented. */
  async dataKey(id: number): Promise<KeyObject> {
    const info = Buffer.from(`vanitypool data key 2 ${this.#storeId} ${BINDING}`);
    return createSecretKey((await this.#key.open(this.sealedDataKeys.get(id)!, info))!);
  }

  async seal(place: Place, key: SigningKey): Promise<SealedRow> {
    const [row] = await this.sealer.seal([{ place, key }]);
    return row!;
  }

  async unseal(place: Place, row: SealedRow): Promise<SigningKey | undefined> {
    const [key] = await this.unsealer.unseal([this.inPlace(place, row)]);
    return key;
  }

  inPlace(place: Place, { dataKeyId, sealed }: SealedRow): RowInPlace {
    return { place, sealed, dataKey: this.sealedDataKeys.get(dataKeyId) };
  }
}

export function newRow(keyType: KeyType = 'seed') {
  const key = someKey(keyType);
  return { key, place: placeOf(key) };
}

export function placeOf({ keyType, publicKey }: SigningKey): Place {
  return { pool: 'pet', keyType, keyHash: publicKeyHash(publicKey) };
}
