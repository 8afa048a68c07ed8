/** Tokens as an operator and a client meet them: the command line, a real server, two HTTP threads. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Outcome, vanitypool } from '../support/cli.ts';
import { type Answer, EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 90_000 };

class Setup implements AsyncDisposable {
  readonly workspace = new Workspace();
  server!: Server;

  constructor() {
    const pools = [EASY_POOL, { ...EASY_POOL, name: 'other' }];
    this.workspace.configure(pools, '[http]', 'threads = 2');
  }

  async serve(): Promise<void> {
    this.server = await this.workspace.serve();
    // Where the commands find it.
    this.environment = { VANITYPOOL_HTTP__PORT: new URL(this.server.url).port };
  }
  environment: Record<string, string> = {};

  cli(...args: string[]): Promise<Outcome> {
    return vanitypool(args, { cwd: this.workspace.path, env: this.environment });
  }

  async make(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.cli('token', 'create', ...args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^vp_[A-Za-z0-9_-]{43}\n$/);
    return stdout.trim();
  }

  ask(method: string, path: string, token?: string, body?: object): Promise<Answer> {
    return this.server.ask(method, path, { token, body });
  }

  /** While no token is asked for. */
  async untilGround(count: number): Promise<void> {
    while ((await this.ask('GET', '/v1/pools/pet')).body.ground < count) await sleep(20);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
  }
}

test('tokens of one store, by its server and without one', LIMIT, async (t) => {
  await using setup = new Setup();
  await setup.serve();

  await t.test(
    'two clients with one idempotency key get one address, on two threads and after a kill',
    async () => {
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
      await setup.server.kill('SIGKILL');
      await setup.serve();
      assert.deepEqual(await Promise.all(keys.map(ask)), first);
      const other = { key: keys[0], body: { count: 2 } };
      const reply = await setup.server.ask('POST', '/v1/pools/pet/dispense', other);
      assert.equal(reply.status, 422);
    },
  );

  await t.test(
    'from the first token on every thread asks for one, and each token sees its part',
    async () => {
      assert.equal(
        (await setup.ask('GET', '/v1/pools')).status,
        200,
        'open as long as there is none',
      );
      assert.equal((await setup.ask('GET', '/v1/tokens')).status, 401);
      await setup.untilGround(50);
      const shop = await setup.make('--name', 'shop', '--scope', 'dispense', '--pool', 'pet');
      const eye = await setup.make('--name', 'eye', '--scope', 'read');
      for (let times = 0; times < 6; times++) {
        const refused = await setup.ask('GET', '/v1/pools');
        assert.deepEqual([refused.status, refused.body.code], [401, 'TOKEN_REQUIRED']);
        assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
        assert.equal((await setup.ask('POST', '/v1/pools/pet/dispense', shop)).status, 200);
        const other = await setup.ask('POST', '/v1/pools/other/dispense', shop);
        assert.deepEqual([other.status, other.body.code], [404, 'POOL_NOT_FOUND']);
        const reading = await setup.ask('GET', '/v1/pools/pet', shop);
        assert.deepEqual([reading.status, reading.body.code], [403, 'SCOPE_REQUIRED']);
        assert.equal((await setup.ask('GET', '/v1/pools', eye)).body.pools.length, 2);
        assert.equal((await setup.ask('POST', '/v1/pools/pet/dispense', eye)).status, 403);
        assert.equal((await setup.ask('GET', '/readyz')).status, 200);
      }
      const status = await setup.cli('status', '--json');
      assert.equal(status.code, 0, 'the command line of the same user needs none');

      const revoked = await setup.cli('token', 'revoke', 'shop');
      assert.equal(revoked.code, 0, revoked.stderr);
      for (let times = 0; times < 6; times++) {
        assert.equal((await setup.ask('POST', '/v1/pools/pet/dispense', shop)).status, 401);
      }
      const { tokens } = JSON.parse((await setup.cli('token', 'list', '--json')).stdout);
      assert.deepEqual(
        tokens.map((token: { name: string }) => token.name),
        ['shop', 'eye'],
      );
      assert.ok(tokens[0].revokedAt !== null && tokens[1].revokedAt === null);
      assert.ok(!JSON.stringify(tokens).includes('vp_'));
      assert.ok(!setup.server.output.includes('vp_'), 'no log has one');
    },
  );

  await t.test('a quota holds over both threads and a restart', async () => {
    const shop = await setup.make('--name', 'rationed', '--scope', 'dispense', '--quota', '20/day');
    const replies = await Promise.all(
      Array.from({ length: 40 }, () => setup.ask('POST', '/v1/pools/pet/dispense', shop)),
    );
    const handed = replies.filter(({ status }) => status === 200);
    assert.ok(handed.length <= 20);
    while ((await setup.ask('POST', '/v1/pools/pet/dispense', shop)).status !== 429);
    await setup.server.kill('SIGKILL');
    await setup.serve();
    const over = await setup.ask('POST', '/v1/pools/pet/dispense', shop);
    assert.deepEqual([over.status, over.body.code], [429, 'QUOTA_EXCEEDED']);
    assert.ok(Number(over.headers.get('retry-after')) > 0);
  });

  await t.test(
    'no token makes another that may do more, or that never ends by mistake',
    async () => {
      const all = await setup.make('--name', 'all', '--scope', 'admin');
      const some = await setup.make('--name', 'some', '--scope', 'admin', '--pool', 'pet');
      const more = { name: 'more', scopes: ['admin', 'dispense'] };
      for (const [method, path, body] of [
        ['POST', '/v1/tokens', more],
        ['DELETE', '/v1/tokens/all'],
        ['GET', '/v1/tokens'],
      ] as const) {
        const refused = await setup.ask(method, path, some, body);
        assert.deepEqual([refused.status, refused.body.code], [403, 'SCOPE_REQUIRED'], method);
      }
      const leap = { ...more, expiresAt: '2016-12-31T23:59:60Z' };
      const never = await setup.ask('POST', '/v1/tokens', all, leap);
      assert.deepEqual([never.status, never.body.code], [400, 'BODY_INVALID']);
      assert.equal((await setup.ask('POST', '/v1/tokens', all, more)).status, 201);
    },
  );

  await t.test('without a server the store is asked; its own token is gone with it', async () => {
    const file = join(setup.workspace.data, 'admin.token');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const own = readFileSync(file, 'utf8').trim();
    assert.equal((await setup.ask('GET', '/v1/tokens', own)).status, 200);
    await setup.server.kill('SIGTERM');
    assert.throws(() => statSync(file), { code: 'ENOENT' });
    const text = await setup.make('--name', 'offline', '--scope', 'read', '--expires', '1h');
    await setup.serve();
    assert.equal((await setup.ask('GET', '/v1/pools', text)).status, 200);
    assert.equal((await setup.ask('GET', '/v1/tokens', own)).status, 401, 'it was of the last run');
    const twice = await setup.cli('token', 'create', '--name', 'offline', '--scope', 'read');
    assert.equal(twice.code, 1);
    assert.match(twice.stderr, /TOKEN_EXISTS/);
  });
});
