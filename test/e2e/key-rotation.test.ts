/** `vanitypool key rotate` with a running server and without one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { vanitypoolHere } from '../support/cli-here.ts';
import { countLeft, sealedIn } from '../support/sealed-bytes.ts';
import { assertIdentity, EASY_POOL, type Handed, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const PROCESS = fileURLToPath(new URL('../support/rotating-process.ts', import.meta.url));
const KEYS = {
  OLD_KEY: '11'.repeat(32),
  NEW_KEY: '5a'.repeat(32),
};

const unique = (handed: readonly Handed[]) => new Set(handed.map(({ address }) => address)).size;

test(
  'a server that hands out goes by the new key, and so does the next start',
  LIMIT,
  async (t) => {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL]);
    const { data, path: cwd } = workspace;
    const run = (...args: string[]) => vanitypoolHere(args, {}, cwd);
    const file = join(data, 'sealing.key');
    const none = await run('key', 'rotate');
    assert.deepEqual([none.code, none.stdout], [1, ''], 'there is no store');
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 200);
    const made = await run('token', 'create', '--name', 'shop', '--scope', 'dispense');
    assert.equal(made.code, 0, made.stderr);
    const [token] = made.lines;
    const [eye] = (await run('token', 'create', '--name', 'eye', '--scope', 'read')).lines;
    const bound = await run(
      ...['token', 'create', '--name', 'some', '--scope', 'admin', '--pool', 'pet'],
    );
    const refusal = await server.ask('POST', '/v1/keys/rotate', {
      token: bound.lines[0],
      body: {},
    });
    assert.deepEqual([refusal.status, refusal.body.code], [403, 'SCOPE_REQUIRED']);

    const handed: Handed[] = [];
    let isOver = false;
    const take = async (count: number, from = server) => {
      const asked = { token, body: { count } };
      const { status, body } = await from.ask('POST', '/v1/pools/pet/dispense', asked);
      assert.ok(status === 200 || body.code === 'POOL_EMPTY', `${status} ${body.code}`);
      if (status === 200) handed.push(...body.addresses);
      return status;
    };
    const taking = (async () => {
      for (; !isOver; await sleep(1)) await take(1);
    })();
    assert.equal((await run('backup', 'before')).code, 0);
    const old = join(workspace.path, 'old.key');
    copyFileSync(file, old);
    const rotated = await run('key', 'rotate');
    assert.equal(rotated.code, 0, rotated.stderr);
    const [, to, from] = /is ([0-9a-f]{16}) now, not ([0-9a-f]{16})/.exec(rotated.stdout) ?? [];
    const kept = `${file}.${from}`;
    assert.match(rotated.stdout, new RegExp(`^Back up the new key now, .*: ${file}$`, 'm'));
    assert.match(rotated.stdout, new RegExp(`^Keep the old key .*: ${kept}$`, 'm'));
    assert.equal(readFileSync(kept, 'latin1'), readFileSync(old, 'latin1'));
    assert.notEqual(readFileSync(file, 'latin1'), readFileSync(old, 'latin1'));
    const before = handed.length;
    while (handed.length < before + 20) await sleep(5);
    isOver = true;
    await taking;
    const audit = await run('audit', '--json');
    assert.equal(audit.code, 0, audit.stderr);
    const said = server.log.find(({ msg }) => msg.startsWith('the sealing key was rotated'));
    assert.deepEqual([said?.from, said?.to], [from, to]);
    for (const key of [old, file]) {
      assert.ok(!server.output.includes(readFileSync(key, 'latin1').trim()), 'no log has a key');
    }
    await server.kill('SIGKILL');

    const again = await workspace.serve();
    while ((await take(50, again)) !== 200) await sleep(50);
    const { body: figures } = await again.ask('GET', '/v1/pools/pet', { token: eye });
    assertIdentity(figures);
    assert.equal(figures.burned, 0);
    assert.equal(unique(handed), handed.length);
    await again.kill('SIGTERM');

    // Alone the old one is refused, by its id; a backup from before needs it.
    renameSync(file, join(workspace.path, 'new.key'));
    copyFileSync(old, file);
    const refused = await run('serve', '--port', '0');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, new RegExp(`${from}, and ${to} is needed.*SEALING_KEY_INVALID`));
    renameSync(join(workspace.path, 'new.key'), file);
    const place = join(workspace.path, 'restored');
    mkdirSync(place, { mode: 0o700 });
    copyFileSync(file, join(place, 'sealing.key'));
    const wrong = await run('restore', 'before', '--data', place);
    assert.match(wrong.stderr, new RegExp(`${to}, and ${from} is needed.*SEALING_KEY_INVALID`));
    copyFileSync(kept, join(place, 'sealing.key'));
    const right = await run('restore', 'before', '--data', place);
    assert.equal(right.code, 0, right.stderr);

    await t.test('without a server the store is rotated, and what is done is said', async () => {
      const more = await run('key', 'rotate', '--json');
      assert.equal(more.code, 0, more.stderr);
      assert.match(more.stderr, /sealed data keys to the new key: 100%/);
      const { source, oldSource, dataKeys } = JSON.parse(more.stdout);
      assert.ok(dataKeys > 0);
      assert.equal(source, `file:${file}`);
      assert.ok(existsSync(oldSource.slice('file:'.length)));
      const last = await workspace.serve();
      while ((await take(50, last)) !== 200) await sleep(50);
      const { body: after } = await last.ask('GET', '/v1/pools/pet', { token: eye });
      assert.equal(after.burned, 0);
      assert.equal(unique(handed), handed.length);
    });
  },
);

test('to a variable of the server, whose configuration then has to name it', LIMIT, async () => {
  await using workspace = new Workspace();
  const configure = (key: string) =>
    workspace.configure([EASY_POOL], '[store]', `sealing_key = "env:${key}"`);
  configure('OLD_KEY');
  workspace.environment = KEYS;
  const run = (...args: string[]) => vanitypoolHere(args, KEYS, workspace.path);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= 100);
  const [one] = await server.dispense(1);
  const address = () => run('audit', '--address', one!.address);
  assert.equal((await address()).code, 0);
  for (const [args, reason] of [
    [[], /KEY_ROTATION_REFUSED/],
    [['--to', 'env:NO_KEY'], /env:NO_KEY: not set.*KEY_ROTATION_REFUSED/],
    [['--to', 'env:OLD_KEY'], /holds the key that is to be replaced.*KEY_ROTATION_REFUSED/],
    [['--to', 'file:key'], /--to: "file:key" is not allowed; allowed: env:NAME/],
  ] as const) {
    const refused = await run('key', 'rotate', ...args);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, reason);
  }
  const rotated = await run('key', 'rotate', '--to', 'env:NEW_KEY', '--json');
  assert.equal(rotated.code, 0, rotated.stderr);
  assert.equal(JSON.parse(rotated.stdout).source, 'env:NEW_KEY');
  const own = readFileSync(join(workspace.data, 'admin.token'), 'latin1').trim();
  const listed = await server.ask('GET', '/v1/audit', { token: own });
  assert.deepEqual([listed.status, listed.body.entries?.[0]?.address], [200, one!.address]);
  await server.kill('SIGTERM');

  const refused = await run('serve', '--port', '0');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /env:OLD_KEY: not the key .*set store\.sealing_key = "env:NAME"/);
  configure('NEW_KEY');
  const again = await workspace.serve();
  await again.until(({ ready }) => ready >= 100);
  assert.equal((await again.dispense(10)).length, 10);
  assert.equal((await again.pool()).burned, 0);
  assert.equal((await address()).code, 0);
  assert.ok(!server.output.includes(KEYS.NEW_KEY) && !again.output.includes(KEYS.NEW_KEY));
});

test('after a leak all is resealed, while a server hands out and without one', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 700 }]);
  const { data } = workspace;
  const run = (...args: string[]) => vanitypoolHere(args, {}, workspace.path);
  const server = await workspace.serve();
  await server.until(({ ready, available }) => ready + available >= 600);
  const handed = await server.dispense(10);
  const sealed = sealedIn(data);
  const resealing = run('key', 'rotate', '--reseal');
  for (let taken = 0; taken < 20; taken++) handed.push(...(await server.dispense(1)));
  const resealed = await resealing;
  assert.equal(resealed.code, 0, resealed.stderr);
  assert.match(resealed.stdout, /^rotated: .*\nresealed: nothing .* opens with the old key\n/s);
  assert.match(resealed.stderr, /^resealed addresses: \d+%$/m);
  assert.equal(countLeft(data, sealed), 0);
  const messages = server.log.map(({ msg }) => msg);
  assert.ok(messages.includes('resealing addresses'));
  assert.ok(messages.some((msg) => msg.startsWith('addresses are resealed')));
  await server.kill('SIGTERM');

  const again = sealedIn(data);
  const child = await run('key', 'rotate', '--reseal', '--json');
  assert.equal(child.code, 0, child.stderr);
  assert.ok(JSON.parse(child.stdout).toReseal > 0);
  assert.match(child.stderr, /resealed addresses: 100%/);
  assert.equal(countLeft(data, again), 0);

  // One that is cut off: a server goes on with it, and so would the command.
  await killedAfter('1', data);
  const more = await run('key', 'rotate', '--reseal');
  assert.equal(more.code, 0, more.stderr);
  assert.match(more.stdout, /^resealed: /);
  await killedAfter('1', data);
  const next = await workspace.serve();
  while (!next.log.some(({ msg }) => msg.startsWith('addresses are resealed'))) await sleep(20);
  handed.push(...(await next.dispense(50)));
  assert.equal(unique(handed), handed.length);
  assert.equal((await next.pool()).burned, 0);
});

/** The process of a rotation with rows resealed. */
async function killedAfter(step: string, data: string): Promise<void> {
  const child = spawn(process.execPath, [PROCESS, data, step, 'reseal'], { stdio: 'inherit' });
  assert.equal((await once(child, 'exit'))[1], 'SIGKILL');
}
