/**
 * What those who watch over the server ask, the dashboard first of all. Runs in the HTTP threads: warnings are in
 * shared memory, and a reader beside the store thread counts who took how many.
 */
import { AccessView, TakerList, WarningList } from '../../api/oversight.ts';
import type { Token } from '../../token.ts';
import { assertOfAllPools } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';

const DAY_MS = 86_400_000;

export function oversightRoutes(app: App, deps: AppDeps): void {
  const { access, lastWarnings, storeHealth, store } = deps;

  app.get(
    '/v1/access',
    {
      schema: {
        operationId: 'getAccess',
        summary: 'What the token of this request may do',
        description: 'Open to all. Says whether tokens are required, and nothing of other tokens.',
        tags: ['tokens'],
        response: { 200: AccessView },
      },
    },
    ({ token }): AccessView => ({
      required: access.isRequired,
      requiredAfterFirst: access.isRequiredAfterFirst,
      token: token === undefined ? null : accessOf(token),
    }),
  );

  app.get(
    '/v1/warnings',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'listWarnings',
        summary: 'The last warnings and errors of the log',
        description:
          'Those since the start of the server, as far as `log_level` lets them be written. Takes a ' +
          'token for all pools.',
        tags: ['service'],
        response: { 200: WarningList },
      },
    },
    ({ token }): WarningList => {
      assertOfAllPools(token, 'warnings');
      return { warnings: lastWarnings.read() };
    },
  );

  app.get(
    '/v1/takers',
    {
      config: { scope: 'admin', errors: ['STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'listTakers',
        summary: 'Who took how many addresses today',
        description:
          'By the name of the token, for the UTC day. What left in the last 100 ms may be missing. Takes ' +
          'a token for all pools.',
        tags: ['audit'],
        response: { 200: TakerList },
      },
    },
    async ({ token }): Promise<TakerList> => {
      assertOfAllPools(token, 'takers');
      // 0 before the first look of the store at its clock.
      const now = storeHealth.ownTime || Date.now();
      const since = now - (now % DAY_MS);
      const takers = await store().call('taken', since);
      return {
        since: new Date(since).toISOString(),
        takers: takers.map(({ token: name, addresses }) => ({ token: name ?? null, addresses })),
      };
    },
  );
}

function accessOf({ name, scopes, pools, quota, expiresAt }: Token): AccessView['token'] {
  return {
    name,
    scopes: [...scopes],
    pools: pools === undefined ? null : [...pools],
    quota: quota ?? null,
    expiresAt: expiresAt === undefined ? null : new Date(expiresAt).toISOString(),
  };
}
