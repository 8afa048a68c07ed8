/** The routes that change pools: who may, what is taken, and what the store thread is asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NewPoolBody, PoolChangeBody } from '../../src/api/pools.ts';
import { readPool } from '../../src/config/pool-config.ts';
import type { AppDeps } from '../../src/http/app-deps.ts';
import { newToken, type Scope, tokenHash } from '../../src/token.ts';
import { testApp } from '../support/http-app.ts';

const HEADERS = { host: 'localhost:5057' };

/** An application whose store thread says yes to everything and remembers what it was asked. */
async function open(scopes: Scope[] = ['admin'], pools?: string[]) {
  const asked: [string, unknown][] = [];
  const call = async (name: string, arg: unknown): Promise<unknown> => {
    asked.push([name, arg]);
    return name === 'removePool' ? 7 : undefined;
  };
  const store = (() => ({ call })) as unknown as AppDeps['store'];
  const { app, access } = await testApp(undefined, true, undefined, { store });
  const token = newToken();
  const limits = { quota: undefined, expiresAt: undefined };
  const known = { id: 1, name: 'ops', hash: tokenHash(token), scopes, pools, ...limits };
  access.setTokens({ tokens: [known], areAny: true });
  const ask = async (method: 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) => {
    const headers = { ...HEADERS, authorization: `Bearer ${token}` };
    const reply = await app.inject({ method, url, headers, ...(payload && { payload }) });
    return { status: reply.statusCode, body: reply.json() };
  };
  return { ask, asked };
}

test('pools are changed by tokens of the scope admin alone', async () => {
  const { ask, asked } = await open(['read', 'dispense']);
  for (const [method, url, body] of [
    ['POST', '/v1/pools', { name: 'new', suffix: 'x' }],
    ['PATCH', '/v1/pools/pet', { target: 1 }],
    ['POST', '/v1/pools/pet/pause', undefined],
    ['POST', '/v1/pools/pet/resume', undefined],
    ['DELETE', '/v1/pools/pet', { burn: 'pet' }],
  ] as const) {
    const { status, body: problem } = await ask(method, url, body);
    assert.deepEqual([status, problem.code], [403, 'SCOPE_REQUIRED'], `${method} ${url}`);
  }
  assert.deepEqual(asked, []);
});

test('for a token of some pools the others are not there, and none can be made', async () => {
  const { ask, asked } = await open(['admin'], ['mine']);
  assert.equal(
    (await ask('POST', '/v1/pools', { name: 'pet', suffix: 'x' })).body.code,
    'SCOPE_REQUIRED',
  );
  assert.equal((await ask('PATCH', '/v1/pools/pet', { target: 1 })).body.code, 'POOL_NOT_FOUND');
  assert.equal((await ask('POST', '/v1/pools/pet/pause')).body.code, 'POOL_NOT_FOUND');
  const deletion = await ask('DELETE', '/v1/pools/pet', { burn: 'pet' });
  assert.equal(deletion.body.code, 'POOL_NOT_FOUND');
  assert.deepEqual(asked, []);
});

test('the store thread is asked for what was meant', async () => {
  const { ask, asked } = await open();
  const made = { name: 'pet', suffix: 'x', ignoreCase: true, readyMax: 300, handout: 'sign-only' };
  assert.equal((await ask('POST', '/v1/pools', made)).status, 201);
  assert.equal((await ask('PATCH', '/v1/pools/pet', { target: 5 })).status, 200);
  assert.equal((await ask('POST', '/v1/pools/pet/pause')).status, 200);
  assert.equal((await ask('POST', '/v1/pools/pet/resume')).status, 200);
  const deleted = await ask('DELETE', '/v1/pools/gone', { burn: 'gone' });
  assert.deepEqual(deleted.body, { name: 'gone', burned: 7 });
  const config = readPool(
    { name: 'pet', suffix: 'x', ignore_case: true, ready_max: 300, handout: 'sign-only' },
    (key) => key,
  );
  assert.deepEqual(asked, [
    ['createPool', config],
    ['changePool', { pool: 'pet', change: { target: 5 } }],
    ['pausePool', { pool: 'pet', isPaused: true }],
    ['pausePool', { pool: 'pet', isPaused: false }],
    ['removePool', 'gone'],
  ]);
});

test('what is not allowed is refused before the store is asked', async () => {
  const { ask, asked } = await open();
  for (const body of [
    {},
    { name: 'Pet', suffix: 'x' },
    { name: 'new', suffix: 'x', keys: 'both' },
    { name: 'new', suffix: 'x', handout: 'none' },
    { name: 'new', suffix: 1 },
  ]) {
    const { status, body: problem } = await ask('POST', '/v1/pools', body);
    assert.deepEqual([status, problem.code], [400, 'BODY_INVALID'], JSON.stringify(body));
  }
  for (const body of [
    {},
    { suffix: 'y' },
    { keys: 'expanded' },
    { readyMax: 9 },
    { target: 1.5 },
  ]) {
    assert.equal((await ask('PATCH', '/v1/pools/pet', body)).body.code, 'BODY_INVALID');
  }
  for (const body of [undefined, {}, { burn: 'pe' }, { burn: '' }]) {
    assert.equal((await ask('DELETE', '/v1/pools/pet', body)).body.code, 'BODY_INVALID');
  }
  assert.deepEqual(asked, []);
});

test('the ranges of a body are those of the configuration', () => {
  const ranges = { ...NewPoolBody.properties, ...PoolChangeBody.properties };
  for (const [key, name] of [
    ['target', 'target'],
    ['ready', 'ready'],
    ['readyMax', 'ready_max'],
    ['signLimit', 'sign_limit'],
  ] as const) {
    const { minimum, maximum } = ranges[key];
    const room = key === 'ready' ? { ready_max: maximum } : { ready: 1 };
    const take = (value: number) =>
      readPool({ name: 'new', suffix: 'x', ...room, [name]: value }, (key) => key);
    assert.ok(take(minimum) && take(maximum));
    for (const value of [minimum - 1, maximum + 1]) {
      assert.throws(() => take(value), { code: 'CONFIG_INVALID' }, `${name} ${value}`);
    }
  }
});
