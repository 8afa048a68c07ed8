/**
 * The routes of vanitypool's ancestor with its exact envelope, for clients written against it.
 * They serve the pool named `pet` (404 while there is none); with `http.compat = false` there are
 * none. Runs in the HTTP threads.
 *
 * The ancestor hands an address out on GET. So nothing here may answer HEAD by itself, and nothing
 * may be cached.
 */
import type { FastifyReply } from 'fastify';
import { VanityError } from '../errors.ts';
import type { Pool } from '../pool/pool.ts';
import type { ReadyAddress } from '../pool/ready-address.ts';
import type { App, AppDeps } from './app-deps.ts';
import { toVanityError, withErrorHeaders } from './problems.ts';
import { readiness, uptimeSeconds } from './readiness.ts';
import { poolFor } from './visible-pools.ts';

const POOL = 'pet';
const PATHS = /^\/(api\/v1|health)(\/|$)/;

/** Whether errors of this path leave in the ancestor's envelope. */
export function isCompatPath(path: string): boolean {
  return PATHS.test(path);
}

export function compatRoutes(app: App, deps: AppDeps): void {
  const { version } = deps;
  const open = { exposeHeadRoute: false, schema: { hide: true } };
  const read = { ...open, config: { scope: 'read' } } as const;
  const dispense = { ...open, config: { scope: 'dispense' } } as const;

  app.addHook('onSend', async (_, reply) => {
    reply.header('cache-control', 'no-store');
  });
  app.setErrorHandler((thrown, _, reply) => {
    const error = toVanityError(thrown);
    if (error.code === 'INTERNAL') deps.log.error({ err: error.cause }, 'a request failed');
    return sendEnvelope(reply, error);
  });

  app.get('/api/v1/pet/address', dispense, async ({ token }, reply: FastifyReply) => {
    const began = performance.now();
    const isGone = () => reply.raw.destroyed;
    const receiver = { token: token?.id ?? 0 };
    const from = poolFor(token, deps.pools, POOL);
    if (from.shared.handout === 'sign-only') {
      const detail = `pool ${POOL}: its secrets do not leave, and this route gives one`;
      throw new VanityError('HANDOUT_MISMATCH', detail);
    }
    if (from.shared.keys !== 'seed') {
      const detail = `pool ${POOL}: its keys are expanded, and this route gives keypairs`;
      throw new VanityError('HANDOUT_MISMATCH', detail);
    }
    const [address] = await deps.dispense(from, 1, { receiver, token, isGone });
    reply.send(envelope(200, 'success', dispensedView(address!)));
    deps.tallies.dispenseTimes.add(performance.now() - began);
    return reply;
  });

  app.get('/api/v1/pet/status', read, ({ token }) =>
    envelope(200, 'success', statusView(poolFor(token, deps.pools, POOL))),
  );

  app.get('/health', { ...open, config: { isProbe: true } }, () =>
    envelope(200, 'success', { status: 'healthy', version, uptime: uptime() }),
  );

  app.get('/health/detailed', read, ({ token }) =>
    envelope(200, 'success', {
      status: statusOf(deps),
      version,
      uptime: uptime(),
      pool: statusView(poolFor(token, deps.pools, POOL)),
    }),
  );

  app.get('/swagger-ui', open, (_, reply: FastifyReply) => reply.redirect('/docs'));
}

export function sendEnvelope(reply: FastifyReply, error: VanityError): FastifyReply {
  // The ancestor answers 404 when its pool is empty.
  const status = error.code === 'POOL_EMPTY' ? 404 : error.status;
  return withErrorHeaders(reply, error)
    .code(status)
    .send(envelope(status, error.message, null));
}

/** `timestamp` in seconds since 1970. */
export function envelope(code: number, message: string, data: unknown) {
  return { code, message, data, timestamp: Math.floor(Date.now() / 1000) };
}

function dispensedView({ id, address, secret, createdAt }: ReadyAddress) {
  const created_at = new Date(createdAt).toISOString();
  return { id, public_key: address, private_key: secret, address, created_at };
}

function statusView(pool: Pool) {
  const { target, stock, grinding } = pool.status();
  return {
    total_addresses: stock,
    pool_size: target,
    generation_active: grinding.active,
  };
}

function statusOf(deps: AppDeps): string {
  try {
    return readiness(deps).status === 'ready' ? 'healthy' : 'degraded';
  } catch (error) {
    if (error instanceof VanityError) return 'unhealthy';
    throw error;
  }
}

function uptime(): string {
  const minutes = Math.floor(uptimeSeconds() / 60);
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} days ${hours % 24} hours ${minutes % 60} minutes`;
}
