/** Over the real application, by real connections where they are what is counted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Access } from '../../src/http/access.ts';
import { BEHIND_MAX, FAILURES_MAX } from '../../src/http/admission.ts';
import type { AppDeps } from '../../src/http/app-deps.ts';
import { type KnownToken, newToken, tokenHash } from '../../src/token.ts';
import { keptLog } from '../support/grinding.ts';
import { fillPool, testApp } from '../support/http-app.ts';

const LIMIT = { timeout: 300_000 };
const GET = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';
const PATH = '/v1/pools/pet';

function known(id: number): { text: string; token: KnownToken } {
  const text = newToken();
  const any = { pools: undefined, quota: undefined, expiresAt: undefined };
  const hash = tokenHash(text);
  return { text, token: { id, name: `t${id}`, hash, scopes: ['read', 'dispense'], ...any } };
}

/** An application that asks for tokens, and two that it knows. */
async function guarded(t: TestContext, more: Partial<AppDeps> = {}) {
  const tokens = [known(1), known(2)] as const;
  const access = new Access(true);
  access.setTokens({ tokens: tokens.map(({ token }) => token), areAny: true });
  const { log, lines } = keptLog();
  const made = await testApp(undefined, undefined, undefined, { access, log, ...more });
  t.after(() => made.app.close());
  const ask = (bearer: string | undefined, from = '192.0.2.1', headers = {}, url = PATH) =>
    made.app.inject({
      url,
      remoteAddress: from,
      headers: { ...headers, ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }) },
    });
  return { ...made, ask, lines, first: tokens[0].text, second: tokens[1].text };
}

/** An application of this machine that listens; connections to it. */
async function listening(t: TestContext, more: Partial<AppDeps> = {}) {
  const made = await testApp(undefined, undefined, undefined, more);
  await made.app.listen({ host: '127.0.0.1', port: 0 });
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    return made.app.close();
  });
  const open = async (): Promise<Socket> => {
    const { port } = made.app.server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  return { ...made, open };
}

