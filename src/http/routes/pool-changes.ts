/**
 * Pools at run time, for the command line and for programs that manage the server. Runs in the HTTP
 * threads; the store thread makes each change, and answers when every HTTP thread has seen it.
 */

import { LOCATION } from '../../api/fields.ts';
import {
  NewPoolBody,
  PoolChangeBody,
  PoolParams,
  PoolRemovalBody,
  PoolRemoved,
  PoolView,
} from '../../api/pools.ts';
import { inFile, type PoolConfig, readPool } from '../../config/pool-config.ts';
import { VanityError } from '../../errors.ts';
import { mayUse } from '../access.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { poolFor, poolView } from '../visible-pools.ts';

export function poolChangeRoutes(app: App, { pools, store }: AppDeps): void {
  app.post(
    '/v1/pools',
    {
      config: {
        scope: 'admin',
        errors: [
          'PATTERN_INVALID',
          'PATTERN_IMPOSSIBLE',
          'PATTERN_TOO_LONG',
          'CONFIG_INVALID',
          'POOL_EXISTS',
          'POOL_MISMATCH',
          'STORE_FORGED',
          'POOL_LIMIT_REACHED',
          'STORE_UNAVAILABLE',
          'JOURNAL_UNAVAILABLE',
          'SYSTEM_LIMIT_REACHED',
        ],
      },
      schema: {
        operationId: 'createPool',
        summary: 'Make a pool',
        description: 'It is served by every thread before this is answered, and after a restart.',
        tags: ['pools'],
        body: NewPoolBody,
        response: { 201: { ...PoolView, headers: LOCATION } },
      },
    },
    async ({ body, token }, reply) => {
      const { name } = body;
      if (!mayUse(token, name)) {
        const detail = `pool ${name}: the token is for some pools alone, and this is none of them`;
        throw new VanityError('SCOPE_REQUIRED', detail);
      }
      await store().call('createPool', configOf(body));
      reply.code(201).header('location', `/v1/pools/${name}`);
      return poolView(poolFor(token, pools, name));
    },
  );

  app.patch(
    '/v1/pools/:pool',
    {
      config: {
        scope: 'admin',
        errors: ['CONFIG_INVALID', 'POOL_NOT_FOUND', 'POOL_CONFIGURED', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'changePool',
        summary: 'Change a pool that was made here',
        description: 'Not one of the configuration file. The pattern of a pool never changes.',
        tags: ['pools'],
        params: PoolParams,
        body: PoolChangeBody,
        response: { 200: PoolView },
      },
    },
    async ({ params, body, token }) => {
      const pool = poolFor(token, pools, params.pool);
      await store().call('changePool', { pool: params.pool, change: body });
      return poolView(pool);
    },
  );

  for (const [verb, isPaused] of [
    ['pause', true],
    ['resume', false],
  ] as const) {
    app.post(
      `/v1/pools/:pool/${verb}`,
      {
        config: { scope: 'admin', errors: ['POOL_NOT_FOUND', 'STORE_UNAVAILABLE'] },
        schema: {
          operationId: `${verb}Pool`,
          summary: isPaused
            ? 'Hand nothing out and grind nothing for it'
            : 'Hand out and grind again',
          description:
            'Also for pools of the configuration file, and until the other is asked for.',
          tags: ['pools'],
          params: PoolParams,
          response: { 200: PoolView },
        },
      },
      async ({ params, token }) => {
        const pool = poolFor(token, pools, params.pool);
        await store().call('pausePool', { pool: params.pool, isPaused });
        return poolView(pool);
      },
    );
  }

  app.delete(
    '/v1/pools/:pool',
    {
      config: {
        scope: 'admin',
        errors: ['POOL_NOT_FOUND', 'POOL_CONFIGURED', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'deletePool',
        summary: 'Delete a pool, and burn all that it has left',
        description: 'Not one of the configuration file. What has left stays in the audit.',
        tags: ['pools'],
        params: PoolParams,
        body: PoolRemovalBody,
        response: { 200: PoolRemoved },
      },
    },
    async ({ params: { pool }, body, token }): Promise<PoolRemoved> => {
      // Also one that is not served: it stood in the configuration once.
      if (!mayUse(token, pool)) poolFor(token, pools, pool);
      if (body.burn !== pool) {
        throw new VanityError('BODY_INVALID', `burn: allowed: the name of the pool, "${pool}"`);
      }
      return { name: pool, burned: await store().call('removePool', pool) };
    },
  );
}

function configOf(body: NewPoolBody): PoolConfig {
  return readPool(inFile(body), (key) => `pools.${body.name}.${key}`);
}
