/** Reservations and signatures with a real server on two HTTP threads, through kills of it. */
import assert from 'node:assert/strict';
import { createPublicKey, hash, verify } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { legacyMessage } from '../support/messages.ts';
import { assertIdentity, EASY_POOL, type PoolFigures, type Server } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

/** Small queues, so that refills are met too. */
const POOL = { ...EASY_POOL, target: 150, ready: 8 };
const SIGNER = { ...POOL, handout: 'sign-only', sign_limit: 2 };

class Setup extends ManagedServer {
  constructor(...pools: Record<string, unknown>[]) {
    super(pools, '[http]', 'threads = 2');
  }

  override async serve(): Promise<Server> {
    await super.serve();
    await this.untilGround(100);
    return this.server;
  }

  async send(method: string, path: string, body?: object, key?: string) {
    const answer = await this.server.ask(method, path, { body, key });
    return { status: answer.status, body: answer.body };
  }

  async reserve(ttlSeconds = 600, key?: string, pool = 'pet') {
    const path = `/v1/pools/${pool}/reservations`;
    const { status, body } = await this.send('POST', path, { ttlSeconds }, key);
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual(Object.keys(body), ['id', 'pool', 'address', 'expiresAt']);
    return body as { id: string; address: string; expiresAt: string };
  }

  async dispense(pool = 'pet') {
    const { body } = await this.send('POST', `/v1/pools/${pool}/dispense`);
    return body.addresses[0] as { id: number; address: string; secretKey?: string };
  }

  async status(name = 'pet'): Promise<PoolFigures> {
    const figures = await this.pool(name);
    assertIdentity(figures);
    return figures;
  }

  async kill(): Promise<void> {
    await this.server.kill('SIGKILL');
    await this.serve();
  }
}

const stateOf = async (setup: Setup, { id }: { id: string }) =>
  (await setup.send('GET', `/v1/reservations/${id}`)).body.state as string;

/** What is to be found after a kill. */
type AfterKill = () => Promise<void>;

/** A held address goes to its holder and to nobody else. */
async function hold(setup: Setup): Promise<AfterKill> {
  const held = await Promise.all(Array.from({ length: 6 }, () => setup.reserve()));
  const others = await Promise.all(Array.from({ length: 30 }, () => setup.dispense()));
  assert.equal((await setup.status()).reserved, 6);

  const [first, second, third, fourth] = held;
  const pathOf = ({ id }: { id: string }) => `/v1/reservations/${id}/dispense`;
  const { status, body } = await setup.send('POST', pathOf(first!));
  assert.equal(status, 200);
  const { address, secretKey } = body.addresses[0];
  assert.equal(address, first!.address);
  assert.equal(decodeBase58(secretKey).length, 64);
  assert.deepEqual((await setup.send('POST', pathOf(first!))).body, body, 'again it is the same');
  assert.equal((await setup.send('DELETE', `/v1/reservations/${first!.id}`)).status, 410);

  assert.equal((await setup.send('DELETE', `/v1/reservations/${second!.id}`)).status, 204);
  assert.equal((await setup.send('DELETE', `/v1/reservations/${second!.id}`)).status, 204);
  const over = await setup.send('POST', pathOf(second!));
  assert.deepEqual([over.status, over.body.code], [410, 'RESERVATION_OVER']);
  return async () => {
    others.push(...(await Promise.all(Array.from({ length: 30 }, () => setup.dispense()))));
    const taken = new Set(others.map(({ address }) => address));
    assert.equal(taken.size, 60);
    for (const { address } of held) assert.ok(!taken.has(address));
    assert.equal(await stateOf(setup, first!), 'dispensed');
    assert.equal(await stateOf(setup, second!), 'released');
    assert.equal(await stateOf(setup, third!), 'reserved');
    assert.deepEqual((await setup.send('POST', pathOf(first!))).body, body, 'also after a kill');
    const late = await setup.send('POST', pathOf(fourth!));
    assert.deepEqual([late.status, late.body.addresses[0].address], [200, fourth!.address]);
    const { reserved, dispensed, burned } = await setup.status();
    assert.deepEqual([reserved, dispensed, burned], [3, 62, 1]);
    const unknown = await setup.send('GET', `/v1/reservations/${'0'.repeat(32)}`);
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'RESERVATION_NOT_FOUND']);
  };
}

