/** What a server says of itself: its pools, its health, its metrics and its document. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { fillPool, testApp } from '../support/http-app.ts';
import { assertProblem } from '../support/problems.ts';

const LOCAL = { host: '127.0.0.1:5057' };
const DISPENSE = '/v1/pools/pet/dispense';

test('a pool reports its exact figures', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 3, 7);
  await app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  const reply = await app.inject({ url: '/v1/pools/pet', headers: LOCAL });
  const expected = {
    name: 'pet',
    pattern: shared.pattern.text,
    difficulty: 452_660,
    keys: 'seed',
    handout: 'secret',
    target: 1000,
    lowHours: 1,
    paused: false,
    stock: 9,
    available: 7,
    ready: 2,
    leased: 2,
    reserved: 0,
    dispensed: 1,
    burned: 0,
    consumptionPerHour: 0,
    hoursOfStock: null,
    ground: 10,
    imported: 0,
    grinding: {
      active: false,
      threads: 0,
      attemptsPerSecond: 0,
      hitsPerSecond: 0,
      etaSeconds: null,
    },
  };
  assert.deepEqual(reply.json(), expected);
  const list = await app.inject({ url: '/v1/pools', headers: LOCAL });
  const threads = [
    { priority: 'raised', share: 0.5, attemptsPerSecond: 1000 },
    { priority: 'low', share: null, attemptsPerSecond: null },
  ];
  const grinder = {
    priorityChanges: 0,
    instructions: null,
    fullAttemptsPerSecond: { seed: null, expanded: null },
    threads,
  };
  assert.deepEqual(list.json(), { pools: [expected], grinder });
});

test('health, readiness and draining', async () => {
  const { app, shared, drain } = await testApp();
  const get = (url: string) => app.inject({ url, headers: LOCAL });
  assert.equal((await get('/healthz')).json().status, 'ok');
  assertProblem(await get('/readyz'), 'POOL_EMPTY', /pet/);
  fillPool(shared, 1);
  assert.deepEqual((await get('/readyz')).json(), { status: 'ready', reasons: [] });
  assert.notEqual((await get('/healthz')).headers.connection, 'close');
  drain();
  assert.equal((await get('/healthz')).headers.connection, 'close');
  assertProblem(await get('/readyz'), 'DRAINING', /shutting down/);
});

test('metrics name the pools and no address', async () => {
  const { app, shared } = await testApp();
  const addresses = fillPool(shared, 3, 7);
  await app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  const { body, headers } = await app.inject({ url: '/metrics', headers: LOCAL });
  assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/);
  assert.match(body, /^vanitypool_ready\{pool="pet"\} 2$/m);
  assert.match(body, /^vanitypool_stock\{pool="pet"\} 9$/m);
  assert.match(body, /^vanitypool_dispensed_total\{pool="pet"\} 1$/m);
  assert.match(body, /^vanitypool_store_up 1$/m);
  for (const { address } of addresses) assert.ok(!body.includes(address));
});

test('the OpenAPI document names every route of version 1, and /docs reads it', async () => {
  const { app } = await testApp();
  const document = (await app.inject({ url: '/openapi.json', headers: LOCAL })).json();
  assert.equal(document.openapi, '3.1.0');
  assert.deepEqual(Object.keys(document.paths).sort(), [
    '/healthz',
    '/metrics',
    '/readyz',
    '/v1/access',
    '/v1/addresses/{address}',
    '/v1/audit',
    '/v1/backups',
    '/v1/events',
    '/v1/history',
    '/v1/imports',
    '/v1/keys',
    '/v1/keys/rotate',
    '/v1/nodes',
    '/v1/pools',
    '/v1/pools/{pool}',
    '/v1/pools/{pool}/addresses/{address}/signatures',
    '/v1/pools/{pool}/addresses/{address}/transactions',
    '/v1/pools/{pool}/dispense',
    '/v1/pools/{pool}/pause',
    '/v1/pools/{pool}/reservations',
    '/v1/pools/{pool}/resume',
    '/v1/reservations/{reservation}',
    '/v1/reservations/{reservation}/dispense',
    '/v1/takers',
    '/v1/tokens',
    '/v1/tokens/{token}',
    '/v1/tokens/{token}/restore',
    '/v1/transit/keys/{address}',
    '/v1/transit/sign/{address}',
    '/v1/warnings',
  ]);
  const page = await app.inject({ url: '/docs', headers: LOCAL });
  assert.equal(page.statusCode, 200);
  assert.match(page.body, /<html/);
});

test('bytes that are no HTTP and headers that are too large get a problem document', async () => {
  const { app } = await testApp();
  await app.listen({ host: '127.0.0.1', port: 0 });
  try {
    const { port } = app.server.address() as AddressInfo;
    const send = async (text: string): Promise<string> => {
      const socket = connect(port, '127.0.0.1').setEncoding('latin1');
      let reply = '';
      socket.on('data', (chunk) => {
        reply += chunk;
      });
      socket.write(text);
      await once(socket, 'close');
      return reply;
    };
    const nonsense = await send('GIVE me a key\r\n\r\n');
    assert.match(nonsense, /^HTTP\/1\.1 400 .*"code":"REQUEST_INVALID"/s);
    const header = `x-a: ${'a'.repeat(20_000)}`;
    const large = await send(`GET /healthz HTTP/1.1\r\nhost: localhost\r\n${header}\r\n\r\n`);
    assert.match(large, /^HTTP\/1\.1 431 .*"code":"HEADERS_TOO_LARGE"/s);
    const unnamed = await send('GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n');
    assert.match(unnamed, /^HTTP\/1\.1 400 .*"code":"REQUEST_INVALID"/s);
    const smuggled = await send(
      `POST ${DISPENSE} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
        'content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    assert.match(smuggled, /^HTTP\/1\.1 400 /);
  } finally {
    await app.close();
  }
});
