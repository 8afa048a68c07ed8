/**
 * What operators and their machines ask of the server as a whole. Runs in the HTTP threads.
 * `/healthz` says that the process answers; `/readyz` whether it can hand out addresses.
 */

import { VanityError } from '../../errors.ts';
import type { StoreHealth } from '../../pool/health.ts';
import type { App, AppDeps } from '../app.ts';
import { Health, MetricsText, type PoolView, Readiness, type StatusEvent } from '../schemas.ts';
import { poolView } from './pools.ts';

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
  const { status, reasons } = stateOf(pools.values().map(poolView), storeHealth);
  if (status !== 'unavailable') return { status, reasons: mayTellWhy ? reasons : [] };
  const code = storeHealth.failure === undefined ? 'POOL_EMPTY' : 'STORE_UNAVAILABLE';
  const why = mayTellWhy ? `: ${reasons.map(inWords).join(', ')}` : '';
  throw new VanityError(code, `no pool can serve${why}`, { retryAfterSeconds: 1 });
}

/** What `stateOf` says of a pool, without the code that the whole answer may have too. */
const STATES: Readonly<Record<string, string>> = {
  POOL_EMPTY: 'is empty',
  POOL_PAUSED: 'is paused',
  STORE_UNAVAILABLE: 'waits for the store',
};

function inWords(reason: string): string {
  const [, code = '', rest] = /^(\w+)(?:: (.*))?$/.exec(reason) ?? [];
  if (rest === undefined) return `the store fails with ${code}`;
  return code in STATES ? `pool ${rest} ${STATES[code]}` : rest;
}

/** Whether any of these pools can serve, and what is not well with them and the store. */
export function stateOf(
  pools: Iterable<Pick<PoolView, 'name' | 'paused' | 'ready' | 'stock'>>,
  health: StoreHealth,
): StatusEvent['readiness'] {
  const { failure, journalFault } = health;
  const reasons = [failure, journalFault].filter(
    (reason): reason is string => reason !== undefined,
  );
  let canServe = false;
  for (const { name, paused, ready, stock } of pools) {
    if (paused) reasons.push(`POOL_PAUSED: ${name}`);
    else if (ready > 0 || (stock > 0 && failure === undefined)) canServe = true;
    else reasons.push(`${stock > 0 ? 'STORE_UNAVAILABLE' : 'POOL_EMPTY'}: ${name}`);
  }
  if (!canServe) return { status: 'unavailable', reasons };
  return { status: reasons.length === 0 ? 'ready' : 'degraded', reasons };
}

/** Since the start of the process, in whole seconds; a clock that is set changes nothing. */
export function uptimeSeconds(): number {
  return Math.floor(process.uptime());
}