/** A sign-only pool gives no secret, signs as often as it may, and forgets. */
async function sign(setup: Setup): Promise<AfterKill> {
  const key = 'order';
  const first200 = await setup.send('POST', '/v1/pools/vault/dispense', {}, key);
  const handed = first200.body.addresses[0] as { id: number; address: string };
  assert.deepEqual(Object.keys(handed), ['id', 'address', 'keyType', 'origin', 'createdAt']);
  const publicKey = decodeBase58(handed.address);
  const path = `/v1/pools/vault/addresses/${handed.address}/signatures`;
  const ask = (message: Uint8Array) =>
    setup.send('POST', path, { message: Buffer.from(message).toString('base64') });
  const verifies = (message: Uint8Array, signature: string) =>
    verify(
      null,
      message,
      createPublicKey({
        key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
        format: 'jwk',
      }),
      decodeBase58(signature),
    );
  const [first, second, third] = [1, 2, 3].map((seed) => legacyMessage(publicKey, seed));
  const { status, body } = await ask(first!);
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(verifies(first!, body.signature));
  assert.deepEqual((await ask(first!)).body, body, 'again it is the same, and not counted');
  return async () => {
    assert.equal(
      (await ask(legacyMessage(Buffer.alloc(32, 7), 1))).body.code,
      'SIGNER_NOT_REQUIRED',
    );
    assert.ok(verifies(second!, (await ask(second!)).body.signature));
    assert.equal((await ask(third!)).body.code, 'SIGN_LIMIT_REACHED');
    await setup.kill();
    assert.equal((await ask(third!)).body.code, 'SIGN_LIMIT_REACHED');
    assert.deepEqual((await ask(first!)).body, body, 'kept, though the secret is destroyed');
    assert.deepEqual(await setup.send('POST', '/v1/pools/vault/dispense', {}, key), first200);
    assert.equal(
      (await setup.send('POST', path, { message: '****' })).body.code,
      'MESSAGE_INVALID',
    );
    const reserved = await setup.reserve(600, undefined, 'vault');
    const early = await setup.send('POST', path.replace(handed.address, reserved.address), {
      message: Buffer.from(legacyMessage(decodeBase58(reserved.address), 1)).toString('base64'),
    });
    assert.equal(early.body.code, 'ADDRESS_NOT_FOUND', 'not dispensed yet');
  };
}

test('a server is killed', LIMIT, async (t) => {
  await using setup = new Setup(POOL, { ...SIGNER, name: 'vault', target: 20 });
  await setup.serve();
  await setup.untilGround(10, 'vault');
  const isHeld = await hold(setup);
  const isSigned = await sign(setup);
  await setup.kill();
  await t.test('a held address goes to its holder and to nobody else', isHeld);
  await t.test('a sign-only pool gives no secret, signs as often as it may, and forgets', isSigned);
});

