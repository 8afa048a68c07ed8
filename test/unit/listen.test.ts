import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import type { Settings } from '../../src/config/file.ts';
import { requiredAuth } from '../../src/http/listen.ts';

const TLS = { 'http.tls_cert': 'cert.pem', 'http.tls_key': 'key.pem' };

function required(host: string, flags: Settings = {}): unknown {
  return requiredAuth(loadConfig({ cwd: '/', flags: { 'http.host': host, ...flags } }));
}

test('on loopback and a socket it is as configured', () => {
  for (const host of ['127.0.0.1', 'localhost', '::1', 'unix:/run/pool.sock']) {
    for (const value of ['auto', true, false]) {
      assert.equal(required(host, { 'auth.required': value }), value, host);
    }
  }
  assert.equal(required('127.0.0.1', TLS), 'auto', 'TLS alone asks for nothing');
});

test('other machines need a token, and one of three ways', () => {
  const ways = [TLS, { 'http.insecure': true }, { 'http.trust_proxy': true }];
  for (const host of ['0.0.0.0', '::', '192.0.2.1', '127.0.0.2', 'pool.example']) {
    for (const way of [...ways, { 'http.trust_proxy': '10.0.0.0/8' }]) {
      assert.equal(required(host, way), true);
      assert.equal(required(host, { ...way, 'auth.required': true }), true);
      assert.throws(() => required(host, { ...way, 'auth.required': false }), {
        code: 'BIND_REFUSED',
        message: `${host}: other machines reach it, so tokens are needed, but auth.required is false: VANITYPOOL_AUTH__REQUIRED=true vanitypool serve --host ${host}`,
      });
    }
    assert.throws(() => required(host), {
      code: 'BIND_REFUSED',
      message: new RegExp(
        `^${host}: .*TLS_CERT=cert.pem VANITYPOOL_HTTP__TLS_KEY=key.pem vanitypool serve --host ${host}; ` +
          `.*TRUST_PROXY=true vanitypool .*INSECURE=true vanitypool .*--host 127.0.0.1$`,
      ),
    });
  }
});

test('who is behind a proxy needs a token, wherever it connects', () => {
  for (const host of ['127.0.0.1', 'unix:/run/pool.sock']) {
    const proxy = { 'http.trust_proxy': true };
    assert.equal(required(host, proxy), true);
    assert.throws(() => required(host, { ...proxy, 'auth.required': false }), {
      code: 'BIND_REFUSED',
      message: /a proxy brings requests of others.*VANITYPOOL_AUTH__REQUIRED=true/,
    });
  }
});

test('a grinder answers its own machine alone, which needs its token', () => {
  const grinder = {
    role: 'grinder',
    'store.url': 'postgres://db.example/pool',
    'store.sealing_key': `public:${'5a'.repeat(32)}`,
  };
  for (const host of ['127.0.0.1', '::1', 'unix:/run/pool.sock']) {
    assert.equal(required(host, { ...grinder, 'auth.required': false }), true, host);
  }
  const refused = { code: 'BIND_REFUSED', message: /grinder node answers its own machine alone/ };
  for (const way of [TLS, { 'http.insecure': true }]) {
    assert.throws(() => required('0.0.0.0', { ...grinder, ...way }), refused);
  }
  assert.throws(() => required('127.0.0.1', { ...grinder, 'http.trust_proxy': true }), refused);
});
