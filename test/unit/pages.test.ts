/** Documents over real connections: what a client that knows them, or does not read them, gets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { OPEN_MAX } from '../../src/http/admission.ts';
import { fillPool, testApp } from '../support/http-app.ts';
import { repliesIn } from '../support/raw-connection.ts';

const LIMIT = { timeout: 300_000 };
const LOCAL = { host: 'localhost' };
const SCRIPT = '/docs/static/swagger-ui-bundle.js';

const request = (line: string) => `${line} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

/** A server with addresses, and a client of it that reads when asked. */
async function listening(t: TestContext) {
  const { app, shared } = await testApp();
  fillPool(shared, 10);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    return app.close();
  });
  const { port } = app.server.address() as AddressInfo;
  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket.pause();
  };
  return { app, open };
}

/** All that comes until the server closes. */
async function rest(socket: Socket): Promise<Buffer> {
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk)).resume();
  await once(socket, 'close');
  return Buffer.concat(received);
}

test('a document is identified by its ETag, and not sent to a client that has it', async () => {
  const { app } = await testApp();
  const dashboard = ['/', '/dashboard/main.js', '/dashboard/page.css'];
  for (const path of ['/openapi.json', '/docs/json', '/docs', '/docs/', SCRIPT, ...dashboard]) {
    const ask = (method: 'GET' | 'HEAD', known?: string) =>
      app.inject({
        method,
        url: path,
        headers: { ...LOCAL, ...(known && { 'if-none-match': known }) },
      });
    const whole = await ask('GET');
    const etag = String(whole.headers.etag);
    assert.equal(whole.statusCode, 200);
    assert.match(etag, /^"[\w-]{22}"$/);
    assert.equal(whole.headers['content-length'], String(whole.rawPayload.length));
    assert.equal(whole.headers['cache-control'], 'no-cache');
    const head = await ask('HEAD');
    assert.deepEqual([head.statusCode, head.rawPayload.length], [200, 0]);
    assert.equal(head.headers['content-length'], whole.headers['content-length']);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const none = await ask('GET', known);
      assert.deepEqual([none.statusCode, none.body, none.headers.etag], [304, '', etag], known);
    }
    assert.equal((await ask('GET', '"other"')).statusCode, 200);
  }
  const [one, other] = await Promise.all(
    ['/openapi.json', '/docs/json'].map((url) => app.inject({ url, headers: LOCAL })),
  );
  assert.equal(one!.body, other!.body);
});

test('a document that is not read takes a piece of memory, and comes whole', LIMIT, async (t) => {
  const { app, open } = await listening(t);
  const sizes: number[] = [];
  app.server.on('request', ({ socket }, reply) => {
    const look = () => sizes.push(app.inFlight.connection(socket)?.unread ?? 0);
    reply.on('pipe', () => setImmediate(look)).on('drain', look);
  });
  const client = await open();
  client.write(request(`GET ${SCRIPT}`).repeat(2));
  const replies = repliesIn(await rest(client));
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 503],
  );
  assert.ok(sizes.length > 0 && Math.max(...sizes) < 256 * 1024, `${sizes}`);
  assert.equal(replies[0]!.headers['content-length'], String(Buffer.byteLength(replies[0]!.body)));
  assert.match(replies[1]!.body, /OVERLOADED.*the document before this one is not read/);
});

test('behind the reply that ends a connection nothing is handed out', LIMIT, async (t) => {
  const { app, open } = await listening(t);
  const client = await open();
  const dispense = request('POST /v1/pools/pet/dispense');
  client.write(request(`GET ${SCRIPT}`).repeat(2) + dispense.repeat(3));
  const replies = repliesIn(await rest(client));
  assert.deepEqual(
    replies.map(({ status, headers }) => [status, headers.connection]),
    [
      [200, 'keep-alive'],
      [503, 'close'],
    ],
  );
  const pool = await app.inject({ url: '/v1/pools/pet', headers: LOCAL });
  assert.equal(pool.json().ready, 10);
});

test('documents follow each other on a connection whose client reads them', LIMIT, async (t) => {
  const { open } = await listening(t);
  const client = await open();
  client.setEncoding('latin1').resume();
  let text = '';
  client.on('data', (chunk) => {
    text += chunk;
  });
  for (let count = 1; count <= 20; count++) {
    client.write(request('GET /openapi.json'));
    // Its end is where the next one may be asked for.
    const isWhole = () => {
      const last = text.lastIndexOf('HTTP/1.1 ');
      const length = Number(/content-length: (\d+)/.exec(text.slice(last))?.[1]);
      return text.length === text.indexOf('\r\n\r\n', last) + 4 + length;
    };
    while (!isWhole() || text.split('HTTP/1.1 200').length !== count + 1)
      await once(client, 'data');
  }
  assert.doesNotMatch(text, /HTTP\/1\.1 503/);
});

test('open routes have a limit for each address, and probes none', async () => {
  const { app } = await testApp();
  const ask = (url: string, remoteAddress = '127.0.0.1') =>
    app.inject({ url, headers: LOCAL, remoteAddress });
  const statuses = new Set<number>();
  // Two windows follow each other at most while these are asked for, or three if it takes long.
  for (let asked = 0; asked <= OPEN_MAX * 20 && !statuses.has(429); asked++) {
    statuses.add((await ask('/docs/')).statusCode);
  }
  assert.deepEqual([...statuses].sort(), [200, 429]);
  const refused = await ask('/docs');
  if (refused.statusCode === 429) assert.equal(refused.headers['retry-after'], '1');
  assert.equal((await ask('/docs', '127.0.0.2')).statusCode, 200);
  for (const probe of ['/healthz', '/health', '/none']) {
    for (let asked = 0; asked <= OPEN_MAX * 2; asked++) {
      assert.notEqual((await ask(probe)).statusCode, 429, probe);
    }
  }
});
