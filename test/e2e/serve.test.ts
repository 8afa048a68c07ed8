import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyPairSignerFromBytes } from '@solana/kit';
import { decodeBase58 } from '../../src/keypair/address.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { assertIdentity, EASY_POOL, type Handed, Server, Workspace } from '../support/server.ts';
import { withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

function assertDistinct(handed: readonly Handed[]): void {
  assert.equal(new Set(handed.map(({ id }) => id)).size, handed.length, 'an id came twice');
  assert.equal(
    new Set(handed.map(({ address }) => address)).size,
    handed.length,
    'a key came twice',
  );
}

test(
  '200 parallel requests to two HTTP threads get 200 addresses; restarts repeat and burn none',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    // More than is ready at once, as often as a queue of 256 would have to be filled for 500.
    workspace.configure([{ ...EASY_POOL, target: 360, ready: 100 }], '[http]', 'threads = 2');
    const first = await workspace.serve('--log-level', 'debug');
    await first.until(({ available, leased }) => available + leased >= 360);
    const replies = await Promise.all(Array.from({ length: 200 }, () => first.dispense()));
    const handed = replies.flat();
    assert.equal(handed.length, 200);
    assertDistinct(handed);
    for (const { address, secretKey } of handed) {
      assert.ok(address.endsWith('t'));
      const signer = await createKeyPairSignerFromBytes(decodeBase58(secretKey));
      assert.equal(signer.address, address);
    }
    assertIdentity(await first.pool());
    await first.ask('POST', '/v1/pools/pet/dispense', { body: '{' });
    // Under npm a Ctrl-C comes twice: from the terminal, and passed on.
    first.process.kill('SIGINT');
    assert.equal(await first.kill('SIGINT'), 0, first.output);
    assertNothingSecret(workspace, first, handed);

    const second = await workspace.serve();
    const before = await second.pool();
    assert.deepEqual([before.dispensed, before.burned], [200, 0]);
    assertIdentity(before);
    const more = await second.dispense(120);
    assertDistinct([...handed, ...more]);
    assert.ok(Math.min(...more.map(({ id }) => id)) > 0);
    // A closed terminal, and a Ctrl-C with it.
    second.process.kill('SIGHUP');
    assert.equal(await second.kill('SIGINT'), 0, second.output);
    const { stdout } = await vanitypoolHere(['status', '--json'], {}, workspace.path);
    const [{ dispensed, burned }] = JSON.parse(stdout).pools;
    assert.deepEqual([dispensed, burned], [320, 0]);
  },
);

/** In the log or the files of a server that has stopped; nor is anything readable to others. */
function assertNothingSecret(
  { data }: Workspace,
  { output }: Server,
  handed: readonly Handed[],
): void {
  const files = readdirSync(data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  assert.ok(files.length > 0);
  for (const file of files) assert.equal(statSync(file).mode & 0o077, 0, file);
  assert.equal(statSync(data).mode & 0o077, 0);
  const written = [output, ...files.map((file) => readFileSync(file, 'latin1'))];
  for (const { address, secretKey } of handed) {
    const keypair = Buffer.from(decodeBase58(secretKey));
    const hidden = [
      address,
      secretKey,
      keypair.toString('latin1', 0, 32),
      keypair.toString('latin1', 32),
      keypair.toString('hex', 0, 32),
      keypair.toString('base64', 0, 30),
    ];
    for (const text of written) for (const part of hidden) assert.ok(!text.includes(part));
  }
}

/** Locks keep a second server out; where they do not hold, an epoch of its own is what it begins. */
test('a server whose store another took over ends and hands out nothing more', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 300, ready: 100 }]);
  const first = await workspace.serve();
  await first.until(({ ready }) => ready >= 100);
  withDatabase(workspace.data, (db) => {
    db.exec('PRAGMA busy_timeout = 10000; UPDATE meta SET epoch = epoch + 1');
  });
  const handed = await first.dispense(3).catch(() => []);
  assert.equal(await first.exited, 1, first.output);
  const second = await workspace.serve();
  await second.until(({ ready }) => ready >= 100);
  const more = await second.dispense(100);
  await second.until(({ available, leased }) => available + leased >= 250);
  assertDistinct([...handed, ...more, ...(await second.dispense(250))]);
  assert.ok(handed.length <= 3);

  await t.test(
    'a data directory that is removed is reported, and what is ready is still served',
    async () => {
      await second.until(({ ready }) => ready >= 100);
      rmSync(workspace.data, { recursive: true });
      assert.equal((await second.dispense(5)).length, 5);
      for (;;) {
        const { body } = await second.ask('GET', '/readyz');
        if (body.reasons?.includes('STORE_UNAVAILABLE')) break;
      }
      const said = () => second.log.find(({ msg }) => msg === 'the store fails');
      while (said() === undefined) await sleep(50);
      assert.match(String(said()!.reason), /removed or replaced under the running server/);
    },
  );
});

