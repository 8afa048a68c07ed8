/**
 * What three servers on one PostgreSQL database do together, one of them with a clock that is an hour ahead: what is
 * asked of all at once is given once, and a change is answered when a node that is cut off can hand out no more.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { WallClock } from '../support/clock.ts';
import { Cluster, type ClusterNode } from '../support/cluster.ts';
import { legacyMessage } from '../support/messages.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import type { Answer, Asking } from '../support/server.ts';

/** Whatever the machine has to do besides. */
const LIMIT = { timeout: 580_000, skip: await withoutPostgres(18) };
const POOLS = [
  { name: 'one', suffix: 't', target: 300, ready: 24, ready_max: 96 },
  { name: 'vault', suffix: 'x', target: 200, ready: 24, handout: 'sign-only', sign_limit: 1 },
  { name: 'still', suffix: 't', target: 200, ready: 24 },
];
const BATCH = 16;
const AT_ONCE = 100;
const QUOTA = 10;
const HOUR_MS = 3_600_000;
const LOOK_MS = 100;
/** What each of many at once may hear. */
const LATER = ['IDEMPOTENCY_IN_FLIGHT', 'POOL_EMPTY', 'STORE_UNAVAILABLE'];

class Nodes {
  readonly cluster: Cluster;
  #asked = 0;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  get all(): readonly ClusterNode[] {
    return this.cluster.nodes;
  }

  /** Of one after the other. */
  async ask(method: string, path: string, asking: Asking = {}): Promise<Answer> {
    const node = this.all[this.#asked++ % this.all.length]!;
    return node.server.ask(method, `/v1/${path}`, asking);
  }

  /** By the first node; asked again as long as another one does not act on it. */
  async change(method: string, path: string, body?: object): Promise<Answer> {
    const { server, token } = this.all[0]!;
    for (;;) {
      const asking = { token, ...(body && { body }) };
      const answer = await server.ask(method, `/v1/${path}`, asking);
      if (answer.body?.code !== 'STORE_UNAVAILABLE') return answer;
      await sleep(LOOK_MS);
    }
  }

  async token(name: string, quota?: number): Promise<string> {
    const order = { name, scopes: ['dispense'], ...(quota && { quota }) };
    const { status, body, text } = await this.change('POST', 'tokens', order);
    assert.equal(status, 201, text);
    return body.token;
  }

  /** By all nodes at once; those that were only asked too early are asked again. */
  async atOnce(ask: (number: number) => Promise<Answer>): Promise<Answer[]> {
    const one = async (number: number): Promise<Answer> => {
      for (;;) {
        const answer = await ask(number);
        if (!LATER.includes(answer.body?.code)) return answer;
        await sleep(LOOK_MS);
      }
    };
    return Promise.all(Array.from({ length: AT_ONCE }, (_, number) => one(number)));
  }
}

const statusOf = (answers: readonly Answer[], status: number) =>
  answers.filter((answer) => answer.status === status);

/**
 * Nobody takes anything: what is there is what was found. Each grinder may add what it finds in a second, or two
 * batches, if that is more.
 */
async function stopsGrinding({ cluster }: Nodes): Promise<void> {
  const look = async () => {
    const text = `SELECT name, sum(ground)::int AS ground FROM vanitypool.pools AS p
      JOIN vanitypool.figures AS f ON f.pool_id = p.id GROUP BY name ORDER BY name`;
    return cluster.sql<{ name: string; ground: number }>(text);
  };
  const isFull = async () => {
    const found = new Map((await look()).map(({ name, ground }) => [name, ground]));
    return POOLS.every(({ name, target }) => (found.get(name) ?? 0) >= target);
  };
  while (!(await isFull())) await sleep(LOOK_MS);
  // Those that do not stop find more than they may meanwhile.
  await sleep(3000);
  const [rate] = await cluster.sql<{ perSecond: number }>(`SELECT (count(*) * 1000.0 /
    greatest(max(created_at) - min(created_at), 1))::int AS "perSecond" FROM vanitypool.secrets`);
  const most = rate!.perSecond + cluster.nodes.length * 2 * BATCH;
  for (const { name, ground } of await look()) {
    const { target } = POOLS.find((pool) => pool.name === name)!;
    assert.ok(ground <= target + most, `pool ${name}: ${ground} found, wanted ${target}`);
  }
}

async function oneKey(nodes: Nodes): Promise<void> {
  const answers = await nodes.atOnce(() =>
    nodes.ask('POST', 'pools/one/dispense', { key: 'one', body: { count: 2 } }),
  );
  for (const { status, text } of answers) {
    assert.deepEqual([status, text], [200, answers[0]!.text]);
  }
}

async function oneQuota(nodes: Nodes): Promise<void> {
  const token = await nodes.token('limited', QUOTA);
  const answers = await nodes.atOnce(() =>
    nodes.ask('POST', 'pools/one/dispense', { token, body: { count: 1 } }),
  );
  const given = statusOf(answers, 200);
  assert.ok(given.length <= QUOTA, `${given.length} of ${QUOTA}`);
  assert.equal(given.length + statusOf(answers, 429).length, AT_ONCE);
  const [row] = await nodes.cluster.sql('SELECT used FROM vanitypool.quotas');
  assert.equal(Number(row!.used), QUOTA);
}

