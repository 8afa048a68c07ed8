/** Reservations and signatures with a real server on two HTTP threads, through kills of it. */
import assert from 'node:assert/strict';
import { createPublicKey, hash, verify } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { readOwnToken } from '../../src/service/own-token.ts';
import { vanitypool } from '../support/cli.ts';
import { legacyMessage } from '../support/messages.ts';
import {
  assertIdentity,
  EASY_POOL,
  type PoolFigures,
  type Server,
  Workspace,
} from '../support/server.ts';

const LIMIT = { timeout: 90_000 };

class Setup implements AsyncDisposable {
  readonly workspace = new Workspace();
  server!: Server;

  constructor(pool: object = {}) {
    this.workspace.configure([{ ...EASY_POOL, ready: 8, ...pool }], '[http]', 'threads = 2');
  }

  async serve(): Promise<void> {
    this.server = await this.workspace.serve();
    while ((await this.status()).ground < 200) await sleep(20);
  }

  async ask(method: string, path: string, body?: object, key?: string) {
    const answer = await this.server.ask(method, path, { body, key });
    return { status: answer.status, body: answer.body };
  }

  async reserve(ttlSeconds = 600, key?: string) {
    const { status, body } = await this.ask(
      'POST',
      '/v1/pools/pet/reservations',
      { ttlSeconds },
      key,
    );
    assert.equal(status, 201, JSON.stringify(body));
    assert.deepEqual(Object.keys(body), ['id', 'pool', 'address', 'expiresAt']);
    return body as { id: string; address: string; expiresAt: string };
  }

  async dispense() {
    const { body } = await this.ask('POST', '/v1/pools/pet/dispense');
    return body.addresses[0] as { id: number; address: string; secretKey?: string };
  }

  async status(): Promise<PoolFigures> {
    const { body } = await this.ask('GET', '/v1/pools/pet');
    assertIdentity(body);
    return body;
  }

  async kill(): Promise<void> {
    await this.server.kill('SIGKILL');
    await this.serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
  }
}

const stateOf = async (setup: Setup, { id }: { id: string }) =>
  (await setup.ask('GET', `/v1/reservations/${id}`)).body.state as string;

test('a held address goes to its holder and to nobody else, through kills', LIMIT, async () => {
  await using setup = new Setup();
  await setup.serve();
  const held = await Promise.all(Array.from({ length: 6 }, () => setup.reserve()));
  const others = await Promise.all(Array.from({ length: 30 }, () => setup.dispense()));
  assert.equal((await setup.status()).reserved, 6);
  await setup.kill();
  others.push(...(await Promise.all(Array.from({ length: 30 }, () => setup.dispense()))));
  const taken = new Set(others.map(({ address }) => address));
  assert.equal(taken.size, 60);
  for (const { address } of held) assert.ok(!taken.has(address));
  for (const one of held) assert.equal(await stateOf(setup, one), 'reserved');

  const [first, second, third] = held;
  const path = `/v1/reservations/${first!.id}/dispense`;
  const { status, body } = await setup.ask('POST', path);
  assert.equal(status, 200);
  const { address, secretKey } = body.addresses[0];
  assert.equal(address, first!.address);
  assert.equal(decodeBase58(secretKey).length, 64);
  assert.deepEqual((await setup.ask('POST', path)).body, body, 'asked again it gives the same');
  assert.equal((await setup.ask('DELETE', `/v1/reservations/${first!.id}`)).status, 410);

  assert.equal((await setup.ask('DELETE', `/v1/reservations/${second!.id}`)).status, 204);
  assert.equal((await setup.ask('DELETE', `/v1/reservations/${second!.id}`)).status, 204);
  const over = await setup.ask('POST', `/v1/reservations/${second!.id}/dispense`);
  assert.deepEqual([over.status, over.body.code], [410, 'RESERVATION_OVER']);
  await setup.kill();
  assert.equal(await stateOf(setup, first!), 'dispensed');
  assert.equal(await stateOf(setup, second!), 'released');
  assert.equal(await stateOf(setup, third!), 'reserved');
  const { reserved, dispensed, burned } = await setup.status();
  assert.deepEqual([reserved, dispensed, burned], [4, 61, 1]);
  const unknown = await setup.ask('GET', `/v1/reservations/${'0'.repeat(32)}`);
  assert.deepEqual([unknown.status, unknown.body.code], [404, 'RESERVATION_NOT_FOUND']);
});

test('what expires is burned, and one key reserves once', LIMIT, async () => {
  await using setup = new Setup();
  await setup.serve();
  const [one, same] = await Promise.all([setup.reserve(1, 'a'), setup.reserve(1, 'a')]);
  assert.deepEqual(one, same);
  assert.equal((await setup.status()).reserved, 1);
  while ((await stateOf(setup, one!)) !== 'expired') await sleep(50);
  assert.deepEqual(await setup.reserve(1, 'a'), one, 'the reply is the same, though it is over');
  const { reserved, burned } = await setup.status();
  assert.deepEqual([reserved, burned], [0, 1]);
  assert.equal(
    (await setup.ask('POST', '/v1/pools/pet/reservations', { ttlSeconds: 2 }, 'a')).status,
    422,
  );
});

