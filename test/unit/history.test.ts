/** The clock of these tests is a number. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { HistoryView } from '../../src/api/history.ts';
import { loadConfig } from '../../src/config/config.ts';
import { History, type Sample } from '../../src/pool/history.ts';
import { monotonicMs } from '../../src/pool/monotonic.ts';
import { Pool } from '../../src/pool/pool.ts';
import { shareAnew, sharePool } from '../../src/pool/shared-pool.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import { contentOf, documentOf, operationsOf, validatorOf } from '../support/documented.ts';
import { testApp } from '../support/http-app.ts';
import { assertProblem } from '../support/problems.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const LOCAL = { host: 'localhost' };

const sample = (dispensed: number): Sample => ({ stock: 5, ready: 3, dispensed, ground: 9 });
/** A different figure in each column, which says which sample it is. */
const marked = (mark: number): Sample => {
  return { stock: mark, ready: mark + 1, dispensed: mark + 2, ground: mark + 3 };
};

test('the last hour is kept every 15 s, the last day every 5 min, whenever it is written', () => {
  const history = new History();
  const beganMs = 123_456_789;
  const days = 3;
  for (let atMs = 0; atMs <= days * 24 * HOUR; atMs += SECOND) {
    history.write(marked(atMs / SECOND), beganMs + atMs);
  }
  const { hour, day } = history.read(beganMs + days * 24 * HOUR);
  const spans = [
    [hour, 15, HOUR / SECOND],
    [day, 300, (24 * HOUR) / SECOND],
  ] as const;
  for (const [columns, every, span] of spans) {
    const ages = Array.from({ length: span / every + 1 }, (_, index) => span - index * every);
    assert.deepEqual(columns.secondsAgo, ages);
    const marks = ages.map((age) => (days * 24 * HOUR) / SECOND - age);
    assert.deepEqual(columns.stock, marks);
    assert.deepEqual(
      columns.ready,
      marks.map((mark) => mark + 1),
    );
    assert.deepEqual(
      columns.dispensed,
      marks.map((mark) => mark + 2),
    );
    assert.deepEqual(
      columns.ground,
      marks.map((mark) => mark + 3),
    );
  }
});

test('it takes 16 kB at most, holds totals of any size, and is empty at first', () => {
  const history = new History();
  assert.ok(history.buffer.byteLength <= 16_384, `${history.buffer.byteLength}`);
  assert.deepEqual(history.read(0).hour.stock, []);
  assert.deepEqual(history.read(0).day.secondsAgo, []);
  const totals = { stock: 0, ready: 0, dispensed: 2 ** 53 - 1, ground: 2 ** 32 };
  history.write(totals, 1);
  const { hour, day } = new History(history.buffer).read(1);
  for (const { dispensed, ground } of [hour, day]) {
    assert.deepEqual([dispensed, ground], [[2 ** 53 - 1], [2 ** 32]]);
  }
});

test('a pool that gets another ready queue keeps its history', () => {
  const shared = sharePool(loadConfig({ cwd: '/' }).pools[0]!);
  new History(shared.history).write(sample(1), monotonicMs());
  const none = { refill: () => Promise.resolve(), prepare: () => {}, record: () => {} };
  const anew = new Pool(shareAnew(shared, 7), none);
  assert.deepEqual(anew.history().hour.dispensed, [1]);
});

test('a reader never sees half of what another thread writes', async () => {
  const history = new History();
  const rounds = 20_000;
  const module = new URL('../../src/pool/history.ts', import.meta.url).pathname;
  const worker = new Worker(
    `const { History } = require(${JSON.stringify(module)});
     const { workerData: { buffer, rounds } } = require('node:worker_threads');
     const history = new History(buffer);
     for (let mark = 1; mark <= rounds; mark++) {
       history.write({ stock: mark, ready: mark, dispensed: mark, ground: mark }, mark * 300_000);
     }`,
    { eval: true, workerData: { buffer: history.buffer, rounds } },
  );
  const ended = once(worker, 'exit');
  for (let last = 0; last < rounds; ) {
    const { hour, day } = history.read(0);
    assert.deepEqual(hour.ready, hour.stock);
    assert.deepEqual(hour.dispensed, hour.stock);
    assert.deepEqual(hour.ground, hour.stock);
    const first = hour.stock[0] ?? 1;
    assert.deepEqual(
      hour.stock,
      hour.stock.map((_, index) => first + index),
    );
    last = hour.stock.at(-1) ?? 0;
    assert.equal(day.stock.at(-1) ?? 0, last, 'both spans are of one moment');
  }
  await ended;
});

