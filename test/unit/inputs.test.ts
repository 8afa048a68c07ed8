/** Query parameters, and bodies of no bytes, over every route of the document and as clients send them. */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { anyRequest, rightBody } from '../support/any-request.ts';
import { fillPool, testApp } from '../support/http-app.ts';
import { exchangeBytes, repliesIn } from '../support/raw-connection.ts';

const any = await anyRequest();
const { operations, send } = any;
after(() => any.app.close());
const LOCAL = { host: 'localhost' };
const DISPENSE = '/v1/pools/pet/dispense';
const strict = operations.filter(({ path }) => path.startsWith('/v1/'));

test('every route of version 1 refuses a query parameter that it does not have, by name', async () => {
  assert.ok(strict.length >= 20, `only ${strict.length}`);
  for (const told of strict) {
    const names = (told.operation.parameters ?? []).filter((one) => one.in === 'query');
    const allowed = names.map(({ name }) => name).join(', ') || 'none';
    for (const name of ['cuont', '_', '__proto__']) {
      const { status, code, detail } = await send(told, {
        query: `?${name}=3`,
        body: rightBody(told),
      });
      assert.deepEqual([status, code], [400, 'REQUEST_INVALID'], `${told.name}: ${detail}`);
      assert.equal(detail, `query: no such parameter: ${name}; allowed: ${allowed}`, told.name);
    }
  }
});

test('so does a route that is added later, and one for events', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 1);
  app.post('/v1/later', { schema: { hide: true } }, () => 'done');
  for (const [method, url] of [
    ['POST', '/v1/later?count=3'],
    ['GET', '/v1/events?count=3'],
    ['HEAD', '/v1/pools?count=3'],
  ] as const) {
    assert.equal((await app.inject({ method, url, headers: LOCAL })).statusCode, 400, url);
  }
  const later = await app.inject({ method: 'POST', url: '/v1/later', headers: LOCAL });
  assert.equal(later.body, 'done');
  const ignored = await app.inject({ method: 'POST', url: `${DISPENSE}?count=1`, headers: LOCAL });
  assert.equal(ignored.statusCode, 400);
  assert.equal((await app.inject({ url: '/v1/pools/pet', headers: LOCAL })).json().ready, 1);
});

test('a parameter of one value is not taken twice', async () => {
  const audit = operations.find(({ name }) => name === 'get /v1/audit')!;
  for (const [query, name] of [
    ['?limit=1&limit=2', 'limit'],
    ['?limit=1&limit=1', 'limit'],
    ['?pool=pet&pool=pet', 'pool'],
    ['?after=1&limit=5&after=1', 'after'],
  ]) {
    const { status, detail } = await send(audit, { query: query! });
    const expected = `query/${name}: is given more than once; allowed: once`;
    assert.deepEqual([status, detail], [400, expected], query);
  }
  const { status } = await send(audit, { query: '?after=0&limit=1000&since=2026-01-01T00:00:00Z' });
  assert.equal(status, 503, 'it goes on to the store');
});

test("pages, probes and the ancestor's routes pass over a query", async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 9);
  for (const path of [
    ...['/', '/docs', '/docs/static/swagger-ui.css', '/openapi.json'],
    ...['/healthz', '/readyz', '/metrics'],
    ...['/api/v1/pet/address', '/api/v1/pet/status', '/health', '/health/detailed', '/swagger-ui'],
  ]) {
    const reply = await app.inject({ url: `${path}?_=1&_=2&ts=3`, headers: LOCAL });
    assert.ok(reply.statusCode < 400, `${path}: ${reply.statusCode}`);
  }
});

const TYPES = [
  ...['application/json', 'text/plain', 'application/x-www-form-urlencoded'],
  ...[
    'application/octet-stream',
    'multipart/form-data',
    'text/plain; charset=utf-8',
    '*/*',
    ';',
    'json',
  ],
];

test('zero bytes are no body, whatever their type: a body that may be left out is', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 100);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const post = async (path: string, lines: string[], body = '') => {
    const head = [`POST ${path} HTTP/1.1`, 'host: localhost', 'connection: close', ...lines];
    const piece = Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
    const [reply] = repliesIn(await exchangeBytes({ port, pieces: [piece], ending: 'wait' }));
    return reply!;
  };
  try {
    for (const type of [undefined, ...TYPES]) {
      const line = type === undefined ? [] : [`content-type: ${type}`];
      const framings: [string[], string][] = [
        [['content-length: 0'], ''],
        [[], ''],
        [['transfer-encoding: chunked'], '0\r\n\r\n'],
      ];
      for (const [framing, body] of framings) {
        const { status, body: text } = await post(DISPENSE, [...line, ...framing], body);
        assert.equal(status, 200, `${type} ${framing}: ${text}`);
        assert.equal(JSON.parse(text).addresses.length, 1);
      }
    }
    const before = (await app.inject({ url: '/v1/pools/pet', headers: LOCAL })).json().ready;
    for (const type of TYPES.slice(1)) {
      const one = await post(DISPENSE, [`content-type: ${type}`, 'content-length: 1'], 'x');
      assert.equal(one.status, 415, type);
      assert.match(one.body, /application\/json/);
    }
    const unknown = await post('/v1/none', ['content-type: text/plain', 'content-length: 1'], 'x');
    assert.equal(unknown.status, 404, 'what is not there takes no type at all');
    const after = (await app.inject({ url: '/v1/pools/pet', headers: LOCAL })).json().ready;
    assert.equal(after, before);
  } finally {
    await app.close();
  }
});

test('a body that is needed is missing, not of a wrong type; null is none', async () => {
  let needed = 0;
  for (const told of strict.filter(({ method }) => method !== 'get')) {
    const isNeeded = told.operation.requestBody?.required === true;
    if (isNeeded) needed++;
    const json = { 'content-type': 'application/json' };
    for (const [headers, body] of [
      [{ 'content-type': 'text/plain' }, ''],
      [{}, undefined],
      [json, ''],
      [json, 'null'],
      [json, ' null\n'],
    ] as const) {
      const { status, code, detail } = await send(told, { headers, body });
      const where = `${told.name} ${JSON.stringify([headers, body])}: ${status} ${detail}`;
      if (isNeeded) {
        assert.deepEqual([status, code], [400, 'BODY_INVALID'], where);
        assert.match(detail, /^body: is missing; allowed: a JSON object with /, where);
      } else assert.ok(status === 503 || status === 404, where);
    }
  }
  assert.ok(needed >= 6, `only ${needed}`);
});

test('a body is not passed over where none is taken', async () => {
  const bodyless = strict.filter(
    ({ method, operation }) => method !== 'get' && operation.requestBody === undefined,
  );
  assert.ok(bodyless.length >= 6, `only ${bodyless.length}`);
  for (const told of bodyless) {
    const refused = await send(told, { body: { count: 3 } });
    assert.deepEqual([refused.status, refused.code], [400, 'BODY_INVALID'], told.name);
    assert.equal(refused.detail, 'body: no such key: count; allowed: none');
    const empty = await send(told, { body: {} });
    assert.ok(empty.status === 503 || empty.status === 404, `${told.name}: ${empty.status}`);
  }
});
