/**
 * What is under way, or comes, while a run that another has ended begins anew, and when the queue of a pool
 * ends that another run deleted: over a real store that passes for a shared one.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPool } from '../../src/config/pool-config.ts';
import { VanityError } from '../../src/errors.ts';
import { SharedServer } from '../support/shared-server.ts';
import { hitsFor } from '../support/store-subject.ts';

const LIMIT = { timeout: 300_000 };
const NEW = readPool({ name: 'new', suffix: 'y', ready: 5 }, String);
const isAgain = (server: SharedServer) => server.said().includes('a new run has begun');
const isRetrying = (server: SharedServer) =>
  server.said().includes('no new run can begin now; retrying');

/** Another run ends this one, which hears of it by a call that waits for no other. */
async function end(server: SharedServer): Promise<void> {
  server.shared.end();
  await assert.rejects(server.served.insert(hitsFor('pet', 1)), { code: 'STORE_UNAVAILABLE' });
}

/** A turn that leases again is under way. */
async function turnUnderWay(server: SharedServer): Promise<void> {
  const { length } = server.faults.begun;
  server.pop(0, 15);
  await server.until(() => server.faults.begun.slice(length).includes('turn'));
}

/** All queues are abandoned: every thread knows, and a moment has passed. */
async function untilAbandoned(server: SharedServer): Promise<void> {
  await server.until(() => {
    try {
      server.pop(1, 0);
    } catch {
      return true;
    }
    return false;
  });
  await sleep(20);
}

/** No new run can serve its pools until what is returned is called. */
function withoutPools({ inner }: SharedServer): () => void {
  const pools = inner.pools.bind(inner);
  inner.pools = () => Promise.reject(new VanityError('STORE_UNAVAILABLE', 'down'));
  return () => {
    inner.pools = pools;
  };
}

for (const kind of ['hang', 'hold'] as const) {
  const when = kind === 'hang' ? 'that begins after' : 'that was done before';
  test(`a turn ${when} the end changes nothing any more`, LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    const [queue] = server.served.entries.all.map((shared) => shared.queue);
    const letGo = server.faults[kind]('turn');
    await turnUnderWay(server);
    await end(server);
    await untilAbandoned(server);
    letGo();
    await server.until(() => isAgain(server) && server.status.ready === 20);
    const cells = Buffer.from(queue!).subarray(384);
    assert.ok(
      cells.every((byte) => byte === 0),
      'what was leased for the old queue did not come into it',
    );
    await server.exhaust(200);
  });
}

suite('while no new run can serve its pools', () => {
  test('nothing leaves a queue that is over, whatever happens to its pool', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    const letGo = server.faults.hold('turn');
    await turnUnderWay(server);
    await end(server);
    await untilAbandoned(server);
    const reached = withoutPools(server);
    letGo();
    await server.until(() => isRetrying(server));
    await server.served.pools.pause('pet', true);
    await server.served.pools.pause('pet', false);
    assert.throws(() => server.pop(0), { code: 'STORE_UNAVAILABLE' });
    reached();
    await server.until(() => isAgain(server));
    await server.exhaust(200);
  });

  test('journals are looked at, and threads end', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    const reached = withoutPools(server);
    await end(server);
    await server.until(() => isRetrying(server));
    server.threads[1]!.die();
    // The look at the journals comes once a second.
    await sleep(1500);
    reached();
    await server.until(() => isAgain(server) && server.status.ready === 20);
    assert.equal(server.pop(0), 1);
  });
});

test('a pool that another run deleted meanwhile is served no more', LIMIT, async () => {
  await using server = await SharedServer.open();
  await server.served.pools.create(NEW);
  await server.until(() => server.status.ready === 20);
  server.shared.end();
  await server.inner.removePool('new');
  await end(server);
  await server.until(() => isAgain(server) && server.status.ready === 20);
  assert.equal(server.pop(0), 1);
  for (const { pools } of server.threads) assert.ok(!pools.has('new'));
});

test('a turn that waits behind the end of its queue does not begin', LIMIT, async () => {
  await using server = await SharedServer.open();
  await server.served.pools.create(NEW);
  await server.inner.insert(hitsFor('new', 9));
  server.shared.events!.stock('new');
  const pool = server.threads[0]!.pools.get('new')!;
  await server.until(() => pool.status().ready === 5);
  const letGo = server.faults.hold('endQueues');
  server.shared.remove('new');
  const heard = server.shared.events!.directory();
  await server.until(() => server.faults.begun.includes('endQueues'));
  const refilled = server.served.refiller.refill('new', 9);
  letGo();
  await assert.rejects(refilled, { code: 'STORE_UNAVAILABLE' });
  await heard;
  const { available, leased, dispensed, burned } = await server.inner.counts('new');
  assert.deepEqual([available, leased, dispensed, burned], [4, 0, 0, 5]);
});
