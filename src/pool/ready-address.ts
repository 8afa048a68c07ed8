/** A leased address in the texts in which it leaves. Any thread may use it. */
import { encodeBase58 } from '../keypair/address.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import type { LeasedAddress, Origin } from '../store/address.ts';

/** An address ready to be handed out, in the texts in which it leaves. */
export interface ReadyAddress {
  readonly id: number;
  /** Base58 of 32 bytes. */
  readonly address: string;
  /** Base58 of 64 bytes: the keypair, or the expanded key. */
  readonly secret: string;
  readonly keyType: KeyType;
  readonly origin: Origin;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** A leased address in the texts in which it leaves. The caller wipes the key. */
export function readyAddress({
  id,
  key,
  publicKey,
  keyType,
  origin,
  createdAt,
}: LeasedAddress): ReadyAddress {
  const address = encodeBase58(publicKey);
  return { id, address, secret: encodeBase58(key), keyType, origin, createdAt };
}
