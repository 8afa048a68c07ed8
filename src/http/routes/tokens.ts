/**
 * Tokens over HTTP, for the command line and for programs that manage the server. Runs in the HTTP
 * threads; the store thread creates and revokes them, and notifies every HTTP thread at once.
 *
 * Not for a token of some pools alone, whatever its scopes: it could make itself one of all.
 */

import { NO_STORE } from '../../api/fields.ts';
import { NewTokenBody, TokenList, TokenMade, TokenParams, TokenView } from '../../api/tokens.ts';
import { tokenMade, tokenView } from '../../api/views.ts';
import { assertPoolsExist, newToken, tokenHash } from '../../token.ts';
import { assertOfAllPools } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { moment } from '../problems.ts';

export function tokenRoutes(app: App, { store, access, pools: served }: AppDeps): void {
  app.get(
    '/v1/tokens',
    {
      config: { scope: 'admin', errors: ['STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'listTokens',
        summary: 'Every token that was ever made, without its text',
        tags: ['tokens'],
        response: { 200: TokenList },
      },
    },
    async ({ token }): Promise<TokenList> => {
      assertOfAllPools(token, 'tokens');
      return { tokens: (await store().call('tokens', undefined)).map(tokenView) };
    },
  );

  app.post(
    '/v1/tokens',
    {
      config: {
        scope: 'admin',
        errors: ['POOL_NOT_FOUND', 'TOKEN_EXISTS', 'STORE_FORGED', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'createToken',
        summary: 'Create a token; its text is shown only once',
        description:
          'From the first one on every request needs a token: its reply has a `warning` that says so.',
        tags: ['tokens'],
        body: NewTokenBody,
        response: { 201: { ...TokenMade, headers: NO_STORE } },
      },
    },
    async ({ body, token: asking }, reply) => {
      assertOfAllPools(asking, 'tokens');
      const { name, scopes, pools, quota, expiresAt } = body;
      assertPoolsExist(pools ?? [], served.keys());
      const wasRequired = access.isRequired;
      const token = newToken();
      const made = await store().call('createToken', {
        name,
        scopes,
        pools: pools ?? undefined,
        quota: quota ?? undefined,
        expiresAt:
          expiresAt == null ? undefined : moment(expiresAt, 'body/expiresAt', 'BODY_INVALID'),
        hash: tokenHash(token),
      });
      reply.code(201).header('cache-control', 'no-store');
      // This thread knows of the token by now.
      return tokenMade(token, made, access.isRequired && !wasRequired);
    },
  );

  app.delete(
    '/v1/tokens/:token',
    {
      config: { scope: 'admin', errors: ['TOKEN_NOT_FOUND', 'STORE_FORGED', 'STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'revokeToken',
        summary: 'Revoke a token, by its name',
        tags: ['tokens'],
        params: TokenParams,
        response: { 200: TokenView },
      },
    },
    async ({ params, token }) => {
      assertOfAllPools(token, 'tokens');
      return tokenView(await store().call('revokeToken', params.token));
    },
  );

  app.post(
    '/v1/tokens/:token/restore',
    {
      config: { scope: 'admin', errors: ['TOKEN_NOT_FOUND', 'STORE_FORGED', 'STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'restoreToken',
        summary: 'Switch on a token that is off since the store was restored, by its name',
        description: 'One that is not off stays as it is; a revoked one stays revoked.',
        tags: ['tokens'],
        params: TokenParams,
        response: { 200: TokenView },
      },
    },
    async ({ params, token }) => {
      assertOfAllPools(token, 'tokens');
      return tokenView(await store().call('restoreToken', params.token));
    },
  );
}
