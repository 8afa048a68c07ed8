/** Over real connections: these headers are in no reply before it is written to one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { AppDeps } from '../../src/http/app-deps.ts';
import { makeCertificate } from '../support/certificates.ts';
import { testApp } from '../support/http-app.ts';

const NEVER = "default-src 'none'; frame-ancestors 'none'";
const LOCAL = ['host: localhost'];

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** An application that listens: one request a connection, as lines, without its version. */
async function listening(t: TestContext, more: Partial<AppDeps> = {}) {
  const { app } = await testApp(undefined, undefined, undefined, more);
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  return async (line: string, headers: readonly string[] = LOCAL, body = ''): Promise<Reply> => {
    const target = { host: '127.0.0.1', port };
    const isEncrypted = more.certificate !== undefined;
    const socket = isEncrypted
      ? connectTls({ ...target, rejectUnauthorized: false })
      : connect(target);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    socket.write([`${line} HTTP/1.1`, ...headers, 'connection: close', '', body].join('\r\n'));
    await once(socket, 'close');
    const [head = '', ...rest] = text.split('\r\n\r\n');
    const [status = '', ...lines] = head.split('\r\n');
    const pairs = lines.map((pair) => pair.split(/: (.*)/s, 2) as [string, string]);
    const names = pairs.map(([name]) => name.toLowerCase());
    assert.equal(new Set(names).size, names.length, `${line}: a header twice`);
    const found = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
    return { status: Number(status.split(' ')[1]), headers: found, body: rest.join('\r\n\r\n') };
  };
}

function assertSafe(headers: Record<string, unknown>, what: string): void {
  assert.equal(headers['x-content-type-options'], 'nosniff', what);
  assert.equal(headers['referrer-policy'], 'no-referrer', what);
  assert.equal(headers['access-control-allow-origin'], undefined, what);
  assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/, what);
}

test('every reply has them, whatever writes it', async (t) => {
  const ask = await listening(t);
  const paths = ['/healthz', '/v1/pools', '/openapi.json', '/metrics', '/v1/pools/%zz'];
  for (const path of [
    ...paths,
    '/none',
    '/v1/pools/none',
    '/api/v1/none',
    '/docs/none',
    '/health',
  ]) {
    const { headers } = await ask(`GET ${path}`);
    assertSafe(headers, path);
    assert.equal(headers['strict-transport-security'], undefined, path);
    if (!path.startsWith('/docs')) assert.equal(headers['content-security-policy'], NEVER, path);
  }
  for (const headers of [[], ['host: example.com'], [...LOCAL, 'via: x']]) {
    const refused = await ask('GET /healthz', headers);
    assert.ok(refused.status >= 400);
    assertSafe(refused.headers, 'refused');
  }
  const expecting = await ask('GET /healthz', [...LOCAL, 'expect: x']);
  assert.equal(expecting.status, 200, 'an expectation that nobody knows');
  assertSafe(expecting.headers, 'expecting');
  const json = [...LOCAL, 'content-type: application/json', 'content-length: 11'];
  assertSafe((await ask('POST /v1/pools/pet/dispense')).headers, 'an empty pool');
  assertSafe((await ask('POST /v1/pools/pet/dispense', json, '{"count":0}')).headers, 'a bad body');
  assertSafe((await ask('nonsense')).headers, 'no request');
});

test('the page of the document may load its own files and ask its own server, no more', async (t) => {
  const ask = await listening(t);
  const page = await ask('GET /docs');
  const policy = page.headers['content-security-policy']!;
  assertSafe(page.headers, 'the page');
  assert.match(policy, /default-src 'none'.*connect-src 'self'.*script-src 'self'/);
  assert.doesNotMatch(policy, /https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline/);
  assert.doesNotMatch(page.body, /<script(?![^>]*src=)|\son\w+=/, 'nothing that it forbids');
  const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
  assert.ok(files.length >= 5);
  for (const path of files) {
    const url = new URL(path, 'http://localhost/docs');
    assert.equal(url.host, 'localhost', path);
    const file = await ask(`GET ${url.pathname}`);
    assert.equal(file.status, 200, path);
    assertSafe(file.headers, path);
  }
});

test('the dashboard may load its own files and ask its own server, and nothing in it is inline', async (t) => {
  const ask = await listening(t);
  const page = await ask('GET /');
  const policy = page.headers['content-security-policy']!;
  assertSafe(page.headers, 'the page');
  for (const line of [
    ...["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
    ...["connect-src 'self'", "img-src 'self'", "script-src 'self'", "style-src 'self'"],
    ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
  ]) {
    assert.ok(policy.split('; ').includes(line), `${line} is not in ${policy}`);
  }
  assert.doesNotMatch(policy, /https?:|\*|unsafe|data:/);
  assert.doesNotMatch(page.body, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:/);
  const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path!);
  assert.ok(files.length >= 4);
  for (const path of files) {
    const url = new URL(path, 'http://localhost/');
    assert.doesNotMatch(path, /^\//, 'it works behind a path of a proxy');
    const file = await ask(`GET ${url.pathname}`);
    assert.equal(file.status, 200, path);
    assertSafe(file.headers, path);
  }
});

test('with TLS a browser must never come without', async (t) => {
  const ask = await listening(t, { certificate: makeCertificate('test') });
  for (const line of ['GET /healthz', 'GET /docs', 'nonsense']) {
    const { headers } = await ask(line);
    assertSafe(headers, line);
    assert.equal(headers['strict-transport-security'], 'max-age=31536000', line);
  }
});
