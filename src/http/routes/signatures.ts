/**
 * Signatures of sign-only pools: the server signs a transaction's message, alone or in its transaction;
 * the secret stays here. Runs in the HTTP threads; the store thread counts and signs.
 */
import {
  AddressParams,
  SignatureBody,
  SignatureView,
  TransactionBody,
  TransactionView,
} from '../../api/signatures.ts';
import { encodeBase58 } from '../../keypair/address.ts';
import { parseMessage } from '../../keypair/message.ts';
import { assertSignatures, parseTransaction, withSignature } from '../../keypair/transaction.ts';
import { MESSAGE_BYTES_MAX, TRANSACTION_BYTES_MAX } from '../../keypair/transaction-sizes.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { assertSigns, decodeBase64, publicKeyIn, signatureBy } from '../signing.ts';
import { poolFor } from '../visible-pools.ts';

const ERRORS = [
  'MESSAGE_INVALID',
  'SIGNER_NOT_REQUIRED',
  'MESSAGE_REFUSED',
  'POOL_NOT_FOUND',
  'ADDRESS_NOT_FOUND',
  'HANDOUT_MISMATCH',
  'SIGN_LIMIT_REACHED',
  'STORE_UNAVAILABLE',
] as const;
const MESSAGE = { field: 'message', bytesMax: MESSAGE_BYTES_MAX, code: 'MESSAGE_INVALID' } as const;
const TRANSACTION = {
  field: 'transaction',
  bytesMax: TRANSACTION_BYTES_MAX,
  code: 'TRANSACTION_INVALID',
} as const;

export function signatureRoutes(app: App, deps: AppDeps): void {
  app.post(
    '/v1/pools/:pool/addresses/:address/signatures',
    {
      config: { scope: 'dispense', errors: ERRORS },
      schema: {
        operationId: 'sign',
        summary: 'Sign a transaction message with a dispensed address of a sign-only pool',
        description:
          'For the token that dispensed it, at most `sign_limit` different messages. The message has ' +
          'to ask for the signature of the address; the same message again gets the same signature.',
        tags: ['signatures'],
        params: AddressParams,
        body: SignatureBody,
        response: { 200: SignatureView },
      },
    },
    async ({ params, body, token }): Promise<SignatureView> => {
      const pool = poolFor(token, deps.pools, params.pool);
      assertSigns(pool);
      const publicKey = publicKeyIn(params.address);
      const messageBytes = decodeBase64(body.message, MESSAGE);
      const message = parseMessage(messageBytes);
      const pools = [pool.shared.name];
      const order = { pools, token, publicKey, message, messageBytes };
      const signature = await signatureBy(deps, order);
      return { address: params.address, signature: encodeBase58(signature) };
    },
  );

  app.post(
    '/v1/pools/:pool/addresses/:address/transactions',
    {
      config: {
        scope: 'dispense',
        errors: [...ERRORS, 'TRANSACTION_INVALID', 'SIGNATURE_INVALID'],
      },
      schema: {
        operationId: 'cosign',
        summary: 'Put the signature of a dispensed address of a sign-only pool into a transaction',
        description:
          'As `sign`, and counted with it, for a whole transaction. 64 zero bytes in the place of a ' +
          'signature mean that it is absent. The others are verified, and kept as they are.',
        tags: ['signatures'],
        params: AddressParams,
        body: TransactionBody,
        response: { 200: TransactionView },
      },
    },
    async ({ params, body, token }): Promise<TransactionView> => {
      const pool = poolFor(token, deps.pools, params.pool);
      assertSigns(pool);
      const publicKey = publicKeyIn(params.address);
      const bytes = decodeBase64(body.transaction, TRANSACTION);
      const transaction = parseTransaction(bytes);
      assertSignatures(bytes, transaction);
      const pools = [pool.shared.name];
      const signature = await signatureBy(deps, { pools, token, publicKey, ...transaction });
      const signed = withSignature(bytes, transaction, publicKey, signature);
      return {
        transaction: Buffer.from(signed).toString('base64'),
        signature: encodeBase58(signature),
      };
    },
  );
}
