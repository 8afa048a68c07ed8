/** Paths of a Vault transit engine: every error has its form, whatever refuses the request. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import { testApp } from '../support/http-app.ts';
import { legacyMessage } from '../support/messages.ts';

const HOST = { host: 'localhost' };
const KEY = Buffer.alloc(32, 7);
const ADDRESS = addressOf(KEY);
const SIGN = `/v1/transit/sign/${ADDRESS}`;
const KEYS = `/v1/transit/keys/${ADDRESS}`;
const BODY = { input: Buffer.from(legacyMessage(KEY, 1)).toString('base64') };

interface Reply {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function assertErrors(reply: Reply, code: ErrorCode, detail: RegExp): void {
  assert.equal(reply.statusCode, ERRORS[code].status, reply.body);
  assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
  assert.equal(reply.headers['cache-control'], 'no-store');
  const { errors, ...more } = JSON.parse(reply.body);
  assert.deepEqual([errors.length, more], [1, {}]);
  assert.ok(errors[0].startsWith(`${code}: `), errors[0]);
  assert.match(errors[0], detail);
}

test('an error of each kind, on each path', async () => {
  const { app } = await testApp();
  const json = { ...HOST, 'content-type': 'application/json' };
  const send = (
    method: string,
    url: string,
    headers: Readonly<Record<string, string>> = HOST,
    payload?: unknown,
  ) =>
    app.inject({
      method: method as 'GET',
      url,
      headers,
      payload: payload as object,
    }) as Promise<Reply>;
  assertErrors(await send('POST', SIGN, json, BODY), 'STORE_UNAVAILABLE', /store/);
  assertErrors(await send('PUT', SIGN, json, BODY), 'STORE_UNAVAILABLE', /store/);
  const unavailable = await send('GET', KEYS);
  assertErrors(unavailable, 'STORE_UNAVAILABLE', /store/);
  assert.equal(unavailable.headers['retry-after'], '1');
  for (const [method, url] of [
    ['GET', '/v1/transit'],
    ['GET', '/v1/transit/'],
    ['GET', '/v1/transit/keys'],
    ['POST', '/v1/transit/hmac/x'],
    ['POST', `${SIGN}/sha2-256`],
  ] as const) {
    assertErrors(await send(method, url), 'ROUTE_NOT_FOUND', /no such route/);
  }
  for (const name of ['pet', 'x', '0'.repeat(44), ADDRESS.slice(1)]) {
    const detail = new RegExp(`${name}: not an address`);
    assertErrors(await send('GET', `/v1/transit/keys/${name}`), 'ADDRESS_NOT_FOUND', detail);
    const signed = await send('POST', `/v1/transit/sign/${name}`, json, BODY);
    assertErrors(signed, 'ADDRESS_NOT_FOUND', detail);
  }
  assertErrors(await send('DELETE', SIGN), 'METHOD_NOT_ALLOWED', /takes POST, PUT, not DELETE/);
  assertErrors(
    await send('GET', `${KEYS}?list=true`),
    'REQUEST_INVALID',
    /no such parameter: list/,
  );
  assertErrors(await send('POST', SIGN, json, '{'), 'BODY_INVALID', /allowed: JSON/);
  const large = { input: 'A'.repeat(20_000) };
  assertErrors(await send('POST', SIGN, json, large), 'BODY_TOO_LARGE', /too large/);
  // What is no message, or asks for nothing of the address, never reaches the store.
  const other = { input: Buffer.from(legacyMessage(Buffer.alloc(32, 6), 1)).toString('base64') };
  assertErrors(await send('POST', SIGN, json, other), 'SIGNER_NOT_REQUIRED', /among its required/);
  const text = { input: Buffer.from('Sign in').toString('base64') };
  assertErrors(await send('POST', SIGN, json, text), 'MESSAGE_INVALID', /only transactions are/);
  const form = { ...HOST, 'content-type': 'text/plain' };
  assertErrors(await send('POST', SIGN, form, 'x'), 'MEDIA_TYPE_UNSUPPORTED', /application\/json/);
  assertErrors(await send('GET', '/v1/transit/keys/%zz'), 'REQUEST_INVALID', /%zz/);
  assertErrors(await send('GET', KEYS, { host: 'example.org' }), 'HOST_REFUSED', /host/);
  assertErrors(await send('GET', KEYS, { ...HOST, origin: 'http://a.b' }), 'FOREIGN_REQUEST', /or/);
  const both = { ...HOST, authorization: 'Bearer x', 'x-vault-token': 'x' };
  assertErrors(await send('GET', KEYS, both), 'REQUEST_INVALID', /allowed: one of them/);
});

test('a body without a content type is JSON there, and nowhere else', async () => {
  const { app } = await testApp();
  const payload = Buffer.from(JSON.stringify(BODY));
  const ask = (url: string) => app.inject({ method: 'PUT', url, headers: HOST, payload });
  assertErrors(await ask(SIGN), 'STORE_UNAVAILABLE', /store/);
  // Without its length, too.
  const headers = { ...HOST, 'transfer-encoding': 'chunked' };
  const chunked = { method: 'PUT', url: SIGN, headers } as const;
  const reply = await app.inject({ ...chunked, payload: Readable.from([payload]) });
  assertErrors(reply, 'STORE_UNAVAILABLE', /store/);
  const other = await app.inject({ method: 'POST', url: '/v1/pools', headers: HOST, payload });
  assert.match(other.body, /"code":"(TOKEN_REQUIRED|MEDIA_TYPE_UNSUPPORTED)"/);
  const dispense = { method: 'POST', url: '/v1/pools/pet/dispense', headers: HOST } as const;
  const refused = await app.inject({ ...dispense, payload: Buffer.from('{"count":1}') });
  assert.equal(refused.statusCode, 415);
});

test('wrong tokens are counted, and a token has its rate', async () => {
  const limits = { requestsPerSecond: 3, connections: 1000 };
  const { app, access } = await testApp(undefined, true, undefined, { limits });
  const [token, wrong] = [newToken(), newToken()];
  const any = { pools: undefined, quota: undefined, expiresAt: undefined };
  const known = { id: 1, name: 'a', hash: tokenHash(token), scopes: ['dispense'] as const, ...any };
  access.setTokens({ tokens: [known], areAny: true });
  const ask = (text: string) =>
    app.inject({ url: KEYS, headers: { ...HOST, 'x-vault-token': text } }) as Promise<Reply>;
  const codes = new Set<string>();
  for (let times = 0; times < 70; times++) {
    const { body } = await ask(token);
    codes.add(JSON.parse(body).errors[0].split(':', 1)[0]);
  }
  assert.deepEqual([...codes], ['STORE_UNAVAILABLE', 'RATE_LIMITED']);
  let limited = await ask(wrong);
  assertErrors(limited, 'TOKEN_REQUIRED', /x-vault-token: not a valid token/);
  // Minutes are counted by the clock: the first may end meanwhile.
  for (let times = 0; times < 125 && limited.statusCode === 401; times++)
    limited = await ask(wrong);
  assertErrors(limited, 'RATE_LIMITED', /60 requests a minute without a valid token/);
  assert.ok(Number(limited.headers['retry-after']) >= 1);
});
