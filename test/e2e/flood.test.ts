/**
 * A stranger's flood of what is open to all, unread, at a real server: clients that read are
 * served, and the memory of the server stays bounded. Nothing is timed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const CONNECTIONS = 100;
/** Below what may wait on a connection, so that it is not this limit that helps. */
const ROW = 60;
const GROWTH_MAX = 300 * 2 ** 20;
const OPEN = [
  ...['/openapi.json', '/docs/json', '/docs', '/docs/static/swagger-ui-bundle.js'],
  ...['/', '/healthz', '/readyz', '/none'],
];

function residentBytes({ process }: Server): number {
  const status = readFileSync(`/proc/${process.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

test('a flood of unread documents stops nobody', { timeout: 300_000 }, async () => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 1000 }], '[http]', 'max_connections = 2000');
  const server = await workspace.serve();
  await server.until(({ available, leased }) => available + leased >= 500);
  const port = Number(new URL(server.url).port);
  const before = residentBytes(server);
  let most = 0;
  for (const path of OPEN) {
    const text = `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(ROW);
    const deaf: Socket[] = [];
    for (let number = 0; number < CONNECTIONS; number++) {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      deaf.push(socket.pause());
    }
    await Promise.all(deaf.map((socket) => once(socket, 'connect')));
    for (const socket of deaf) socket.write(text);
    for (let asked = 0; asked < 20; asked++) {
      assert.equal((await server.dispense()).length, 1, path);
      most = Math.max(most, residentBytes(server));
    }
    for (const socket of deaf) socket.destroy();
  }
  const grown = most - before;
  assert.ok(grown < GROWTH_MAX, `${Math.round(grown / 2 ** 20)} MiB more`);
});
