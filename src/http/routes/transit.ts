/**
 * Signatures for programs that sign by a transit engine of HashiCorp Vault, such as the keychain packages
 * for Solana: the name of a key is an address of a sign-only pool. Runs in the HTTP threads; the store
 * thread counts and signs, together with what comes by the other routes.
 *
 * An address that was not dispensed to this token gets one answer, in whichever pool it is, or in none.
 */
import {
  KEY_VERSION,
  TransitKey,
  TransitParams,
  TransitSignBody,
  TransitSigned,
} from '../../api/transit.ts';
import { VanityError } from '../../errors.ts';
import { type Message, parseMessage } from '../../keypair/message.ts';
import { MESSAGE_BYTES_MAX } from '../../keypair/transaction-sizes.ts';
import type { Token } from '../../token.ts';
import { mayUse } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { decodeBase64, publicKeyIn, signatureBy } from '../signing.ts';

const INPUT = { field: 'input', bytesMax: MESSAGE_BYTES_MAX, code: 'MESSAGE_INVALID' } as const;
const OF_ALL = { scope: 'dispense', isTransit: true } as const;
const ERRORS = ['ADDRESS_NOT_FOUND', 'STORE_UNAVAILABLE'] as const;
const SIGN_ERRORS = [
  ...ERRORS,
  'MESSAGE_INVALID',
  'SIGNER_NOT_REQUIRED',
  'MESSAGE_REFUSED',
  'SIGN_LIMIT_REACHED',
] as const;

export function transitRoutes(app: App, deps: AppDeps): void {
  for (const [method, operationId, how] of [
    ['POST', 'transitSign', ''],
    ['PUT', 'transitSignByPut', ', as Vault’s own clients send it'],
  ] as const) {
    app.route({
      method,
      url: '/v1/transit/sign/:address',
      config: { ...OF_ALL, errors: SIGN_ERRORS },
      schema: {
        operationId,
        summary: `Sign a transaction message, for clients of a Vault transit engine${how}`,
        description:
          'As `sign`, and counted with it, with a dispensed address of any sign-only pool that exists for ' +
          'the token, which may stand in `X-Vault-Token`. Only messages of transactions are signed.',
        tags: ['transit'],
        params: TransitParams,
        body: TransitSignBody,
        response: { 200: TransitSigned },
      },
      handler: async ({ params, body, token }): Promise<TransitSigned> => {
        const publicKey = publicKeyIn(params.address);
        const messageBytes = decodeBase64(body.input, INPUT);
        const message = messageIn(messageBytes);
        const pools = signingPools(deps, token);
        const order = { pools, token, publicKey, message, messageBytes };
        const signature = await signatureBy(deps, order);
        const text = Buffer.from(signature).toString('base64');
        return { data: { signature: `vault:v${KEY_VERSION}:${text}` } };
      },
    });
  }

  app.get(
    '/v1/transit/keys/:address',
    {
      config: { ...OF_ALL, errors: ERRORS },
      schema: {
        operationId: 'transitKey',
        summary: 'A dispensed address as a key of a Vault transit engine',
        description: 'Of any sign-only pool that exists for the token.',
        tags: ['transit'],
        params: TransitParams,
        response: { 200: TransitKey },
      },
    },
    async ({ params, token }): Promise<TransitKey> => {
      const publicKey = publicKeyIn(params.address);
      const pools = signingPools(deps, token);
      await deps.store().call('assertSigner', { pools, publicKey, token: token?.id ?? 0 });
      const public_key = Buffer.from(publicKey).toString('base64');
      return {
        data: {
          name: params.address,
          type: 'ed25519',
          supports_signing: true,
          latest_version: KEY_VERSION,
          min_decryption_version: KEY_VERSION,
          keys: { [KEY_VERSION]: { public_key } },
        },
      };
    },
  );
}

/** Names of those that exist for the token. */
function signingPools({ pools }: AppDeps, token: Token | undefined): string[] {
  return [...pools.values()]
    .map(({ shared }) => shared)
    .filter(({ name, handout }) => handout === 'sign-only' && mayUse(token, name))
    .map(({ name }) => name);
}

function messageIn(bytes: Uint8Array): Message {
  try {
    return parseMessage(bytes);
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
    throw new VanityError(error.code, `input: only transactions are signed; ${error.message}`);
  }
}
