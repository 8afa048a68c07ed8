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
import { type Outcome, PROGRAM, type RunOptions, vanitypool } from '../support/cli.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { FlakyProxy } from '../support/flaky-proxy.ts';
import { noNamespaces } from '../support/namespaces.ts';
import { asTold, diskIn, shellWithDisk } from '../support/outputs.ts';
import { EASY_POOL, type Handed, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 200_000 };
const MOUNTS = { ...LIMIT, skip: noNamespaces() ?? false };
const VAULT = { ...EASY_POOL, name: 'vault', handout: 'sign-only', target: 10 };

class Setup implements AsyncDisposable {
  readonly workspace = new Workspace();
  server!: Server;
  /** Where the command line finds the server, or, when none runs, the store. */
  options!: RunOptions;

  static async serving(): Promise<Setup> {
    const setup = new Setup();
    setup.workspace.configure([EASY_POOL, VAULT]);
    await setup.serve();
    for (const name of ['pet', 'vault']) {
      await setup.server.until(({ available, leased }) => available + leased >= 10, name);
    }
    return setup;
  }

  async serve(): Promise<void> {
    this.server = await this.workspace.serve();
    const env = { VANITYPOOL_HTTP__PORT: new URL(this.server.url).port };
    this.options = { cwd: this.workspace.path, env };
  }

  run(...args: string[]): Promise<Outcome> {
    return vanitypool(args, this.options);
  }

  runAs(token: string, ...args: string[]): Promise<Outcome> {
    const env = { ...this.options.env, VANITYPOOL_TOKEN: token };
    return vanitypool(args, { ...this.options, env });
  }

  async make(name: string, ...scopes: string[]): Promise<string> {
    const flags = scopes.flatMap((scope) => ['--scope', scope]);
    const { code, stdout, stderr } = await this.run('token', 'create', '--name', name, ...flags);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  }

  async dispensed(pool = 'pet'): Promise<number> {
    const { stdout } = await this.run('status', '--json');
    const pools = JSON.parse(stdout).pools as { name: string; dispensed: number }[];
    return pools.find(({ name }) => name === pool)!.dispensed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.workspace[Symbol.asyncDispose]();
  }
}

function handedIn({ code, lines, stderr }: Outcome): Handed[] {
  assert.equal(code, 0, stderr);
  return lines.map((line) => JSON.parse(line));
}

test('a reply that is lost is had again by the command that the error tells', LIMIT, async () => {
  await using setup = await Setup.serving();
  await using proxy = await FlakyProxy.before(setup.server.url);
  const args = ['dispense', 'pet', '--count', '3', '--url', proxy.url];
  for (const [fate, ...more] of [
    ['cut-reply'],
    ['halve-reply', '--key', `an "order"'s $key`],
  ] as const) {
    const before = await setup.dispensed();
    proxy.fates.push(fate);
    const lost = await vanitypool([...args, ...more], setup.options);
    assert.deepEqual([lost.code, lost.stdout], [1, '']);
    assert.match(lost.stderr, /no whole reply \(.*\); what was asked for may have been done/);
    assert.equal(await setup.dispensed(), before + 3);
    assert.equal(handedIn(await asTold(lost.stderr, setup.options)).length, 3);
    assert.equal(await setup.dispensed(), before + 3, 'the same ones');
  }
  const keys = proxy.seen.map(({ key }) => key);
  assert.ok(keys.every((key) => key !== undefined));
  assert.equal(new Set(keys).size, 2, 'each command has a key of its own, and told it');
  // What was refused took nothing, and no key is told.
  const refused = await setup.run('dispense', 'none');
  assert.match(refused.stderr, /^vanitypool: [^\n]* \(POOL_NOT_FOUND\)\n$/);
});

