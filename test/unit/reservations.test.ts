/** Routes that wait for the store, with one that never answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import type { StoreThreadCalls } from '../../src/pool/pool.ts';
import { Caller } from '../../src/port.ts';
import { testApp } from '../support/http-app.ts';

const LIMIT = { timeout: 30_000 };
const ADDRESS = '/v1/pools/pet/addresses/So11111111111111111111111111111111111111112';

for (const [method, url, payload] of [
  ['POST', '/v1/pools/pet/reservations'],
  ['GET', '/v1/reservations/r'],
  ['POST', '/v1/reservations/r/dispense'],
  ['DELETE', '/v1/reservations/r'],
  ['POST', `${ADDRESS}/signatures`, { message: 'AAAA' }],
] as const) {
  test(`${method} ${url.slice(0, 40)} does not wait for ever`, LIMIT, async (t) => {
    const { port1, port2 } = new MessageChannel();
    try {
      const asked = new Promise((resolve) => port2.once('message', resolve));
      const caller = new Caller<StoreThreadCalls>(port1, 'STORE_UNAVAILABLE');
      const { app } = await testApp(undefined, true, undefined, { store: () => caller });
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const headers = { host: 'localhost' };
      const reply = app
        .inject({ method, url, headers, ...(payload && { payload }) })
        .then((answered) => answered);
      await asked;
      t.mock.timers.tick(10_000);
      const { statusCode, body } = await reply;
      assert.deepEqual([statusCode, JSON.parse(body).code], [503, 'STORE_UNAVAILABLE']);
    } finally {
      port1.close();
    }
  });
}
