/**
 * Reservations: a client holds one address, sees it, and decides later. Runs in the HTTP threads;
 * all of it goes through the store thread, which makes each step durable before it is answered.
 */

import { Dispensed, IdempotencyHeaders } from '../../api/dispense.ts';
import { LOCATION, NO_STORE } from '../../api/fields.ts';
import { PoolParams } from '../../api/pools.ts';
import {
  ReservationBody,
  ReservationMade,
  ReservationParams,
  ReservationView,
} from '../../api/reservations.ts';
import { orderUntil } from '../../pool/calls.ts';
import { sendAddresses } from '../address-json.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { IDEMPOTENCY_ERRORS, receiverOf } from '../idempotency.ts';
import { poolFor } from '../visible-pools.ts';

const TTL_SECONDS = 300;

export function reservationRoutes(app: App, { pools, store }: AppDeps): void {
  app.post(
    '/v1/pools/:pool/reservations',
    {
      config: {
        scope: 'dispense',
        errors: [
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
        operationId: 'reserve',
        summary: 'Hold one address',
        description:
          'It is shown, its secret is not, and nobody else gets it. Counts against the quota.',
        tags: ['reservations'],
        headers: IdempotencyHeaders,
        params: PoolParams,
        body: ReservationBody,
        response: { 201: { ...ReservationMade, headers: LOCATION } },
      },
    },
    async ({ params, body, raw, token }, reply): Promise<ReservationMade> => {
      const pool = poolFor(token, pools, params.pool).shared.name;
      const { ttlSeconds = TTL_SECONDS } = body;
      const receiver = receiverOf(raw, token, `reserve\0${pool}`, String(ttlSeconds));
      const order = {
        pool,
        ttlMs: ttlSeconds * 1000,
        receiver,
        quota: token?.quota,
        until: orderUntil(),
      };
      const { id, address, expiresAt } = await store().call('reserve', order);
      reply.code(201).header('location', `/v1/reservations/${id}`);
      return { id, pool, address, expiresAt: new Date(expiresAt).toISOString() };
    },
  );

  app.get(
    '/v1/reservations/:reservation',
    {
      config: { scope: 'dispense', errors: ['RESERVATION_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        operationId: 'getReservation',
        summary: 'What became of a reservation',
        tags: ['reservations'],
        params: ReservationParams,
        response: { 200: ReservationView },
      },
    },
    async ({ params, token }): Promise<ReservationView> => {
      const which = { id: params.reservation, token: token?.id ?? 0 };
      const { id, pool, address, expiresAt, state } = await store().call('reservation', which);
      return { id, pool, address, expiresAt: new Date(expiresAt).toISOString(), state };
    },
  );

  app.post(
    '/v1/reservations/:reservation/dispense',
    {
      config: {
        scope: 'dispense',
        errors: [
          'RESERVATION_NOT_FOUND',
          'RESERVATION_OVER',
          'POOL_NOT_FOUND',
          'STORE_UNAVAILABLE',
        ],
      },
      schema: {
        operationId: 'dispenseReservation',
        summary: 'Hand the held address out',
        description: 'Once; asked again it gives the same for as long as its secret is kept.',
        tags: ['reservations'],
        params: ReservationParams,
        response: { 200: { ...Dispensed, headers: NO_STORE } },
      },
    },
    async ({ params, token }, reply) => {
      const which = { id: params.reservation, token: token?.id ?? 0 };
      const { pool } = await store().call('reservation', which);
      // One that is not served here says nothing of how it hands out: then nothing is.
      const from = poolFor(token, pools, pool);
      const address = await store().call('dispenseReservation', { ...which, pool });
      return sendAddresses(reply, from, [address]);
    },
  );

  app.delete(
    '/v1/reservations/:reservation',
    {
      config: {
        scope: 'dispense',
        errors: ['RESERVATION_NOT_FOUND', 'RESERVATION_OVER', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'release',
        summary: 'Give the held address back',
        description: 'It is burned, since it was seen, unless the pool says `reuse_released`.',
        tags: ['reservations'],
        params: ReservationParams,
        response: { 204: { type: 'null', description: 'Given back.' } },
      },
    },
    async ({ params, token }, reply) => {
      const which = { id: params.reservation, token: token?.id ?? 0 };
      await store().call('releaseReservation', which);
      return reply.code(204).send(null);
    },
  );
}
