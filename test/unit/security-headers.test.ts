import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { makeCertificate } from '../support/certificates.ts';
import { testApp } from '../support/http-app.ts';

const LOCAL = { host: '127.0.0.1:5057' };
const NEVER = "default-src 'none'; frame-ancestors 'none'";

function assertSafe(headers: Record<string, unknown>, what: string): void {
  assert.equal(headers['x-content-type-options'], 'nosniff', what);
  assert.equal(headers['referrer-policy'], 'no-referrer', what);
  assert.equal(headers['access-control-allow-origin'], undefined, what);
  assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/, what);
}

test('every reply has them, those of errors and of unknown routes too', async () => {
  const { app } = await testApp();
  const paths = ['/healthz', '/v1/pools', '/openapi.json', '/metrics', '/', '/v1/pools/%zz'];
  for (const url of [
    ...paths,
    '/none',
    '/v1/pools/none',
    '/api/v1/none',
    '/docs/none',
    '/health',
  ]) {
    const { headers } = await app.inject({ url, headers: LOCAL });
    assertSafe(headers, url);
    assert.equal(headers['strict-transport-security'], undefined, url);
    if (!url.startsWith('/docs')) assert.equal(headers['content-security-policy'], NEVER, url);
  }
  for (const headers of [{}, { host: 'example.com' }, { ...LOCAL, via: 'x' }]) {
    assertSafe((await app.inject({ url: '/healthz', headers })).headers, 'refused');
  }
  const post = { method: 'POST', url: '/v1/pools/pet/dispense', headers: LOCAL } as const;
  assertSafe((await app.inject(post)).headers, 'an empty pool');
  assertSafe((await app.inject({ ...post, payload: { count: 0 } })).headers, 'a bad body');
});

test('the page of the document may load its own files and ask its own server, no more', async () => {
  const { app } = await testApp();
  const page = await app.inject({ url: '/docs', headers: LOCAL });
  const policy = String(page.headers['content-security-policy']);
  assertSafe(page.headers, 'the page');
  assert.match(policy, /default-src 'none'.*connect-src 'self'.*script-src 'self'/);
  assert.doesNotMatch(policy, /https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline/);
  assert.doesNotMatch(
    page.body,
    /<script(?![^>]*src=)|\son\w+=/,
    'nothing that the policy forbids',
  );
  const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
  assert.ok(files.length >= 5);
  for (const path of files) {
    const url = new URL(path, 'http://127.0.0.1:5057/docs/');
    assert.equal(url.host, LOCAL.host, path);
    const file = await app.inject({ url: url.pathname, headers: LOCAL });
    assert.equal(file.statusCode, 200, path);
    assertSafe(file.headers, path);
  }
});

test('with TLS a browser is told never to come without', async () => {
  const { app } = await testApp(undefined, undefined, undefined, {
    certificate: makeCertificate('test'),
  });
  const { headers } = await app.inject({ url: '/healthz', headers: LOCAL });
  assert.equal(headers['strict-transport-security'], 'max-age=31536000');
});

test('what is no request gets them, too', async () => {
  const { app } = await testApp();
  await app.listen({ host: '127.0.0.1', port: 0 });
  try {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.write('nonsense\r\n\r\n');
    await once(socket, 'close');
    const lines = text.split('\r\n\r\n')[0]!.split('\r\n').slice(1);
    assertSafe(Object.fromEntries(lines.map((line) => line.split(': '))), text);
  } finally {
    await app.close();
  }
});
