/**
 * What creators of tokens are warned of: that the first one closes the server to everybody without
 * one, and that a pool is not there. With a server and without one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOwnToken } from '../../src/service/own-token.ts';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';
import { openStoreIn } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const FIRST = /^vanitypool: this is the first token: from now on every request needs one/m;
/** Nobody listens there: 5057 may be somebody's server. */
const NOBODY = '9';

function create(workspace: Workspace, port: string, ...args: string[]): Promise<Outcome> {
  const command = ['token', 'create', '--scope', 'read', '--name', ...args];
  return vanitypoolHere(command, { VANITYPOOL_HTTP__PORT: port }, workspace.path);
}

test('the first token says that it closes the server, and no other does', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const server = await workspace.serve();
  const { port } = new URL(server.url);
  const token = readOwnToken(workspace.data)!;

  await t.test('a token of a pool that is not there is not made', async () => {
    const made = { name: 'new', suffix: 'x', target: 5 };
    assert.equal((await server.ask('POST', '/v1/pools', { token, body: made })).status, 201);
    const told = /^vanitypool: pool nope: no such pool; there are: pet, new/m;
    const refused = await create(workspace, port, 'one', '--pool', 'pet', '--pool', 'nope');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, told);
    assert.doesNotMatch(refused.stderr, FIRST);
    assert.equal((await server.ask('GET', '/v1/pools')).status, 200, 'none was made');
  });

  const first = await create(workspace, port, 'one', '--json', '--pool', 'new', '--pool', 'pet');
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, FIRST);
  const { token: kept, warning } = JSON.parse(first.stdout);
  assert.match(warning, /programs that send none are refused/);
  const second = await create(workspace, port, 'two');
  assert.equal(second.code, 0, second.stderr);
  assert.doesNotMatch(second.stderr, FIRST);
  const body = { name: 'three', scopes: ['read'] };
  assert.equal((await server.ask('POST', '/v1/tokens', { token, body })).body.warning, null);

  await t.test('one of a deleted pool stays, and no more are made for it', async () => {
    const removal = { token, body: { burn: 'new' } };
    assert.equal((await server.ask('DELETE', '/v1/pools/new', removal)).status, 200);
    const seen = await server.ask('GET', '/v1/pools', { token: kept });
    assert.deepEqual(
      seen.body.pools.map(({ name }: { name: string }) => name),
      ['pet'],
    );
    await server.kill('SIGTERM');
    const offline = await create(workspace, NOBODY, 'four', '--pool', 'new');
    assert.equal(offline.code, 1);
    assert.match(offline.stderr, /^vanitypool: pool new: no such pool; there are: pet \(/m);
    assert.equal((await create(workspace, NOBODY, 'four', '--pool', 'pet')).code, 0);
  });
});

test('so does the first one in the store, unless tokens are needed anyway', LIMIT, async () => {
  for (const [setting, isTold] of [
    ['"auto"', true],
    ['true', false],
  ] as const) {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL], '[auth]', `required = ${setting}`);
    await (await openStoreIn(workspace.data)).close();
    const { code, stderr } = await create(workspace, NOBODY, 'one');
    assert.equal(code, 0, stderr);
    assert.equal(FIRST.test(stderr), isTold, stderr);
    assert.doesNotMatch((await create(workspace, NOBODY, 'two')).stderr, FIRST);
    const server = await workspace.serve();
    const token = readOwnToken(workspace.data)!;
    const body = { name: 'three', scopes: ['read'] };
    assert.equal((await server.ask('POST', '/v1/tokens', { token, body })).body.warning, null);
  }
});
