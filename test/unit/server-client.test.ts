/** What commands get from a server, and the errors they get instead. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { StatusEvent } from '../../src/api/service.ts';
import { mayBeDone, ServerClient } from '../../src/cli/server-client.ts';
import { VanityError } from '../../src/errors.ts';
import { fillPool, testApp } from '../support/http-app.ts';
import { stranger, unreachable } from '../support/strangers.ts';

for (const place of ['a port', 'a Unix socket']) {
  test(`asks a real server on ${place}`, async (t) => {
    const { app, shared } = await testApp();
    t.after(() => app.close());
    const [address] = fillPool(shared, 3);
    let url: string;
    if (place === 'a port') url = await app.listen({ host: '127.0.0.1', port: 0 });
    else {
      const directory = mkdtempSync(join(tmpdir(), 'vanitypool-'));
      t.after(() => rmSync(directory, { recursive: true }));
      url = `unix:${join(directory, 'api.sock')}`;
      await app.listen({ path: url.slice('unix:'.length) });
    }
    const client = new ServerClient(url);
    assert.equal((await client.ask((one) => one.health())).status, 'ok');
    const one = await client.ask((one) => one.dispense('pet'));
    assert.equal(one[0]?.address, address?.address);
    const two = await client.ask((one) => one.dispense('pet', { count: 2 }));
    assert.equal(two.length, 2);
  });
}

test('a problem of the server is the error that it was there', async (t) => {
  const { app } = await testApp();
  t.after(() => app.close());
  const client = new ServerClient(await app.listen({ host: '127.0.0.1', port: 0 }));
  await assert.rejects(
    client.ask((one) => one.dispense('pett')),
    {
      code: 'POOL_NOT_FOUND',
      message: 'pool pett: no such pool',
    },
  );
  await assert.rejects(
    client.ask((one) => one.dispense('pet')),
    (error) => {
      assert.ok(error instanceof VanityError);
      assert.equal(error.code, 'POOL_EMPTY');
      assert.ok(error.retryAfterSeconds! >= 1, 'with the seconds of Retry-After');
      return true;
    },
  );
  await assert.rejects(
    client.ask((one) => one.ready()),
    { code: 'POOL_EMPTY' },
  );
});

test('a code that this version does not know is shown all the same', async (t) => {
  const url = await stranger(t, (_, reply) => {
    reply.writeHead(429).end('{"code":"OF_TOMORROW","detail":"token ci: 5 a day"}');
  });
  await assert.rejects(
    new ServerClient(url).ask((one) => one.pools()),
    {
      code: 'INTERNAL',
      message: 'OF_TOMORROW: token ci: 5 a day',
    },
  );
});

test('a token may end with a line feed; what is none is refused before anything is sent', async (t) => {
  const tokens: unknown[] = [];
  const url = await stranger(t, ({ headers }, reply) => {
    tokens.push(headers.authorization);
    reply.end('{"status":"ok","version":"1"}');
  });
  t.after(() => delete process.env.VANITYPOOL_TOKEN);
  for (const [given, sent] of [
    ['vp_x\n', 'Bearer vp_x'],
    [' vp_x\r\n', 'Bearer vp_x'],
    ['\uFEFFvp_x', 'Bearer vp_x'],
    ['', undefined],
    ['\n', undefined],
  ]) {
    process.env.VANITYPOOL_TOKEN = given;
    await new ServerClient(url).ask((one) => one.health());
    assert.equal(tokens.pop(), sent, JSON.stringify(given));
  }
  for (const given of ['vp_x vp_y', 'vp_\nx', 'vp_ü']) {
    process.env.VANITYPOOL_TOKEN = given;
    assert.throws(() => new ServerClient(url), {
      code: 'USAGE_INVALID',
      message: 'VANITYPOOL_TOKEN: allowed: one token, printable ASCII without spaces',
    });
  }
  assert.deepEqual(tokens, []);
});

test('another program there is distinguished from a server', async (t) => {
  const pages: [number, string][] = [
    [200, '<html>hello</html>'],
    [200, ''],
    [200, '{"hello":"world"}'],
    [200, '[]'],
    [200, '7'],
    [404, '<html>not found</html>'],
    [404, '{"error":"not found"}'],
    [500, 'null'],
    [400, '[]'],
  ];
  for (const [status, page] of pages) {
    const url = await stranger(t, (_, reply) => void reply.writeHead(status).end(page));
    await assert.rejects(
      new ServerClient(url).ask((one) => one.health()),
      unreachable(url, /what answers is not vanitypool/),
      page,
    );
  }
});

test('a connection that breaks off is an error, and nothing is sent twice', async (t) => {
  let requests = 0;
  const url = await stranger(t, (_, reply) => {
    requests++;
    reply.writeHead(200, { 'content-length': '100' });
    reply.write('{"addresses":[');
    setImmediate(() => reply.destroy());
  });
  await assert.rejects(
    new ServerClient(url).ask((one) => one.dispense('pet')),
    unreachable(url, /no whole reply \(ECONNRESET\); what was asked for may have been done$/),
  );
  assert.equal(requests, 1);
});

test('follows the status of a real server until it is stopped', async (t) => {
  const { app, shared } = await testApp();
  t.after(() => app.close());
  fillPool(shared, 3);
  const client = new ServerClient(await app.listen({ host: '127.0.0.1', port: 0 }));
  const controller = new AbortController();
  const seen: StatusEvent[] = [];
  const following = async (): Promise<void> => {
    for await (const status of client.follow(controller.signal)) {
      seen.push(status);
      if (seen.length === 2) controller.abort();
    }
  };
  await assert.rejects(following, { name: 'AbortError' });
  assert.equal(seen.length, 2);
  const [first, second] = seen;
  assert.ok(second!.uptimeMs > first!.uptimeMs);
  assert.equal(new Date(first!.at).toISOString(), first!.at);
  assert.equal(first!.pools[0]!.ready, 3);
  assert.equal(first!.readiness.status, 'ready');
});

test('a stream that is none, breaks off or is refused says so', async (t) => {
  const { signal } = new AbortController();
  const follow = async (url: string): Promise<number> => {
    let count = 0;
    for await (const _ of new ServerClient(url).follow(signal)) count++;
    return count;
  };
  const page = await stranger(t, (_, reply) => void reply.end('{"hello":1}'));
  await assert.rejects(follow(page), unreachable(page, /not vanitypool/));
  const event = 'id: 1\nevent: status\ndata: {}\n\n';
  const broken = await stranger(t, (_, reply) => {
    reply.writeHead(200, { 'content-type': 'text/event-stream' });
    reply.write(event, () => reply.destroy());
  });
  await assert.rejects(follow(broken), unreachable(broken, /the stream broke off \(ECONNRESET\)$/));
  const ended = await stranger(t, (_, reply) => {
    reply.writeHead(200, { 'content-type': 'text/event-stream' }).end(event);
  });
  assert.equal(await follow(ended), 1);
  const { app, access } = await testApp();
  t.after(() => app.close());
  access.setTokens({ tokens: [], areAny: true });
  const closed = await app.listen({ host: '127.0.0.1', port: 0 });
  await assert.rejects(follow(closed), { code: 'TOKEN_REQUIRED' });
});

/** Ends the time limit of a request when a connection is there. */
function afterConnection(t: TestContext, ms: number): RequestListener {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return () => t.mock.timers.tick(ms);
}

