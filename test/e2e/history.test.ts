/** What pools were, and how long their stock lasts, as a real server with several threads says it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VanitypoolClient } from '../../src/client/client.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { EASY_POOL } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

test(
  'every thread answers the history of all pools, and the hours of their stock',
  LIMIT,
  async () => {
    await using managed = new ManagedServer([EASY_POOL], '[http]', 'threads = 2');
    const { url } = await managed.serve();
    await managed.untilGround(50);
    const client = new VanitypoolClient({ url, token: managed.token });
    await client.admin.createPool({ name: 'later', suffix: 'k', target: 20 });
    // A pool that was made later has a sample at once, not with the next ones.
    for (const pool of ['pet', 'later']) {
      let samples: number[] = [];
      while (samples.length === 0) {
        const { pools } = await client.history({ pool });
        samples = pools[0]!.hour.stock;
        assert.equal(pools[0]!.name, pool);
      }
    }
    const { pools } = await client.history();
    assert.deepEqual(
      pools.map(({ name }) => name),
      ['pet', 'later'],
    );
    for (const { hour, day } of pools) {
      for (const column of [hour.stock, hour.ready, hour.dispensed, hour.ground]) {
        assert.equal(column.length, hour.secondsAgo.length);
      }
      assert.ok(day.stock.length >= 1);
    }
    const before = await client.pool('pet');
    assert.deepEqual([before.consumptionPerHour, before.hoursOfStock], [0, null]);
    await client.dispense('pet', { count: 10 });
    let pool = before;
    while (pool.hoursOfStock === null) pool = await client.pool('pet');
    const held = pool.available + pool.leased;
    const hours = held / pool.consumptionPerHour;
    assert.ok(Math.abs(pool.hoursOfStock - hours) <= hours / 500, `${pool.hoursOfStock}, ${hours}`);
  },
);
