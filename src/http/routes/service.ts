/**
 * What operators and their machines ask of the server as a whole. Runs in the HTTP threads.
 * `/healthz` says that the process answers; `/readyz` whether it can hand out addresses.
 */

import { VanityError } from '../../errors.ts';
import type { App, AppDeps } from '../app.ts';
import { Health, ProblemView, Readiness } from '../schemas.ts';

export function serviceRoutes(app: App, deps: AppDeps): void {
  const { version, metrics } = deps;

  app.get(
    '/healthz',
    {
      schema: {
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
      schema: {
        summary: 'Addresses can be handed out',
        description: '200 while any pool can serve, 503 when none can or when shutting down.',
        tags: ['service'],
        response: { 200: Readiness, default: ProblemView },
      },
    },
    ({ token }) => readiness(deps, deps.access.mayRead(token)),
  );

  app.get(
    '/metrics',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Figures for Prometheus',
        tags: ['service'],
        response: { 200: { type: 'string', description: 'Prometheus text format.' } },
      },
    },
    async ({ token }, reply) => {
      if (token?.pools !== undefined) {
        throw new VanityError('SCOPE_REQUIRED', 'metrics: not for a token of some pools alone');
      }
      return reply.type(metrics.contentType).send(await metrics.render());
    },
  );
}

/** Errors: DRAINING, STORE_UNAVAILABLE, POOL_EMPTY. */
export function readiness(
  { pools, storeHealth, isDraining }: AppDeps,
  mayTellWhy = true,
): Readiness {
  if (isDraining()) throw new VanityError('DRAINING', 'the server is shutting down');
  const failure = storeHealth.failure;
  const reasons: string[] = failure === undefined ? [] : [failure];
  let canServe = false;
  for (const pool of pools.values()) {
    const { ready, available } = pool.status();
    if (ready > 0 || (available > 0 && failure === undefined)) canServe = true;
    else reasons.push(`${available > 0 ? 'STORE_UNAVAILABLE' : 'POOL_EMPTY'}: ${pool.shared.name}`);
  }
  const status = reasons.length === 0 ? 'ready' : 'degraded';
  if (canServe) return { status, reasons: mayTellWhy ? reasons : [] };
  const code = failure === undefined ? 'POOL_EMPTY' : 'STORE_UNAVAILABLE';
  const why = mayTellWhy ? `: ${reasons.join(', ')}` : '';
  throw new VanityError(code, `no pool can serve${why}`, { retryAfterSeconds: 1 });
}

/** Since the start of the process, in whole seconds; a clock that is set changes nothing. */
export function uptimeSeconds(): number {
  return Math.floor(process.uptime());
}
