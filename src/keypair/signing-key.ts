/**
 * A key of either type, in the one shape that it has from the kernel to the ready queue. Types, and
 * the names of the key types: the API's shapes and the types of its clients hold them too.
 */

/** 'seed': a keypair. 'expanded': scalar and nonce prefix; it signs, but has no seed. */
export const KEY_TYPES = ['seed', 'expanded'] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** With its public key, which an expanded key does not contain. */
export interface SigningKey {
  readonly keyType: KeyType;
  /** 64 bytes: a keypair, or an expanded key. Secret. */
  readonly key: Uint8Array;
  /** 32 bytes. Of a keypair it is the end of `key` itself: read it before that is wiped. */
  readonly publicKey: Uint8Array;
}

/** A key for a pool: a grinder found it, or somebody brought it. It is proved to be that of its address. */
export interface Hit extends SigningKey {
  readonly pool: string;
}