/** All that comes on the connection until the server closes it. */
async function toTheEnd(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

test('a token has so many requests a second, and another its own', LIMIT, async (t) => {
  const limits = { requestsPerSecond: 3, connections: 10 };
  const { ask, first, second } = await guarded(t, { limits });
  let reply = await ask(first);
  let served = 0;
  // More than one window may pass on a slow machine.
  for (; reply.statusCode === 200; served++) reply = await ask(first);
  assert.ok(served >= 3);
  assert.equal(reply.statusCode, 429);
  assert.equal(reply.json().code, 'RATE_LIMITED');
  assert.match(reply.json().detail, /of one token$/);
  assert.equal(reply.headers['retry-after'], '1');
  assert.equal((await ask(second)).statusCode, 200);
});

test('open routes are counted by address, an IPv6 network as one', LIMIT, async (t) => {
  const limits = { requestsPerSecond: 2, connections: 10 };
  const { ask } = await guarded(t, { limits });
  const look = (from: string) => ask(undefined, from, {}, '/healthz');
  // The window may pass in between: then once more.
  do while ((await look('2001:db8::1')).statusCode === 200);
  while ((await look('2001:db8::2')).statusCode === 200);
  assert.equal((await look('2001:db8:0:1::1')).statusCode, 200);
  assert.equal((await look('192.0.2.1')).statusCode, 200);
});

test('without http.rate_limit nobody is limited', LIMIT, async (t) => {
  const { ask, first } = await guarded(t);
  for (let times = 0; times < 2000; times++) assert.equal((await ask(first)).statusCode, 200);
});

test('wrong tokens and none have to wait, right ones from there are served', LIMIT, async (t) => {
  const { ask, first, lines } = await guarded(t);
  for (let times = 0; times < FAILURES_MAX; times++) {
    assert.equal((await ask(times % 2 === 0 ? undefined : newToken())).statusCode, 401);
  }
  assert.deepEqual(lines, []);
  for (const bearer of [undefined, newToken(), 'x']) {
    const reply = await ask(bearer);
    assert.equal(reply.json().code, 'RATE_LIMITED');
    const seconds = Number(reply.headers['retry-after']);
    assert.ok(seconds >= 1 && seconds <= 60);
  }
  assert.equal((await ask(first)).statusCode, 200);
  assert.equal((await ask(undefined, '192.0.2.2')).statusCode, 401);
  const open = await ask(newToken(), '192.0.2.1', {}, '/healthz');
  assert.equal(open.statusCode, 429, 'an open route is no way to try tokens');
  assert.deepEqual(
    lines.map(({ level, msg, address }) => [level, msg, address]),
    [['warn', 'too many requests without a valid token from one address', '192.0.2.1']],
  );
});

test(
  'behind a proxy the client is whom the proxy names, and nobody that he names',
  LIMIT,
  async (t) => {
    const fail = async (trustProxy: AppDeps['trustProxy'], from: string, forwarded: string) => {
      const { ask, lines } = await guarded(t, { trustProxy });
      const headers = { 'x-forwarded-for': forwarded };
      for (let times = 0; times <= FAILURES_MAX; times++) await ask(undefined, from, headers);
      return lines[0]!.address;
    };
    assert.equal(await fail(false, '10.0.0.7', '192.0.2.9'), '10.0.0.7');
    assert.equal(await fail(true, '10.0.0.7', '192.0.2.9'), '192.0.2.9');
    assert.equal(await fail(true, '10.0.0.7', 'forged, 192.0.2.9'), '192.0.2.9');
    assert.equal(await fail(true, '10.0.0.7', `${'x'.repeat(5000)}`), 'unknown');
    assert.equal(await fail('10.0.0.7', '10.0.0.7', '192.0.2.9'), '192.0.2.9');
    assert.equal(await fail('10.0.0.0/8', '10.0.0.7', '192.0.2.9, 10.1.2.3'), '192.0.2.9');
    assert.equal(await fail('10.0.0.7', '192.0.2.1', '192.0.2.9'), '192.0.2.1');
  },
);

test('a request through a proxy is served with a token', LIMIT, async (t) => {
  const { ask, first } = await guarded(t, { trustProxy: true });
  const headers = { 'x-forwarded-for': '192.0.2.9', via: '1.1 proxy', host: 'pool.example' };
  assert.equal((await ask(first, '127.0.0.1', headers)).statusCode, 200);
  assert.equal((await ask(undefined, '127.0.0.1', headers)).statusCode, 401);
});

test(
  'surplus connections get a 503 and are closed; places that get free are taken',
  LIMIT,
  async (t) => {
    const limits = { requestsPerSecond: 0, connections: 2 };
    const { app, open } = await listening(t, { limits });
    assert.equal(app.server.maxConnections, 2 + 256);
    const [first] = [await open(), await open()];
    const surplus = await open();
    surplus.write(GET);
    const refused = await toTheEnd(surplus);
    assert.match(refused, /^HTTP\/1\.1 503 /);
    assert.match(refused, /^retry-after: 1\r$/im);
    assert.match(refused, /^connection: close\r$/im);
    assert.match(refused, /"code":"OVERLOADED","detail":"connections: /);
    const left = once(first, 'close');
    first.end();
    await left;
    for (;;) {
      const next = await open();
      next.write(GET.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'));
      if ((await toTheEnd(next)).startsWith('HTTP/1.1 200 ')) break;
    }
  },
);

test(
  'a client that keeps sending and does not read is refused when 64 replies wait',
  LIMIT,
  async (t) => {
    const gate = Promise.withResolvers<void>();
    const made = await listening(t, {
      dispense: async (pool, count) => {
        await gate.promise;
        return pool.dispense(count);
      },
    });
    fillPool(made.shared, 100);
    const socket = await made.open();
    const post = 'POST /v1/pools/pet/dispense HTTP/1.1\r\nhost: localhost\r\n\r\n';
    let asked = 0;
    const all = new Promise<void>((resolve) => {
      made.app.server.on('request', () => {
        if (++asked === BEHIND_MAX + 1) resolve();
      });
    });
    socket.write(post.repeat(BEHIND_MAX + 1));
    await all;
    gate.resolve();
    const replies = (await toTheEnd(socket)).split(/(?=HTTP\/1\.1 )/);
    assert.equal(replies.length, BEHIND_MAX + 1);
    for (const reply of replies.slice(0, -1)) assert.match(reply, /^HTTP\/1\.1 200 /);
    assert.match(replies.at(-1)!, /^HTTP\/1\.1 503 .*"OVERLOADED","detail":"connection: 64 /s);
    assert.equal(
      (await made.app.inject({ url: PATH, headers: { host: 'localhost' } })).json().ready,
      36,
    );
  },
);
