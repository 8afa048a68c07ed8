/** A client that does not read what it asked for, at a real server whose own times pass for real. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EASY_POOL, Workspace } from '../support/server.ts';

/** 1.4 MB: fifty are more than the system keeps for a connection. */
const PAGE = 'GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n';

test('whoever does not read is cut, and his place is free again', { timeout: 90_000 }, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL], '[http]', 'max_connections = 1');
  const server = await workspace.serve();
  const deaf = connect(Number(new URL(server.url).port), '127.0.0.1');
  await once(deaf, 'connect');
  deaf.on('error', () => undefined).pause();
  deaf.write(PAGE.repeat(50));
  const look = () =>
    fetch(new URL('/healthz', server.url), { headers: { connection: 'close' } }).then(
      ({ status }) => status,
    );
  assert.equal(await look(), 503, 'the one place is taken');
  while ((await look()) === 503) await sleep(100);
  assert.equal(await look(), 200);
  deaf.destroy();
});
