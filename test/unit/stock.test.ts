/** The stock of a pool, where what is leased is more than what is ready. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countsBoard } from '../../src/pool/shared-pool.ts';
import { fillPool, testApp } from '../support/http-app.ts';

const headers = { host: 'localhost' };
const url = '/v1/pools/pet/dispense';

test('what is leased and not ready is no stock, and no reason to say that the pool is empty', async () => {
  let refills = 0;
  const { app, shared } = await testApp(async () => {
    refills++;
    fillPool(shared, 5);
    countsBoard(shared).write({ available: 4, leased: 8, leasedHere: 8, ground: 12 });
  });
  fillPool(shared, 3);
  // The store thread has leased five more, and not pushed them yet.
  countsBoard(shared).write({ available: 4, leased: 8, leasedHere: 8, ground: 12 });
  const pool = (await app.inject({ url: '/v1/pools/pet', headers })).json();
  assert.deepEqual([pool.stock, pool.available, pool.ready, pool.leased], [7, 4, 3, 8]);
  const much = await app.inject({ method: 'POST', url, headers, payload: { count: 13 } });
  assert.match(much.json().detail, /13 asked for, 7 left; /);
  assert.equal(refills, 0);
  const some = await app.inject({ method: 'POST', url, headers, payload: { count: 8 } });
  assert.equal(some.json().addresses.length, 8, 'they came with a refill');
});

test('a pool that cannot serve is reported once', async () => {
  const { app, shared, storeHealth } = await testApp();
  const detail = async () => (await app.inject({ url: '/readyz', headers })).json().detail;
  assert.equal(await detail(), 'no pool can serve: pool pet is empty');
  countsBoard(shared).write({ available: 4, ground: 4 });
  storeHealth.write('DISK_FULL', { turns: 0, inserts: 0 });
  const expected =
    'no pool can serve: the store fails with DISK_FULL, pool pet waits for the store';
  assert.equal(await detail(), expected);
  storeHealth.write(undefined, { turns: 0, inserts: 0 });
  countsBoard(shared).write({ available: 0, ground: 0 });
  storeHealth.writeJournals({ lost: 1, renewed: 0, isStuck: false });
  const lost = 'dispense journals were removed and are recreated, a kill would burn addresses';
  assert.equal(await detail(), `no pool can serve: ${lost}, pool pet is empty`);
});
