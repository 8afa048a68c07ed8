/**
 * Data keys as they lie in the store: each is sealed to the sealing key, for a purpose and a store. Who
 * has its public half can make one, and only who has the private one opens it. Any thread may use it.
 */
import { randomBytes } from 'node:crypto';
import { type SealingKey, sealTo } from './sealing-key.ts';

export const DATA_KEY_BYTES = 32;

/** Whose data keys. */
export interface DataKeysOf {
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  /** Of the rows of the store (store/sqlite/bound-rows.ts): 32 hexadecimal digits. */
  readonly binding: string;
  /** Of the sealing key: 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** A new one, sealed: nobody has it until it is opened. */
export async function newDataKey(of: DataKeysOf): Promise<Uint8Array> {
  const bytes = randomBytes(DATA_KEY_BYTES);
  try {
    return await sealTo(of.publicKey, bytes, infoOf(of.storeId, of.binding));
  } finally {
    bytes.fill(0);
  }
}

/** Whether a sealed data key is one of this store, as stores with bound rows have them. */
export async function isDataKey(
  key: SealingKey,
  storeId: string,
  binding: string,
  sealed: Uint8Array,
): Promise<boolean> {
  const bytes = await key.open(sealed, infoOf(storeId, binding));
  bytes?.fill(0);
  return bytes !== undefined;
}

/** One of a store from before its rows were bound, sealed for this one; undefined if it is not such a key. */
export function resealDataKey(
  key: SealingKey,
  storeId: string,
  binding: string,
  sealed: Uint8Array,
): Promise<Uint8Array | undefined> {
  const [from, to] = [infoOf(storeId), infoOf(storeId, binding)];
  return reseal(sealed, { key, info: from }, { publicKey: key.publicKey, info: to });
}

/** One of this store, sealed to the public half of another key; undefined if it is none. */
export function moveDataKey(
  key: SealingKey,
  { storeId, binding, publicKey }: DataKeysOf,
  sealed: Uint8Array,
): Promise<Uint8Array | undefined> {
  const info = infoOf(storeId, binding);
  return reseal(sealed, { key, info }, { publicKey, info });
}

async function reseal(
  sealed: Uint8Array,
  from: { readonly key: SealingKey; readonly info: Uint8Array },
  to: { readonly publicKey: Uint8Array; readonly info: Uint8Array },
): Promise<Uint8Array | undefined> {
  const bytes = await from.key.open(sealed, from.info);
  if (bytes === undefined) return undefined;
  try {
    return await sealTo(to.publicKey, bytes, to.info);
  } finally {
    bytes.fill(0);
  }
}

/** Binds a sealed data key to its purpose and its store; without a binding to one whose rows have none. */
export function infoOf(storeId: string, binding?: string): Uint8Array {
  const purpose = binding === undefined ? `1 ${storeId}` : `2 ${storeId} ${binding}`;
  return Buffer.from(`vanitypool data key ${purpose}`);
}
