/**
 * What operators and their machines ask of the server as a whole. Runs in the HTTP threads.
 * `/healthz` says that the process answers; `/readyz` whether it can hand out addresses.
 */

import { Health, MetricsText, Readiness } from '../../api/service.ts';
import { assertOfAllPools } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { readiness, uptimeSeconds } from '../readiness.ts';

export function serviceRoutes(app: App, deps: AppDeps): void {
  const { version, metrics } = deps;

  app.get(
    '/healthz',
    {
      config: { isProbe: true },
      schema: {
        operationId: 'getHealth',
        summary: 'The process answers',
        tags: ['service'],
        response: { 200: Health },
      },
    },
    () => ({ status: 'ok' as const, version, uptimeSeconds: uptimeSeconds() }),
  );

  app.get(
    '/readyz',
    {
      config: { isProbe: true, errors: ['POOL_EMPTY', 'STORE_UNAVAILABLE', 'DRAINING'] },
      schema: {
        operationId: 'getReadiness',
        summary: 'Addresses can be handed out',
        description: '200 while any pool can serve, 503 when none can or when shutting down.',
        tags: ['service'],
        response: { 200: Readiness },
      },
    },
    ({ token }) => readiness(deps, deps.access.mayRead(token)),
  );

  app.get(
    '/metrics',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getMetrics',
        summary: 'Figures for Prometheus',
        tags: ['service'],
        response: { 200: MetricsText },
      },
    },
    async ({ token }, reply) => {
      assertOfAllPools(token, 'metrics');
      return reply.type(metrics.contentType).send(await metrics.render());
    },
  );
}