test('a server that says nothing is waited for, for a time', async (t) => {
  const url = await stranger(t, afterConnection(t, 30_000));
  const lost = /: no whole reply \(ABORT_ERR\); what was asked for may have been done$/;
  const asked = new ServerClient(url).ask((one) => one.dispense('pet'));
  await assert.rejects(asked, (error) => mayBeDone(error) && unreachable(url, lost)(error));
});

test('a silent stream and a silent backup say how long nothing came', async (t) => {
  const { signal } = new AbortController();
  const streams = await stranger(t, afterConnection(t, 10_000));
  await assert.rejects(
    Array.fromAsync(new ServerClient(streams).follow(signal)),
    unreachable(streams, /: the stream broke off \(nothing came in 10000 ms\)$/),
  );
  t.mock.timers.reset();
  const backups = await stranger(t, afterConnection(t, 600_000));
  await assert.rejects(
    Array.fromAsync(new ServerClient(backups).backup({ signal })),
    unreachable(backups, /: no reply \(nothing came in 600000 ms\)$/),
  );
});

test('a backup gives its size first, and says that it broke off', async (t) => {
  const headers = { 'content-type': 'application/octet-stream', 'content-length': '9' };
  const url = await stranger(t, (_, reply) => {
    reply.writeHead(200, headers);
    reply.write('half', () => reply.destroy());
  });
  const told: unknown[] = [];
  const receive = async (): Promise<void> => {
    const onSize = (bytes: number) => told.push(bytes);
    for await (const piece of new ServerClient(url).backup({ onSize })) told.push(piece.length);
  };
  await assert.rejects(receive, unreachable(url, /: the file broke off \(aborted\)$/));
  assert.deepEqual(told, [9, 4]);
});
