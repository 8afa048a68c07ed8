/**
 * Hand-outs of the command line that fail on their way: the reply, the server, the command itself or
 * the disk is lost. What was taken is had again by its key, with a server and without one, and what
 * cannot work is refused before anything is taken.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { readKeyFile } from '../../src/keypair/key-file.ts';
import { type Outcome, PROGRAM, vanitypool } from '../support/cli.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { FlakyProxy } from '../support/flaky-proxy.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { noNamespaces } from '../support/namespaces.ts';
import { asTold, diskIn, shellWithDisk } from '../support/outputs.ts';
import { EASY_POOL, type Handed } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const MOUNTED = { skip: noNamespaces() ?? false };
const VAULT = { ...EASY_POOL, name: 'vault', handout: 'sign-only', target: 10 };

/** As the server says it, or the store. */
async function dispensed(managed: ManagedServer, pool = 'pet'): Promise<number> {
  if (managed.server.process.exitCode === null && managed.server.process.signalCode === null) {
    return (await managed.pool(pool)).dispensed;
  }
  const { stdout } = await managed.run('status', '--json');
  const pools = JSON.parse(stdout).pools as { name: string; dispensed: number }[];
  return pools.find(({ name }) => name === pool)!.dispensed;
}

function handedIn({ code, lines, stderr }: Outcome): Handed[] {
  assert.equal(code, 0, stderr);
  return lines.map((line) => JSON.parse(line));
}

/**
 * Each key file but the last three of five finds no inode; what was taken is had again as the
 * error says.
 */
async function fillsUp(managed: ManagedServer): Promise<void> {
  // One inode is its root, three are for files: what was looked for before took one.
  const disk = diskIn(managed.workspace.path, 'size=1m,nr_inodes=4');
  for (const args of [
    ['dispense', 'pet', '--count', '5', '--out', 'disk'],
    ['export', '--pool', 'pet', '--count', '5', '--out', 'disk'],
  ]) {
    const before = await dispensed(managed);
    const full = await shellWithDisk(disk, '"$0" "$@"', args, managed.options);
    assert.deepEqual([full.code, full.lines.length], [1, 3]);
    assert.match(full.stderr, /ENOSPC: .*; 2 of 5 were handed out and not written: ids? /);
    const again = await asTold(full.stderr, managed.options);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(again.lines.slice(0, 3), full.lines);
    const files = readdirSync(disk.place).toSorted();
    assert.deepEqual(files, again.lines.map((address) => `${address}.json`).toSorted());
    for (const file of files) rmSync(join(disk.place, file));
    assert.equal((await dispensed(managed)) - before, 5);
  }
}

