import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventReader } from '../support/event-reader.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

test(
  'the status comes as it changes, and a stop does not wait for who reads it',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL], '[http]', 'drain_seconds = 3600');
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 100);
    const reader = await EventReader.open(new URL('/v1/events', server.url));
    const stuck = await EventReader.open(new URL('/v1/events', server.url));
    stuck.reply.pause();
    await server.dispense(7);
    let last = '';
    while (!last.includes('"dispensed":7')) {
      last = (await reader.until(reader.events.length + 1)).at(-1)!.data;
    }
    assert.equal(JSON.parse(last).readiness.status, 'ready');
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    await reader.untilEnded();
    assert.ok(reader.reply.complete, 'the stream was ended, not cut off');
  },
);