test('a pool with reuse_released hands a released address to others', LIMIT, async () => {
  await using setup = new Setup({ target: 250, reuse_released: true });
  await setup.serve();
  const { id, address } = await setup.reserve();
  await setup.ask('DELETE', `/v1/reservations/${id}`);
  assert.equal((await setup.status()).burned, 0);
  const seen = new Set<string>();
  while (!seen.has(address)) seen.add((await setup.dispense()).address);
});

test('a sign-only pool gives no secret, signs as often as it may, and forgets', LIMIT, async () => {
  await using setup = new Setup({ handout: 'sign-only', sign_limit: 2 });
  await setup.serve();
  const key = 'order';
  const first200 = await setup.ask('POST', '/v1/pools/pet/dispense', {}, key);
  const handed = first200.body.addresses[0] as { id: number; address: string };
  assert.deepEqual(Object.keys(handed), ['id', 'address', 'keyType', 'origin', 'createdAt']);
  const publicKey = decodeBase58(handed.address);
  const path = `/v1/pools/pet/addresses/${handed.address}/signatures`;
  const sign = (message: Uint8Array) =>
    setup.ask('POST', path, { message: Buffer.from(message).toString('base64') });
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
  const { status, body } = await sign(first!);
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(verifies(first!, body.signature));
  assert.deepEqual((await sign(first!)).body, body, 'again it is the same, and not counted');
  await setup.kill();
  assert.equal(
    (await sign(legacyMessage(Buffer.alloc(32, 7), 1))).body.code,
    'SIGNER_NOT_REQUIRED',
  );
  assert.ok(verifies(second!, (await sign(second!)).body.signature));
  assert.equal((await sign(third!)).body.code, 'SIGN_LIMIT_REACHED');
  await setup.kill();
  assert.equal((await sign(third!)).body.code, 'SIGN_LIMIT_REACHED');
  assert.deepEqual((await sign(first!)).body, body, 'kept, though the secret is destroyed');
  assert.deepEqual(await setup.ask('POST', '/v1/pools/pet/dispense', {}, key), first200);
  assert.equal((await setup.ask('POST', path, { message: '****' })).body.code, 'MESSAGE_INVALID');
  const reserved = await setup.reserve();
  const early = await setup.ask('POST', path.replace(handed.address, reserved.address), {
    message: Buffer.from(legacyMessage(decodeBase58(reserved.address), 1)).toString('base64'),
  });
  assert.equal(early.body.code, 'ADDRESS_NOT_FOUND', 'not dispensed yet');
});

test('each signature is in the audit, also when the secret is destroyed', LIMIT, async () => {
  await using setup = new Setup({ handout: 'sign-only', sign_limit: 2 });
  await setup.serve();
  const { address, id } = await setup.dispense();
  const unsigned = await setup.dispense();
  const path = `/v1/pools/pet/addresses/${address}/signatures`;
  const made: { messageHash: string; signature: string }[] = [];
  for (const seed of [1, 1, 2]) {
    const message = Buffer.from(legacyMessage(decodeBase58(address), seed));
    const reply = await setup.ask('POST', path, { message: message.toString('base64') });
    made.push({ messageHash: hash('sha256', message), signature: reply.body.signature });
  }
  const audit = async (...args: string[]) => {
    const { code, stdout } = await vanitypool(['audit', ...args], { cwd: setup.workspace.path });
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
    const rows = (await audit('--json')).trim().split('\n').slice(0, -1);
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
  const token = readOwnToken(setup.workspace.data);
  const told = await setup.server.ask('GET', `/v1/addresses/${address}`, { token });
  assert.deepEqual(told.body, JSON.parse(await audit('--address', address, '--json')));
  assert.equal(await setup.server.kill('SIGTERM'), 0);
  await assertTold();
});

test('an address signs as soon as it is there', LIMIT, async () => {
  await using setup = new Setup({ handout: 'sign-only', ready: 256 });
  await setup.serve();
  for (let times = 0; times < 20; times++) {
    const { address } = await setup.dispense();
    const path = `/v1/pools/pet/addresses/${address}/signatures`;
    const message = Buffer.from(legacyMessage(decodeBase58(address), times)).toString('base64');
    const { status, body } = await setup.ask('POST', path, { message });
    assert.equal(status, 200, JSON.stringify(body));
  }
});

test('what is held stays held while its pool is not configured', LIMIT, async () => {
  await using setup = new Setup();
  await setup.serve();
  const held = await setup.reserve();
  await setup.server.kill('SIGTERM');
  setup.workspace.configure([{ ...EASY_POOL, name: 'other', target: 1 }]);
  setup.server = await setup.workspace.serve();
  const refused = await setup.ask('POST', `/v1/reservations/${held.id}/dispense`);
  assert.deepEqual([refused.status, refused.body.code], [404, 'POOL_NOT_FOUND']);
  assert.equal(await stateOf(setup, held), 'reserved');
});
