/** What the store does for addresses whose secrets never leave. */
import type { SigningKey } from '../keypair/signing-key.ts';

/** A signature with the key of a dispensed address. */
export interface SignatureOrder {
  /** How many different messages an address of each of these pools signs; one of others signs none. */
  readonly limits: ReadonlyMap<string, number>;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly token: number;
  /** SHA-256. */
  readonly messageHash: Uint8Array;
  /** Called with the key and the pool it is of, in the store thread; may throw. */
  readonly sign: (key: SigningKey, pool: string) => Uint8Array;
}

export interface SignatureStore {
  /**
   * Signs and counts it durably before it returns; after the last one the secret is destroyed. The
   * same message again gets the same signature. Errors: ADDRESS_NOT_FOUND, SIGN_LIMIT_REACHED, those
   * of `sign`.
   */
  sign(order: SignatureOrder): Promise<Uint8Array>;
}