test('one server, asked for many things, and stopped', LIMIT, async (t) => {
  await using setup = new Setup(
    ...[POOL, { ...POOL, name: 'reused', target: 30, reuse_released: true }],
    ...[{ ...SIGNER, name: 'signer', target: 20 }],
    ...[{ ...SIGNER, name: 'quick', target: 30, ready: 256 }],
  );
  await setup.serve();
  for (const name of ['reused', 'signer', 'quick']) await setup.untilGround(20, name);
  const held = await setup.reserve();

  await t.test('what expires is burned, and one key reserves once', async () => {
    const [one, same] = await Promise.all([setup.reserve(1, 'a'), setup.reserve(1, 'a')]);
    assert.deepEqual(one, same);
    const before = await setup.status();
    assert.equal(before.reserved + before.burned, 2, 'on a slow machine it is over by now');
    while ((await stateOf(setup, one!)) !== 'expired') await sleep(50);
    assert.deepEqual(await setup.reserve(1, 'a'), one, 'the reply is the same, though it is over');
    const { reserved, burned } = await setup.status();
    assert.deepEqual([reserved, burned], [1, 1]);
    assert.equal(
      (await setup.send('POST', '/v1/pools/pet/reservations', { ttlSeconds: 2 }, 'a')).status,
      422,
    );
  });

  await t.test('a pool with reuse_released hands a released address to others', async () => {
    const { id, address } = await setup.reserve(600, undefined, 'reused');
    await setup.send('DELETE', `/v1/reservations/${id}`);
    assert.equal((await setup.status('reused')).burned, 0);
    const seen = new Set<string>();
    while (!seen.has(address)) seen.add((await setup.dispense('reused')).address);
  });

  await t.test('an address signs as soon as it is there', async () => {
    for (let times = 0; times < 20; times++) {
      const { address } = await setup.dispense('quick');
      const path = `/v1/pools/quick/addresses/${address}/signatures`;
      const message = Buffer.from(legacyMessage(decodeBase58(address), times)).toString('base64');
      const { status, body } = await setup.send('POST', path, { message });
      assert.equal(status, 200, JSON.stringify(body));
    }
  });

  await t.test('each signature is in the audit, also when the secret is destroyed', async () => {
    const { address, id } = await setup.dispense('signer');
    const unsigned = await setup.dispense('signer');
    const path = `/v1/pools/signer/addresses/${address}/signatures`;
    const made: { messageHash: string; signature: string }[] = [];
    for (const seed of [1, 1, 2]) {
      const message = Buffer.from(legacyMessage(decodeBase58(address), seed));
      const reply = await setup.send('POST', path, { message: message.toString('base64') });
      made.push({ messageHash: hash('sha256', message), signature: reply.body.signature });
    }
    const audit = async (...args: string[]) => {
      const { code, stdout } = await setup.run('audit', ...args);
      assert.equal(code, 0);
      return stdout;
    };
    const assertTold = async () => {
      const view = JSON.parse(await audit('--address', address, '--json'));
      const told = (view.signatures as Record<string, string>[]).map(({ at, token, ...rest }) => {
        assert.ok(Date.parse(at!) <= Date.now() && token === null);
        return rest;
      });
      assert.deepEqual(told, [made[0], made[2]], 'the second is the first again');
      assert.ok(view.isSecretDestroyed);
      const shown = await audit('--address', address);
      for (const { signature, messageHash } of made) {
        assert.match(shown, new RegExp(`^signature .*  ${messageHash}  ${signature}$`, 'm'));
      }
      const rows = (await audit('--pool', 'signer', '--json')).trim().split('\n').slice(0, -1);
      assert.deepEqual(
        rows.map((row) => JSON.parse(row)).map((row) => [row.id, row.signatures]),
        [
          [id, 2],
          [unsigned.id, 0],
        ],
      );
      assert.match(await audit(), new RegExp(`  ${address}.*  2       -$`, 'm'));
    };
    await assertTold();
    const told = await setup.ask('GET', `/v1/addresses/${address}`);
    assert.deepEqual(told.body, JSON.parse(await audit('--address', address, '--json')));
    assert.equal(await setup.server.kill('SIGTERM'), 0);
    await assertTold();
  });

  await t.test('what is held stays held while its pool is not configured', async () => {
    setup.workspace.configure([{ ...EASY_POOL, name: 'other', target: 1 }]);
    setup.server = await setup.workspace.serve();
    const refused = await setup.send('POST', `/v1/reservations/${held.id}/dispense`);
    assert.deepEqual([refused.status, refused.body.code], [404, 'POOL_NOT_FOUND']);
    assert.equal(await stateOf(setup, held), 'reserved');
  });
});
