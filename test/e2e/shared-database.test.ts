/** Servers and commands of several machines on one database, as their users see them. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { vanitypoolHere } from '../support/cli-here.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { EASY_POOL, type Handed, type Server, Workspace } from '../support/server.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const POOL = { ...EASY_POOL, target: 120, ready: 8, accepts_imports: true };

let postgres: PostgresServer;
before(async () => {
  if (skip === false) postgres = await PostgresServer.start();
});
after(async () => {
  await postgres?.[Symbol.asyncDispose]();
});

/** A machine of the cluster; all but the first take the sealing key of another. */
function machine(url: string, from?: Workspace): Workspace {
  const workspace = new Workspace();
  const { data } = workspace;
  workspace.configure([POOL], '[store]', `url = "${url}"`, `data = "${data}"`);
  if (from === undefined) return workspace;
  mkdirSync(data, { mode: 0o700 });
  copyFileSync(join(from.data, 'sealing.key'), join(data, 'sealing.key'));
  return workspace;
}

async function run({ path }: Workspace, ...args: string[]) {
  return vanitypoolHere(args, { VANITYPOOL_HTTP__PORT: '9' }, path);
}

async function done(workspace: Workspace, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(workspace, ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

function once(...handed: readonly Handed[]): void {
  assert.equal(new Set(handed.map(({ address }) => address)).size, handed.length);
}

test('two servers hand out of one database', LIMIT, async (t) => {
  const url = await postgres.database();
  await using first = machine(url);
  const one = await first.serve();
  await one.until(({ available, leased }) => available + leased >= POOL.target);
  await using second = machine(url, first);
  const other = await second.serve('--threads', '0');
  const handed: Handed[] = [];
  const take = async (server: Server, count: number, key?: string): Promise<Handed[]> => {
    const asked = { token, key, body: { count } };
    const { status, body, text } = await server.ask('POST', '/v1/pools/pet/dispense', asked);
    assert.equal(status, 200, text);
    return body.addresses;
  };
  let token: string | undefined;

  await t.test(
    'each address once, and one key is one reply, wherever it is asked for',
    async () => {
      handed.push(...(await take(one, 5)), ...(await take(other, 5)));
      const [here, there] = await Promise.all([take(one, 2, 'k'), take(other, 2, 'k')]);
      assert.deepEqual(here, there);
      handed.push(...here);
      once(...handed);
      await other.until(({ dispensed, burned }) => dispensed === 12 && burned === 0);
    },
  );

  await t.test('what one changes is so at the other when it is answered', async () => {
    const scopes = ['read', 'dispense', 'admin'].flatMap((scope) => ['--scope', scope]);
    token = (await done(first, 'token', 'create', '--name', 'ops', ...scopes)).trim();
    assert.equal((await other.ask('POST', '/v1/pools/pet/dispense')).status, 401);
    handed.push(...(await take(other, 1)));
    const ask = (server: Server, method: string, path: string, body?: object) =>
      server.ask(method, path, { token, ...(body && { body }) });
    const made = await ask(one, 'POST', '/v1/pools', { name: 'dog', suffix: 'd', target: 10 });
    assert.equal(made.status, 201, made.text);
    assert.equal((await ask(other, 'GET', '/v1/pools/dog')).status, 200);
    assert.equal((await ask(one, 'POST', '/v1/pools/pet/pause')).status, 200);
    const refused = await ask(other, 'POST', '/v1/pools/pet/dispense', { count: 1 });
    assert.equal(refused.body.code, 'POOL_PAUSED');
    assert.equal((await ask(other, 'POST', '/v1/pools/pet/resume')).status, 200);
    handed.push(...(await take(one, 1)));
    assert.equal((await ask(other, 'DELETE', '/v1/pools/dog', { burn: 'dog' })).status, 200);
    assert.equal((await ask(one, 'GET', '/v1/pools/dog')).body.code, 'POOL_NOT_FOUND');
    const backup = await ask(other, 'POST', '/v1/backups');
    assert.deepEqual([backup.status, backup.body.code], [409, 'BACKUP_UNSUPPORTED']);
  });

  /** Until the other shows what left by now. */
  const shown = async (dispensed: number) => {
    for (;;) {
      const { body } = await other.ask('GET', '/v1/pools/pet', { token });
      assert.deepEqual([body.burned, body.dispensed <= dispensed], [0, true]);
      if (body.dispensed === dispensed) return;
      await sleep(50);
    }
  };
  await t.test('one that was killed burns nothing when it is back in time', async () => {
    await one.kill('SIGKILL');
    handed.push(...(await take(other, 3)));
    const again = await first.serve('--threads', '0');
    handed.push(...(await take(again, 3)));
    await again.kill('SIGTERM');
    assert.match(again.output, /stopped cleanly: nothing was burned/);
    await shown(handed.length);
  });

  await t.test('commands do without a server on their machine', async () => {
    const lines = (await done(first, 'dispense', 'pet', '--count', '4')).trim().split('\n');
    handed.push(...lines.map((line) => JSON.parse(line) as Handed));
    const repeat = ['dispense', 'pet', '--count', '2', '--key', 'k2'];
    const keyed = await done(first, ...repeat);
    assert.equal(await done(first, ...repeat), keyed);
    await shown(handed.length + 2);
    once(...handed);
    await done(first, 'pool', 'create', 'cat', '--suffix', 'c', '--target', '10');
    while ((await other.ask('GET', '/v1/pools/cat', { token })).status !== 200) await sleep(50);
    const { pools } = JSON.parse(await done(first, 'status', '--json'));
    assert.equal(pools[0].dispensed, handed.length + 2);
    const audit = await run(first, 'audit', '--json');
    const listed = audit.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const addresses = new Set(listed.map(({ address }) => address));
    assert.ok(handed.every(({ address }) => addresses.has(address)));
    assert.match(audit.stderr, /these nodes serve it, or have not said what left/);
    for (const command of [
      ['backup', 'x'],
      ['restore', 'x'],
      ['adopt', '--moved'],
    ]) {
      const { code, stderr } = await run(first, ...command);
      assert.equal(code, 1);
      assert.match(stderr, /store.url: names a database, .*\(BACKUP_UNSUPPORTED\)/);
    }
  });
});

test('what does not fit together is refused at the start, and changes nothing', LIMIT, async () => {
  const url = await postgres.database();
  await using first = machine(url);
  const refused = async (workspace: Workspace, ...args: string[]) => {
    const { code, stderr } = await run(workspace, ...args);
    assert.equal(code, 1, stderr);
    return stderr;
  };
  assert.match(await refused(first, 'dispense', 'pet'), /holds no store; .*\(STORE_NOT_FOUND\)/);
  const one = await first.serve('--threads', '0');
  assert.match(await refused(first, 'serve'), /process \d+ holds it.*\(DATA_IN_USE\)/);
  await one.kill('SIGTERM');

  await using stranger = machine(url, first);
  writeFileSync(join(stranger.data, 'sealing.key'), `${'0b'.repeat(32)}\n`);
  assert.match(await refused(stranger, 'serve'), /not the key that the store is sealed with/);
  await using keyless = machine(url);
  assert.match(
    await refused(keyless, 'serve'),
    /copy it from another node.*\(SEALING_KEY_INVALID\)/,
  );
  assert.ok(!existsSync(join(keyless.data, 'sealing.key')));

  await using copy = machine(url, first);
  copyFileSync(join(first.data, 'node.json'), join(copy.data, 'node.json'));
  assert.match(await refused(copy, 'serve'), /a copy: node [0-9a-f]{32} .*\(DATA_MOVED\)/);

  await using lost = machine('postgres://nobody:hunter2@127.0.0.1:1/x');
  const output = await refused(lost, 'serve');
  assert.match(output, /postgres:\/\/127.0.0.1:1\/x: connect ECONNREFUSED.*\(STORE_UNAVAILABLE\)/);
  assert.doesNotMatch(output, /hunter2/);
});