test('a command that is interrupted while it waits tells its key', LIMIT, async () => {
  await using setup = await Setup.serving();
  await using proxy = await FlakyProxy.before(setup.server.url);
  for (const [index, signal] of (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).entries()) {
    proxy.fates.push('hold-reply');
    const child = spawn(PROGRAM, ['dispense', 'pet', '--url', proxy.url], {
      cwd: setup.workspace.path,
      env: { ...process.env, XDG_STATE_HOME: setup.workspace.state },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const said = text(child.stderr);
    while ((await setup.dispensed()) === index);
    child.kill(signal);
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assert.equal(handedIn(await asTold(await said, setup.options)).length, 1);
    assert.equal(await setup.dispensed(), index + 1);
  }
});

test('a key gets the same with a server, after its kill, and without one', LIMIT, async () => {
  await using setup = await Setup.serving();
  const ask = ['dispense', 'pet', '--count', '3', '--key', "an order's key"];
  const shop = await setup.make('shop', 'dispense');
  const first = handedIn(await setup.run(...ask));
  const ofShop = handedIn(await setup.runAs(shop, ...ask));
  const same = async () => {
    assert.deepEqual(handedIn(await setup.run(...ask)), first);
    assert.deepEqual(handedIn(await setup.runAs(`${shop}\n`, ...ask)), ofShop);
    assert.equal(await setup.dispensed(), 6);
  };
  await same();
  await setup.server.kill('SIGKILL');
  await same();
  const other = await setup.run('dispense', 'pet', '--count', '2', '--key', "an order's key");
  assert.deepEqual([other.code, other.stdout], [1, '']);
  assert.match(other.stderr, /^vanitypool: [^\n]* \(IDEMPOTENCY_MISMATCH\)\n$/);

  const stored = handedIn(await setup.run('dispense', 'pet', '--key', 'stored'));
  await setup.serve();
  assert.deepEqual(handedIn(await setup.run('dispense', 'pet', '--key', 'stored')), stored);
  assert.equal(await setup.dispensed(), 7);
  const bad = await setup.run('dispense', 'pet', '--key', 'schlüssel');
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /--key: allowed: 1 to 255 printable ASCII characters/);
});

test('files that are there already, of the same keys, are those asked for', LIMIT, async () => {
  await using setup = await Setup.serving();
  const keys = join(setup.workspace.path, 'keys');
  const ask = ['dispense', 'pet', '--count', '3', '--key', 'k', '--out', 'keys'];
  const first = await setup.run(...ask);
  assert.equal(first.code, 0, first.stderr);
  const [one, two, three] = first.lines;
  rmSync(join(keys, `${one}.json`));
  const again = await setup.run(...ask);
  assert.deepEqual([again.code, again.lines], [0, first.lines]);
  assert.equal(readKeyFile(join(keys, `${one}.json`)).address, one);
  writeFileSync(join(keys, `${two}.json`), 'precious');
  const kept = await setup.run(...ask);
  assert.deepEqual([kept.code, kept.lines], [1, [one, three]]);
  assert.match(kept.stderr, /the file exists and is kept; 1 of 3 were handed out and not written/);
  assert.equal(await setup.dispensed(), 3);
});

test('a directory without room is refused before anything is taken', MOUNTS, async () => {
  await using setup = await Setup.serving();
  const disk = diskIn(setup.workspace.path, 'size=12k');
  for (const args of [
    ['dispense', 'pet', '--count', '5', '--out', 'disk'],
    ['export', '--pool', 'pet', '--count', '5', '--out', 'disk'],
  ]) {
    const script = '"$0" "$@"; code=$?; ls -A disk; exit $code';
    const full = await shellWithDisk(disk, script, args, setup.options);
    assert.deepEqual([full.code, full.stdout], [1, '']);
    const told =
      /^vanitypool: disk: not writable for 5 key files: ENOSPC: .* \(FILE_NOT_WRITABLE\)\n$/;
    assert.match(full.stderr, told);
    assert.equal(await setup.dispensed(), 0);
  }
});

for (const where of ['a server', 'the store']) {
  test(`a disk that fills up meanwhile loses nothing of what ${where} gave`, MOUNTS, async () => {
    await using setup = await Setup.serving();
    if (where === 'the store') assert.equal(await setup.server.kill('SIGTERM'), 0);
    // One inode is its root, three are for files: what was looked for before took one.
    const disk = diskIn(setup.workspace.path, 'size=1m,nr_inodes=4');
    for (const args of [
      ['dispense', 'pet', '--count', '5', '--out', 'disk'],
      ['export', '--pool', 'pet', '--count', '5', '--out', 'disk'],
    ]) {
      const before = await setup.dispensed();
      const full = await shellWithDisk(disk, '"$0" "$@"', args, setup.options);
      assert.deepEqual([full.code, full.lines.length], [1, 3]);
      assert.match(full.stderr, /ENOSPC: .*; 2 of 5 were handed out and not written: ids? /);
      const again = await asTold(full.stderr, setup.options);
      assert.equal(again.code, 0, again.stderr);
      assert.deepEqual(again.lines.slice(0, 3), full.lines);
      const files = readdirSync(disk.place).toSorted();
      assert.deepEqual(files, again.lines.map((address) => `${address}.json`).toSorted());
      for (const file of files) rmSync(join(disk.place, file));
      assert.equal((await setup.dispensed()) - before, 5);
    }
  });
}

test('files are written though their paths cannot be told', MOUNTS, async () => {
  await using setup = await Setup.serving();
  const disk = diskIn(setup.workspace.path, 'size=4k');
  const script = 'head -c 4096 /dev/zero > disk/out && "$0" "$@" >> disk/out';
  const args = ['dispense', 'pet', '--count', '3', '--out', 'keys'];
  const { code, stderr } = await shellWithDisk(disk, script, args, setup.options);
  const told = 'cannot be written (ENOSPC); all 3 addresses are in keys (FILE_NOT_WRITABLE)';
  assert.deepEqual([code, stderr], [1, `vanitypool: standard output: ${told}\n`]);
  assert.equal(readdirSync(join(setup.workspace.path, 'keys')).length, 3);
});

test('a pool whose secrets do not leave gives none for files', LIMIT, async () => {
  await using setup = await Setup.serving();
  const commands = [
    ['dispense', 'vault', '--out', 'keys'],
    ['export', '--pool', 'vault', '--count', '1', '--out', 'keys'],
  ];
  const shop = await setup.make('shop', 'dispense');
  const exporter = await setup.make('exporter', 'dispense', 'admin');
  for (const [index, args] of commands.entries()) {
    for (const token of [undefined, index === 0 ? shop : exporter]) {
      const refused = await (token === undefined
        ? setup.run(...args)
        : setup.runAs(token, ...args));
      assert.deepEqual([refused.code, refused.stdout], [1, '']);
      const told =
        'pool vault: sign-only: its secrets do not leave, so that there is nothing for a file';
      assert.equal(refused.stderr, `vanitypool: ${told} (HANDOUT_MISMATCH)\n`);
    }
  }
  assert.equal(await setup.dispensed('vault'), 0);
  const taken = await setup.runAs(shop, 'dispense', 'pet', '--out', 'keys');
  assert.equal(taken.code, 0, taken.stderr);
  const unknown = await setup.runAs(shop, 'dispense', 'none', '--out', 'keys');
  assert.match(unknown.stderr, /^vanitypool: [^\n]* \(POOL_NOT_FOUND\)\n$/);
  // On standard output their addresses are what there is to have.
  const [signer] = handedIn(await setup.run('dispense', 'vault', '--key', 'k'));
  assert.equal(signer!.secretKey, undefined);
  assert.deepEqual(handedIn(await setup.run('dispense', 'vault', '--key', 'k')), [signer]);
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
