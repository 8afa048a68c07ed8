import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import { Access } from '../../src/http/access.ts';
import type { TokenList } from '../../src/pool/calls.ts';
import { Pool } from '../../src/pool/pool.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import {
  countsBoard,
  GATE,
  grindingBoard,
  settingsBoard,
  sharePool,
} from '../../src/pool/shared-pool.ts';
import { newToken, type Scope, tokenHash } from '../../src/token.ts';
import { EventReader } from '../support/event-reader.ts';
import { fillPool, readyAddress, testApp } from '../support/http-app.ts';

const LIMIT = { timeout: 300_000 };

class CountedPool extends Pool {
  looks = 0;

  override status() {
    this.looks++;
    return super.status();
  }
}

class CountedAccess extends Access {
  checks = 0;

  override check(...request: Parameters<Access['check']>) {
    this.checks++;
    return super.check(...request);
  }
}

/** The application on a port of its own, its streams, and how often it looks. */
async function listening(t: TestContext) {
  const shared = sharePool(loadConfig({ cwd: '/' }).pools[0]!);
  const nothing = { refill: () => Promise.resolve(), prepare: () => {}, record: () => {} };
  const pool = new CountedPool(shared, nothing);
  const access = new CountedAccess('auto');
  const more = { pools: new Map([[shared.name, pool]]), access };
  const made = { ...(await testApp(undefined, true, undefined, more)), shared, access, pool };
  await made.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = made.app.server.address() as AddressInfo;
  const readers: EventReader[] = [];
  t.after(async () => {
    for (const reader of readers) reader.leave();
    await made.app.close();
  });
  const open = async (token?: string): Promise<EventReader> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const reader = await EventReader.open(`http://127.0.0.1:${port}/v1/events`, headers);
    readers.push(reader);
    return reader;
  };
  return { ...made, open };
}

/** A token, and a list with it alone. */
function listed(scope: Scope, pools?: string[], expiresAt?: number): [string, TokenList] {
  const text = newToken();
  const known = { id: 1, name: 'one', hash: tokenHash(text), scopes: [scope] };
  return [text, { tokens: [{ ...known, pools, quota: undefined, expiresAt }], areAny: true }];
}

test(
  'an event has what GET /v1/pools has, and the readiness; it follows what happens',
  LIMIT,
  async (t) => {
    const { app, shared, open } = await listening(t);
    const reader = await open();
    assert.equal(reader.reply.headers['x-content-type-options'], 'nosniff', 'as on every reply');
    const [first] = await reader.until(1);
    const { at, uptimeMs, readiness, ...list } = JSON.parse(first!.data);
    assert.equal(new Date(at).toISOString(), at);
    assert.ok(Number.isInteger(uptimeMs) && uptimeMs > 0);
    const local = { host: 'localhost' };
    assert.deepEqual(list, (await app.inject({ url: '/v1/pools', headers: local })).json());
    assert.deepEqual(readiness, { status: 'unavailable', reasons: ['POOL_EMPTY: pet'] });
    fillPool(shared, 3, 4);
    const later = (await reader.until(reader.events.length + 2)).at(-1);
    const now = JSON.parse(later!.data);
    assert.deepEqual([now.pools[0].ready, now.pools[0].available], [3, 4]);
    assert.deepEqual(now.readiness, { status: 'ready', reasons: [] });
  },
);

test(
  'each event has the figures of that moment, whatever it was that changed',
  LIMIT,
  async (t) => {
    const { app, shared, open } = await listening(t);
    const queue = new ReadyQueue(shared.queue);
    const changes: [what: string, change: () => unknown][] = [
      ['what is stored', () => countsBoard(shared).write({ available: 9, ground: 9 })],
      ['what is leased', () => countsBoard(shared).write({ available: 4, leased: 5 })],
      ['what is ready', () => queue.push([1, 2, 3].map(readyAddress))],
      ['what has left', () => queue.pop(1)],
      ['one that left for one that is ready', () => queue.pop(1) && queue.push([readyAddress(4)])],
      ['the target', () => settingsBoard(shared).write({ target: 77 })],
      ['a pause', () => settingsBoard(shared).write({ gate: GATE.paused })],
      ['its grinding', () => grindingBoard(shared).write({ active: 1, attemptsPerSecond: 1e6 })],
    ];
    const told = async () => {
      const [event] = await (await open()).until(1);
      return JSON.parse(event!.data).pools;
    };
    let last = await told();
    for (const [what, change] of changes) {
      change();
      const pools = await told();
      const asked = await app.inject({ url: '/v1/pools', headers: { host: 'localhost' } });
      assert.deepEqual(pools, asked.json().pools, what);
      assert.notDeepEqual(pools, last, what);
      last = pools;
    }
    assert.deepEqual(await told(), last);
  },
);

