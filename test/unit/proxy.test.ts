/** Over the real application. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access } from '../../src/http/access.ts';
import { FAILURES_MAX } from '../../src/http/admission.ts';
import type { AppDeps } from '../../src/http/app-deps.ts';
import { tokenHash } from '../../src/token.ts';
import { keptLog } from '../support/grinding.ts';
import { testApp } from '../support/http-app.ts';

const PROXY = '10.0.0.7';
const CLIENT = '203.0.113.7';
const TOKEN = `vp_${'A'.repeat(43)}`;

async function behind(trustProxy: AppDeps['trustProxy']) {
  const access = new Access(true);
  access.setOwn(tokenHash(TOKEN));
  const { log, lines } = keptLog();
  const made = await testApp(undefined, undefined, undefined, { access, log, trustProxy });
  const ask = (url: string, headers: Record<string, string> = {}, from = PROXY) =>
    made.app.inject({
      url,
      remoteAddress: from,
      headers: { 'x-forwarded-for': CLIENT, authorization: `Bearer ${TOKEN}`, ...headers },
    });
  return { ...made, ask, lines };
}

test('a port behind an address that a proxy sends is no part of it', async () => {
  const counted = async (trustProxy: AppDeps['trustProxy'], forwarded: string) => {
    const { ask, lines } = await behind(trustProxy);
    const headers = { authorization: 'Bearer x', 'x-forwarded-for': forwarded };
    for (let times = 0; times <= FAILURES_MAX; times++) await ask('/v1/pools', headers);
    return lines[0]!.address;
  };
  assert.equal(await counted(true, '203.0.113.7:4711'), CLIENT);
  assert.equal(await counted(true, 'forged, [2001:db8::7]:4711'), '2001:db8:0:0::/64');
  assert.equal(await counted(true, '[2001:db8::7]'), '2001:db8:0:0::/64');
  assert.equal(await counted(true, '2001:db8::7'), '2001:db8:0:0::/64');
  assert.equal(await counted('10.0.0.0/8', `${CLIENT}:4711, 10.1.2.3:80`), CLIENT);
  assert.equal(await counted(true, `${CLIENT}:`), 'unknown');
});

test('a client with wrong tokens does not make another wait, whatever its port', async () => {
  const { ask } = await behind(true);
  const wrong = (from: string) =>
    ask('/v1/pools', { authorization: 'Bearer x', 'x-forwarded-for': from });
  for (let port = 1; port <= FAILURES_MAX; port++) {
    assert.equal((await wrong(`203.0.113.7:${port}`)).statusCode, 401);
  }
  assert.equal((await wrong('203.0.113.7:4711')).statusCode, 429);
  assert.equal((await wrong('203.0.113.8:4711')).statusCode, 401);
});

test('behind a path of a proxy everything leads to that path', async () => {
  for (const [trustProxy, prefix] of [
    [true, '/pool'],
    ['10.0.0.0/8', '/some/v1.0/vanity_pool~a-b'],
  ] as const) {
    const { ask } = await behind(trustProxy);
    const headers = { 'x-forwarded-prefix': prefix };
    const location = async (url: string) => (await ask(url, headers)).headers.location;
    assert.equal(await location('/swagger-ui'), `${prefix}/docs`);
    for (const url of ['/openapi.json', '/docs/json']) {
      assert.equal((await ask(url, headers)).json().servers[0].url, prefix);
      assert.equal((await ask(url)).json().servers[0].url, '/', 'the next one is as before');
    }
    for (const [page, files] of [
      ['/docs', '/docs/static/'],
      ['/docs/', '/docs/static/'],
      ['/', '/d'],
    ] as const) {
      const { body } = await ask(page, headers);
      const links = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!);
      assert.ok(links.length > 4);
      for (const link of links) {
        const { pathname } = new URL(link, `https://pool.example${prefix}${page}`);
        assert.ok(pathname.startsWith(`${prefix}${files}`), pathname);
        const file = await ask(pathname.slice(prefix.length), headers);
        assert.equal(file.statusCode, 200, pathname);
      }
    }
  }
});

test('a prefix that is none is refused, and one of a stranger passed over', async () => {
  const trusting = await behind(true);
  for (const prefix of [
    '',
    '/',
    'pool',
    '//pool',
    '/pool/',
    '/a b',
    '/a?b',
    '/a%2f',
    '/ä',
    '/a, /b',
  ]) {
    const reply = await trusting.ask('/', { 'x-forwarded-prefix': prefix });
    assert.equal(reply.statusCode, 400, prefix);
    assert.match(reply.json().detail, /^x-forwarded-prefix: allowed: /);
    assert.equal(reply.headers.location, undefined);
  }
  for (const [trustProxy, from] of [
    [false, PROXY],
    ['10.0.0.7', '192.0.2.1'],
  ] as const) {
    const { ask } = await behind(trustProxy);
    for (const prefix of ['/pool', '//evil.example']) {
      const reply = await ask('/swagger-ui', { 'x-forwarded-prefix': prefix }, from);
      assert.equal(reply.headers.location, '/docs');
    }
  }
});
