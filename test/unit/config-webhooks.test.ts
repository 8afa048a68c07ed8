/** The webhooks of the configuration: what may stand there, and what is refused without being repeated. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WEBHOOK_EVENTS, WEBHOOKS_MAX } from '../../src/config/webhooks.ts';
import { load, refuses } from '../support/configuration.ts';
import { SECRET } from '../support/receiver.ts';

const table = (lines: string, url = 'https://h.example/x') =>
  `[[webhooks]]\nurl = ${JSON.stringify(url)}\nsecret = "${SECRET}"\n${lines}\n`;

test('without webhooks there are none', () => {
  assert.deepEqual(load('').webhooks, []);
});

test('webhooks of the file, in order: all events, or those that are listed', () => {
  const { webhooks } = load(`${table('')}${table('events = ["pool.low", "pool.low"]')}`);
  assert.deepEqual(
    webhooks.map(({ label, url, events, secret }) => [label, url, events, secret]),
    [
      ['webhooks.1', 'https://h.example/x', WEBHOOK_EVENTS, SECRET],
      ['webhooks.2', 'https://h.example/x', ['pool.low'], SECRET],
    ],
  );
  assert.ok(Object.isFrozen(webhooks) && webhooks.every((one) => Object.isFrozen(one)));
});

test('the environment changes webhooks of the file and adds more', () => {
  const env = {
    VANITYPOOL_WEBHOOKS__0__EVENTS: 'pool.low, pool.empty',
    VANITYPOOL_WEBHOOKS__1__URL: 'http://127.0.0.1:1/',
    VANITYPOOL_WEBHOOKS__1__SECRET: 'env:OF_MINE',
  };
  const { webhooks } = load(table(''), { env });
  assert.deepEqual(webhooks[0]?.events, ['pool.low', 'pool.empty']);
  assert.deepEqual([webhooks[1]?.url, webhooks[1]?.secret], ['http://127.0.0.1:1/', 'env:OF_MINE']);
  const { VANITYPOOL_WEBHOOKS__1__URL: _, ...noUrl } = env;
  refuses(
    () => load(table(''), { env: noUrl }),
    'CONFIG_INVALID',
    'VANITYPOOL_WEBHOOKS__1__URL: is missing; allowed: an https:// URL',
  );
  refuses(
    () => load('', { env: { VANITYPOOL_WEBHOOKS__1__URL: 'https://h.example' } }),
    'CONFIG_INVALID',
    'VANITYPOOL_WEBHOOKS__1__URL: webhooks are counted from 0, and 0 is the next one',
  );
  refuses(
    () => load('', { env: { VANITYPOOL_WEBHOOKS__URL: 'https://h.example' } }),
    'CONFIG_UNKNOWN_KEY',
    'allowed: as VANITYPOOL_WEBHOOKS__0__URL, for the first webhook',
  );
});

test('https to any host, http to loopback addresses alone', () => {
  for (const host of ['127.0.0.1:8080', '127.1', 'localhost', '[::1]:8080']) {
    assert.equal(load(table('', `http://${host}/x?y`)).webhooks.length, 1, host);
  }
  for (const url of [
    'http://h.example/QUIET',
    'http://127.0.0.1.example/QUIET',
    'http://127.example/QUIET',
    'http://localhost.example/QUIET',
    'http://[::2]/QUIET',
    'http://10.0.0.1/QUIET',
    'http://user:QUIET@127.0.0.1/',
    'https://QUIET@h.example/',
    'https://h.example/#QUIET',
    'ftp://h.example/QUIET',
    'QUIET',
  ]) {
    const pattern = /^webhooks\.1\.url: this value is not allowed; (?!.*QUIET)/;
    refuses(() => load(table('', url)), 'CONFIG_INVALID', pattern);
  }
});

test('a secret is 24 to 64 bytes, or the name of a variable; it is not repeated', () => {
  const base64 = (bytes: number) => Buffer.alloc(bytes, 7).toString('base64');
  const of = (secret: string) =>
    load(`[[webhooks]]\nurl = "https://h.example"\nsecret = ${JSON.stringify(secret)}`);
  for (const bytes of [24, 64]) assert.equal(of(`whsec_${base64(bytes)}`).webhooks.length, 1);
  for (const secret of [
    `whsec_${base64(23)}`,
    `whsec_${base64(65)}`,
    `whsec_${base64(32)} QUIET`,
    base64(32),
    'env:1QUIET',
    'QUIET',
  ]) {
    const pattern = /^webhooks\.1\.secret: this value is not allowed; allowed: "whsec_"(?!.*QUIET)/;
    refuses(() => of(secret), 'CONFIG_INVALID', pattern);
  }
  refuses(
    () => load('[[webhooks]]\nurl = "https://h.example"'),
    'CONFIG_INVALID',
    'webhooks.1.secret: is missing',
  );
});

test('what is no event, no key or no table is refused by its name', () => {
  for (const events of ['["pool.high"]', '[]', '"pool.low"']) {
    const message = 'is not allowed; allowed: a list of pool.low, ';
    refuses(() => load(table(`events = ${events}`)), 'CONFIG_INVALID', message);
  }
  refuses(
    () => load(table('uri = "QUIET"')),
    'CONFIG_UNKNOWN_KEY',
    'webhooks.1.uri: no such key; there are: url, events, secret',
  );
  refuses(
    () => load('[webhooks]\nurl = "x"'),
    'CONFIG_INVALID',
    'webhooks: write each webhook as a [[webhooks]] table',
  );
  const many = table('').repeat(WEBHOOKS_MAX);
  assert.equal(load(many).webhooks.length, WEBHOOKS_MAX);
  refuses(() => load(many + table('')), 'CONFIG_INVALID', `webhooks: 17; allowed: ${WEBHOOKS_MAX}`);
});
