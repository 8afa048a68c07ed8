/**
 * Signatures of sign-only pools: the server signs a transaction's message, the secret stays here.
 * Runs in the HTTP threads; the store thread parses, counts and signs.
 */

import { AddressParams, SignatureBody, SignatureView } from '../../api/signatures.ts';
import { VanityError } from '../../errors.ts';
import { decodeBase58, encodeBase58, isAddress } from '../../keypair/address.ts';
import { MESSAGE_BYTES_MAX } from '../../keypair/transaction-sizes.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { poolFor } from '../visible-pools.ts';

export function signatureRoutes(app: App, { pools, store }: AppDeps): void {
  app.post(
    '/v1/pools/:pool/addresses/:address/signatures',
    {
      config: {
        scope: 'dispense',
        errors: [
          'MESSAGE_INVALID',
          'SIGNER_NOT_REQUIRED',
          'POOL_NOT_FOUND',
          'ADDRESS_NOT_FOUND',
          'HANDOUT_MISMATCH',
          'SIGN_LIMIT_REACHED',
          'STORE_UNAVAILABLE',
        ],
      },
      schema: {
        operationId: 'sign',
        summary: 'Sign a transaction message with a dispensed address of a sign-only pool',
        description:
          'For the token that dispensed it, at most `sign_limit` times. The message has to ask for ' +
          'the signature of the address; the same message again gets the same signature.',
        tags: ['signatures'],
        params: AddressParams,
        body: SignatureBody,
        response: { 200: SignatureView },
      },
    },
    async ({ params, body, token }): Promise<SignatureView> => {
      const pool = poolFor(token, pools, params.pool).shared.name;
      if (!isAddress(params.address)) {
        throw new VanityError('ADDRESS_NOT_FOUND', `${params.address}: not an address`);
      }
      const publicKey = decodeBase58(params.address);
      const message = decodeMessage(body.message);
      const order = { pool, publicKey, token: token?.id ?? 0, message };
      const signature = await store().call('sign', order);
      return { address: params.address, signature: encodeBase58(signature) };
    },
  );
}

/** Base64 in its one form: with padding, without anything else. */
function decodeMessage(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text || bytes.length > MESSAGE_BYTES_MAX) {
    const detail = `body/message: allowed: base64, with padding, of at most ${MESSAGE_BYTES_MAX} bytes`;
    throw new VanityError('MESSAGE_INVALID', detail);
  }
  // Its own memory: what is posted to another thread takes the whole buffer along.
  return Uint8Array.from(bytes);
}
