/**
 * The sealing key over HTTP: what it is, and its rotation. Runs in the HTTP threads; the store thread does
 * it. Takes a token for all pools.
 */
import { KeyRotated, RotateKeyBody, SealingKeyView } from '../../api/keys.ts';
import { VanityError } from '../../errors.ts';
import type { Token } from '../../token.ts';
import type { App, AppDeps } from '../app-deps.ts';

export function keyRoutes(app: App, { store }: AppDeps): void {
  app.get(
    '/v1/keys',
    {
      config: { scope: 'admin', errors: ['STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'sealingKey',
        summary: 'The sealing key: its id, where it is, and what is still to be resealed',
        description: 'Never the key itself. Takes a token for all pools.',
        tags: ['keys'],
        response: { 200: SealingKeyView },
      },
    },
    async ({ token }): Promise<SealingKeyView> => {
      assertOfAllPools(token);
      return await store().call('sealingKey', undefined);
    },
  );

  app.post(
    '/v1/keys/rotate',
    {
      config: {
        scope: 'admin',
        errors: ['KEY_ROTATION_REFUSED', 'STORE_FORGED', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'rotateKey',
        summary: 'Replace the sealing key by a new one',
        description:
          'Nobody waits for it, and no address is sealed again: data keys are. With `reseal` addresses ' +
          'are, too, after the reply; until that is done the key cannot be rotated again. Takes a token ' +
          'for all pools. If no reply comes, the log of the server says whether it was done.',
        tags: ['keys'],
        body: RotateKeyBody,
        response: { 200: KeyRotated },
      },
    },
    async ({ body, token }): Promise<KeyRotated> => {
      assertOfAllPools(token);
      const { to, reseal } = body;
      const forEver = { timeoutMs: Number.POSITIVE_INFINITY };
      return await store().call('rotateKey', { to: to ?? undefined, reseal }, forEver);
    },
  );
}

function assertOfAllPools(token: Token | undefined): void {
  if (token?.pools === undefined) return;
  throw new VanityError('SCOPE_REQUIRED', 'the sealing key takes a token for all pools');
}
