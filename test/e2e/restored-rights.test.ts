/**
 * Who may do what after a real server was lost and its backup restored: tokens that were revoked
 * meanwhile, and addresses that signed meanwhile. And what a row that somebody else wrote is worth.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { legacyMessage } from '../support/messages.ts';
import { type Server, Workspace } from '../support/server.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const VAULT = { name: 'vault', suffix: 't', target: 50, handout: 'sign-only', sign_limit: 2 };

/** A server with a token `shop`, and what it says to those who ask. */
class Shop implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly tokens: Record<string, string> = {};
  server!: Server;
  #lost = 0;

  async open(): Promise<void> {
    this.workspace.configure([VAULT]);
    await this.serve();
    await this.server.until(({ available, ready }) => available + ready >= 10, 'vault');
  }

  async serve(): Promise<void> {
    this.server = await this.workspace.serve();
  }

  run(...args: string[]): Promise<Outcome> {
    const port = this.server.url === '' ? '1' : new URL(this.server.url).port;
    const env = { VANITYPOOL_HTTP__PORT: port };
    return vanitypoolHere(args, env, this.workspace.path);
  }

  async make(name: string): Promise<void> {
    const args = ['token', 'create', '--name', name, '--scope', 'dispense', '--scope', 'read'];
    this.tokens[name] = (await this.run(...args)).lines[0]!;
  }

  async status(name?: string): Promise<number> {
    const token = name === undefined ? undefined : this.tokens[name];
    return (await this.server.ask('GET', '/v1/pools', { token })).status;
  }

  async take(name: string): Promise<string> {
    const asking = { token: this.tokens[name] };
    const { body } = await this.server.ask('POST', '/v1/pools/vault/dispense', asking);
    return body.addresses[0].address;
  }

  /** Turns record what left some time after its reply, and to whom. */
  async untilRecorded(address: string): Promise<void> {
    const token = readFileSync(join(this.workspace.data, 'admin.token'), 'utf8').trim();
    const look = () => this.server.ask('GET', `/v1/addresses/${address}`, { token });
    while ((await look()).body.token === null) await sleep(20);
  }

  /** 200, or the code of the refusal. */
  async sign(name: string, address: string, memo: number): Promise<number | string> {
    const message = Buffer.from(legacyMessage(decodeBase58(address), memo)).toString('base64');
    const path = `/v1/pools/vault/addresses/${address}/signatures`;
    const asking = { token: this.tokens[name], body: { message } };
    const { status, body } = await this.server.ask('POST', path, asking);
    return status === 200 ? 200 : body.code;
  }

  /** By name, as `token list` shows it. */
  async states(): Promise<Record<string, string>> {
    const { lines } = await this.run('token', 'list');
    const rows = lines.slice(1).map((line) => line.trim().split(/\s{2,}/));
    return Object.fromEntries(rows.map((row) => [row[0], row.at(-1)]));
  }

  /** The data is lost, and made again out of `backup`: what the command prints of tokens. */
  async restore(...args: string[]): Promise<string[]> {
    const { path, data } = this.workspace;
    const old = join(path, `lost-${this.#lost++}`);
    renameSync(data, old);
    mkdirSync(data, { mode: 0o700 });
    cpSync(join(old, 'sealing.key'), join(data, 'sealing.key'));
    const { code, stderr, lines } = await this.run('restore', 'backup', ...args);
    assert.equal(code, 0, stderr);
    return lines.filter((line) => line.startsWith('tokens: '));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.kill('SIGTERM');
    checkStore(this.workspace.data);
    await this.workspace[Symbol.asyncDispose]();
  }
}

