/**
 * What pools were over the last hour and the last day, from shared memory. Runs in the HTTP threads.
 *
 * A pool is 16 kB of JSON, and 256 of them 4 MB. So all are sent in pieces, one pool each, the next when the one
 * before has left: a client that does not read costs one, and no dispense waits for the whole.
 */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { HistoryQueryString, HistoryView } from '../../api/history.ts';
import type { Pool } from '../../pool/pool.ts';
import { endConnection } from '../admission.ts';
import type { App, AppDeps } from '../app-deps.ts';
import { poolFor, visiblePools } from '../visible-pools.ts';

export function historyRoutes(app: App, { pools }: AppDeps): void {
  app.get(
    '/v1/history',
    {
      config: { scope: 'read', errors: ['POOL_NOT_FOUND'] },
      schema: {
        operationId: 'getHistory',
        summary: 'What pools were over the last hour and the last day',
        description:
          'Samples 15 s apart over the last hour, and 5 min apart over the last day. They are in ' +
          'memory: those of before the start of the server are gone.',
        tags: ['pools'],
        querystring: HistoryQueryString,
        response: { 200: HistoryView },
      },
    },
    ({ query, token, raw }, reply): void => {
      const at = new Date().toISOString();
      if (query.pool !== undefined) {
        const answer: HistoryView = { at, pools: [viewOf(poolFor(token, pools, query.pool))] };
        return void reply.send(answer);
      }
      const connection = reply.server.inFlight.connection(raw.socket);
      if (connection?.holdsDocument) {
        throw endConnection(connection, reply, 'the history before this one is not read yet');
      }
      connection?.carryDocument(reply.raw);
      reply.type('application/json; charset=utf-8');
      const whole = Readable.from(pieces(at, visiblePools(pools, token?.pools)));
      (reply as FastifyReply).send(whole);
    },
  );
}

function viewOf(pool: Pool): HistoryView['pools'][number] {
  return { name: pool.shared.name, ...pool.history() };
}

function* pieces(at: string, pools: readonly Pool[]): Generator<Buffer> {
  let before = `{"at":${JSON.stringify(at)},"pools":[`;
  for (const pool of pools) {
    yield Buffer.from(before + JSON.stringify(viewOf(pool)));
    before = ',';
  }
  yield Buffer.from(pools.length === 0 ? `${before}]}` : ']}');
}
