/**
 * The status as server-sent events, once a second, for pages and for `vanitypool top`. Runs in the
 * HTTP threads. A stream ends with the right to read: its token is checked again for each event.
 */
import type { OutgoingHttpHeaders } from 'node:http';
import { mayUse } from '../access.ts';
import type { App, AppDeps } from '../app.ts';
import { EventStreams, type Sight } from '../event-streams.ts';
import { EventsText, type StatusEvent } from '../schemas.ts';
import { poolList } from './pools.ts';
import { stateOf } from './service.ts';

export function eventRoutes(app: App, deps: AppDeps): void {
  const { pools, access, storeHealth, eventIds } = deps;
  const statusOf = (sight: Sight): StatusEvent => {
    const visible = [...pools.values()].filter(({ shared }) =>
      mayUse({ pools: sight }, shared.name),
    );
    return {
      at: new Date().toISOString(),
      uptimeMs: Math.round(process.uptime() * 1000),
      ...poolList(deps, sight),
      readiness: stateOf(visible, storeHealth),
    };
  };
  const streams = new EventStreams((sight) => JSON.stringify(statusOf(sight)), eventIds);
  // Before the server closes: it waits for what is in flight, and a stream always is.
  app.addHook('preClose', (done) => {
    streams.close();
    done();
  });

  app.get(
    '/v1/events',
    {
      // A HEAD would hold a stream open that nothing is sent on.
      exposeHeadRoute: false,
      config: { scope: 'read', errors: ['DRAINING'] },
      schema: {
        operationId: 'watchStatus',
        summary: 'The status once a second, as server-sent events',
        description:
          'Events of the type `status`: the JSON of `GET /v1/pools` with `readiness`, whose ' +
          '`status` is `ready`, `degraded` or `unavailable`, with the time `at` and `uptimeMs`, ms ' +
          'since the start, which a clock that is set does not change. `id` is a whole number that ' +
          'only grows, over restarts too; one does not follow the other.',
        tags: ['service'],
        response: {
          200: EventsText,
        },
      },
    },
    ({ headers }, reply) => {
      const token = access.watch(headers, 'read');
      streams.open(reply.raw, reply.getHeaders() as OutgoingHttpHeaders, () => token()?.pools);
      reply.hijack();
    },
  );
}
