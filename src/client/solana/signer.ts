/**
 * What all signers have in common, whatever holds the key. A signer signs the bytes of a transaction's
 * message, with the byte that says the version, and verifies each signature before it is returned: a wrong
 * one is an error, and nothing gets it.
 *
 * The types of @solana/kit are written down here by their structure, so that programs without that package
 * are type-checked, too. test/unit/solana-signer-types.ts compares them with the package.
 */
import type { CallOptions } from '../call.ts';
import { VanitypoolError } from '../error.ts';
import { decodeBase58 } from './base58.ts';
import { PUBLIC_KEY_BYTES, type Verify, verifierOf } from './ed25519.ts';

/** `Address` of @solana/kit: base58 of 32 bytes. */
export type KitAddress = string & {
  readonly '__stringEncoding:@solana/kit': 'base58';
  readonly '__brand:@solana/kit': 'Address';
};

/** `SignatureBytes` of @solana/kit: 64 bytes. */
export type KitSignature = Uint8Array & { readonly '__brand:@solana/kit': 'SignatureBytes' };

/** What is used of a `Transaction` of @solana/kit, of any version. */
export interface KitTransaction {
  readonly messageBytes: ArrayLike<number>;
  /** By address: all that have to sign. */
  readonly signatures: Readonly<Record<string, unknown>>;
}

/** A `TransactionPartialSigner` of @solana/kit 8, which signs for any other library as well. */
export interface SolanaSigner {
  readonly address: KitAddress;
  /**
   * For @solana/kit, which calls it. One after the other; of each only the signature of this address.
   * SIGNER_NOT_REQUIRED, before anything is signed, if one of them does not need it.
   */
  readonly signTransactions: (
    transactions: readonly KitTransaction[],
    config?: { readonly abortSignal?: AbortSignal },
  ) => Promise<readonly Readonly<Record<KitAddress, KitSignature>>[]>;
  /**
   * The signature, 64 bytes, of the bytes of a transaction's message, the version's byte included.
   * SIGNATURE_MISMATCH if what signed returned another one.
   */
  readonly sign: (message: Uint8Array, options?: CallOptions) => Promise<Uint8Array>;
}

/** Signs with the key of one address. The message is not changed while it does. */
export type Sign = (
  message: Uint8Array,
  signal: AbortSignal | undefined,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/** A signer for the address by what signs with its key. */
export function signerOf(address: string, signWithKey: Sign): SolanaSigner {
  const publicKey = publicKeyOf(address);
  let verifier: Promise<Verify> | undefined;

  async function sign(message: Uint8Array, { signal }: CallOptions = {}): Promise<Uint8Array> {
    // Not by its class: test environments of pages have several.
    if (message?.[Symbol.toStringTag] !== 'Uint8Array') {
      throw new VanitypoolError('MESSAGE_INVALID', 'message: allowed: a Uint8Array');
    }
    signal?.throwIfAborted();
    // Its own copy: what the caller writes to it meanwhile is neither signed nor verified.
    const bytes = Uint8Array.from(message);
    verifier ??= verifierOf(publicKey);
    // First: a signature that cannot be verified must not be counted.
    const isSignature = await verifier;
    const signature = await signWithKey(bytes, signal);
    if (signature !== undefined && (await isSignature(signature, bytes))) {
      return signature;
    }
    const detail = `${address}: what came is not its signature of the message, and was not used`;
    throw new VanitypoolError('SIGNATURE_MISMATCH', detail);
  }

  return Object.freeze({
    address: address as KitAddress,
    sign,
    async signTransactions(transactions, { abortSignal } = {}) {
      for (const { signatures } of transactions) {
        assertRequired(Object.keys(signatures), address);
      }
      const signed: Readonly<Record<KitAddress, KitSignature>>[] = [];
      for (const { messageBytes } of transactions) {
        const signature = await sign(messageBytes as Uint8Array, { signal: abortSignal });
        signed.push(Object.freeze({ [address]: signature as KitSignature }));
      }
      return Object.freeze(signed);
    },
  } satisfies SolanaSigner);
}

/** Throws SIGNER_NOT_REQUIRED unless the address is one of those that have to sign. */
export function assertRequired(signers: readonly string[], address: string): void {
  if (signers.includes(address)) return;
  const detail = `${address} does not have to sign the transaction; allowed: ${signers.join(', ')}`;
  throw new VanitypoolError('SIGNER_NOT_REQUIRED', detail);
}

/** 32 bytes. KEY_INVALID, without the text: it may be a secret in the wrong place. */
export function publicKeyOf(address: string): Uint8Array {
  const publicKey = decodeBase58(String(address), PUBLIC_KEY_BYTES);
  if (publicKey !== undefined) return publicKey;
  throw new VanitypoolError('KEY_INVALID', 'address: allowed: base58 of 32 bytes');
}

/** 64 bytes of a key, of which the caller wipes this copy. KEY_INVALID, naming the field alone. */
export function keyBytes(field: string, key: string | ArrayLike<number> | undefined): Uint8Array {
  if (key === undefined) {
    const detail = `${field}: there is none; a sign-only pool gives no secrets: see createRemoteSigner`;
    throw new VanitypoolError('KEY_INVALID', detail);
  }
  const bytes = typeof key === 'string' ? decodeBase58(key, 64) : Uint8Array.from(key);
  if (bytes?.length === 64) return bytes;
  throw new VanitypoolError('KEY_INVALID', `${field}: allowed: 64 bytes, as base58 or as bytes`);
}
