/** The nodes that share the store. Runs in the HTTP threads; a reader beside the store thread looks. */
import { NodesView } from '../../api/nodes.ts';
import { nodesView } from '../../api/views.ts';
import { assertOfAllPools } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';

export function nodeRoutes(app: App, { store }: AppDeps): void {
  app.get(
    '/v1/nodes',
    {
      config: { scope: 'admin', errors: ['STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'listNodes',
        summary: 'The nodes that share the store, and how they are doing',
        description: 'Those of a PostgreSQL database. Takes a token for all pools.',
        tags: ['service'],
        response: { 200: NodesView },
      },
    },
    async ({ token }): Promise<NodesView> => {
      assertOfAllPools(token, 'nodes');
      return nodesView(await store().call('nodes', undefined));
    },
  );
}
