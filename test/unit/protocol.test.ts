/** By bytes on real connections, because it is about what Node.js's parser makes of them. */
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { Reply } from '../support/documented.ts';
import { fillPool, type TestApp, testApp } from '../support/http-app.ts';
import { exchangeBytes, repliesIn } from '../support/raw-connection.ts';

const DISPENSE = '/v1/pools/pet/dispense';
const HOST = 'host: localhost';
const CLOSE = 'connection: close';
const JSON_TYPE = 'content-type: application/json';
const BODY = '{"count":1}';
const CHUNKS = `b\r\n${BODY}\r\n0\r\n\r\n`;
const STOCK = 100;

let made: TestApp;
let port: number;

before(async () => {
  made = await testApp();
  fillPool(made.shared, STOCK);
  await made.app.listen({ host: '127.0.0.1', port: 0 });
  ({ port } = made.app.server.address() as AddressInfo);
});

after(() => made.app.close());

const textOf = (lines: readonly string[], body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;

/** All replies until the server closes the connection. */
async function send(text: string): Promise<Reply[]> {
  const pieces = [Buffer.from(text, 'latin1')];
  const bytes = await exchangeBytes({ port, pieces, ending: 'wait' });
  return repliesIn(bytes, text.startsWith('HEAD') ? 'HEAD' : 'GET');
}

/** The one reply, as the status and the code of an error. */
async function answerTo(text: string): Promise<string> {
  const replies = await send(text);
  assert.equal(replies.length, 1, text);
  const { status, body } = replies[0]!;
  return status < 400 ? String(status) : `${status} ${JSON.parse(body).code}`;
}

async function ready(): Promise<number> {
  const reply = await made.app.inject({ url: '/v1/pools/pet', headers: { host: 'localhost' } });
  return reply.json().ready;
}

test('what is not HTTP is refused, and nothing after it on its connection is read', async () => {
  const get = (version: string, ...lines: string[]) => [`GET /healthz${version}`, ...lines];
  const goal = (target: string, ...lines: string[]) => [`GET ${target} HTTP/1.1`, ...lines];
  const refused = [
    get(' HTTP/1.1'),
    get(' HTTP/1.1', HOST, HOST),
    get(' HTTP/1.1', HOST, 'Host: example.com'),
    get(' HTTP/1.0', HOST, HOST),
    ...[
      '',
      ' ',
      ':80',
      'a b',
      'a/b',
      'a@b',
      'a?b',
      'a:b',
      'a:99999',
      'a:1:2',
      'a%zz',
      '[::1',
      '[z]',
    ].map((host) => get(' HTTP/1.1', `host: ${host}`)),
    get(''),
    get('', HOST),
    ...['0.9', '1.2', '2.0', '3.0'].map((version) => get(` HTTP/${version}`, HOST)),
    goal('http://example.com/healthz', HOST),
    goal('http://localhost:81/healthz', HOST),
    goal('http://user@localhost/healthz', HOST),
    goal('https://', HOST),
    goal('ftp://localhost/healthz', HOST),
    goal('*', HOST),
    goal('healthz', HOST),
    goal('localhost:80', HOST),
    goal('/healthz#x', HOST),
  ];
  for (const lines of refused) {
    const text = textOf(lines) + textOf(get(' HTTP/1.1', HOST));
    assert.equal(await answerTo(text), '400 REQUEST_INVALID', JSON.stringify(lines));
  }
});

test('what is HTTP is served, as it is written', async () => {
  for (const lines of [
    ['GET /healthz HTTP/1.1', 'HOST: LocalHost:80'],
    ['GET /healthz HTTP/1.1', 'host: [::1]:5057'],
    ['GET /healthz HTTP/1.0', HOST],
    ['GET http://localhost/healthz HTTP/1.1', HOST],
    ['GET http://LOCALHOST:80/healthz?x HTTP/1.1', HOST],
    ['HEAD http://localhost/healthz HTTP/1.1', HOST],
  ]) {
    assert.equal(await answerTo(textOf([...lines, CLOSE])), '200', lines.join());
  }
  const none = ['GET /healthz HTTP/1.0'];
  assert.equal(await answerTo(textOf(none)), '403 HOST_REFUSED', 'HTTP/1.0 asks for no host');
  const other = ['GET /healthz HTTP/1.1', 'host: a%41.example,b'];
  assert.equal(await answerTo(textOf([...other, CLOSE])), '403 HOST_REFUSED');
  const absolute = ['PUT http://localhost/v1/pools HTTP/1.1', HOST, CLOSE];
  assert.equal(await answerTo(textOf(absolute)), '405 METHOD_NOT_ALLOWED');
});

test('a body in a coding that is not decoded is refused, and takes nothing', async () => {
  const left = await ready();
  const post = (lines: string[], body: string, version = '1.1') =>
    textOf([`POST ${DISPENSE} HTTP/${version}`, HOST, JSON_TYPE, CLOSE, ...lines], body);
  const length = `content-length: ${BODY.length}`;
  const CODED = '415 MEDIA_TYPE_UNSUPPORTED';
  const UNKNOWN = '501 TRANSFER_ENCODING_UNSUPPORTED';
  const BAD = '400 REQUEST_INVALID';
  for (const [expected, ...sent] of [
    [CODED, [length, 'content-encoding: gzip'], BODY],
    [CODED, [length, 'content-encoding: identity, br'], BODY],
    [CODED, ['transfer-encoding: chunked', 'content-encoding: nonsense'], CHUNKS],
    [UNKNOWN, ['transfer-encoding: gzip, chunked'], CHUNKS],
    [UNKNOWN, ['transfer-encoding: gzip', 'transfer-encoding: chunked'], CHUNKS],
    [BAD, ['transfer-encoding: gzip'], CHUNKS],
    [BAD, ['transfer-encoding: xchunked'], CHUNKS],
    [BAD, ['transfer-encoding: chunked, gzip'], CHUNKS],
    [BAD, ['transfer-encoding: chunked, chunked'], CHUNKS],
    [BAD, ['transfer-encoding: chunked', 'transfer-encoding: identity'], CHUNKS],
    [BAD, ['transfer-encoding: chunked'], CHUNKS, '1.0'],
  ] as [string, string[], string, string?][]) {
    const text = post(...sent);
    // Without being asked to, the server closes what it cannot read to its end.
    const alone = expected === CODED ? text : text.replace(`${CLOSE}\r\n`, '');
    assert.equal(await answerTo(alone), expected, sent.join());
  }
  const [coded] = await send(post([length, 'content-encoding: gzip'], BODY));
  assert.equal(coded!.headers['accept-encoding'], 'identity');
  assert.match(coded!.body, /content-encoding: allowed for a body: none/);
  assert.equal(await ready(), left);
  for (const lines of [
    [length, 'content-encoding: Identity'],
    ['content-length: 0', 'content-encoding: gzip'],
  ]) {
    const body = lines[0] === length ? BODY : '';
    assert.equal(await answerTo(post(lines, body)), '200', lines.join());
  }
});

test('every method that the parser knows gets 405 where a path does not take it, body or not', async () => {
  const served = new Set(['GET', 'HEAD', 'POST']);
  for (const method of METHODS.filter((name) => !served.has(name) && name !== 'CONNECT')) {
    for (const [lines, body] of [
      [[], ''],
      [[JSON_TYPE, 'content-length: 1'], '{'],
      [['content-type: text/plain', 'content-encoding: gzip', 'content-length: 1'], 'x'],
    ] as [string[], string][]) {
      const text = (path: string) =>
        textOf([`${method} ${path} HTTP/1.1`, HOST, CLOSE, ...lines], body);
      assert.equal(await answerTo(text('/v1/pools')), '405 METHOD_NOT_ALLOWED', method);
      assert.equal(await answerTo(text('/v1/none')), '404 ROUTE_NOT_FOUND', method);
    }
  }
});
