/** A client that does not read what it asked for, at a real server whose own times pass for real. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EASY_POOL, Workspace } from '../support/server.ts';

/** The same reply again and again, of 330 kB: fifty are more than the system keeps for a connection. */
const BODY = JSON.stringify({ count: 1000 });
const HEADERS = { 'idempotency-key': 'unread', 'content-type': 'application/json' };
const AGAIN = [
  'POST /v1/pools/pet/dispense HTTP/1.1',
  ...['host: localhost', `content-length: ${BODY.length}`],
  ...Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}`),
  ...['', BODY],
].join('\r\n');

test('whoever does not read is cut, and his place is free again', { timeout: 90_000 }, async () => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 1500 }], '[http]', 'max_connections = 1');
  const server = await workspace.serve();
  // A connection is one place, also that of the test.
  const last = { ...HEADERS, connection: 'close' };
  const url = new URL('/v1/pools/pet/dispense', server.url);
  const take = () => fetch(url, { method: 'POST', headers: last, body: BODY });
  while ((await take()).status !== 200) await sleep(100);
  const deaf = connect(Number(new URL(server.url).port), '127.0.0.1');
  await once(deaf, 'connect');
  deaf.on('error', () => undefined).pause();
  deaf.write(AGAIN.repeat(50));
  const look = () =>
    fetch(new URL('/healthz', server.url), { headers: { connection: 'close' } }).then(
      ({ status }) => status,
    );
  assert.equal(await look(), 503, 'the one place is taken');
  while ((await look()) === 503) await sleep(100);
  assert.equal(await look(), 200);
  deaf.destroy();
});
