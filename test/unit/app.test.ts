import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { VanityError } from '../../src/errors.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { grindingBoard, sharePool } from '../../src/pool/shared-pool.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import { fillPool, testApp } from '../support/http-app.ts';
import { assertProblem } from '../support/problems.ts';

const LOCAL = { host: '127.0.0.1:5057' };
const DISPENSE = '/v1/pools/pet/dispense';

test('a dispense hands out the oldest address with its secret, once', async () => {
  const { app, shared } = await testApp();
  const [first, second] = fillPool(shared, 2);
  const reply = await app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  assert.equal(reply.statusCode, 200);
  assert.equal(reply.headers['cache-control'], 'no-store');
  assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
  assert.deepEqual(reply.json(), {
    addresses: [
      {
        id: 1,
        address: first!.address,
        keyType: 'seed',
        secretKey: first!.secret,
        origin: 'ground',
        createdAt: '2026-01-01T00:00:00.001Z',
      },
    ],
  });
  const next = await app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  assert.equal(next.json().addresses[0].address, second!.address);
});

test('count gives all or nothing', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 3);
  const ask = (count: number) =>
    app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL, payload: { count } });
  const short = await ask(4);
  assertProblem(
    short,
    'POOL_EMPTY',
    /^pool pet: 4 asked for, 3 left; nothing is ground for it now$/,
  );
  assert.equal(short.headers['retry-after'], '3600', 'nothing grinds: there is no better estimate');
  const all = (await ask(3)).json().addresses;
  assert.deepEqual(
    all.map(({ id }: { id: number }) => id),
    [1, 2, 3],
  );
});

test('what the queue lacks comes by a refill', async () => {
  let asked: unknown;
  const { app, shared } = await testApp(async (pool, count) => {
    asked = { pool, count };
    fillPool(shared, 5);
  });
  fillPool(shared, 2, 5);
  const request = { method: 'POST', url: DISPENSE, headers: LOCAL, payload: { count: 5 } } as const;
  assert.equal((await app.inject(request)).json().addresses.length, 5);
  assert.deepEqual(asked, { pool: 'pet', count: 5 });
});

test('the first requests of a new pool are asked to come back soon', async () => {
  const { app, shared } = await testApp();
  grindingBoard(shared).write({ active: 1, threads: 2, attemptsPerSecond: 0 });
  const ask = () => app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  assert.equal((await ask()).headers['retry-after'], '2');
  grindingBoard(shared).write({ attemptsPerSecond: 100_000 });
  assert.equal((await ask()).headers['retry-after'], '5', '452,660 attempts at 100,000 a second');
  grindingBoard(shared).write({ attemptsPerSecond: 1 });
  assert.equal((await ask()).headers['retry-after'], '3600');
});

test('nothing is taken for a client that has left while the queue was refilled', async () => {
  const left = Promise.withResolvers<void>();
  const { app, shared } = await testApp(async () => {
    await left.promise;
    fillPool(shared, 5);
  });
  fillPool(shared, 0, 5);
  await app.listen({ host: '127.0.0.1', port: 0 });
  try {
    const { port } = app.server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    const [served] = await Promise.all([
      once(app.server, 'connection'),
      Promise.resolve(socket.write(`POST ${DISPENSE} HTTP/1.1\r\nhost: localhost\r\n\r\n`)),
    ]);
    await once(app.server, 'request');
    socket.destroy();
    await once(served[0], 'close');
    left.resolve();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal((await app.inject({ url: '/v1/pools/pet', headers: LOCAL })).json().ready, 5);
  } finally {
    await app.close();
  }
});

test('the largest request fits, however small the queue is configured', async () => {
  const shared = sharePool({ ...loadConfig({ cwd: '/' }).pools[0]!, ready: 1, readyMax: 1 });
  assert.ok(new ReadyQueue(shared.queue).capacity >= 1000);
});

test('a refill that never helps ends as a store that cannot keep up', async () => {
  let refills = 0;
  const { app, shared } = await testApp(async () => void refills++);
  fillPool(shared, 0, 5);
  const reply = await app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  assertProblem(reply, 'STORE_UNAVAILABLE', /ask again/);
  assert.equal(reply.headers['retry-after'], '1');
  assert.ok(refills > 1 && refills < 20);
});