test(
  'committed: nothing is lost or burned, even when all memory is gone with the power',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    const pool = { ...EASY_POOL, target: 200, ready: 100 };
    workspace.configure([pool], '[store]', 'durability = "committed"');
    const handed: Handed[] = [];
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 100);
    const asking = server.drainBy(20, 2, handed);
    await server.until(() => handed.length > 40);
    await server.kill('SIGKILL');
    await asking;
    workspace.removeJournals();
    assertDistinct(handed);
    const last = await workspace.serve();
    const figures = await last.pool();
    assert.ok(figures.dispensed >= handed.length);
    assert.equal(figures.burned, 0);
    assertIdentity(figures);
  },
);

test(
  'leased: when all memory is gone with the power, what may have left is burned',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([{ ...EASY_POOL, target: 300, ready: 100 }]);
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 100);
    const handed = await server.dispense(50);
    await server.kill('SIGKILL');
    workspace.removeJournals();
    const again = await workspace.serve();
    assert.ok(again.log.some(({ msg }) => msg.includes('did not stop cleanly')));
    const { dispensed, burned } = await again.pool();
    assert.ok(burned > 0 && dispensed + burned >= 100);
    await again.until(({ available, leased }) => available + leased >= 250);
    assertDistinct([...handed, ...(await again.dispense(250))]);
  },
);

/** Starts a server that must not start, in this process, and returns its output. */
async function refused({ path }: Workspace, ...args: string[]): Promise<string> {
  const port = args.includes('--port') ? [] : ['--port', '0'];
  const { code, stderr } = await vanitypoolHere(['serve', ...port, ...args], {}, path);
  const isUsage = /\((USAGE|CONFIG|PATTERN)_\w+\)\n$/.test(stderr);
  assert.equal(code, isUsage ? 2 : 1, stderr);
  return stderr;
}

test('a server that cannot start says what and why', LIMIT, async (t) => {
  await using workspace = new Workspace();
  const file = workspace.configure([EASY_POOL]);
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  t.after(() => blocker.close());
  const port = String((blocker.address() as AddressInfo).port);
  const inUse = new Server(workspace, ['--port', port]);
  assert.equal(await inUse.exited, 1);
  assert.match(inUse.output, /127\.0\.0\.1.*in use.*PORT_IN_USE/);
  assert.match(
    await refused(workspace, '--host', '0.0.0.0'),
    /0\.0\.0\.0.*--host 127\.0\.0\.1.*BIND_REFUSED/,
  );
  assert.match(await refused(workspace, '--host', 'example.com'), /BIND_REFUSED/);
  assert.match(await refused(workspace, '--host', '127.0.0.2'), /BIND_REFUSED/);
  writeFileSync(join(workspace.path, 'precious'), 'kept');
  assert.match(await refused(workspace, '--host', 'unix:precious'), /BIND_REFUSED/);
  assert.equal(readFileSync(join(workspace.path, 'precious'), 'utf8'), 'kept');
  assert.match(await refused(workspace, '--port', '65536'), /--port: 65536 .*CONFIG_INVALID/);
  assert.match(await refused(workspace, '--config', 'nope.toml'), /nope\.toml.*CONFIG_UNREADABLE/);
  assert.match(await refused(workspace, '--wrong'), /--wrong/);
  writeFileSync(join(workspace.path, 'plain'), '');
  assert.match(await refused(workspace, '--data', 'plain'), /plain.*DATA_NOT_WRITABLE/);
  assert.match(await refused(workspace, '--data', '/proc/nope'), /DATA_NOT_WRITABLE/);
  writeFileSync(file, '[http]\nprot = 1\n');
  assert.match(await refused(workspace), /http\.prot.*CONFIG_UNKNOWN_KEY/);
  workspace.configure([{ name: 'pet', suffix: 'p0t' }]);
  assert.match(await refused(workspace), /0.*PATTERN_IMPOSSIBLE/);
});