test('a restore revives no right: nothing is known of it', LIMIT, async () => {
  await using shop = new Shop();
  await shop.open();
  for (const name of ['shop', 'gone']) await shop.make(name);
  const [used, unused] = [await shop.take('shop'), await shop.take('shop')];
  for (const address of [used, unused]) await shop.untilRecorded(address);
  assert.equal((await shop.run('backup', 'backup')).code, 0);
  for (const memo of [1, 2]) assert.equal(await shop.sign('shop', used, memo), 200);
  assert.equal((await shop.run('token', 'revoke', 'gone')).code, 0);
  await shop.make('late');
  await shop.server.kill('SIGTERM');
  const list = await shop.run('audit', '--json');
  writeFileSync(join(shop.workspace.path, 'list'), list.stdout);

  const [said] = await shop.restore();
  assert.match(said!, /^tokens: 2 off, as any may be revoked: shop, gone; on again: /);
  await shop.serve();
  assert.deepEqual(await shop.states(), { shop: 'off', gone: 'off' });
  for (const name of [undefined, 'shop', 'gone', 'late']) {
    assert.equal(await shop.status(name), 401, `${name}: nobody is served without a token either`);
  }
  assert.deepEqual((await shop.run('token', 'restore', 'shop')).lines, ['shop: valid']);
  assert.deepEqual([await shop.status('shop'), await shop.status('gone')], [200, 401]);
  for (const address of [used, unused]) {
    assert.equal(await shop.sign('shop', address, 3), 'SIGN_LIMIT_REACHED');
  }
  const { body } = await shop.server.ask('GET', `/v1/addresses/${unused}`, {
    token: readFileSync(join(shop.workspace.data, 'admin.token'), 'utf8').trim(),
  });
  assert.equal(body.isExhausted, true);
  await shop.make('next');
  const ids = withDatabase(shop.workspace.data, (db) =>
    db.prepare('SELECT id FROM tokens ORDER BY id').all(),
  ).map(({ id }) => Number(id));
  assert.ok(ids[2]! > ids[1]! + 2 ** 15, 'no token of the lost store had its id');
  await shop.server.kill('SIGTERM');
  assert.match((await shop.run('token', 'restore', '--all')).stdout, /^gone: valid\n$/);
  assert.equal((await shop.run('token', 'restore', '--all')).stdout, 'no token is off\n');
  const none = await shop.run('token', 'restore', 'nobody');
  assert.match(none.stderr, /token nobody: there is none of this name/);

  await shop.restore('--dispensed', 'list');
  await shop.serve();
  assert.deepEqual(await shop.states(), { shop: 'valid', gone: 'off' }, 'the list knows');
  assert.equal(await shop.sign('shop', used, 3), 'SIGN_LIMIT_REACHED');
  for (const memo of [1, 2]) assert.equal(await shop.sign('shop', unused, memo), 200);
  assert.equal(await shop.sign('shop', unused, 3), 'SIGN_LIMIT_REACHED');
});

test('a copy that is adopted as restored revives none either', LIMIT, async () => {
  await using shop = new Shop();
  await shop.open();
  await shop.make('shop');
  const address = await shop.take('shop');
  await shop.server.kill('SIGTERM');
  const { data, path } = shop.workspace;
  const copy = join(path, 'copy');
  cpSync(data, copy, { recursive: true, preserveTimestamps: true });
  renameSync(data, join(path, 'lost'));
  renameSync(copy, data);
  const adopted = await shop.run('adopt', '--restored');
  assert.equal(adopted.code, 0, adopted.stderr);
  assert.match(adopted.stdout, /^tokens: 1 off, .*: shop; on again: /m);
  await shop.serve();
  assert.deepEqual([await shop.status(), await shop.status('shop')], [401, 401]);
  assert.equal((await shop.run('token', 'restore', '--all')).stdout, 'shop: valid\n');
  assert.equal(await shop.sign('shop', address, 1), 'SIGN_LIMIT_REACHED');
});

test(
  'who writes the database gets no token, and no secret of a sign-only pool',
  LIMIT,
  async () => {
    await using shop = new Shop();
    await shop.open();
    await shop.make('shop');
    await shop.server.kill('SIGTERM');
    const mine = newToken();
    withDatabase(shop.workspace.data, (db) => {
      const add = db.prepare(`INSERT INTO tokens (name, hash, scopes, created_at)
      VALUES ('mine', ?, '["dispense","read","admin"]', 1)`);
      add.run(tokenHash(mine));
    });
    await shop.serve();
    shop.tokens.mine = mine;
    assert.deepEqual([await shop.status('mine'), await shop.status('shop')], [401, 200]);
    assert.deepEqual(await shop.states(), { shop: 'valid', mine: 'forged' });
    const { text } = await shop.server.ask('GET', '/metrics', { token: shop.tokens.shop });
    assert.match(text, /^vanitypool_store_forged_rows 1$/m);
    const errors = shop.server.log.filter(({ level }) => level === 'error');
    assert.deepEqual(
      errors.map(({ row }) => row),
      ['token mine'],
    );
    await shop.server.kill('SIGTERM');

    withDatabase(shop.workspace.data, (db) => {
      db.exec(`UPDATE pools SET handout = 'secret'`);
    });
    shop.workspace.configure([{ name: 'vault', suffix: 't', target: 50 }]);
    const refused = await shop.run('serve', '--port', '0');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /pool vault: was not written by vanitypool/);
    const offline = await shop.run('dispense', 'vault');
    assert.equal(offline.code, 1);
    assert.match(offline.stderr, /pool vault: was not written by vanitypool/);
    assert.equal(offline.stdout, '');
    for (const looking of [['status'], ['pool', 'list'], ['pool', 'pause', 'vault']]) {
      const { code, stderr } = await shop.run(...looking);
      assert.equal(code, 1, looking.join(' '));
      assert.match(stderr, /pool vault: was not written by vanitypool/);
    }
  },
);
