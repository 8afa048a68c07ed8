/** Tokens as an operator and a client meet them: the command line, a real server, two HTTP threads. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManagedServer } from '../support/managed-server.ts';
import { type Answer, EASY_POOL } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

/** Asked with the token that is given, or with none. */
class Setup extends ManagedServer {
  constructor() {
    const pools = [EASY_POOL, { ...EASY_POOL, name: 'other' }];
    super(pools, '[http]', 'threads = 2');
  }

  send(method: string, path: string, token?: string, body?: object): Promise<Answer> {
    return this.server.ask(method, path, { token, body });
  }
}

test('tokens of one store, by its server and without one', LIMIT, async (t) => {
  await using setup = new Setup();
  await setup.serve();

  await t.test('two clients with one idempotency key get one address, on two threads', async () => {
    const ask = async (key: string) => {
      const { status, text } = await setup.server.ask('POST', '/v1/pools/pet/dispense', { key });
      assert.equal(status, 200);
      return text;
    };
    await setup.untilGround(50);
    const keys = Array.from({ length: 10 }, (_, index) => `order ${index}`);
    const first = await Promise.all(keys.map(ask));
    const again = await Promise.all([...keys, ...keys, ...keys].map(ask));
    assert.deepEqual(again, [...first, ...first, ...first]);
    assert.equal(new Set(first).size, keys.length);
    const other = { key: keys[0], body: { count: 2 } };
    const reply = await setup.server.ask('POST', '/v1/pools/pet/dispense', other);
    assert.equal(reply.status, 422);
  });

  await t.test(
    'from the first token on every thread asks for one, and each token sees its part',
    async () => {
      assert.equal(
        (await setup.send('GET', '/v1/pools')).status,
        200,
        'open as long as there is none',
      );
      assert.equal((await setup.send('GET', '/v1/tokens')).status, 401);
      await setup.untilGround(50);
      const shop = await setup.makeWith(['shop', 'dispense'], '--pool', 'pet');
      const eye = await setup.make('eye', 'read');
      for (let times = 0; times < 6; times++) {
        const refused = await setup.send('GET', '/v1/pools');
        assert.deepEqual([refused.status, refused.body.code], [401, 'TOKEN_REQUIRED']);
        assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
        assert.equal((await setup.send('POST', '/v1/pools/pet/dispense', shop)).status, 200);
        const other = await setup.send('POST', '/v1/pools/other/dispense', shop);
        assert.deepEqual([other.status, other.body.code], [404, 'POOL_NOT_FOUND']);
        const reading = await setup.send('GET', '/v1/pools/pet', shop);
        assert.deepEqual([reading.status, reading.body.code], [403, 'SCOPE_REQUIRED']);
        assert.equal((await setup.send('GET', '/v1/pools', eye)).body.pools.length, 2);
        assert.equal((await setup.send('POST', '/v1/pools/pet/dispense', eye)).status, 403);
        assert.equal((await setup.send('GET', '/readyz')).status, 200);
      }
      const status = await setup.run('status', '--json');
      assert.equal(status.code, 0, 'the command line of the same user needs none');

      const revoked = await setup.run('token', 'revoke', 'shop');
      assert.equal(revoked.code, 0, revoked.stderr);
      for (let times = 0; times < 6; times++) {
        assert.equal((await setup.send('POST', '/v1/pools/pet/dispense', shop)).status, 401);
      }
      const { tokens } = JSON.parse((await setup.run('token', 'list', '--json')).stdout);
      assert.deepEqual(
        tokens.map((token: { name: string }) => token.name),
        ['shop', 'eye'],
      );
      assert.ok(tokens[0].revokedAt !== null && tokens[1].revokedAt === null);
      assert.ok(!JSON.stringify(tokens).includes('vp_'));
      assert.ok(!setup.server.output.includes('vp_'), 'no log has one');
    },
  );

  await t.test('a token that is revoked while the body comes is refused', async () => {
    const slow = await setup.make('slow', 'dispense');
    const body = '{"count":1}';
    const { hostname, port } = new URL(setup.server.url);
    const socket = connect(Number(port), hostname).setEncoding('latin1');
    socket.write(
      `POST /v1/pools/pet/dispense HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${slow}
content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`.replace(
        /\r?\n/g,
        '\r\n',
      ),
    );
    // Its head was taken.
    const [first] = await once(socket, 'data');
    assert.match(first, /^HTTP\/1.1 100 /);
    assert.equal((await setup.run('token', 'revoke', 'slow')).code, 0);
    socket.write(body);
    assert.match((await socket.toArray()).join(''), /^HTTP\/1.1 401 /);
  });

  await t.test(
    'a quota holds over both threads and a kill, and so does an idempotency key',
    async () => {
      const buyer = await setup.make('buyer', 'dispense');
      const keys = Array.from({ length: 10 }, (_, index) => `order ${index}`);
      const order = async (key: string) => {
        const asking = { token: buyer, key };
        return (await setup.server.ask('POST', '/v1/pools/pet/dispense', asking)).body.addresses;
      };
      const ordered = await Promise.all(keys.map(order));
      const shop = await setup.makeWith(['rationed', 'dispense'], '--quota', '20/day');
      const replies = await Promise.all(
        Array.from({ length: 40 }, () => setup.send('POST', '/v1/pools/pet/dispense', shop)),
      );
      const handed = replies.filter(({ status }) => status === 200);
      assert.ok(handed.length <= 20);
      while ((await setup.send('POST', '/v1/pools/pet/dispense', shop)).status !== 429);
      await setup.server.kill('SIGKILL');
      await setup.serve();
      const over = await setup.send('POST', '/v1/pools/pet/dispense', shop);
      assert.deepEqual([over.status, over.body.code], [429, 'QUOTA_EXCEEDED']);
      assert.ok(Number(over.headers.get('retry-after')) > 0);
      assert.deepEqual(await Promise.all(keys.map(order)), ordered);
    },
  );

  await t.test(
    'no token makes another that may do more, or that never ends by mistake',
    async () => {
      const all = await setup.make('all', 'admin');
      const some = await setup.makeWith(['some', 'admin'], '--pool', 'pet');
      const more = { name: 'more', scopes: ['admin', 'dispense'] };
      for (const [method, path, body] of [
        ['POST', '/v1/tokens', more],
        ['DELETE', '/v1/tokens/all'],
        ['GET', '/v1/tokens'],
      ] as const) {
        const refused = await setup.send(method, path, some, body);
        assert.deepEqual([refused.status, refused.body.code], [403, 'SCOPE_REQUIRED'], method);
      }
      const leap = { ...more, expiresAt: '2016-12-31T23:59:60Z' };
      const never = await setup.send('POST', '/v1/tokens', all, leap);
      assert.deepEqual([never.status, never.body.code], [400, 'BODY_INVALID']);
      assert.equal((await setup.send('POST', '/v1/tokens', all, more)).status, 201);
    },
  );

  await t.test('without a server the store is asked; its own token is gone with it', async () => {
    const file = join(setup.workspace.data, 'admin.token');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const own = readFileSync(file, 'utf8').trim();
    assert.equal((await setup.send('GET', '/v1/tokens', own)).status, 200);
    await setup.server.kill('SIGTERM');
    assert.throws(() => statSync(file), { code: 'ENOENT' });
    const text = await setup.makeWith(['offline', 'read'], '--expires', '1h');
    await setup.serve();
    assert.equal((await setup.send('GET', '/v1/pools', text)).status, 200);
    assert.equal(
      (await setup.send('GET', '/v1/tokens', own)).status,
      401,
      'it was of the last run',
    );
    const twice = await setup.run('token', 'create', '--name', 'offline', '--scope', 'read');
    assert.equal(twice.code, 1);
    assert.match(twice.stderr, /TOKEN_EXISTS/);
  });
});
