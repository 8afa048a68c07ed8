/** The rotation of the sealing key over HTTP. Runs in the HTTP threads; the store thread does it. */
import { KeyRotated, RotateKeyBody } from '../../api/keys.ts';
import { VanityError } from '../../errors.ts';
import type { App, AppDeps } from '../app-deps.ts';

export function keyRoutes(app: App, { store }: AppDeps): void {
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
          'Nobody waits for it, and no address is sealed again: data keys are. Takes a token for all ' +
          'pools. If no reply comes, the log of the server says whether it was done.',
        tags: ['keys'],
        body: RotateKeyBody,
        response: { 200: KeyRotated },
      },
    },
    async ({ body, token }): Promise<KeyRotated> => {
      if (token?.pools !== undefined) {
        throw new VanityError('SCOPE_REQUIRED', 'the sealing key takes a token for all pools');
      }
      const forEver = { timeoutMs: Number.POSITIVE_INFINITY };
      return await store().call('rotateKey', body.to ?? undefined, forEver);
    },
  );
}
