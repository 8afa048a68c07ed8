import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const THREADS = 2;

/** On a connection of its own, which either thread may take. */
async function scrape(server: Server): Promise<Map<string, number>> {
  const { text } = await server.ask('GET', '/metrics');
  const lines = text.matchAll(/^(vanitypool_\S+) (\S+)$/gm);
  return new Map([...lines].map(([, name, value]) => [name!, Number(value)]));
}

test('whichever thread answers knows what all of them did', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL], '[http]', `threads = ${THREADS}`);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= 200);
  await Promise.all(Array.from({ length: 60 }, () => server.dispense()));
  const again = () => server.ask('POST', '/v1/pools/pet/dispense', { key: 'one' });
  for (let times = 0; times < 3; times++) assert.equal((await again()).status, 200);
  await assert.rejects(server.dispense(1, 'none'), /POOL_NOT_FOUND/);
  for (let scrapes = 0; scrapes < 10; scrapes++) {
    const values = await scrape(server);
    const value = (name: string) => values.get(`vanitypool_${name}`);
    assert.equal(value('dispense_seconds_count'), 63);
    assert.equal(value('dispensed_total{pool="pet"}'), 61);
    assert.equal(value('idempotent_replays_total'), 2);
    assert.equal(value('http_errors_total{code="POOL_NOT_FOUND"}'), 1);
    assert.ok(value('store_commit_seconds_count')! > 0);
    assert.ok(value('store_commit_seconds_sum')! > 0);
  }
});
