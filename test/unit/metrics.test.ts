import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillPool, testApp } from '../support/http-app.ts';

const LOCAL = { host: '127.0.0.1:5057' };

/** Value by name and labels, as they stand in the text. */
async function scrape(app: Awaited<ReturnType<typeof testApp>>['app']) {
  const { body } = await app.inject({ url: '/metrics', headers: LOCAL });
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const values = new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
  return { body, lines, values };
}

test('hand-outs are in the histogram, those of the ancestor too, and refusals by their code', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 3);
  const dispense = () =>
    app.inject({ method: 'POST', url: '/v1/pools/pet/dispense', headers: LOCAL });
  for (const status of [200, 200]) assert.equal((await dispense()).statusCode, status);
  const get = (url: string) => app.inject({ url, headers: LOCAL });
  assert.equal((await get('/api/v1/pet/address')).statusCode, 200);
  assert.equal((await dispense()).statusCode, 503);
  assert.equal((await get('/api/v1/pet/address')).statusCode, 404);
  assert.equal((await get('/nothing')).statusCode, 404);
  const { values } = await scrape(app);
  assert.equal(values.get('vanitypool_dispense_seconds_count'), 3);
  assert.equal(values.get('vanitypool_dispense_seconds_bucket{le="+Inf"}'), 3);
  assert.ok(values.get('vanitypool_dispense_seconds_sum')! > 0);
  assert.equal(values.get('vanitypool_http_errors_total{code="POOL_EMPTY"}'), 2);
  assert.equal(values.get('vanitypool_http_errors_total{code="ROUTE_NOT_FOUND"}'), 1);
  assert.equal(values.get('vanitypool_http_errors_total{code="INTERNAL"}'), 0);
});

test('what was counted is there again in the next answer, and no more', async () => {
  const { app, tallies } = await testApp();
  tallies.commitTimes.add(3);
  tallies.commitTimes.add(30_000);
  tallies.countRepeat();
  const first = await scrape(app);
  const { body, values } = await scrape(app);
  assert.equal(body, first.body);
  const bucket = (le: string) => values.get(`vanitypool_store_commit_seconds_bucket{le="${le}"}`);
  assert.deepEqual(['0.0025', '0.005', '10', '+Inf'].map(bucket), [0, 1, 1, 2]);
  assert.equal(values.get('vanitypool_store_commit_seconds_sum'), 30.003);
  assert.equal(values.get('vanitypool_idempotent_replays_total'), 1);
});

test('the text is one that Prometheus takes: each name once, with help and type, then its values', async () => {
  const { app } = await testApp();
  const { body, lines } = await scrape(app);
  assert.ok(body.endsWith('\n'));
  const kinds = new Map(
    [...body.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name, kind]),
  );
  const helped = [...body.matchAll(/^# HELP (\w+) ([A-Z0-9].*\.)$/gm)].map(([, name]) => name!);
  assert.deepEqual(helped.toSorted(), [...kinds.keys()].toSorted());
  for (const line of lines) {
    assert.match(line, /^vanitypool_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+$/);
    const name = line.match(/^\w+/)![0];
    const kind = kinds.get(name) ?? kinds.get(name.replace(/_(bucket|sum|count)$/, ''));
    if (kind === 'counter') assert.match(name, /_total$/);
    else if (kind === 'histogram') assert.match(name, /_seconds_(bucket|sum|count)$/);
    else assert.equal(kind, 'gauge', name);
  }
  assert.equal(new Set(lines.map((line) => line.split(' ')[0])).size, lines.length);
});

test('nodes and a lease are there where nodes share a store', async () => {
  const { app, nodes, deadline } = await testApp();
  const ofNodes = async () => {
    const { lines } = await scrape(app);
    return lines.filter((line) => /^vanitypool_node/.test(line));
  };
  assert.deepEqual(await ofNodes(), []);
  nodes.write({ running: 2, lost: 1, missed: 0, stopped: 3 });
  deadline.set(1);
  const labels = ['running', 'lost', 'missed', 'stopped'].map((state) => `{state="${state}"}`);
  const counts = [2, 1, 0, 3].map((count, index) => `vanitypool_nodes${labels[index]} ${count}`);
  assert.deepEqual(
    (await ofNodes()).toSorted(),
    [...counts, 'vanitypool_node_lease_seconds 0'].toSorted(),
  );
  deadline.set(Number(process.hrtime.bigint() / 1_000_000n) + 3_600_000);
  const lease = (await scrape(app)).values.get('vanitypool_node_lease_seconds')!;
  assert.ok(lease > 3000 && lease <= 3600, `${lease}`);
});
