/**
 * A server is managed over HTTP: audit, single addresses, backups, while it serves with two threads;
 * and the commands that ask it from elsewhere. What is read agrees with what was handed out.
 */
import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressOf } from '../../src/keypair/address.ts';
import { readKeyFile } from '../../src/keypair/key-file.ts';
import { assertWholeBackup } from '../../src/store/sqlite/backup-file.ts';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { type Asking, EASY_POOL, type Handed, type Workspace } from '../support/server.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const OTHER = { ...EASY_POOL, name: 'other', suffix: 'u', target: 50 };

class Setup extends ManagedServer {
  constructor() {
    super([{ ...EASY_POOL, target: 400 }, OTHER], '[http]', 'threads = 2');
  }

  /** With addresses of both pools. */
  static async serving(): Promise<Setup> {
    const setup = new Setup();
    await setup.serve();
    await setup.untilGround(200);
    await setup.untilGround(20, 'other');
    return setup;
  }

  send(path: string, { method = 'GET', ...asking }: Asking & { method?: string } = {}) {
    return this.ask(method, path, asking);
  }

  /** One that is made with the scopes, or for these pools alone. */
  async made(name: string, scopes: readonly string[], pools?: readonly string[]): Promise<string> {
    const body = { name, scopes, ...(pools !== undefined && { pools }) };
    const made = await this.send('/v1/tokens', { method: 'POST', body });
    assert.equal(made.status, 201, made.text);
    return made.body.token;
  }

  /** From elsewhere: the server is known only by its URL. */
  cli(token: string, ...args: string[]): Promise<Outcome> {
    const env = { VANITYPOOL_TOKEN: token, VANITYPOOL_STORE__URL: 'file:/nowhere' };
    return vanitypoolHere([...args, '--url', this.server.url], env, this.workspace.path);
  }

  /** Turns record what left some time after its reply. */
  /** With whom it went may be known one turn later than that it left. */
  async untilRecorded(address: string, token: string | null = null): Promise<void> {
    for (;;) {
      const { state, token: known } = (await this.send(`/v1/addresses/${address}`)).body;
      if (state === 'dispensed' && known === token) return;
      await sleep(20);
    }
  }
}

/** Every entry, in pages of this size. */
async function audited(setup: Setup, limit: number, query = '', token = setup.token) {
  const entries: Record<string, unknown>[] = [];
  for (let after = 0; ; ) {
    const path = `/v1/audit?after=${after}&limit=${limit}${query}`;
    const { status, body, text } = await setup.send(path, { token });
    assert.equal(status, 200, text);
    assert.ok(body.entries.length <= limit);
    entries.push(...body.entries);
    if (body.next === null) return entries;
    assert.ok(body.next > after);
    after = body.next;
  }
}