test('a pool that has not changed is not looked at again, by however many', LIMIT, async (t) => {
  const { pool, shared, open } = await listening(t);
  const readers = [await open(), await open(), await open()];
  const next = () => Promise.all(readers.map((reader) => reader.until(reader.events.length + 2)));
  await next();
  assert.equal(pool.looks, 1);
  fillPool(shared, 3, 4);
  const events = await next();
  assert.equal(pool.looks, 2);
  for (const own of events) assert.equal(JSON.parse(own.at(-1)!.data).pools[0].ready, 3);
});

test(
  'the text of a token is read at the opening of its stream, and not again',
  LIMIT,
  async (t) => {
    const { access, open } = await listening(t);
    const [text, list] = listed('read');
    access.setTokens(list);
    const reader = await open(text);
    await reader.until(1);
    const opened = access.checks;
    await reader.until(3);
    assert.equal(access.checks, opened);
  },
);

test('a store that fails is reported, while what is ready can be had', LIMIT, async (t) => {
  const { shared, storeHealth, open } = await listening(t);
  fillPool(shared, 3, 4);
  storeHealth.write('DISK_FULL', { turns: 0, inserts: 0 });
  const [first] = await (await open()).until(1);
  assert.deepEqual(JSON.parse(first!.data).readiness, {
    status: 'degraded',
    reasons: ['DISK_FULL'],
  });
});

test('a token sees its pools alone, in the readiness too', LIMIT, async (t) => {
  const { access, open } = await listening(t);
  const [text, list] = listed('read', ['pump']);
  access.setTokens(list);
  const reader = await open(text);
  const [first] = await reader.until(1);
  const { pools, readiness } = JSON.parse(first!.data);
  assert.deepEqual(pools, []);
  assert.deepEqual(readiness, { status: 'unavailable', reasons: [] });
  assert.ok(!reader.text.includes('pet'));
});

test(
  'a stream ends when its token is revoked, and when tokens begin to be asked for',
  LIMIT,
  async (t) => {
    const { access, open } = await listening(t);
    const without = await open();
    assert.equal(without.reply.statusCode, 200);
    const [text, list] = listed('read');
    access.setTokens(list);
    const reader = await open(text);
    await without.untilEnded();
    assert.equal(reader.hasEnded, false);
    access.setTokens({ tokens: [], areAny: true });
    await reader.untilEnded();
    assert.equal((await open(text)).reply.statusCode, 401);
  },
);

test('a stream ends when its token has expired', LIMIT, async (t) => {
  const { access, open } = await listening(t);
  // On a slow machine it may expire before the stream is open.
  for (let lifeMs = 1500, isOpen = false; !isOpen; lifeMs *= 2) {
    const [text, list] = listed('read', undefined, Date.now() + lifeMs);
    access.setTokens(list);
    const reader = await open(text);
    isOpen = reader.reply.statusCode === 200;
    if (!isOpen) continue;
    await reader.until(1);
    await reader.untilEnded();
    assert.ok(Date.now() >= list.tokens[0]!.expiresAt!);
  }
});

test('the stream asks for the scope read, and takes GET alone', LIMIT, async (t) => {
  const { app, access, open } = await listening(t);
  const head = await app.inject({
    method: 'HEAD',
    url: '/v1/events',
    headers: { host: 'localhost' },
  });
  assert.deepEqual([head.statusCode, head.headers.allow], [405, 'GET']);
  const [text, list] = listed('dispense');
  access.setTokens(list);
  assert.equal((await open(text)).reply.statusCode, 403);
});

test('closing the server ends its streams', LIMIT, async (t) => {
  const { app, open } = await listening(t);
  const reader = await open();
  await reader.until(1);
  await app.close();
  await reader.untilEnded();
});
