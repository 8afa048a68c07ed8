/**
 * Every call of the client to a real server, and what a server that dies between the request and
 * the reply makes of them: one address for one call, whatever happens on the way.
 */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { VanitypoolClient, type VanitypoolError } from '../../src/client/client.ts';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { FlakyProxy } from '../support/flaky-proxy.ts';
import { legacyMessage, unsignedLegacy } from '../support/messages.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const EVENTS = { 'content-type': 'text/event-stream' };

async function served(workspace: Workspace): Promise<Server> {
  const server = await workspace.serve();
  await server.until(({ ground, ready }) => ground >= 40 && ready >= 20);
  return server;
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error) => (error as VanitypoolError).code,
  );

test('one server, through the client', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([
    EASY_POOL,
    { ...EASY_POOL, name: 'mints', handout: 'sign-only', sign_limit: 1 },
  ]);
  const server = await served(workspace);
  await server.until(({ ground }) => ground >= 10, 'mints');
  const { url } = server;
  const client = new VanitypoolClient({ url });

  await t.test('every call that takes addresses', async () => {
    const taken = await client.dispense('pet', { count: 3 });
    assert.equal(new Set(taken.map(({ address }) => address)).size, 3);
    for (const { secretKey } of taken) assert.equal(decodeBase58(secretKey!).length, 64);
    const [one] = await client.dispense('pet', { idempotencyKey: 'order' });
    assert.deepEqual(await client.dispense('pet', { idempotencyKey: 'order' }), [one]);
    assert.equal(
      await codeOf(client.dispense('pet', { idempotencyKey: 'order', count: 2 })),
      'IDEMPOTENCY_MISMATCH',
    );

    const kept = await client.reserve('pet', { ttlSeconds: 600 });
    const spare = await client.reserve('pet');
    assert.equal((await client.reservation(kept.id)).state, 'reserved');
    const mint = await client.dispenseReservation(kept.id);
    assert.equal(mint.address, kept.address);
    assert.deepEqual(await client.dispenseReservation(kept.id), mint);
    await client.release(spare.id);
    await client.release(spare.id);
    assert.equal((await client.reservation(spare.id)).state, 'released');

    // At once, when most of them are not recorded yet.
    for (let round = 0; round < 5; round++) {
      const [{ address, secretKey }] = (await client.dispense('mints')) as [typeof mint];
      assert.equal(secretKey, undefined);
      const publicKey = decodeBase58(address);
      // Bytes of all values, so that base64 has all its signs.
      const message = legacyMessage(publicKey, 255);
      const { signature } = await client.sign('mints', address, message);
      const x = Buffer.from(publicKey).toString('base64url');
      const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
      assert.ok(verify(null, message, key, decodeBase58(signature)));
      assert.deepEqual(await client.sign('mints', address, message), { address, signature });
      // In its transaction it is the same message, and the limit is 1.
      const unsigned = unsignedLegacy(publicKey, 255);
      const { transaction, ...signed } = await client.cosign('mints', address, unsigned);
      assert.deepEqual(signed, { signature });
      const signatures = [Buffer.alloc(64), decodeBase58(signature)];
      const whole = Buffer.concat([Buffer.of(2), ...signatures, message]);
      assert.equal(transaction, whole.toString('base64'));
      const other = client.sign('mints', address, legacyMessage(publicKey, 1));
      assert.equal(await codeOf(other), 'SIGN_LIMIT_REACHED');
    }

    assert.deepEqual((await client.pools()).map(({ name }) => name).toSorted(), ['mints', 'pet']);
    const { pools, grinder } = await client.status();
    assert.deepEqual(pools.map(({ name }) => name).toSorted(), ['mints', 'pet']);
    assert.ok(grinder!.threads.length > 0);
    assert.ok((await client.health()).uptimeSeconds >= 0);
    assert.equal((await client.pool('pet')).dispensed, 5);
    assert.equal((await client.ready()).status, 'ready');
    assert.equal(await codeOf(client.pool('no such / pool?')), 'POOL_NOT_FOUND');
  });

  await t.test(
    'the status comes as events, over streams that break, until the reader goes',
    async () => {
      let seen = 0;
      for await (const { pools, readiness } of client.events()) {
        assert.equal(pools[0]!.name, 'pet');
        assert.equal(readiness.status, 'ready');
        if (++seen === 2) break;
      }
      const controller = new AbortController();
      const reason = new Error('enough');
      await assert.rejects(
        async () => {
          for await (const _ of client.events({ signal: controller.signal }))
            controller.abort(reason);
        },
        (error) => error === reason,
      );

      // This proxy waits for the end of a reply, which an event stream has not: only its refusals count.
      await using proxy = await FlakyProxy.before(url);
      proxy.fates.push(
        'lose',
        { status: 502 },
        { status: 200, headers: EVENTS, body: 'event: status\ndata: {"pools":[]}\n\n' },
      );
      proxy.fates.push('lose', 'lose', 'lose', 'lose');
      const events = new VanitypoolClient({ url: proxy.url, retries: 3 }).events();
      assert.deepEqual((await events.next()).value, { pools: [] });
      const error = await events.next().catch((thrown: unknown) => thrown);
      assert.equal((error as VanitypoolError).code, 'UNREACHABLE');
      assert.equal(proxy.seen.length, 6, 'three failures and their repetitions after an event');
    },
  );

  await t.test('tokens: made, listed, sent, revoked', async () => {
    const made = await vanitypoolHere(
      ['token', 'create', '--name', 'boss', '--scope', 'admin'],
      { VANITYPOOL_HTTP__PORT: new URL(url).port },
      workspace.path,
    );
    assert.equal(made.code, 0, made.stderr);
    const boss = new VanitypoolClient({ url, token: made.stdout.trim() });
    const { token } = await boss.admin.createToken({ name: 'shop', scopes: ['dispense', 'read'] });
    const shop = new VanitypoolClient({ url: `${url}/`, token });
    await shop.pools();
    assert.equal(await codeOf(shop.admin.tokens()), 'SCOPE_REQUIRED');
    assert.equal(await codeOf(new VanitypoolClient({ url }).pools()), 'TOKEN_REQUIRED');
    const names = (await boss.admin.tokens()).map(({ name }) => name);
    assert.deepEqual(names.toSorted(), ['boss', 'shop']);
    assert.notEqual((await boss.admin.revokeToken('shop')).revokedAt, null);
    assert.equal(await codeOf(shop.pools()), 'TOKEN_REQUIRED');
  });
});