async function oneReservation(nodes: Nodes): Promise<void> {
  const { body } = await nodes.ask('POST', 'pools/one/reservations', { body: { ttlSeconds: 600 } });
  const answers = await nodes.atOnce(() =>
    nodes.ask('POST', `reservations/${body.id}/dispense`, { body: {} }),
  );
  for (const { status, text } of answers) {
    assert.deepEqual([status, text], [200, answers[0]!.text]);
  }
  assert.equal(answers[0]!.body.addresses[0].address, body.address);
}

async function oneSignature(nodes: Nodes): Promise<void> {
  const { body } = await nodes.ask('POST', 'pools/vault/dispense', { body: { count: 1 } });
  const [{ address }] = body.addresses;
  const publicKey = decodeBase58(address);
  const answers = await nodes.atOnce((number) => {
    const message = Buffer.from(legacyMessage(publicKey, number)).toString('base64');
    return nodes.ask('POST', `pools/vault/addresses/${address}/signatures`, { body: { message } });
  });
  assert.equal(statusOf(answers, 200).length, 1);
  for (const { body } of statusOf(answers, 409)) assert.equal(body.code, 'SIGN_LIMIT_REACHED');
  assert.equal(statusOf(answers, 409).length, AT_ONCE - 1);
}

/** Records are of the time of the database, whatever clock a node has, and however it is set. */
async function oneClock({ cluster, all }: Nodes, ahead: WallClock): Promise<void> {
  for (const hours of [-2, 3]) {
    ahead.jump(hours);
    // One that seems past its deadline has the next within seconds.
    while ((await takeAt(all.at(-1)!, 'one')) !== 200) await sleep(LOOK_MS);
  }
  assert.deepEqual(await cluster.expired(), []);
  const [row] = await cluster.sql<{ late: string }>(`SELECT max(abs(
    at - extract(epoch FROM now()) * 1000))::bigint AS late FROM vanitypool.hand_outs`);
  assert.ok(Number(row!.late) < HOUR_MS / 2, `${row!.late} ms`);
}

async function takeAt({ server }: ClusterNode, pool: string, asking: Asking = {}): Promise<number> {
  const path = `/v1/pools/${pool}/dispense`;
  return (await server.ask('POST', path, { body: { count: 1 }, ...asking })).status;
}

/** A node that is cut off hands out what it has: a change is answered when it does not any more. */
async function changesMeetAll(nodes: Nodes): Promise<void> {
  const token = await nodes.token('shop');
  const made = { name: 'gone', suffix: 't', target: 200, ready: 24 };
  assert.equal((await nodes.change('POST', 'pools', made)).status, 201);
  const [, alone, frozen] = nodes.all as [ClusterNode, ClusterNode, ClusterNode];
  for (const node of [alone, frozen]) await node.untilReady();
  const take = (pool: string, asking?: Asking) => takeAt(alone, pool, asking);
  alone.proxy.isolate();
  for (const pool of ['gone', 'still', 'one']) assert.equal(await take(pool), 200, pool);
  assert.equal(await take('one', { token }), 200, 'a token without a quota waits for nothing');
  const epochs = [await nodes.cluster.epochOf(alone), await nodes.cluster.epochOf(frozen)];
  frozen.freeze();
  // Answered when it wakes.
  const late = [
    takeAt(frozen, 'one', { token }),
    ...['still', 'gone'].map((pool) => takeAt(frozen, pool)),
  ];
  await Promise.all([
    nodes.change('DELETE', 'tokens/shop').then(async ({ status, text }) => {
      assert.equal(status, 200, text);
      assert.notEqual(await take('one', { token }), 200, 'revoked');
    }),
    nodes.change('POST', 'pools/still/pause').then(async ({ status, text }) => {
      assert.equal(status, 200, text);
      assert.notEqual(await take('still'), 200, 'paused');
    }),
    nodes.change('DELETE', 'pools/gone', { burn: 'gone' }).then(async ({ status, text }) => {
      assert.equal(status, 200, text);
      assert.notEqual(await take('gone'), 200, 'deleted');
    }),
  ]);
  await nodes.cluster.untilExpired(epochs);
  alone.proxy.rejoin();
  frozen.thaw();
  for (const status of await Promise.all(late)) assert.notEqual(status, 200);
  for (const node of [alone, frozen]) {
    await node.untilSaid('a new run has begun', 1);
    while ((await takeAt(node, 'one')) !== 200) await sleep(LOOK_MS);
    assert.equal(await takeAt(node, 'one', { token }), 401);
    assert.equal(await takeAt(node, 'still'), 503);
    assert.equal(await takeAt(node, 'gone'), 404);
  }
}

async function together(t: TestContext): Promise<void> {
  using ahead = new WallClock();
  ahead.jump(1);
  const { environment } = ahead;
  await using cluster = await Cluster.start({ pools: POOLS, nodes: [{}, {}, { environment }] });
  const nodes = new Nodes(cluster);
  await t.test('grinders stop when the stock is there', () => stopsGrinding(nodes));
  await t.test('one idempotency key', () => oneKey(nodes));
  await t.test('one quota', () => oneQuota(nodes));
  await t.test('one reservation', () => oneReservation(nodes));
  await t.test('one signature that is left', () => oneSignature(nodes));
  await t.test('clocks that are apart, and are set', () => oneClock(nodes, ahead));
  await t.test('changes while one node is cut off, and one stands still', () =>
    changesMeetAll(nodes),
  );
  await Promise.all(cluster.nodes.map((node) => node.stop()));
}

test('three nodes', LIMIT, together);