test('what left, at one server', LIMIT, async (t) => {
  await using setup = await Setup.serving();
  let [shop, bound, remote] = ['', '', ''];

  await t.test('the audit lists what left, in pages of any size, and no secret', async () => {
    const { server } = setup;
    const handed: Handed[] = [
      ...(await server.dispense(30)),
      ...(await server.dispense(5, 'other')),
    ];
    shop = await setup.made('shop', ['dispense']);
    const path = '/v1/pools/pet/dispense';
    const last = (await setup.send(path, { method: 'POST', token: shop })).body.addresses[0];
    for (const { address } of handed) await setup.untilRecorded(address);
    await setup.untilRecorded(last.address, 'shop');
    handed.push(last);

    const byId = handed.toSorted((one, other) => one.id - other.id);
    for (const limit of [1000, 7]) {
      const entries = await audited(setup, limit);
      assert.deepEqual(
        entries.map(({ id, address }) => [id, address]),
        byId.map(({ id, address }) => [id, address]),
      );
      assert.ok(entries.every(({ state, cause }) => state === 'dispensed' && cause === null));
      const ofShop = entries.filter(({ token }) => token === 'shop');
      assert.deepEqual(
        ofShop.map(({ address }) => address),
        [last.address],
      );
      const text = JSON.stringify(entries);
      for (const { secretKey } of handed) assert.ok(!text.includes(secretKey));
    }
    assert.equal((await audited(setup, 1000, '&pool=other')).length, 5);
    const future = new Date(Date.now() + 3_600_000).toISOString();
    assert.equal((await audited(setup, 1000, `&since=${future}`)).length, 0);
    bound = await setup.made('bound', ['admin'], ['other']);
    assert.equal((await audited(setup, 1000, '', bound)).length, 5, 'of its pools');
    for (const [query, status, code] of [
      ['?pool=none', 404, 'POOL_NOT_FOUND'],
      ['?limit=0', 400, 'REQUEST_INVALID'],
      ['?limit=1001', 400, 'REQUEST_INVALID'],
      ['?after=-1', 400, 'REQUEST_INVALID'],
      ['?since=yesterday', 400, 'REQUEST_INVALID'],
      ['?unheard=1', 400, 'REQUEST_INVALID'],
    ] as const) {
      const refused = await setup.send(`/v1/audit${query}`);
      assert.deepEqual([refused.status, refused.body.code], [status, code], query);
    }
    assert.equal((await setup.send('/v1/audit', { token: shop })).status, 403);
    assert.equal((await setup.send('/v1/audit?pool=pet', { token: bound })).status, 404);

    remote = await setup.made('remote', ['admin']);
    const list = await setup.cli(remote, 'audit', '--json');
    assert.equal(list.code, 0, list.stderr);
    assert.match(list.stderr, /^the list is not complete: .* serves the store/);
    assert.deepEqual(
      list.lines.map((line) => JSON.parse(line).id),
      byId.map(({ id }) => id),
    );
    const table = await setup.cli(remote, 'audit', '--pool', 'other');
    assert.deepEqual([table.code, table.lines.length], [0, 6]);
    const refused = await setup.cli(shop, 'audit');
    assert.match(refused.stderr, /SCOPE_REQUIRED/);
  });

  await t.test(
    'an address is reported by its name, in whatever state, without a secret',
    async () => {
      const asked = { method: 'POST', token: shop };
      const [handed] = (await setup.send('/v1/pools/pet/dispense', asked)).body
        .addresses as Handed[];
      const { address, id, secretKey } = handed!;
      await setup.untilRecorded(address, 'shop');
      const { body, text } = await setup.send(`/v1/addresses/${address}`);
      const { at, createdAt, ...others } = body;
      assert.deepEqual(others, {
        id,
        address,
        pool: 'pet',
        state: 'dispensed',
        origin: 'ground',
        token: 'shop',
        idempotencyKeyHash: null,
        cause: null,
        isSecretDestroyed: false,
        isExhausted: false,
        signatures: [],
      });
      assert.ok(Date.parse(at) >= Date.parse(createdAt));
      assert.ok(!text.includes(secretKey));
      const held = await setup.send('/v1/pools/pet/reservations', { method: 'POST', body: {} });
      assert.equal((await setup.send(`/v1/addresses/${held.body.address}`)).body.state, 'reserved');
      for (const unknown of [addressOf(new Uint8Array(32).fill(7)), 'x', `${address}1`, '%00']) {
        const missing = await setup.send(`/v1/addresses/${unknown}`);
        assert.deepEqual([missing.status, missing.body.code], [404, 'ADDRESS_NOT_FOUND'], unknown);
      }
      assert.equal((await setup.send(`/v1/addresses/${address}`, { token: bound })).status, 404);
      const eye = await setup.made('eye', ['read', 'dispense']);
      assert.equal((await setup.send(`/v1/addresses/${address}`, { token: eye })).status, 403);

      const shown = await setup.cli(remote, 'audit', '--address', address, '--json');
      assert.deepEqual(JSON.parse(shown.stdout), body);
      await setup.server.kill('SIGTERM');
      const local = await setup.run('audit', '--address', address);
      assert.equal(local.code, 0, local.stderr);
      assert.match(local.stdout, /^state +dispensed$/m);
    },
  );
});

const sentFiles = ({ data }: Workspace) =>
  readdirSync(data).filter((name) => name.startsWith('sent-backup-'));

