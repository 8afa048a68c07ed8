/** What those who watch over a server are shown, and who is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access } from '../../src/http/access.ts';
import type { AppDeps } from '../../src/http/app-deps.ts';
import { LastWarnings } from '../../src/last-warnings.ts';
import { newToken, type Token, tokenHash } from '../../src/token.ts';
import { testApp } from '../support/http-app.ts';

const HEADERS = { host: 'localhost:5057' };
const DAY_MS = 86_400_000;
const FREE = { pools: undefined, quota: undefined, expiresAt: undefined };

async function open(token: Pick<Token, 'scopes'> & Partial<Token>) {
  const asked: unknown[] = [];
  const call = async (name: string, arg: unknown) => {
    asked.push(name, arg);
    return [
      { token: undefined, addresses: 3 },
      { token: 'shop', addresses: 2 },
    ];
  };
  const store = (() => ({ call })) as unknown as AppDeps['store'];
  const lastWarnings = new LastWarnings();
  const { app, access, storeHealth } = await testApp(undefined, true, undefined, {
    store,
    lastWarnings,
  });
  const text = newToken();
  const known = { ...FREE, id: 1, name: 'ops', hash: tokenHash(text), ...token };
  access.setTokens({ tokens: [known], areAny: true });
  const get = async (url: string, authorization = `Bearer ${text}`) => {
    const reply = await app.inject({ url, headers: { ...HEADERS, authorization } });
    return { status: reply.statusCode, body: reply.json() };
  };
  return { app, access, get, asked, lastWarnings, storeHealth };
}

test('warnings and takers are for admins of all pools', async () => {
  for (const url of ['/v1/warnings', '/v1/takers']) {
    const codes = await Promise.all(
      [
        { scopes: ['read', 'dispense'] } as const,
        { scopes: ['admin'], pools: ['pet'] } as const,
      ].map(async (token) => {
        const { get, asked } = await open(token);
        const { status, body } = await get(url);
        assert.deepEqual([status, asked], [403, []]);
        return body.code;
      }),
    );
    assert.deepEqual(codes, ['SCOPE_REQUIRED', 'SCOPE_REQUIRED'], url);
    const { get } = await open({ scopes: ['admin'] });
    assert.equal((await get(url, 'Bearer vp_x')).body.code, 'TOKEN_REQUIRED');
  }
});

test('warnings are those that the threads noted', async () => {
  const { get, lastWarnings } = await open({ scopes: ['admin'] });
  const time = '2026-01-01T00:00:00.000Z';
  const line = { level: 'warn', time, thread: 'main', msg: 'low', pool: 'pet' };
  lastWarnings.note(JSON.stringify(line));
  const { status, body } = await get('/v1/warnings');
  assert.equal(status, 200);
  assert.deepEqual(body, {
    warnings: [{ at: time, level: 'warn', thread: 'main', message: 'low', details: 'pool=pet' }],
  });
});

test('takers are asked for from the begin of the UTC day of the store', async () => {
  const { get, asked, storeHealth } = await open({ scopes: ['admin'] });
  const day = Date.UTC(2031, 4, 6);
  storeHealth.writeClock(day + DAY_MS / 2, 0);
  const { status, body } = await get('/v1/takers');
  assert.equal(status, 200);
  assert.deepEqual(asked, ['taken', day]);
  assert.deepEqual(body, {
    since: '2031-05-06T00:00:00.000Z',
    takers: [
      { token: null, addresses: 3 },
      { token: 'shop', addresses: 2 },
    ],
  });
});

test('anybody may ask what the token of the request may do, and learns nothing of another', async () => {
  const limits = { pools: ['pet'], quota: 5, expiresAt: Date.UTC(2100, 0, 1) };
  const { get, access } = await open({ scopes: ['read'], ...limits });
  const expected = {
    required: true,
    requiredAfterFirst: false,
    token: {
      name: 'ops',
      scopes: ['read'],
      pools: ['pet'],
      quota: 5,
      expiresAt: '2100-01-01T00:00:00.000Z',
    },
  };
  assert.deepEqual((await get('/v1/access')).body, expected);
  assert.deepEqual((await get('/v1/access', `Bearer ${newToken()}`)).body, {
    ...expected,
    token: null,
  });
  access.setTokens({ tokens: [], areAny: false });
  assert.deepEqual((await get('/v1/access', '')).body, {
    required: false,
    requiredAfterFirst: true,
    token: null,
  });
});

test('a server whose tokens are set by its configuration does not change that', () => {
  for (const required of [true, false]) {
    const access = new Access(required);
    assert.deepEqual([access.isRequired, access.isRequiredAfterFirst], [required, false]);
  }
});
