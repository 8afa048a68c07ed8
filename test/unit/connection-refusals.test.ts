/** By bytes on real connections. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { AppDeps } from '../../src/http/app-deps.ts';
import { fillPool, testApp } from '../support/http-app.ts';
import { exchangeBytes, repliesIn } from '../support/raw-connection.ts';

const HOST = 'host: localhost\r\n';
const GET = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;
const POST = `POST /v1/pools/pet/dispense HTTP/1.1\r\n${HOST}`;
const CONNECT = 'CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n';

async function listening(t: TestContext, more: Partial<AppDeps> = {}) {
  const made = await testApp(undefined, undefined, undefined, more);
  fillPool(made.shared, 10);
  await made.app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => made.app.close());
  const { port } = made.app.server.address() as AddressInfo;
  const send = async (...pieces: string[]) =>
    repliesIn(await exchangeBytes({ port, pieces: pieces.map(Buffer.from), ending: 'wait' }));
  return { ...made, port, send };
}

/** A dispense that is answered when the test says so. */
function held() {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const dispense: AppDeps['dispense'] = async (pool, count) => {
    asked.resolve();
    await gate.promise;
    return pool.dispense(count);
  };
  return { asked, gate, dispense };
}

test('what is refused below the routes is dated, reported as others are, and counted', async (t) => {
  const { tallies, send } = await listening(t);
  const before = Date.now();
  for (const [text, code, detail] of [
    ['no request\r\n\r\n', 'REQUEST_INVALID', /HTTP\/1\.1/],
    [
      GET.replace('\r\n\r\n', `\r\n${'a: b\r\n'.repeat(1000)}\r\n`),
      'HEADERS_TOO_LARGE',
      / 1000 lines/,
    ],
    [
      GET.replace('\r\n\r\n', `\r\na: ${'b'.repeat(17_000)}\r\n\r\n`),
      'HEADERS_TOO_LARGE',
      /16384 bytes/,
    ],
    [CONNECT, 'METHOD_NOT_ALLOWED', /no proxy/],
  ] as const) {
    const counted = tallies.errors[code];
    const [reply, ...more] = await send(text);
    assert.deepEqual(more, []);
    const { headers, body } = reply!;
    assert.equal(JSON.parse(body).code, code);
    assert.equal(JSON.parse(body).status, reply!.status);
    assert.match(JSON.parse(body).detail, detail);
    assert.equal(headers.connection, 'close');
    assert.equal(headers['cache-control'], 'no-store');
    const date = Date.parse(String(headers.date));
    assert.ok(date >= before - 1000 && date <= Date.now(), String(headers.date));
    assert.equal(tallies.errors[code], counted + 1, code);
  }
});

test('1000 header lines are served', async (t) => {
  const { send } = await listening(t);
  const lines = `connection: close\r\n${'a: b\r\n'.repeat(998)}`;
  const [reply] = await send(GET.replace('\r\n\r\n', `\r\n${lines}\r\n`));
  assert.equal(reply!.status, 200);
});

test('a request that does not arrive is counted when it is refused', async (t) => {
  const { app, tallies, port } = await listening(t);
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const come = once(app.server, 'connection');
  socket.write('GET /heal');
  const [near] = (await come) as [Socket];
  // As Node.js reports it after 10 s.
  const error = Object.assign(new Error(), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  app.server.emit('clientError', error, near);
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  assert.match(`${chunk}`, /^HTTP\/1\.1 408 .*\r\ndate: /s);
  assert.equal(tallies.errors.REQUEST_TIMEOUT, 1);
});

test('a client that was refused and does not close its side is closed', async (t) => {
  const { app, port } = await listening(t);
  for (const text of ['no request\r\n\r\n', CONNECT]) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume();
    t.after(() => socket.destroy());
    const [near] = (await once(app.server, 'connection')) as [Socket];
    const closed = once(near, 'close');
    socket.write(text);
    await closed;
    socket.destroy();
  }
});

test('CONNECT is the last that is answered, after what came before it', async (t) => {
  const { gate, asked, dispense } = held();
  const { send, tallies } = await listening(t, { dispense });
  const all = send(`${POST}\r\n${CONNECT}${GET}`);
  await asked.promise;
  gate.resolve();
  const replies = await all;
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 405],
  );
  assert.equal(JSON.parse(replies[0]!.body).addresses.length, 1);
  assert.equal(replies[1]!.headers.allow, '');
  assert.equal(tallies.errors.METHOD_NOT_ALLOWED, 1);
});

test('a request that is called the last gets its reply whatever follows, and is the last', async (t) => {
  for (const more of [GET, 'no request\r\n\r\n', CONNECT, POST]) {
    const { gate, asked, dispense } = held();
    const { send, tallies, app } = await listening(t, { dispense });
    const all = send(`${POST}connection: close\r\n\r\n${more}`);
    await asked.promise;
    gate.resolve();
    const replies = await all;
    assert.deepEqual(
      replies.map(({ status }) => status),
      [200],
      more,
    );
    assert.equal(JSON.parse(replies[0]!.body).addresses.length, 1);
    assert.equal(tallies.errors.REQUEST_INVALID, 0);
    const left = await app.inject({ url: '/v1/pools/pet', headers: { host: 'localhost' } });
    assert.equal(left.json().ready, 9);
  }
});

test('behind a reply that is the last of its connection comes no refusal', async (t) => {
  const { app, send, tallies } = await listening(t);
  app.server.on('request', ({ socket }, reply) => {
    // It is given, and not written yet.
    reply.once('prefinish', () => app.server.emit('clientError', new Error('no request'), socket));
  });
  const replies = await send('GET /healthz HTTP/1.1\r\n\r\n');
  assert.deepEqual(
    replies.map(({ status }) => status),
    [400],
  );
  assert.equal(tallies.errors.REQUEST_INVALID, 1);
});