test('a backup is sent whole, one at a time, and leaves nothing', LIMIT, async () => {
  await using setup = await Setup.serving();
  const { workspace, server } = setup;
  const remote = await setup.made('remote', ['admin']);
  const shop = await setup.made('shop', ['dispense']);
  const body = JSON.stringify({ count: 10 });
  const asked = { method: 'POST', token: shop, body };
  const handed: Handed[] = (await setup.send('/v1/pools/pet/dispense', asked)).body.addresses;
  await setup.untilRecorded(handed[0]!.address, 'shop');

  const file = join(workspace.path, 'pool.backup');
  const made = await setup.cli(remote, 'backup', file);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await assertWholeBackup(file);
  const again = await setup.cli(remote, 'backup', file);
  assert.match(again.stderr, /FILE_EXISTS/);

  // A newer one of the same token ends those before, made or not; which of them come first nobody knows.
  const statuses = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const { promise, resolve } = Promise.withResolvers<number>();
      const headers = { authorization: `Bearer ${setup.token}` };
      const sent = request(`${server.url}/v1/backups`, { method: 'POST', headers });
      sent.on('response', (reply) => {
        resolve(reply.statusCode!);
        reply.destroy();
      });
      // It was cut between its making and its first byte.
      sent.on('error', () => resolve(409)).end();
      return promise;
    }),
  );
  assert.ok(statuses.includes(200), String(statuses));
  assert.ok(
    statuses.every((status) => status === 200 || status === 409),
    String(statuses),
  );
  for (const [body, status, code] of [
    ['{"path":"/etc/passwd"}', 400, 'BODY_INVALID'],
    ['[]', 400, 'BODY_INVALID'],
  ] as const) {
    const refused = await setup.send('/v1/backups', { method: 'POST', body });
    assert.deepEqual([refused.status, refused.body.code], [status, code]);
  }
  const bound = await setup.made('bound', ['admin'], ['pet']);
  const refused = await setup.send('/v1/backups', { method: 'POST', token: bound });
  assert.deepEqual([refused.status, refused.body.code], [403, 'SCOPE_REQUIRED']);
  while (sentFiles(workspace).length > 0) await sleep(20);

  await server.kill('SIGKILL');
  writeFileSync(join(workspace.data, `sent-backup-${'0'.repeat(32)}.01234567.partial`), '');
  await setup.serve();
  assert.deepEqual(sentFiles(workspace), [], 'what a crash left is removed');
  await setup.server.kill('SIGTERM');

  // A restore takes it: what was handed out by then is dispensed there.
  const data = join(workspace.path, 'restored');
  const key = `file:${join(workspace.data, 'sealing.key')}`;
  const restored = await vanitypoolHere(
    ['restore', file, '--data', data],
    { VANITYPOOL_STORE__SEALING_KEY: key },
    workspace.path,
  );
  assert.equal(restored.code, 0, restored.stderr);
  checkStore(data);
  const dispensed = withDatabase(data, (db) =>
    db.prepare(`SELECT dispensed FROM pools WHERE name = 'pet'`).get(),
  );
  assert.equal(dispensed?.dispensed, 10);
});

test(
  'an export is recorded before it is written, with a server and without one',
  LIMIT,
  async () => {
    await using setup = await Setup.serving();
    const { workspace } = setup;
    const out = join(workspace.path, 'keys');
    const dispenser = await setup.made('shop', ['dispense']);
    const args = ['export', '--pool', 'pet', '--out', out, '--count'];
    const refused = await setup.cli(dispenser, ...args, '20');
    assert.match(refused.stderr, /SCOPE_REQUIRED/);
    const both = await setup.made('export', ['dispense', 'admin']);
    const exported = await setup.cli(both, ...args, '20');
    assert.equal(exported.code, 0, exported.stderr);
    assert.equal(exported.lines.length, 20);
    const states = await Promise.all(
      exported.lines.map(async (address) => (await setup.send(`/v1/addresses/${address}`)).body),
    );
    assert.ok(states.every(({ state, token }) => state === 'dispensed' && token === 'export'));
    // In batches: what was written before the pool was empty stays written.
    const few = await setup.cli(both, ...args, '100000');
    assert.equal(few.code, 1);
    assert.match(few.stderr, /POOL_EMPTY/);
    const left = async () => (await setup.send('/v1/pools/pet')).body;
    for (let pool = await left(); pool.available + pool.leased < 10; pool = await left())
      await sleep(20);
    await setup.server.kill('SIGTERM');
    const offline = await vanitypoolHere(
      [...args, '10'],
      { VANITYPOOL_HTTP__PORT: '9' },
      workspace.path,
    );
    assert.equal(offline.code, 0, offline.stderr);
    const files = readdirSync(out).map((name) => readKeyFile(join(out, name)).address);
    assert.deepEqual(
      files.toSorted(),
      [exported, few, offline].flatMap(({ lines }) => lines).toSorted(),
    );
    checkStore(workspace.data);
  },
);
