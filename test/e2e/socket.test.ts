import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { vanitypool } from '../support/cli.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

test('a socket serves its owner alone, and one left by a killed server is taken over', {
  timeout: 300_000,
}, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const path = join(workspace.path, 'pool.sock');
  const args = ['dispense', 'pet', '--url', `unix:${path}`, '--count', '3'];
  const addresses = new Set<string>();
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const server = await workspace.serve('--host', `unix:${path}`);
    assert.equal(server.url, `unix:${path}`);
    assert.equal(statSync(path).mode & 0o077, 0);
    let outcome = await vanitypool(args);
    while (outcome.code !== 0) outcome = await vanitypool(args);
    for (const line of outcome.lines) addresses.add(JSON.parse(line).address);
    await server.kill(signal);
  }
  assert.equal(addresses.size, 6);
});