test('a server that is killed and starts again: one address for one call', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 60 }]);
  let server = await served(workspace);
  await using proxy = await FlakyProxy.before(server.url);
  const client = new VanitypoolClient({ url: proxy.url, retries: 20, timeoutMs: 60_000 });
  /** With the request in its hands, at any moment. */
  const restart = async (): Promise<void> => {
    await server.kill('SIGKILL');
    server = await workspace.serve();
    proxy.target = server.url;
  };
  /** With the reply on its way. */
  const answerAndRestart = async (reply: Promise<unknown>): Promise<void> => {
    await reply;
    await restart();
  };
  proxy.fates.push(restart, 'lose', answerAndRestart);
  const [mint] = await client.dispense('pet');
  assert.equal(proxy.seen.length, 4);
  assert.deepEqual(await leftOf(server), { dispensed: 1, reserved: 0, burned: 0 });

  proxy.fates.push(restart, answerAndRestart);
  const held = await client.reserve('pet', { ttlSeconds: 600 });
  proxy.fates.push(restart, answerAndRestart);
  assert.equal((await client.dispenseReservation(held.id)).address, held.address);
  assert.notEqual(held.address, mint!.address);
  assert.deepEqual(await leftOf(server), { dispensed: 2, reserved: 0, burned: 0 });
});

async function leftOf(server: Server) {
  const { dispensed, reserved, burned } = await server.pool();
  return { dispensed, reserved, burned };
}