test(
  'a pool without an address answers at once, and says when the first is expected',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([{ ...EASY_POOL, suffix: 'pumppumpp' }]);
    const server = await workspace.serve('--threads', '1');
    const told = () => server.log.find(({ msg }) => msg.startsWith('no address yet: '));
    while (told() === undefined) await sleep(50);
    const expected = /the first address is expected in about \d+ (days|years)$/;
    assert.match(told()!.msg, expected);
    const { status, headers, body } = await server.ask('POST', '/v1/pools/pet/dispense');
    assert.deepEqual([status, body.code, headers.get('retry-after')], [503, 'POOL_EMPTY', '3600']);
    assert.match(body.detail, expected);
  },
);

test('one server, asked for many things', LIMIT, async (t) => {
  await using workspace = new Workspace();
  const small = { ...EASY_POOL, name: 'small', target: 50, ready: 10 };
  workspace.configure([EASY_POOL, { name: 'other', prefix: 'A', target: 200 }, small]);
  const server = await workspace.serve();

  await t.test('the figures add up at every moment', async () => {
    await server.until(({ ready }) => ready > 0);
    let isDone = false;
    const load = (async () => {
      for (let round = 0; round < 60; round++) await server.dispense(5).catch(() => undefined);
      isDone = true;
    })();
    let looks = 0;
    for (; !isDone; looks++) {
      assertIdentity(await server.pool('pet'));
      assertIdentity(await server.pool('other'));
    }
    await load;
    assert.ok(looks > 0);
  });

  await t.test('a full pool is not ground for, and grinding resumes when one leaves', async () => {
    const full = await server.until(({ grinding, available, leased }) => {
      return !grinding.active && available + leased >= 50;
    }, 'small');
    // A fast kernel overshoots an easy target by more than one request may ask for.
    for (let more = full.available + full.leased - 30; more > 0; more -= 1000) {
      await server.dispense(Math.min(more, 1000), 'small');
    }
    const again = await server.until(({ grinding, available, leased }) => {
      return !grinding.active && available + leased >= 50;
    }, 'small');
    assert.ok(again.ground >= full.ground + 20);
  });

  await t.test('a second server on the same data is refused, naming the first', async () => {
    assert.match(
      await refused(workspace),
      new RegExp(`process ${server.process.pid} holds it.*DATA_IN_USE`),
    );
    await server.until(({ ready }) => ready > 0);
    await server.dispense();
  });

  await t.test('a client that leaves in the middle costs at most its own address', async () => {
    await server.until(({ ready }) => ready >= 200);
    const { dispensed: before } = await server.pool();
    for (let round = 0; round < 20; round++) {
      const abort = new AbortController();
      const asking = fetch(`${server.url}/v1/pools/pet/dispense`, {
        method: 'POST',
        signal: abort.signal,
      });
      setImmediate(() => abort.abort());
      await asking.catch(() => undefined);
    }
    const figures = await server.pool();
    assertIdentity(figures);
    assert.ok(figures.dispensed <= before + 20);
  });

  await t.test('a pool keeps its pattern', async () => {
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    workspace.configure([{ ...EASY_POOL, suffix: 'u' }]);
    assert.match(await refused(workspace), /pool pet.*POOL_MISMATCH/);
  });
});
