import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { Pool } from '../../src/pool/pool.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { fillPool, testApp } from '../support/http-app.ts';

const headers = { host: 'localhost:5057' };

test("the ancestor's address envelope", async () => {
  const { app, shared } = await testApp();
  const [first] = fillPool(shared, 1);
  const before = Math.floor(Date.now() / 1000);
  const reply = await app.inject({ url: '/api/v1/pet/address', headers });
  assert.equal(reply.statusCode, 200);
  assert.equal(reply.headers['cache-control'], 'no-store');
  const { timestamp, ...rest } = reply.json();
  assert.ok(Number.isInteger(timestamp) && timestamp >= before);
  assert.deepEqual(rest, {
    code: 200,
    message: 'success',
    data: {
      id: 1,
      public_key: first!.address,
      private_key: first!.secret,
      address: first!.address,
      created_at: '2026-01-01T00:00:00.001Z',
    },
  });
});

test('HEAD hands nothing out', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 1);
  const head = await app.inject({ method: 'HEAD', url: '/api/v1/pet/address', headers });
  assert.equal(head.statusCode, 405);
  assert.equal((await app.inject({ url: '/api/v1/pet/address', headers })).statusCode, 200);
});

for (const setting of [{ handout: 'sign-only' }, { keys: 'expanded' }] as const) {
  const what = Object.values(setting).join();
  test(`the secret of a pool that is ${what} does not leave, and no address is taken`, async () => {
    const [config] = loadConfig({ cwd: '/' }).pools;
    const shared = sharePool({ ...config!, ...setting });
    const hands = { refill: async () => {}, prepare: () => {}, record: () => {} };
    const { app } = await testApp(undefined, true, undefined, {
      pools: new Map([[shared.name, new Pool(shared, hands)]]),
    });
    const [only] = fillPool(shared, 1);
    const reply = await app.inject({ url: '/api/v1/pet/address', headers });
    assert.equal(reply.statusCode, 409);
    assert.ok(!reply.body.includes(only!.secret));
    assert.equal(new ReadyQueue(shared.queue).size, 1);
  });
}

test('an empty pool is 404 in its envelope', async () => {
  const { app } = await testApp();
  const reply = await app.inject({ url: '/api/v1/pet/address', headers });
  assert.equal(reply.statusCode, 404);
  const { timestamp, ...rest } = reply.json();
  assert.ok(timestamp > 0);
  const message = 'pool pet: 1 asked for, 0 left; nothing is ground for it now';
  assert.deepEqual(rest, { code: 404, message, data: null });
});

test('what is not there, or not so, is reported in the envelope', async () => {
  const { app } = await testApp();
  const missing = await app.inject({ url: '/api/v1/nope', headers });
  assert.deepEqual([missing.statusCode, missing.json().code], [404, 404]);
  const wrong = await app.inject({ method: 'POST', url: '/api/v1/pet/status', headers });
  assert.deepEqual([wrong.statusCode, wrong.json().data], [405, null]);
  assert.equal(wrong.headers.allow, 'GET');
});

test('a foreign page is refused here too', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 1);
  const foreign = { ...headers, 'sec-fetch-site': 'cross-site' };
  const reply = await app.inject({ url: '/api/v1/pet/address', headers: foreign });
  assert.equal(reply.statusCode, 403);
  assert.deepEqual(Object.keys(reply.json()), ['code', 'message', 'data', 'timestamp']);
});

test('status and health', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 2, 5);
  const data = async (url: string) => (await app.inject({ url, headers })).json().data;
  assert.deepEqual(await data('/api/v1/pet/status'), {
    total_addresses: 7,
    pool_size: 1000,
    generation_active: false,
  });
  assert.deepEqual(await data('/health'), {
    status: 'healthy',
    version: '0.0.0-test',
    uptime: '0 days 0 hours 0 minutes',
  });
  assert.equal((await data('/health/detailed')).pool.total_addresses, 7);
  const docs = await app.inject({ url: '/swagger-ui', headers });
  assert.equal(docs.statusCode, 302);
  assert.equal(docs.headers.location, '/docs');
});

test('they can be switched off', async () => {
  const { app } = await testApp(undefined, false);
  assert.equal((await app.inject({ url: '/health', headers })).statusCode, 404);
});
