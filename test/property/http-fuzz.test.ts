/**
 * Hostile input over every route of the OpenAPI document: no request makes the server fail, hang, say
 * what its document does not describe, or lose an address. What was dispensed in the end is what
 * came back, and what clients that cut the connection asked for. FC_RUNS sets the number of runs.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { readOwnToken } from '../../src/service/own-token.ts';
import {
  codeIn,
  documentOf,
  type Judge,
  judgeOf,
  type OpenApi,
  operationsOf,
  type Reply,
  type Told,
} from '../support/documented.ts';
import { type HostileRequest, hostileRequest, LIVE } from '../support/hostile-requests.ts';
import { fillPool, testApp } from '../support/http-app.ts';
import { exchangeBytes, repliesIn } from '../support/raw-connection.ts';
import {
  assertIdentity,
  DILIGENT,
  EASY_POOL,
  type PoolFigures,
  type Server,
  Workspace,
} from '../support/server.ts';
import {
  HALF,
  piecesOf,
  TOO_LONG,
  type UnfinishedRequest,
  unfinishedRequests,
} from '../support/unfinished-requests.ts';

const numRuns = Number(process.env.FC_RUNS ?? 100);
const DISPENSE = '/v1/pools/pet/dispense';
const COUNT_MAX = 3;

let workspace: Workspace;
let server: Server;
let port: number;
let token: string;
let document: OpenApi;
let judge: Judge;

/** Addresses by how they came back; one with an idempotency key may come again. */
const received = new Set<string>();
/** At most so many were dispensed for requests without a reply. */
let unheard = 0;
let reservation = '0'.repeat(32);
let address = '1'.repeat(32);

before(async () => {
  workspace = new Workspace();
  const signed = { ...EASY_POOL, name: 'signed', handout: 'sign-only', target: 100 };
  workspace.configure(
    [{ ...EASY_POOL, target: 2000, accepts_imports: true }, signed],
    ...['[http]', 'rate_limit = 0', ...DILIGENT],
  );
  server = await workspace.serve();
  port = Number(new URL(server.url).port);
  token = readOwnToken(workspace.data)!;
  document = await server.get<OpenApi>('/openapi.json');
  judge = judgeOf(document);
  await server.until(({ available, leased }) => available + leased > 1000);
});

after(() => workspace[Symbol.asyncDispose]());

