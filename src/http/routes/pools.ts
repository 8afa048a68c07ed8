/**
 * Pools: their status, and the dispense that the product is about. Runs in the HTTP threads. A
 * dispense that the ready queue can serve waits for nothing and asks nobody.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { VanityError } from '../../errors.ts';
import { shownDifficulty } from '../../keypair/difficulty.ts';
import type { Pool } from '../../pool/pool.ts';
import type { ReadyAddress } from '../../pool/ready-queue.ts';
import type { App, AppDeps } from '../app.ts';
import { receiverOf } from '../idempotency.ts';
import {
  DispenseBody,
  Dispensed,
  IdempotencyHeaders,
  PoolList,
  PoolParams,
  type PoolView,
  PoolView as PoolViewSchema,
  ProblemView,
} from '../schemas.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

export function poolRoutes(app: App, { pools, dispense }: AppDeps): void {
  const find = (name: string): Pool => {
    const pool = pools.get(name);
    if (pool === undefined) throw new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool`);
    return pool;
  };

  app.get(
    '/v1/pools',
    {
      schema: {
        summary: 'The status of every pool',
        tags: ['pools'],
        response: { 200: PoolList, default: ProblemView },
      },
    },
    (): PoolList => ({ pools: [...pools.values()].map(view) }),
  );

  app.get(
    '/v1/pools/:pool',
    {
      schema: {
        summary: 'The status of one pool',
        tags: ['pools'],
        params: PoolParams,
        response: { 200: PoolViewSchema, default: ProblemView },
      },
    },
    ({ params }) => view(find(params.pool)),
  );

  app.post(
    '/v1/pools/:pool/dispense',
    {
      schema: {
        summary: 'Hand out addresses, each of them once and for ever',
        description: 'All of `count` or none. Without a body: one.',
        tags: ['pools'],
        headers: IdempotencyHeaders,
        params: PoolParams,
        body: DispenseBody,
        response: { 200: Dispensed, default: ProblemView },
      },
      preValidation: emptyBodyIsOne,
    },
    ({ params, body, raw }, reply) => {
      const pool = find(params.pool);
      const count = body.count ?? 1;
      const receiver = receiverOf(raw, `dispense\0${params.pool}`, String(count));
      const addresses = dispense(pool, count, receiver, () => reply.raw.destroyed);
      if (Array.isArray(addresses)) return send(reply, addresses);
      return addresses.then((waitedFor) => send(reply, waitedFor));
    },
  );
}

function emptyBodyIsOne(request: FastifyRequest, _: FastifyReply, done: () => void): void {
  if (request.body === undefined) request.body = {};
  done();
}

function send(reply: Pick<FastifyReply, 'raw'>, addresses: readonly ReadyAddress[]): void {
  const rows = addresses.map(addressJson).join(',');
  const plain = reply as FastifyReply;
  plain.header('cache-control', 'no-store').type(JSON_TYPE).send(`{"addresses":[${rows}]}`);
}

/** By hand: every part is a number or a text without a character that JSON escapes. */
export function addressJson({
  id,
  address,
  keyType,
  secret,
  origin,
  createdAt,
}: ReadyAddress): string {
  const name = keyType === 'expanded' ? 'expandedKey' : 'secretKey';
  const time = new Date(createdAt).toISOString();
  return (
    `{"id":${id},"address":"${address}","keyType":"${keyType}","${name}":"${secret}",` +
    `"origin":"${origin}","createdAt":"${time}"}`
  );
}

function view(pool: Pool): PoolView {
  const { name, pattern, target } = pool.shared;
  const { grinding, ...figures } = pool.status();
  return {
    name,
    pattern: pattern.text,
    difficulty: shownDifficulty(pattern.difficulty),
    keys: 'seed',
    handout: 'secret',
    target,
    ...figures,
    grinding: { ...grinding, hitsPerSecond: Number(grinding.hitsPerSecond.toPrecision(4)) },
  };
}
