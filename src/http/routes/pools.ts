/**
 * Pools: their status, and the dispense that the product is about. Runs in the HTTP threads. A
 * dispense that the ready queue can serve waits for nothing and asks nobody.
 */

import { DispenseBody, Dispensed, IdempotencyHeaders } from '../../api/dispense.ts';
import { NO_STORE } from '../../api/fields.ts';
import { PoolList, PoolParams, PoolView } from '../../api/pools.ts';
import { dispenseScope } from '../../pool/idempotency.ts';
import type { ReadyAddress } from '../../pool/ready-address.ts';
import { sendAddresses } from '../address-json.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { IDEMPOTENCY_ERRORS, receiverOf } from '../idempotency.ts';
import { poolFor, poolList, poolView } from '../visible-pools.ts';

export function poolRoutes(app: App, deps: AppDeps): void {
  const { pools, dispense, tallies } = deps;
  const { dispenseTimes } = tallies;
  app.get(
    '/v1/pools',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listPools',
        summary: 'The status of every pool',
        tags: ['pools'],
        response: { 200: PoolList },
      },
    },
    ({ token }): PoolList => {
      return poolList(deps, token?.pools);
    },
  );

  app.get(
    '/v1/pools/:pool',
    {
      config: { scope: 'read', errors: ['POOL_NOT_FOUND'] },
      schema: {
        operationId: 'getPool',
        summary: 'The status of one pool',
        tags: ['pools'],
        params: PoolParams,
        response: { 200: PoolView },
      },
    },
    ({ params, token }) => poolView(poolFor(token, pools, params.pool)),
  );

  app.post(
    '/v1/pools/:pool/dispense',
    {
      config: {
        scope: 'dispense',
        errors: [
          'COUNT_INVALID',
          'POOL_NOT_FOUND',
          ...IDEMPOTENCY_ERRORS,
          'QUOTA_EXCEEDED',
          'POOL_EMPTY',
          'POOL_PAUSED',
          'STORE_UNAVAILABLE',
          'JOURNAL_UNAVAILABLE',
        ],
      },
      schema: {
        operationId: 'dispense',
        summary: 'Hand out addresses, each of them once and for ever',
        description: 'All of `count` or none. Without a body: one.',
        tags: ['pools'],
        headers: IdempotencyHeaders,
        params: PoolParams,
        body: DispenseBody,
        response: { 200: { ...Dispensed, headers: NO_STORE } },
      },
    },
    ({ params, body, raw, token }, reply) => {
      const began = performance.now();
      const pool = poolFor(token, pools, params.pool);
      const count = body.count ?? 1;
      const receiver = receiverOf(raw, token, dispenseScope(params.pool), String(count));
      const isGone = () => reply.raw.destroyed;
      const addresses = dispense(pool, count, { receiver, token, isGone });
      const answer = (these: readonly ReadyAddress[]): void => {
        sendAddresses(reply, pool, these);
        dispenseTimes.add(performance.now() - began);
      };
      return Array.isArray(addresses) ? answer(addresses) : addresses.then(answer);
    },
  );
}