/** With what the server gave last; a request without a token of its own mostly gets the right one. */
function bytesOf({ name, path, headers, body }: HostileRequest): Buffer {
  const has = (name: string) => headers.some(([header]) => header === name);
  const live = name.includes('{reservation}') ? reservation : address;
  const head = [
    `${name.split(' ')[0]!.toUpperCase()} ${path.replaceAll(LIVE, path.includes('{pool}') ? 'pet' : live)} HTTP/1.1`,
    ...(has('host') ? [] : [`host: 127.0.0.1:${port}`]),
    ...(has('authorization') ? [] : [`authorization: Bearer ${token}`]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(body.length === 0 ? [] : [`content-length: ${body.length}`]),
    'connection: close',
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

function keep(reply: Reply, mayRepeat: boolean): void {
  if (reply.status >= 300 || !String(reply.headers['content-type']).includes('json')) return;
  const body = JSON.parse(reply.body) as {
    addresses?: { address: string }[];
    id?: string;
    address?: string;
  };
  for (const { address: one } of body.addresses ?? []) {
    assert.ok(mayRepeat || !received.has(one), `${one} left twice`);
    received.add(one);
    address = one;
  }
  if (typeof body.id === 'string') reservation = body.id;
}

function assertSane(reply: Reply): void {
  const { status, body } = reply;
  assert.ok(status < 500 || status === 501 || status === 503, `${status}: ${body}`);
  if (status < 400) return;
  const error = JSON.parse(body);
  const type = error.errors ? /^application\/json/ : /^application\/problem\+json/;
  assert.match(String(reply.headers['content-type']), type, body);
  assert.ok(error.errors || error.status === status, body);
}

const isOutside = ({ body }: Reply) => /"(ROUTE_NOT_FOUND|METHOD_NOT_ALLOWED)[":]/.test(body);

interface AuditPage {
  readonly entries: readonly { readonly address: string; readonly state: string }[];
  readonly next: number | null;
}

async function dispensedSoFar(): Promise<Set<string>> {
  const dispensed = new Set<string>();
  const headers = { authorization: `Bearer ${token}` };
  for (let next: number | null = 0; next !== null; ) {
    const reply = await fetch(`${server.url}/v1/audit?limit=1000&after=${next}`, { headers });
    assert.equal(reply.status, 200);
    const page = (await reply.json()) as AuditPage;
    for (const { address, state } of page.entries)
      if (state === 'dispensed') dispensed.add(address);
    next = page.next;
  }
  return dispensed;
}

/** What left is what came back, but for at most `unheard`, and the server serves. */
async function assertNothingLost(): Promise<void> {
  const ready = async () => (await server.ask('GET', '/v1/pools/pet', { token })).body.ready;
  while ((await ready()) === 0) await sleep(20);
  // Recorded in their order: when the last one is, all are.
  const body = JSON.stringify({ count: 1 });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const reply = await fetch(`${server.url}${DISPENSE}`, { method: 'POST', headers, body });
  assert.equal(reply.status, 200);
  const { addresses } = (await reply.json()) as { addresses: [{ address: string }] };
  received.add(addresses[0].address);
  let dispensed = await dispensedSoFar();
  while (!dispensed.has(addresses[0].address)) {
    await sleep(100);
    dispensed = await dispensedSoFar();
  }
  for (const one of received) assert.ok(dispensed.has(one), `${one} came back, not dispensed`);
  const silent = dispensed.size - received.size;
  assert.ok(silent <= unheard, `${silent} left without a reply; at most ${unheard} can have`);
}

test('no request to the application, over whatever route, gets what is not documented', async () => {
  const { app, shared } = await testApp();
  fillPool(shared, 500);
  const told = operationsOf(await documentOf(app)).filter(({ operation }) => !isStream(operation));
  await fc.assert(
    fc.asyncProperty(hostileRequest(told), async ({ name, path, headers, body }) => {
      const {
        statusCode,
        headers: back,
        body: text,
      } = await app.inject({
        method: name.split(' ')[0]!.toUpperCase() as 'GET',
        url: path.replaceAll(LIVE, 'pet'),
        headers: { host: 'localhost', ...Object.fromEntries(headers) },
        ...(body.length > 0 && { payload: body }),
      });
      assertSane({ status: statusCode, headers: back, body: text });
    }),
    { numRuns },
  );
  await app.close();
});

/** All operations; one of three hands out addresses. */
function dispenseOften(whole: OpenApi): Told[] {
  const all = operationsOf(whole);
  const dispensing = all.filter(({ path }) => path.endsWith('/dispense'));
  const times = Math.ceil(all.length / 2 / dispensing.length);
  return [...all, ...Array.from({ length: times }, () => dispensing).flat()];
}

const isStream = ({ responses }: Told['operation']) =>
  responses['200']?.content?.['text/event-stream'] !== undefined;

test('no request to a server, over whatever route, gets what is not documented', async () => {
  await fc.assert(
    fc.asyncProperty(hostileRequest(dispenseOften(document)), async (request) => {
      const [method = '', path = ''] = request.name.split(' ');
      const isEnough = isStream(document.paths[path]![method]!)
        ? (bytes: Buffer) => bytes.includes('event: status')
        : () => false;
      const pieces = [bytesOf(request)];
      const bytes = await exchangeBytes({ port, pieces, ending: 'wait', isEnough });
      const replies = repliesIn(bytes);
      assert.equal(replies.length, 1, bytes.toString('latin1'));
      const [reply] = replies as [Reply];
      assertSane(reply);
      if (!isOutside(reply)) judge(method, path, reply);
      const hasKey = request.headers.some(([name]) => name === 'idempotency-key');
      keep(reply, hasKey || request.name.includes('/reservations/'));
      if (path.endsWith('/pause') && reply.status === 200) await resumeAll();
    }),
    { numRuns },
  );
  await assertNothingLost();
});

/** So that there is something to lose. */
async function resumeAll(): Promise<void> {
  for (const pool of ['pet', 'signed']) {
    const headers = { authorization: `Bearer ${token}` };
    const url = `${server.url}/v1/pools/${pool}/resume`;
    assert.equal((await fetch(url, { method: 'POST', headers })).status, 200);
  }
}

/** A dispense as it should be, as a head and a body. */
function plainDispense(count: number, lines: readonly string[] = []): [string, string] {
  const body = JSON.stringify({ count });
  const head = [
    `POST ${DISPENSE} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    ...(lines.length > 0 ? lines : [`content-length: ${body.length}`]),
  ];
  return [`${head.join('\r\n')}\r\n\r\n`, body];
}

const counts = fc.integer({ min: 1, max: COUNT_MAX });

test('a request that is cut off at any byte costs at most what it asked for, once complete', async () => {
  await fc.assert(
    fc.asyncProperty(
      counts,
      fc.double({ min: 0, max: 1.2, noNaN: true }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }),
      async (count, share, cuts) => {
        const whole = Buffer.from(plainDispense(count).join(''));
        const length = Math.min(whole.length, Math.floor(share * whole.length));
        const sent = whole.subarray(0, length);
        const ends = [...cuts.map((cut) => Math.floor(cut * length)).sort((a, b) => a - b), length];
        const pieces = ends.map((end, index) => sent.subarray(ends[index - 1] ?? 0, end));
        const bytes = await exchangeBytes({ port, pieces, ending: 'cut' });
        if (length < whole.length) assert.equal(bytes.length, 0, 'nothing is answered halfway');
        const replies = bytes.length === 0 ? [] : repliesIn(bytes);
        for (const reply of replies) {
          assert.equal(JSON.parse(reply.body).addresses.length, count);
          keep(reply, false);
        }
        if (length === whole.length && replies.length === 0) unheard += count;
      },
    ),
    { numRuns },
  );
  await assertNothingLost();
});

/** Two lengths, two encodings, lines that are none: what one reads as one request another reads as two. */
const SHAPES: readonly ((count: number) => string)[] = [
  (count) => shaped(count, ['content-length: 11', 'transfer-encoding: chunked'], '0\r\n\r\n'),
  (count) => shaped(count, ['transfer-encoding: chunked', 'content-length: 11']),
  (count) => shaped(count, ['content-length: 11', 'content-length: 12']),
  (count) => shaped(count, ['content-length: 11, 11']),
  (count) => shaped(count, ['content-length: +11']),
  (count) => shaped(count, ['content-length: 0x0b']),
  (count) => shaped(count, ['content-length: -1']),
  (count) => shaped(count, ['content-length: 99999999999999999999']),
  (count) => shaped(count, ['content-length : 11']),
  (count) => shaped(count, ['content-length: 11', ' folded: 1']),
  (count) => shaped(count, ['\tfolded: 1', 'content-length: 11']),
  (count) => shaped(count, ['x: a\nTransfer-Encoding: chunked', 'content-length: 11']),
  (count) => shaped(count, ['x: a\rcontent-length: 0', 'content-length: 11']),
  (count) => shaped(count, ['x: a\0b', 'content-length: 11']),
  (count) => shaped(count, ['transfer-encoding: chunked'], 'b\r\n{"count":1}\r\n0\r\n\r\n'),
  (count) => shaped(count, ['transfer-encoding: chunked'], 'b;x=\ny\r\n{"count":1}\r\n0\r\n\r\n'),
  (count) => shaped(count, ['transfer-encoding: chunked'], '0xb\r\n{"count":1}\r\n0\r\n\r\n'),
  (count) => shaped(count, ['transfer-encoding: chunked'], 'ffffffffffffffffb\r\n{}\r\n0\r\n\r\n'),
  (count) => shaped(count, ['transfer-encoding: chunked, identity']),
  (count) => shaped(count, ['transfer-encoding: xchunked']),
  (count) => shaped(count, ['transfer-encoding:\x0bchunked']),
  (count) => shaped(count, ['content-length: 11', 'upgrade: websocket', 'connection: upgrade']),
  (count) => shaped(count, ['content-length: 11']).replaceAll('\r\n', '\n'),
  (count) => shaped(count, ['content-length: 11']).replace(' HTTP/1.1', ''),
  (count) => shaped(count, ['content-length: 11']).replace('HTTP/1.1', 'HTTP/0.9'),
  (count) => shaped(count, ['content-length: 11']).replace('HTTP/1.1', 'HTTP/2.0'),
  (count) => shaped(count, ['content-length: 11']).replace('POST /', 'POST http://example.com/'),
  (count) => shaped(count, ['content-length: 11']).replace('POST /', 'POST //'),
  (count) => shaped(count, ['content-length: 11']).replace('/dispense', '%2Fdispense'),
  (count) => shaped(count, ['content-length: 11']).replace('/pet/', '/../pools/pet/'),
  (count) => shaped(count, ['content-length: 11']).replace('/pet/', '/pet%00/'),
  (count) => shaped(count, ['content-length: 11']).replace('/dispense', '/dispense#x'),
  (count) => shaped(count, ['content-length: 11']).replace('POST ', 'POST\t'),
  (count) => shaped(count, ['content-length: 11']).replace('POST', 'CONNECT'),
  (count) => shaped(count, ['content-length: 11']).replace('POST', 'post'),
  (count) => shaped(count, ['content-length: 11']).replace('host:', 'host: example.com\r\nhost:'),
  () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  () => '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
  () => '\r\n\r\n\r\n',
  () => '',
];

function shaped(count: number, lines: readonly string[], given?: string): string {
  const [head, body] = plainDispense(count, lines);
  return head + (given ?? body);
}

test('requests that two readers would read as two different ones are refused or read as one', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ shape: fc.constantFrom(...SHAPES), count: counts }), {
        minLength: 1,
        maxLength: 3,
      }),
      fc.boolean(),
      async (parts, hasPlain) => {
        const texts = parts.map(({ shape, count }) => shape(count));
        if (hasPlain) texts.unshift(plainDispense(1).join(''));
        const pieces = texts.map((text) => Buffer.from(text, 'latin1'));
        const bytes = await exchangeBytes({ port, pieces, ending: 'end' });
        const replies = bytes.length === 0 ? [] : repliesIn(bytes);
        for (const reply of replies) {
          assertSane(reply);
          keep(reply, false);
        }
        assert.ok(replies.length <= texts.length, `${texts.length} requests: ${bytes.toString()}`);
        // Of one whose client has closed its side: it may be read, and not answered any more.
        if (replies.length < texts.length) unheard += COUNT_MAX * (texts.length - replies.length);
      },
    ),
    { numRuns },
  );
  await assertNothingLost();
});

/** Addresses of all pools that are neither free nor leased. */
async function goneSoFar(): Promise<number> {
  const { body } = await server.ask('GET', '/v1/pools', { token });
  const pools = body.pools as PoolFigures[];
  return pools.reduce((sum, one) => sum + one.dispensed + one.reserved + one.burned, 0);
}

/**
 * Status, and code if it is an error, of each reply on a connection; the first is validated
 * against the document.
 */
async function answersTo(request: UnfinishedRequest, bearer: string): Promise<string[]> {
  const { method, path } = request.told;
  const pieces = piecesOf(request, `127.0.0.1:${port}`, bearer);
  const bytes = await exchangeBytes({ port, pieces, ending: 'wait' });
  const replies = repliesIn(bytes);
  const finals = bytes.toString('latin1').match(/HTTP\/1\.1 [2-5]/g)!;
  assert.equal(finals.length, replies.length, 'none in the middle of another');
  judge(method, path, replies[0]!);
  return replies.map(({ status, body }) =>
    status < 400 ? String(status) : `${status} ${codeIn(JSON.parse(body))}`,
  );
}

test('a body that does not end is waited for, not acted upon, and cut', async () => {
  const goneBefore = await goneSoFar();
  // What reads no body answers at once, and cuts what still comes.
  const isRead = ({ told, shape }: UnfinishedRequest) =>
    told.method !== 'get' && shape !== TOO_LONG;
  const all = unfinishedRequests(operationsOf(document));
  const exchanges = all.map(async (request) => {
    const { name } = request.told;
    const answers = await answersTo(request, token);
    const [first = ''] = answers;
    const where = `${name}, ${request.shape}: ${answers.join()}`;
    if (isRead(request)) assert.deepEqual(answers, ['408 REQUEST_TIMEOUT'], where);
    else if (request.shape === TOO_LONG && request.told.method !== 'get') {
      assert.equal(first, '413 BODY_TOO_LARGE', where);
    } else assert.match(first, /^(200$|404 )/, where);
  });
  const strangers = all.filter(({ told, shape }) => told.operation['x-scope'] && shape === HALF);
  exchanges.push(
    ...strangers.map(async (request) => {
      const [first = ''] = await answersTo(request, 'vp_none');
      assert.match(first, /^(401 TOKEN_REQUIRED|429 RATE_LIMITED)$/, request.told.name);
    }),
  );
  await Promise.all(exchanges);
  assert.equal(await goneSoFar(), goneBefore);
});

test('in the end every figure adds up, nothing failed inside, and the server stops cleanly', async () => {
  assert.ok(received.size > numRuns / 10, `only ${received.size} addresses came back`);
  const headers = { authorization: `Bearer ${token}` };
  const reply = await fetch(`${server.url}/v1/pools`, { headers });
  const { pools } = (await reply.json()) as { pools: PoolFigures[] };
  for (const figures of pools) assertIdentity(figures);
  const failures = server.log.filter(({ level }) => ['error', 'fatal'].includes(level));
  assert.deepEqual(failures, []);
  assert.equal(await server.kill('SIGTERM'), 0);
});
