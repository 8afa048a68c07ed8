/** What the store does for addresses whose secrets never leave. */
import { VanityError } from '../errors.ts';
import { encodeBase58 } from '../keypair/address.ts';
import type { SigningKey } from '../keypair/signing-key.ts';

/** A dispensed address, and to whom it may have been dispensed. */
export interface SignerOf {
  /** How many different messages an address of each of these pools signs; one of others signs none. */
  readonly limits: ReadonlyMap<string, number>;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly token: number;
}

/** A signature with its key. */
export interface SignatureOrder extends SignerOf {
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
  /** Error: ADDRESS_NOT_FOUND, as `sign` has it. */
  assertSigner(whose: SignerOf): Promise<void>;
}

/** Of an address whose last signatures nobody knows. */
export function signsNoMore({ publicKey }: SignerOf): VanityError {
  const detail =
    `${encodeBase58(publicKey)}: signs no more: the store was restored, and the lost one may ` +
    'have signed as often as its pool allows';
  return new VanityError('SIGN_LIMIT_REACHED', detail);
}
