/**
 * Tokens over HTTP, for the command line and for programs that manage the server. Runs in the HTTP
 * threads; the store thread makes and revokes them, and tells every HTTP thread at once.
 */
import { newToken, tokenHash } from '../../token.ts';
import type { App, AppDeps } from '../app.ts';
import {
  NewTokenBody,
  ProblemView,
  TokenList,
  TokenMade,
  TokenParams,
  TokenView,
} from '../schemas.ts';
import { tokenView } from '../views.ts';

export function tokenRoutes(app: App, { store }: AppDeps): void {
  app.get(
    '/v1/tokens',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Every token that was ever made, without its text',
        tags: ['tokens'],
        response: { 200: TokenList, default: ProblemView },
      },
    },
    async (): Promise<TokenList> => ({
      tokens: (await store().call('tokens', undefined)).map(tokenView),
    }),
  );

  app.post(
    '/v1/tokens',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Make a token; its text is told this once',
        tags: ['tokens'],
        body: NewTokenBody,
        response: { 201: TokenMade, default: ProblemView },
      },
    },
    async ({ body }, reply) => {
      const { name, scopes, pools, quota, expiresAt } = body;
      const token = newToken();
      const made = await store().call('createToken', {
        name,
        scopes,
        pools: pools ?? undefined,
        quota: quota ?? undefined,
        expiresAt: expiresAt == null ? undefined : Date.parse(expiresAt),
        hash: tokenHash(token),
      });
      reply.code(201).header('cache-control', 'no-store');
      return { token, ...tokenView(made) };
    },
  );

  app.delete(
    '/v1/tokens/:token',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Revoke a token, by its name',
        tags: ['tokens'],
        params: TokenParams,
        response: { 200: TokenView, default: ProblemView },
      },
    },
    async ({ params }) => tokenView(await store().call('revokeToken', params.token)),
  );
}