test('hand-outs that fail on their way', LIMIT, async (t) => {
  await using managed = new ManagedServer([EASY_POOL, VAULT]);
  await managed.serve();
  await managed.untilGround(100);
  await managed.untilGround(10, 'vault');

  await t.test(
    'a reply that is lost is had again by the command that the error names',
    async () => {
      await using proxy = await FlakyProxy.before(managed.server.url);
      const args = ['dispense', 'pet', '--count', '3', '--url', proxy.url];
      for (const [fate, ...more] of [
        ['cut-reply'],
        ['halve-reply', '--key', `an "order"'s $key`],
      ] as const) {
        const before = await dispensed(managed);
        proxy.fates.push(fate);
        const lost = await managed.run(...args, ...more);
        assert.deepEqual([lost.code, lost.stdout], [1, '']);
        assert.match(lost.stderr, /no whole reply \(.*\); what was asked for may have been done/);
        assert.equal(await dispensed(managed), before + 3);
        assert.equal(handedIn(await asTold(lost.stderr, managed.options)).length, 3);
        assert.equal(await dispensed(managed), before + 3, 'the same ones');
      }
      const keys = proxy.seen.map(({ key }) => key);
      assert.ok(keys.every((key) => key !== undefined));
      assert.equal(new Set(keys).size, 2, 'each command has a key of its own, and printed it');
      // What was refused took nothing, and no key is printed.
      const refused = await managed.run('dispense', 'none');
      assert.match(refused.stderr, /^vanitypool: [^\n]* \(POOL_NOT_FOUND\)\n$/);
    },
  );

  await t.test('a command that is interrupted while it waits prints its key', async () => {
    await using proxy = await FlakyProxy.before(managed.server.url);
    const before = await dispensed(managed);
    for (const [index, signal] of (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).entries()) {
      proxy.fates.push('hold-reply');
      const child = spawn(PROGRAM, ['dispense', 'pet', '--url', proxy.url], {
        cwd: managed.workspace.path,
        env: { ...process.env, XDG_STATE_HOME: managed.workspace.state },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const said = text(child.stderr);
      while ((await dispensed(managed)) === before + index);
      child.kill(signal);
      assert.deepEqual(await once(child, 'exit'), [130, null]);
      assert.equal(handedIn(await asTold(await said, managed.options)).length, 1);
      assert.equal(await dispensed(managed), before + index + 1);
    }
  });

  await t.test('files that are there already, of the same keys, are those asked for', async () => {
    const before = await dispensed(managed);
    const keys = join(managed.workspace.path, 'there');
    const ask = ['dispense', 'pet', '--count', '3', '--key', 'k', '--out', 'there'];
    const first = await managed.run(...ask);
    assert.equal(first.code, 0, first.stderr);
    const [one, two, three] = first.lines;
    rmSync(join(keys, `${one}.json`));
    const again = await managed.run(...ask);
    assert.deepEqual([again.code, again.lines], [0, first.lines]);
    assert.equal(readKeyFile(join(keys, `${one}.json`)).address, one);
    writeFileSync(join(keys, `${two}.json`), 'precious');
    const kept = await managed.run(...ask);
    assert.deepEqual([kept.code, kept.lines], [1, [one, three]]);
    assert.match(
      kept.stderr,
      /the file exists and is kept; 1 of 3 were handed out and not written/,
    );
    assert.equal(await dispensed(managed), before + 3);
  });

  await t.test(
    'a directory without room is refused before anything is taken',
    MOUNTED,
    async () => {
      const before = await dispensed(managed);
      const disk = diskIn(managed.workspace.path, 'size=12k');
      for (const args of [
        ['dispense', 'pet', '--count', '5', '--out', 'disk'],
        ['export', '--pool', 'pet', '--count', '5', '--out', 'disk'],
      ]) {
        const script = '"$0" "$@"; code=$?; ls -A disk; exit $code';
        const full = await shellWithDisk(disk, script, args, managed.options);
        assert.deepEqual([full.code, full.stdout], [1, '']);
        const told =
          /^vanitypool: disk: not writable for 5 key files: ENOSPC: .* \(FILE_NOT_WRITABLE\)\n$/;
        assert.match(full.stderr, told);
        assert.equal(await dispensed(managed), before);
      }
    },
  );

  await t.test('a disk that fills up meanwhile loses nothing of what a server gave', MOUNTED, () =>
    fillsUp(managed),
  );

  await t.test('files are written though their paths cannot be printed', MOUNTED, async () => {
    const disk = diskIn(managed.workspace.path, 'size=4k');
    const script = 'head -c 4096 /dev/zero > disk/out && "$0" "$@" >> disk/out';
    const args = ['dispense', 'pet', '--count', '3', '--out', 'untold'];
    const { code, stderr } = await shellWithDisk(disk, script, args, managed.options);
    const told = 'cannot be written (ENOSPC); all 3 addresses are in untold (FILE_NOT_WRITABLE)';
    assert.deepEqual([code, stderr], [1, `vanitypool: standard output: ${told}\n`]);
    assert.equal(readdirSync(join(managed.workspace.path, 'untold')).length, 3);
  });

  await t.test('a pool whose secrets do not leave gives none for files', async () => {
    const commands = [
      ['dispense', 'vault', '--out', 'keys'],
      ['export', '--pool', 'vault', '--count', '1', '--out', 'keys'],
    ];
    const cafe = await managed.make('cafe', 'dispense');
    const exporter = await managed.make('exporter', 'dispense', 'admin');
    for (const [index, args] of commands.entries()) {
      for (const token of [undefined, index === 0 ? cafe : exporter]) {
        const refused = await (token === undefined
          ? managed.run(...args)
          : managed.runAs(token, ...args));
        assert.deepEqual([refused.code, refused.stdout], [1, '']);
        const told =
          'pool vault: sign-only: its secrets do not leave, so that there is nothing for a file';
        assert.equal(refused.stderr, `vanitypool: ${told} (HANDOUT_MISMATCH)\n`);
      }
    }
    assert.equal(await dispensed(managed, 'vault'), 0);
    const taken = await managed.runAs(cafe, 'dispense', 'pet', '--out', 'keys');
    assert.equal(taken.code, 0, taken.stderr);
    const unknown = await managed.runAs(cafe, 'dispense', 'none', '--out', 'keys');
    assert.match(unknown.stderr, /^vanitypool: [^\n]* \(POOL_NOT_FOUND\)\n$/);
    // On standard output their addresses are what there is to have.
    const [signer] = handedIn(await managed.run('dispense', 'vault', '--key', 'k'));
    assert.equal(signer!.secretKey, undefined);
    assert.deepEqual(handedIn(await managed.run('dispense', 'vault', '--key', 'k')), [signer]);
  });

  await t.test('a key gets the same with a server, after its kill, and without one', async () => {
    const before = await dispensed(managed);
    const ask = ['dispense', 'pet', '--count', '3', '--key', "an order's key"];
    const shop = await managed.make('shop', 'dispense');
    const first = handedIn(await managed.run(...ask));
    const ofShop = handedIn(await managed.runAs(shop, ...ask));
    const same = async () => {
      assert.deepEqual(handedIn(await managed.run(...ask)), first);
      assert.deepEqual(handedIn(await managed.runAs(`${shop}\n`, ...ask)), ofShop);
      assert.equal(await dispensed(managed), before + 6);
    };
    await same();
    await managed.server.kill('SIGKILL');
    await same();
    const other = await managed.run('dispense', 'pet', '--count', '2', '--key', "an order's key");
    assert.deepEqual([other.code, other.stdout], [1, '']);
    assert.match(other.stderr, /^vanitypool: [^\n]* \(IDEMPOTENCY_MISMATCH\)\n$/);

    const stored = handedIn(await managed.run('dispense', 'pet', '--key', 'stored'));
    await managed.serve();
    assert.deepEqual(handedIn(await managed.run('dispense', 'pet', '--key', 'stored')), stored);
    assert.equal(await dispensed(managed), before + 7);
    const bad = await managed.run('dispense', 'pet', '--key', 'schlüssel');
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /--key: allowed: 1 to 255 printable ASCII characters/);
  });

  await t.test(
    'a disk that fills up meanwhile loses nothing of what the store gave',
    MOUNTED,
    async () => {
      assert.equal(await managed.server.kill('SIGTERM'), 0);
      await fillsUp(managed);
    },
  );
});

test(
  'a directory that cannot be synced is warned of; one that fails is refused',
  LIMIT,
  async (t) => {
    const cwd = mkdtempSync(join(tmpdir(), 'vanitypool-'));
    t.after(() => rmSync(cwd, { recursive: true }));
    const keys = join(cwd, 'keys');
    mkdirSync(keys);
    using disk = new FaultyDisk(cwd, keys);
    disk.places[0]!.strikeAt(keys);
    disk.fail('EINVAL', 'sync');
    const args = ['grind', '--suffix', 't', '--out', keys];
    const unsynced = await vanitypool(args, { cwd, env: disk.environment });
    assert.equal(unsynced.code, 0, unsynced.stderr);
    const told = `${keys}: the directory cannot be synced (EINVAL): a power loss may take new files with it\n`;
    assert.ok(unsynced.stderr.startsWith(told), unsynced.stderr);
    assert.deepEqual(
      readdirSync(keys).map((name) => join(keys, name)),
      unsynced.lines,
    );
    disk.fail('EIO', 'sync');
    const failing = await vanitypool(args, { cwd, env: disk.environment });
    assert.deepEqual([failing.code, failing.stdout], [1, '']);
    assert.match(failing.stderr, /^vanitypool: .*: not writable for 1 key files: EIO/);
    assert.equal(readdirSync(keys).length, 1);
    // It fails only when a key is written and synced: nothing may take that away.
    disk.heal();
    disk.places[0]!.failAfter('EIO', 'sync', 1);
    const late = await vanitypool(args, { cwd, env: disk.environment });
    assert.deepEqual([late.code, late.stdout], [1, '']);
    const path = /^vanitypool: (\S+\.json): the key is in it, .*: EIO/m.exec(late.stderr)?.[1];
    assert.ok(path !== undefined, late.stderr);
    assert.equal(readKeyFile(path).address, basename(path, '.json'));
  },
);
