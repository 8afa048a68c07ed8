/**
 * A signer from an expanded key, as a pool with `keys = "expanded"` gives it. The key stays in this process.
 * Needs the package libsodium-wrappers-sumo, which is loaded when the first of these signers is made.
 */
import { VanitypoolError } from '../error.ts';
import { keyBytes, publicKeyOf, type SolanaSigner, signerOf } from './signer.ts';
import { Sodium } from './sodium.ts';

/** A dispensed address is one. */
export interface ExpandedSource {
  /** 64 bytes, base58 or as they are: the scalar, little-endian and from 1 to L - 1, and the nonce prefix. */
  readonly expandedKey?: string | ArrayLike<number> | undefined;
  /** Expanded keys do not contain it. */
  readonly address: string;
}

/** KEY_INVALID unless the address is that of the scalar; CRYPTO_UNAVAILABLE without the package. */
export async function createExpandedSigner({
  expandedKey,
  address,
}: ExpandedSource): Promise<SolanaSigner> {
  const publicKey = publicKeyOf(address);
  const key = keyBytes('expandedKey', expandedKey);
  const sodium = await Sodium.load();
  if (!sodium.isKeyOf(key, publicKey)) {
    key.fill(0);
    throw new VanitypoolError('KEY_INVALID', `expandedKey: it is not that of ${address}`);
  }
  return signerOf(address, (message) => sodium.sign(key, publicKey, message));
}