test('a store that fails leaves the ready addresses to be had', async () => {
  const { app, shared, storeHealth } = await testApp(() =>
    Promise.reject(new VanityError('STORE_UNAVAILABLE', 'gone', { retryAfterSeconds: 1 })),
  );
  fillPool(shared, 1, 9);
  storeHealth.write('DISK_FULL', { turns: 0, inserts: 0 });
  const ready = await app.inject({ url: '/readyz', headers: LOCAL });
  assert.deepEqual(ready.json(), { status: 'degraded', reasons: ['DISK_FULL'] });
  const ask = () => app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL });
  assert.equal((await ask()).statusCode, 200);
  const refused = await ask();
  assertProblem(refused, 'STORE_UNAVAILABLE', /gone/);
  assert.equal(refused.headers['retry-after'], '1');
  assertProblem(
    await app.inject({ url: '/readyz', headers: LOCAL }),
    'STORE_UNAVAILABLE',
    /DISK_FULL/,
  );
});

test('a hand-out that cannot be recorded does not leave', async () => {
  const records: unknown[] = [];
  let isBroken = false;
  const { app, shared } = await testApp(undefined, true, (pool, { position, count }) => {
    if (isBroken) throw new VanityError('JOURNAL_UNAVAILABLE', 'no space');
    records.push([pool, position, count]);
  });
  const addresses = fillPool(shared, 6);
  const ask = () =>
    app.inject({ method: 'POST', url: DISPENSE, headers: LOCAL, payload: { count: 2 } });
  assert.equal((await ask()).statusCode, 200);
  isBroken = true;
  const refused = await ask();
  assertProblem(refused, 'JOURNAL_UNAVAILABLE', /no space/);
  for (const { address } of addresses) assert.ok(!refused.body.includes(address));
  isBroken = false;
  assert.equal((await ask()).json().addresses[0].id, 5, 'what was popped in vain is given up');
  assert.deepEqual(records, [
    ['pet', 0, 2],
    ['pet', 4, 2],
  ]);
});

test('bad bodies are refused by name and nothing is handed out', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 4);
  const post = (payload: string, type = 'application/json') =>
    app.inject({
      method: 'POST',
      url: DISPENSE,
      headers: { ...LOCAL, 'content-type': type },
      payload,
    });
  for (const count of ['0', '-1', '1001', '1.5', '"x"', '"1"', 'null', '[1]', 'true', '1e400']) {
    assertProblem(await post(`{"count":${count}}`), 'COUNT_INVALID', /count.*from 1 to 1000/);
  }
  assertProblem(await post('{"count":'), 'BODY_INVALID', /JSON/);
  assertProblem(await post('{"number":2}'), 'BODY_INVALID', /no such key: number/);
  assertProblem(await post('[]'), 'BODY_INVALID', /object/);
  assertProblem(await post('{"__proto__":{"count":2}}'), 'BODY_INVALID', /.+/);
  assertProblem(await post('{"count":2}', 'text/plain'), 'MEDIA_TYPE_UNSUPPORTED', /json/);
  assertProblem(await post(`{"count":${' '.repeat(20_000)}1}`), 'BODY_TOO_LARGE', /large/);
  assert.equal((await post('')).statusCode, 200, 'no body is one');
  assert.equal((await post('{}')).statusCode, 200);
  assert.equal((await post('{"count":2}')).json().addresses.length, 2, 'all four were left');
});

