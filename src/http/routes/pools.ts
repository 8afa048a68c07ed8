/**
 * Pools: their status, and the dispense that the product is about. Runs in the HTTP threads. A
 * dispense that the ready queue can serve waits for nothing and asks nobody.
 */
import type { FastifyReply } from 'fastify';
import { VanityError } from '../../errors.ts';
import { shownDifficulty } from '../../keypair/difficulty.ts';
import { dispenseScope } from '../../pool/idempotency.ts';
import type { Pool } from '../../pool/pool.ts';
import type { ReadyAddress } from '../../pool/ready-queue.ts';
import type { Token } from '../../token.ts';
import { mayUse } from '../access.ts';
import type { App, AppDeps } from '../app.ts';
import type { Sight } from '../event-streams.ts';
import { NO_STORE } from '../fields.ts';
import { grinderView } from '../grinder-view.ts';
import { IDEMPOTENCY_ERRORS, receiverOf } from '../idempotency.ts';
import {
  DispenseBody,
  Dispensed,
  IdempotencyHeaders,
  PoolList,
  PoolParams,
  PoolView,
} from '../schemas.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

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

/** What those see who may see these pools; undefined: all of them. */
function poolList({ pools, grinder }: AppDeps, sight: Sight): PoolList {
  return {
    pools: visiblePools(pools, sight).map(poolView),
    ...(sight === undefined && { grinder: grinderView(grinder) }),
  };
}

/** In the order of the pools, not of the names. */
export function visiblePools(pools: ReadonlyMap<string, Pool>, sight: Sight): Pool[] {
  const all = [...pools.values()];
  if (sight === undefined) return all;
  const names = new Set(sight);
  return all.filter(({ shared }) => names.has(shared.name));
}

/** The pool as far as it exists for the token. Error: POOL_NOT_FOUND. */
export function poolFor(
  token: Token | undefined,
  pools: ReadonlyMap<string, Pool>,
  name: string,
): Pool {
  const pool = mayUse(token, name) ? pools.get(name) : undefined;
  if (pool !== undefined) return pool;
  throw new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool`);
}

/** As the pool hands out: with secrets, or without. */
export function sendAddresses(
  reply: Pick<FastifyReply, 'raw'>,
  { shared: { handout } }: Pool,
  addresses: readonly ReadyAddress[],
): void {
  const rows = addresses.map((address) => addressJson(address, handout === 'secret')).join(',');
  const plain = reply as FastifyReply;
  plain.header('cache-control', 'no-store').type(JSON_TYPE).send(`{"addresses":[${rows}]}`);
}

/** By hand: every part is a number or a text without a character that JSON escapes. */
export function addressJson(ready: ReadyAddress, withSecret: boolean): string {
  const { id, address, keyType, origin, createdAt } = ready;
  const name = keyType === 'expanded' ? 'expandedKey' : 'secretKey';
  const secret = withSecret ? `"${name}":"${ready.secret}",` : '';
  const time = new Date(createdAt).toISOString();
  return (
    `{"id":${id},"address":"${address}","keyType":"${keyType}",${secret}` +
    `"origin":"${origin}","createdAt":"${time}"}`
  );
}

export function poolView(pool: Pool): PoolView {
  const { name, pattern, handout } = pool.shared;
  const { grinding, ...figures } = pool.status();
  return {
    name,
    pattern: pattern.text,
    difficulty: shownDifficulty(pattern.difficulty),
    keys: 'seed',
    handout,
    ...figures,
    grinding: { ...grinding, hitsPerSecond: Number(grinding.hitsPerSecond.toPrecision(4)) },
  };
}