/** An application with two pools that have samples. */
async function twoPools() {
  const none = { refill: () => Promise.resolve(), prepare: () => {}, record: () => {} };
  const [config] = loadConfig({ cwd: '/' }).pools;
  const shares = ['pet', 'other'].map((name) => sharePool({ ...config!, name }));
  for (const [index, { history }] of shares.entries()) {
    new History(history).write(marked(100 * (index + 1)), monotonicMs() - 5 * SECOND);
  }
  const pools = new Map(shares.map((shared) => [shared.name, new Pool(shared, none)]));
  const made = await testApp(undefined, true, undefined, { pools });
  return { ...made, pools };
}

test('the history of all pools, or of one, is what the document says', async () => {
  const { app } = await twoPools();
  const document = await documentOf(app);
  const told = operationsOf(document).find(({ name }) => name === 'get /v1/history')!;
  const { schema } = contentOf(told.operation.responses[200]!)!;
  const ask = (query: string) => app.inject({ url: `/v1/history${query}`, headers: LOCAL });
  for (const [query, names] of [
    ['', ['pet', 'other']],
    ['?pool=other', ['other']],
  ] as const) {
    const reply = await ask(query);
    assert.equal(reply.statusCode, 200);
    assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(validatorOf(document)(schema, reply.json()), undefined);
    const { at, pools } = reply.json<HistoryView>();
    assert.equal(new Date(at).toISOString(), at);
    assert.deepEqual(
      pools.map(({ name }) => name),
      names,
    );
    const { hour, day } = pools.at(-1)!;
    assert.ok(hour.secondsAgo[0]! >= 5);
    assert.deepEqual(
      [hour.stock, hour.ready, day.dispensed, day.ground],
      [[200], [201], [202], [203]],
    );
  }
  assertProblem(await ask('?pool=none'), 'POOL_NOT_FOUND', /none/);
  assertProblem(await ask('?pools=pet'), 'REQUEST_INVALID', /pools/);
});

test('a token of some pools sees no others, and without the scope nothing', async () => {
  const { app, access } = await twoPools();
  const text = { bound: newToken(), dispenses: newToken(), unpooled: newToken() };
  const of = (
    id: number,
    name: keyof typeof text,
    scope: 'read' | 'dispense',
    pools?: string[],
  ) => {
    const limits = { pools, quota: undefined, expiresAt: undefined };
    return { id, name, hash: tokenHash(text[name]), scopes: [scope], ...limits };
  };
  const tokens = [
    of(1, 'bound', 'read', ['other']),
    of(2, 'dispenses', 'dispense'),
    of(3, 'unpooled', 'read', ['gone']),
  ];
  access.setTokens({ tokens, areAny: true });
  const ask = (name: keyof typeof text, query = '') => {
    const headers = { ...LOCAL, authorization: `Bearer ${text[name]}` };
    return app.inject({ url: `/v1/history${query}`, headers });
  };
  const names = (await ask('bound')).json<HistoryView>().pools.map(({ name }) => name);
  assert.deepEqual(names, ['other']);
  assertProblem(await ask('bound', '?pool=pet'), 'POOL_NOT_FOUND', /pet/);
  assertProblem(await ask('dispenses'), 'SCOPE_REQUIRED', /read/);
  assert.deepEqual((await ask('unpooled')).json<HistoryView>().pools, []);
  assertProblem(await app.inject({ url: '/v1/history', headers: LOCAL }), 'TOKEN_REQUIRED', /vp_/);
});

test('a client that does not read gets no second history on its connection', async (t) => {
  const { app } = await twoPools();
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => {
    socket.destroy();
    return app.close();
  });
  const request = 'GET /v1/history HTTP/1.1\r\nhost: localhost\r\n\r\n';
  socket.write(request.repeat(2));
  let received = '';
  for await (const piece of socket) received += piece;
  assert.deepEqual(received.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 503']);
  assert.match(received, /"code":"OVERLOADED"/);
});
