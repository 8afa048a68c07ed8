/** How a server is reached, through the client of the commands, over real sockets. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { mayBeDone, ServerClient } from '../../src/cli/server-client.ts';
import { isNobodyThere } from '../../src/cli/server-fetch.ts';
import { stranger, unreachable } from '../support/strangers.ts';

async function unusedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a server that is slow is waited for', { timeout: 300_000 }, async (t) => {
  // Node.js says after 5 s that nothing came.
  const url = await stranger(t, (_, reply) => {
    setTimeout(() => reply.end('{"status":"ok","version":"1"}'), 5500);
  });
  const { status } = await new ServerClient(url).ask((one) => one.health());
  assert.equal(status, 'ok');
});

test('nobody there: the error names the URL and the command that starts a server', async () => {
  const url = `http://127.0.0.1:${await unusedPort()}`;
  await assert.rejects(
    new ServerClient(url).ask((one) => one.health()),
    unreachable(url, /no server answers \(ECONNREFUSED\); start one with: vanitypool serve$/),
  );
  const socket = 'unix:/nonexistent/api.sock';
  await assert.rejects(
    new ServerClient(socket).ask((one) => one.health()),
    unreachable(socket, /no server answers \(ENOENT\)/),
  );
});

test('a name of several addresses: nobody at any of them is nobody there', async () => {
  const url = `http://localhost:${await unusedPort()}`;
  const asked = new ServerClient(url).ask((one) => one.health());
  await assert.rejects(asked, (error) => {
    assert.ok(isNobodyThere(error));
    return unreachable(url, /no server answers \(ECONNREFUSED\)/)(error);
  });
});

test('what fails before the connection is there was not sent, and it says so', async (t) => {
  const closing = createTcpServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => closing.listen(0, '127.0.0.1', resolve));
  t.after(() => closing.close());
  const { port } = closing.address() as AddressInfo;
  const outcome = (url: string) =>
    new ServerClient(url)
      .ask((one) => one.dispense('pet'))
      .then(
        () => assert.fail('answered'),
        (error: Error) => error,
      );
  // The handshake of TLS breaks off; without TLS the request may have been read.
  const before = await outcome(`https://127.0.0.1:${port}`);
  assert.match(before.message, /: nothing was sent \(ECONNRESET\)$/);
  assert.equal(mayBeDone(before), false);
  const after = await outcome(`http://127.0.0.1:${port}`);
  assert.match(after.message, /: no whole reply \(.*\); what was asked for may have been done$/);
  assert.equal(mayBeDone(after), true);
});

test('the URL may end in a slash; what is none is refused with what is allowed', () => {
  assert.equal(new ServerClient('http://localhost:5057/').url, 'http://localhost:5057/');
  assert.equal(new ServerClient('http://[::1]:5057').url, 'http://[::1]:5057');
  for (const url of [
    '',
    'localhost:5057',
    '127.0.0.1:5057',
    'ftp://localhost',
    'http://',
    'unix:',
    // What would be left out of every request.
    'http://localhost:5057/behind/a/path',
    'http://localhost:5057/?pool=pet',
    'http://localhost:5057/#pet',
  ]) {
    assert.throws(() => new ServerClient(url), {
      code: 'USAGE_INVALID',
      message: `--url: ${JSON.stringify(url)} is not allowed; allowed: http://HOST:PORT, https://HOST:PORT or unix:PATH`,
    });
  }
  for (const user of ['anna:secret', 'anna', ':secret']) {
    assert.throws(() => new ServerClient(`http://${user}@localhost:5057`), {
      code: 'USAGE_INVALID',
      message:
        '--url: a user or password in it is not allowed; allowed: http://HOST:PORT, https://HOST:PORT or unix:PATH',
    });
  }
});

test('a server without TLS is distinguished from one whose certificate is not trusted', async (t) => {
  const url = (await stranger(t, (_, reply) => void reply.end('{}'))).replace('http:', 'https:');
  await assert.rejects(
    new ServerClient(url).ask((one) => one.health()),
    unreachable(url, /: no TLS there \(/),
  );
});

test('one that does not even greet has seen nothing', async (t) => {
  const silent = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    t.mock.timers.tick(30_000);
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => silent.close());
  const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asked = new ServerClient(url).ask((one) => one.dispense('pet'));
  await assert.rejects(asked, (error) => {
    assert.equal(mayBeDone(error), false);
    return unreachable(url, /: nothing was sent \(ABORT_ERR\)$/)(error);
  });
});

test('requests share a connection, and nothing gathers on it', async (t) => {
  const sockets = new Set<unknown>();
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const url = await stranger(t, ({ socket }, reply) => {
    sockets.add(socket);
    reply.end('{"status":"ok","version":"1"}');
  });
  const client = new ServerClient(url);
  for (let times = 0; times < 30; times++) await client.ask((one) => one.health());
  assert.equal(sockets.size, 1);
  assert.deepEqual(warnings, []);
});
