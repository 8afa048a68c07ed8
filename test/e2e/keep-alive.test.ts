/** How long a connection without a request stays open, at a real server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

test('a connection without a request is closed after http.keep_alive_seconds', LIMIT, async () => {
  for (const seconds of [1, 600]) {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL], '[http]', `keep_alive_seconds = ${seconds}`);
    const server = await workspace.serve();
    const { port } = new URL(server.url);
    const socket = connect(Number(port), '127.0.0.1').setEncoding('latin1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    while (!text.includes('\r\n\r\n')) await once(socket, 'data');
    assert.match(text, new RegExp(`\r\nKeep-Alive: timeout=${seconds}\r\n`, 'i'));
    // Nothing is asked any more, and the server ends it by itself.
    if (seconds === 1) await once(socket, 'close');
    socket.destroy();
  }
});
