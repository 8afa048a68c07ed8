/**
 * When the client asks again and when it does not, through real sockets that are cut, held and lied
 * on. A small server of the test stands for vanitypool, so that every reply can be asked for.
 */
import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { isPassing, pauseAfter } from '../../src/client/caller.ts';
import { VanitypoolClient, VanitypoolError } from '../../src/client/client.ts';
import { type Fate, FlakyProxy, problem } from '../support/flaky-proxy.ts';

const LIMIT = { timeout: 300_000 };
const ADDRESS = { id: 1, address: 'A', keyType: 'seed', origin: 'ground', createdAt: 'x' };
const SECRET = 'vp_verysecret';
/** What some call or other looks for. */
const ANY = {
  ...{ addresses: [ADDRESS], tokens: [], token: 'vp_new', id: 'r' },
  ...{ name: 'x', burned: 1, imported: 1, entries: [], next: null, address: 'A' },
};

class Setup implements AsyncDisposable {
  readonly #server = createServer((_, reply) => {
    reply.setHeader('content-type', 'application/json');
    reply.end(JSON.stringify(ANY));
  });
  proxy!: FlakyProxy;

  async start(...fates: Fate[]): Promise<this> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    this.proxy = await FlakyProxy.before(
      `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
    );
    this.proxy.fates.push(...fates);
    return this;
  }

  client(options: object = {}): VanitypoolClient {
    return new VanitypoolClient({ url: this.proxy.url, token: SECRET, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    this.#server.close();
  }
}

const setupOf = (...fates: Fate[]) => new Setup().start(...fates);

/** The error of a call, which must be one of the client's and hold no secret. */
async function errorOf(call: Promise<unknown>): Promise<VanitypoolError> {
  const error = await call.then(
    () => assert.fail('the call did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof VanitypoolError, String(error));
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    assert.doesNotMatch(`${one.message} ${JSON.stringify(one)}`, /verysecret|hush/);
  }
  return error;
}

const PASSING: Fate[] = [
  'lose',
  'cut-reply',
  'halve-reply',
  problem(503, 'STORE_UNAVAILABLE', 0),
  problem(503, 'DRAINING', 0),
  problem(503, 'POOL_EMPTY', 0),
  problem(429, 'RATE_LIMITED', 0),
  problem(409, 'IDEMPOTENCY_IN_FLIGHT', 0),
  { status: 502, body: '<html>Bad Gateway</html>' },
  { status: 503, headers: { 'retry-after': '0' } },
  { status: 504, body: '' },
];

test(
  'what passes is asked again with the same key, what is asked anew with another',
  LIMIT,
  async () => {
    await using setup = await setupOf();
    const client = setup.client();
    const keys = new Set<string>();
    for (const fate of PASSING) {
      setup.proxy.fates.push(fate);
      assert.deepEqual(await client.dispense('pet'), [ADDRESS]);
      const [first, second] = setup.proxy.seen.splice(0).map(({ key }) => key!);
      assert.match(first!, /^[0-9a-f]{32}$/);
      assert.equal(first, second, JSON.stringify(fate));
      keys.add(first!);
    }
    setup.proxy.fates.push('lose');
    await client.reserve('pet');
    for (const { key } of setup.proxy.seen) keys.add(key!);
    assert.equal(keys.size, PASSING.length + 1);
  },
);

test('a key of the caller is the one that is sent', LIMIT, async () => {
  await using setup = await setupOf('lose');
  await setup.client().dispense('pet', { idempotencyKey: 'order 4711' });
  await setup.client().reserve('pet', { idempotencyKey: 'order 4712' });
  assert.deepEqual(
    setup.proxy.seen.map(({ key }) => key),
    ['order 4711', 'order 4711', 'order 4712'],
  );
});

test('after `retries` repetitions the last error is thrown', LIMIT, async () => {
  await using setup = await setupOf(...Array<Fate>(9).fill(problem(503, 'STORE_UNAVAILABLE', 0)));
  for (const retries of [0, 2]) {
    setup.proxy.seen.length = 0;
    const error = await errorOf(setup.client({ retries }).dispense('pet'));
    assert.deepEqual([error.code, error.status], ['STORE_UNAVAILABLE', 503]);
    assert.deepEqual([error.detail, error.retryAfterSeconds], ['said: STORE_UNAVAILABLE', 0]);
    assert.equal(setup.proxy.seen.length, retries + 1);
  }
});

test('what does not pass is not asked again', LIMIT, async () => {
  const told: [number, string][] = [
    [400, 'COUNT_INVALID'],
    [401, 'TOKEN_REQUIRED'],
    [404, 'POOL_NOT_FOUND'],
    [409, 'SIGN_LIMIT_REACHED'],
    [410, 'IDEMPOTENCY_EXPIRED'],
    [422, 'IDEMPOTENCY_MISMATCH'],
    [500, 'INTERNAL'],
  ];
  await using setup = await setupOf();
  const client = setup.client();
  for (const [status, code] of told) {
    setup.proxy.fates.push(problem(status, code));
    const error = await errorOf(client.dispense('pet'));
    assert.deepEqual([error.code, error.status], [code, status]);
  }
  for (const body of ['{"secretKey":"hush', 'hush', 'null', '[]', '{"other":"hush"}', '']) {
    setup.proxy.fates.push({ status: 200, body });
    assert.equal((await errorOf(client.dispense('pet'))).code, 'REPLY_INVALID');
    setup.proxy.fates.push({ status: 404, body });
    assert.equal((await errorOf(client.dispense('pet'))).code, 'REPLY_INVALID');
  }
  assert.equal(setup.proxy.seen.length, told.length + 12);
});

test('a wait that does not fit into the time is not begun', LIMIT, async () => {
  await using setup = await setupOf(
    problem(503, 'POOL_EMPTY', 30),
    problem(429, 'QUOTA_EXCEEDED', 86_000),
  );
  const client = setup.client({ timeoutMs: 20_000 });
  const empty = await errorOf(client.dispense('pet'));
  assert.deepEqual([empty.code, empty.retryAfterSeconds], ['POOL_EMPTY', 30]);
  assert.equal((await errorOf(client.dispense('pet'))).code, 'QUOTA_EXCEEDED');
  assert.equal(setup.proxy.seen.length, 2);
});

test(
  'what would be another thing the second time is sent once, all else again',
  LIMIT,
  async () => {
    await using setup = await setupOf();
    const client = setup.client();
    for (const call of [
      () => client.admin.createToken({ name: 'shop', scopes: ['read'] }),
      () => client.admin.createPool({ name: 'pump', suffix: 'pump' }),
      () => client.admin.deletePool('pump', { burn: 'pump' }),
      () => client.admin.backup().next(),
      () => client.ready(),
    ]) {
      setup.proxy.fates.push('cut-reply');
      assert.equal((await errorOf(call())).code, 'UNREACHABLE');
    }
    assert.equal(setup.proxy.seen.length, 5);
    const calls: (() => Promise<unknown>)[] = [
      () => client.release('r'),
      () => client.dispenseReservation('r'),
      () => client.admin.tokens(),
      () => client.admin.revokeToken('shop'),
      () => client.admin.changePool('pump', { target: 1 }),
      () => client.admin.pausePool('pump'),
      () => client.admin.resumePool('pump'),
      () => client.admin.importKeypairs('pump', ['A']),
      () => client.admin.address('A'),
      () => client.admin.audit().next(),
    ];
    for (const call of calls) {
      setup.proxy.fates.push('cut-reply', 'pass');
      await call();
    }
    assert.equal(setup.proxy.seen.length, 5 + 2 * calls.length);
  },
);

test('a server that says nothing: TIMEOUT, with the error before it', LIMIT, async () => {
  await using setup = await setupOf('hold');
  const client = setup.client({ timeoutMs: 300 });
  const silent = await errorOf(client.pools());
  assert.equal(silent.code, 'TIMEOUT');
  assert.equal((silent.cause as VanitypoolError).code, 'UNREACHABLE');
  // On a slow machine the first reply may take longer than the time.
  for (let timeoutMs = 300, isAnswered = false; !isAnswered; timeoutMs *= 2) {
    await using answering = await setupOf(problem(503, 'DRAINING', 0), 'hold');
    const error = await errorOf(answering.client({ timeoutMs }).dispense('pet'));
    assert.equal(error.code, 'TIMEOUT');
    isAnswered = answering.proxy.seen.length === 2;
    if (isAnswered) assert.equal((error.cause as VanitypoolError).code, 'DRAINING');
  }
});

test('a stream has a time limit of its own for each piece', LIMIT, async () => {
  await using setup = await setupOf('hold', 'hold');
  const client = setup.client({ timeoutMs: 600_000, retries: 0 });
  for (const pieces of [
    client.events({ silenceMs: 100 }),
    client.admin.backup({ silenceMs: 100 }),
  ]) {
    const error = await errorOf(pieces.next());
    assert.deepEqual([error.code, error.detail], ['TIMEOUT', 'no reply within 100 ms']);
  }
});

test('nobody there: UNREACHABLE, and where it was asked for', LIMIT, async () => {
  const setup = await setupOf();
  const client = setup.client({ retries: 1 });
  await setup[Symbol.asyncDispose]();
  const error = await errorOf(client.dispense('pet'));
  assert.equal(error.code, 'UNREACHABLE');
  assert.equal(error.status, undefined);
  assert.match(error.message, /^UNREACHABLE: POST http:\/\/127\.0\.0\.1:\d+\/v1\/pools\/pet\/disp/);
});

test(
  'a signal ends a call at every stage with its own reason, and is let go of',
  LIMIT,
  async () => {
    const reason = new Error('enough');
    const stages: [string, Fate[], number][] = [
      ['while the server works', ['hold'], 1],
      ['while it waits to ask again', [problem(503, 'DRAINING', 300)], 1],
      ['in a repetition', ['lose', 'hold'], 2],
      ['in the middle of the reply', ['hold-reply'], 1],
    ];
    for (const [stage, fates, at] of stages) {
      await using setup = await setupOf(...fates);
      const controller = new AbortController();
      setup.proxy.onRequest = (number) => {
        // Later than what the client does with the reply, if one comes.
        if (number === at) setTimeout(() => controller.abort(reason), 50);
      };
      const { signal } = controller;
      // So long that waiting for the end of a wait misses the time limit of the test.
      const call = setup.client({ timeoutMs: 600_000 }).dispense('pet', { signal });
      await assert.rejects(call, (error) => error === reason, stage);
      assert.equal(getEventListeners(signal, 'abort').length, 0, stage);
      assert.equal(setup.proxy.seen.length, at, stage);
    }
    await using setup = await setupOf();
    const { signal } = { signal: AbortSignal.abort(reason) };
    const client = setup.client();
    for (const call of [
      client.dispense('pet', { signal }),
      client.reserve('pet', { signal }),
      client.reservation('r', { signal }),
      client.dispenseReservation('r', { signal }),
      client.release('r', { signal }),
      client.sign('pet', 'A', new Uint8Array(), { signal }),
      client.pools({ signal }),
      client.pool('pet', { signal }),
      client.ready({ signal }),
      client.status({ signal }),
      client.health({ signal }),
      client.admin.tokens({ signal }),
      client.admin.createPool({ name: 'pump', suffix: 'pump' }, { signal }),
      client.admin.changePool('pump', { target: 1 }, { signal }),
      client.admin.pausePool('pump', { signal }),
      client.admin.resumePool('pump', { signal }),
      client.admin.deletePool('pump', { burn: 'pump', signal }),
      client.admin.importKeypairs('pump', ['A'], { signal }),
      client.admin.audit({ signal }).next(),
      client.admin.address('A', { signal }),
      client.admin.backup({ signal }).next(),
      client.admin.createToken({ name: 'x', scopes: ['read'] }, { signal }),
      client.admin.revokeToken('x', { signal }),
      client.events({ signal }).next(),
    ]) {
      await assert.rejects(call, (error) => error === reason);
    }
    assert.equal(setup.proxy.seen.length, 0, 'nothing was sent');
  },
);

test('what passes, and how long to wait for it', () => {
  const error = (code: 'TIMEOUT' | 'POOL_EMPTY', extras = {}) =>
    new VanitypoolError(code, 'x', extras);
  assert.ok(isPassing(error('TIMEOUT')));
  assert.ok(!isPassing(new Error('x')));
  assert.equal(pauseAfter(error('POOL_EMPTY', { retryAfterSeconds: 7 }), 3), 7000);
  assert.deepEqual(
    [1, 2, 3, 9].map((sent) => pauseAfter(error('POOL_EMPTY'), sent)),
    [250, 500, 1000, 4000],
  );
});
