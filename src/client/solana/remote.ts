/**
 * A signer of which the key stays in the server: for a dispensed address of a pool with
 * `handout = "sign-only"`. What the server sends is verified here before anything gets it.
 */
import type { VanitypoolClient } from '../client.ts';
import { decodeBase58 } from './base58.ts';
import { SIGNATURE_BYTES } from './ed25519.ts';
import { type SolanaSigner, signerOf } from './signer.ts';

export interface RemoteSource {
  /** With the token that dispensed the address. */
  readonly client: Pick<VanitypoolClient, 'sign'>;
  readonly pool: string;
  readonly address: string;
}

/** Errors of `sign`: those of `client.sign`, and SIGNATURE_MISMATCH. */
export function createRemoteSigner({ client, pool, address }: RemoteSource): SolanaSigner {
  return signerOf(address, async (message, signal) => {
    const { signature } = await client.sign(pool, address, message, { signal });
    return decodeBase58(String(signature), SIGNATURE_BYTES);
  });
}