test('an idempotency key is passed on as hashes that know its pool and what was asked for', async () => {
  const records: HandOut[] = [];
  const { app, shared } = await testApp(undefined, true, (_, handOut) => records.push(handOut));
  fillPool(shared, 10);
  const ask = async (key: string, payload?: object) => {
    const headers = { ...LOCAL, 'idempotency-key': key };
    const reply = await app.inject({
      method: 'POST',
      url: DISPENSE,
      headers,
      ...(payload && { payload }),
    });
    assert.equal(reply.statusCode, 200, reply.body);
    const { key: keyHash, body } = records.at(-1)!;
    assert.equal(keyHash!.length, 32);
    return [keyHash, body].map((bytes) => Buffer.from(bytes!).toString('hex'));
  };
  const [key, one] = await ask('a key');
  assert.deepEqual(await ask('a key', { count: 1 }), [key, one], 'one is what no body means');
  const [same, two] = await ask('a key', { count: 2 });
  assert.equal(same, key);
  assert.notEqual(two, one);
  assert.notEqual((await ask('another key'))[0], key);
  for (const bad of ['', 'é', 'x'.repeat(256), 'tab\tinside']) {
    const headers = { ...LOCAL, 'idempotency-key': bad };
    const reply = await app.inject({ method: 'POST', url: DISPENSE, headers });
    assertProblem(reply, 'IDEMPOTENCY_KEY_INVALID', /printable ASCII/);
  }
});

test('unknown pools, routes and methods', async () => {
  const { app } = await testApp();
  const get = (url: string) => app.inject({ url, headers: LOCAL });
  assertProblem(await get('/v1/pools/nope'), 'POOL_NOT_FOUND', /pool nope/);
  assertProblem(await get('/v1/nope'), 'ROUTE_NOT_FOUND', /\/v1\/nope/);
  assertProblem(await get('/v1/pools/%zz'), 'REQUEST_INVALID', /.+/);
  const wrong = await get(DISPENSE);
  assertProblem(wrong, 'METHOD_NOT_ALLOWED', /takes POST, not GET/);
  assert.equal(wrong.headers.allow, 'POST');
  const put = await app.inject({ method: 'PUT', url: '/v1/pools', headers: LOCAL });
  assertProblem(put, 'METHOD_NOT_ALLOWED', /not PUT/);
  assert.equal(put.headers.allow, 'GET, HEAD, POST');
});

test('only programs of this machine are served', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 1);
  const ask = (headers: Record<string, string>) =>
    app.inject({ method: 'POST', url: DISPENSE, headers });
  for (const host of [
    'evil-localhost',
    'x127.0.0.1',
    'example.com',
    '127.0.0.1.example.com',
    '10.0.0.1',
  ]) {
    assertProblem(await ask({ host }), 'HOST_REFUSED', /localhost/);
  }
  const foreign: Record<string, string>[] = [
    { origin: 'http://example.com' },
    { origin: 'null' },
    { origin: 'https://127.0.0.1:5057' },
    { referer: 'http://example.com/page' },
    { referer: 'http://127.0.0.1:5057.example.com/' },
    { 'sec-purpose': 'prefetch' },
    { origin: 'http://127.0.0.1:9' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { forwarded: 'for=1.2.3.4' },
    { 'x-forwarded-for': '1.2.3.4' },
    { 'x-forwarded-host': 'localhost' },
    { via: '1.1 proxy' },
  ];
  for (const headers of foreign) {
    assertProblem(
      await ask({ ...LOCAL, ...headers }),
      'FOREIGN_REQUEST',
      /page or through a proxy/,
    );
  }
  const own = {
    origin: 'http://127.0.0.1:5057',
    referer: 'http://127.0.0.1:5057/docs',
    'sec-fetch-site': 'same-origin',
  };
  assert.equal((await ask({ ...LOCAL, ...own })).statusCode, 200, 'nothing was lost before');
});

test('a node that only grinds answers for itself, while it has its store', async () => {
  const { app, storeHealth } = await testApp(undefined, true, undefined, { isGrinder: true });
  const get = async (url: string) => {
    const { statusCode, body } = await app.inject({ url, headers: { host: 'localhost' } });
    return [statusCode, (JSON.parse(body) as { code?: string }).code];
  };
  assert.deepEqual(await get('/healthz'), [200, undefined]);
  // It serves no pool: none has to hold anything.
  assert.deepEqual(await get('/readyz'), [200, undefined]);
  for (const path of ['/v1/pools', '/v1/pools/pet', '/get-keypair', '/docs']) {
    assert.deepEqual(await get(path), [404, 'ROUTE_NOT_FOUND'], path);
  }
  storeHealth.write('STORE_UNAVAILABLE', { turns: 0, inserts: 0 });
  assert.deepEqual(await get('/readyz'), [503, 'STORE_UNAVAILABLE']);
});
