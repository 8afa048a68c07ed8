/** `status` says in words why an address is burned that somebody had reserved. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vanitypool } from '../support/cli.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

test('what was given back or not taken has its own cause', { timeout: 120_000 }, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready > 10);
  const path = '/v1/pools/pet/reservations';
  const held = await server.ask('POST', path);
  assert.equal((await server.ask('POST', path, { body: { ttlSeconds: 1 } })).status, 201);
  assert.equal((await server.ask('DELETE', `/v1/reservations/${held.body.id}`)).status, 204);
  await server.until(({ burned }) => burned === 2);
  const env = { VANITYPOOL_HTTP__PORT: new URL(server.url).port };
  const { stdout } = await vanitypool(['status'], { cwd: workspace.path, env });
  assert.match(
    stdout,
    /^pool pet: 1 burned \(released\): a client that had reserved them gave them back/m,
  );
  assert.match(
    stdout,
    /^pool pet: 1 burned \(expired\): a client that had reserved them did not take them/m,
  );
  assert.doesNotMatch(stdout, /\((\w+)\): \1$/m);
});
