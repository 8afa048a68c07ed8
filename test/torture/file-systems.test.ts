/**
 * A store on the file systems that there are: it stays itself when its file system is mounted again,
 * after a clean end and after a kill; no copy of it is taken for it, also one that lies in its place
 * with its inode number; and what is adopted goes on. On overlays also a data directory that lies in
 * the layer below, as in the image of a container. And real servers where the system does not say
 * what distinguishes a file from its copy.
 *
 * Seen to fail when the anchor is not opened for writing before its identity is looked at, when the
 * database is not without the addon, and when the identity that a start records is not the one that
 * it looked at.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { anchorNames, anchorPath, FIRST_ANCHOR, makeAnchor } from '../../src/disk/anchor.ts';
import { backupStore } from '../../src/store/sqlite/backup.ts';
import { openDatabase } from '../../src/store/sqlite/database.ts';
import { restoreStore } from '../../src/store/sqlite/restore.ts';
import { PROGRAM } from '../support/cli.ts';
import { removeJournalsBelow } from '../support/copies.ts';
import { FileSystem, KINDS } from '../support/file-systems.ts';
import { WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { EASY_POOL, Server, Workspace } from '../support/server.ts';
import {
  adoptIn,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';
import { withoutCalls } from '../support/without-calls.ts';

const LIMIT = { timeout: 300_000 };
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const USER = 'test/torture/store-user.ts';
/** Lines of a life that is killed: it has handed out by then. */
const LINES = 30;
const MOVED = { code: 'DATA_MOVED' };
const MEMORY = '/dev/shm';

const root = temporaryDirectory(tmpdir());
after(() => removeDirectory(root));

/** What has left the store, by id, over all its lives. */
class Lives {
  readonly #left = new Set<number>();

  /** Opens the store, hands out, and closes it; what was left over stays for the next time. */
  async serve(directory: string): Promise<void> {
    await using store = await openStoreIn(directory);
    await store.definePool(poolNamed('pet'));
    await store.insert(hitsFor('pet', 4));
    const { leased } = await turn(store, 'pet', 0, 2);
    await turn(store, 'pet', 2, 0);
    assert.equal(leased.length, 2);
    for (const { id } of leased) this.#leave(id);
  }

  /** A process that uses the store is killed; 'refused' if it may not open it. */
  async kill(
    directory: string,
    { checkout = ROOT, launcher = [] as readonly string[] } = {},
  ): Promise<'killed' | 'refused'> {
    const [program, ...args] = [...launcher, process.execPath, join(checkout, USER), directory];
    const user = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    user.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const exited = once(user, 'close');
    let lines = 0;
    for await (const line of createInterface({ input: user.stdout })) {
      const [word, , ...ids] = line.split(' ');
      if (word === 'turn') for (const id of ids) this.#leave(Number(id));
      if (++lines === LINES) user.kill('SIGKILL');
    }
    const [, signal] = await exited;
    if (signal === 'SIGKILL') return 'killed';
    assert.match(said, /code: 'DATA_MOVED'/);
    return 'refused';
  }

  #leave(id: number): void {
    assert.ok(!this.#left.has(id), `address ${id} left twice`);
    this.#left.add(id);
  }
}

async function assertRefused(directory: string): Promise<void> {
  await assert.rejects(openStoreIn(directory), MOVED);
  // The first refusal has changed nothing that the second looks at.
  await assert.rejects(openStoreIn(directory), MOVED);
}

/** With all that a copy can keep. */
function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to]);
}

for (const kind of KINDS) {
  suite(kind, () => {
    for (const end of ['clean end', 'kill'] as const) {
      test(`after a ${end}, a copy in its place is refused, and adopted`, LIMIT, async (t) => {
        const disk = FileSystem.for(t, kind);
        if (disk === undefined) return;
        const lives = new Lives();
        const [data, other] = [join(disk.path, 'data'), join(disk.path, 'other')];
        await lives.serve(data);
        if (end === 'kill') await lives.kill(data);
        copy(data, other);
        // What is made first gets the inode number that was given back last.
        rmSync(data, { recursive: true });
        copy(other, data);
        await assertRefused(data);
        disk.remount();
        await assertRefused(data);

        await adoptIn({ directory: data, as: 'moved' });
        disk.remount();
        await lives.serve(data);
        disk.remount();
        if (end === 'kill') await lives.kill(data);
        await lives.serve(data);

        await adoptIn({ directory: other, as: 'restored' });
        disk.remount();
        await lives.serve(other);
        disk.remount();
        await lives.serve(other);

        if (end === 'clean end') await assertItself(disk);
      });
    }

    for (const what of ['database', 'anchor'] as const) {
      test(`a copy of the ${what} alone is refused, and adopted`, LIMIT, async (t) => {
        const disk = FileSystem.for(t, kind);
        if (disk === undefined) return;
        const lives = new Lives();
        const [data, aside] = [join(disk.path, 'data'), join(disk.path, 'aside')];
        await lives.serve(data);
        const storeFile = join(data, 'store.db');
        const anchor = anchorPath(storeFile, anchorNames(storeFile)[0]!);
        const file = what === 'anchor' ? anchor : storeFile;
        const { ino } = statSync(file);
        copy(file, aside);
        rmSync(file);
        copy(aside, file);
        // Nothing lower is free where it lay: the next file gets it.
        if (kind === 'ext3' && what === 'database') assert.equal(statSync(file).ino, ino);
        t.diagnostic(`inode number: ${statSync(file).ino === ino ? 'the same' : 'another'}`);
        await assertRefused(data);
        await adoptIn({ directory: data, as: 'moved' });
        disk.remount();
        await lives.serve(data);
        disk.remount();
        await lives.serve(data);
      });
    }
  });
}

/** A store is itself after a remount, and its copies are not. */
async function assertItself(disk: FileSystem): Promise<void> {
  const lives = new Lives();
  const [data, other] = [join(disk.path, 'itself'), join(disk.path, 'another')];
  await lives.serve(data);
  disk.remount();
  await lives.serve(data);
  assert.equal(await lives.kill(data), 'killed');
  disk.remount();
  await lives.serve(data);
  // Under another name.
  renameSync(data, other);
  disk.remount();
  await lives.serve(other);
  renameSync(other, data);

  copy(data, other);
  await assertRefused(other);
  disk.remount();
  await assertRefused(other);
  await lives.serve(data);
}

let bare: string | undefined;

/** A checkout in which the addon is not built. */
function withoutAddon(): string {
  bare ??= makeWithoutAddon();
  return bare;
}

function makeWithoutAddon(): string {
  const checkout = mkdtempSync(join(root, 'checkout-'));
  for (const part of ['src', 'test/support', USER, 'package.json', 'tools']) {
    cpSync(join(ROOT, part), join(checkout, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  return checkout;
}

/** What becomes an image, of which there may be many containers. */
const BAKED: Readonly<Record<string, (lives: Lives, directory: string) => Promise<void>>> = {
  served: (lives, directory) => lives.serve(directory),
  restored: async (lives, directory) => {
    const place = mkdtempSync(join(root, 'restored-'));
    const [data, file] = [join(place, 'data'), join(place, 'backup')];
    await lives.serve(data);
    await backupStore(data, file);
    mkdirSync(directory, { mode: 0o700 });
    copy(join(data, 'sealing.key'), directory);
    await restoreStore({ file, directory, sealingKey: `file:${join(directory, 'sealing.key')}` });
  },
};

for (const kind of ['overlay', 'overlay-of-two'] as const) {
  suite(`${kind}, a data directory in the layer below`, () => {
    test('one that was never served is served, again and again', LIMIT, async (t) => {
      const disk = FileSystem.for(t, kind);
      if (disk === undefined) return;
      const below = join(disk.lower, 'data');
      mkdirSync(below, { mode: 0o700 });
      const storeFile = join(below, 'store.db');
      openDatabase(storeFile).close();
      makeAnchor(storeFile, FIRST_ANCHOR);
      disk.remount();
      const lives = new Lives();
      const data = join(disk.path, 'data');
      for (let life = 0; life < 3; life++) {
        await lives.serve(data);
        disk.remount();
      }
      assert.equal(await lives.kill(data, { checkout: withoutAddon() }), 'killed');
    });

    for (const [end, bake] of Object.entries(BAKED)) {
      test(`one that was ${end} is refused as a copy, and adopted`, LIMIT, async (t) => {
        const disk = FileSystem.for(t, kind);
        if (disk === undefined) return;
        const lives = new Lives();
        await bake(lives, join(disk.lower, 'data'));
        disk.remount();
        const data = join(disk.path, 'data');
        await assertRefused(data);
        disk.remount();
        await assertRefused(data);
        await adoptIn({ directory: data, as: 'moved' });
        assert.equal(await lives.kill(data), 'killed');
        disk.remount();
        await lives.serve(data);
      });

      test(`one that was ${end}, without the addon: the same`, LIMIT, async (t) => {
        const disk = FileSystem.for(t, kind);
        if (disk === undefined) return;
        const lives = new Lives();
        await bake(lives, join(disk.lower, 'data'));
        disk.remount();
        const data = join(disk.path, 'data');
        const checkout = withoutAddon();
        assert.equal(await lives.kill(data, { checkout }), 'refused');
        disk.remount();
        assert.equal(await lives.kill(data, { checkout }), 'refused');
        await adoptIn({ directory: data, as: 'moved' });
        assert.equal(await lives.kill(data, { checkout }), 'killed');
        disk.remount();
        assert.equal(await lives.kill(data, { checkout }), 'killed');
      });
    }
  });
}

/** By a server: it hands out, and is killed. */
async function assertServed(workspace: Workspace, data: string) {
  const server = await workspace.serve('--data', data);
  // More than it hands out: who comes after it takes some, too.
  await server.until(({ ready, available }) => ready >= 20 && ready + available >= 40);
  const handed = await server.dispense(20);
  await server.kill('SIGKILL');
  return handed.map(({ address }) => address);
}

suite('where the system refuses statx and file handles', () => {
  const launcher = withoutCalls(['statx', 'name_to_handle_at']);

  /** A command, by which the store is opened as at a start. */
  const run = ({ path: cwd, state }: Workspace, ...args: string[]) => {
    const [program, ...rest] = [...launcher, PROGRAM, ...args];
    const env = { ...process.env, XDG_STATE_HOME: state };
    const { status, stdout, stderr } = spawnSync(program!, rest, { cwd, env, encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const dispense = (workspace: Workspace, data: string): string => {
    const { status, stdout, stderr } = run(workspace, 'dispense', 'pet', '--data', data);
    assert.equal(status, 0, stderr);
    return (JSON.parse(stdout) as { address: string }).address;
  };

  test('on ext4 the generation of the open file is enough', LIMIT, async (t) => {
    const disk = FileSystem.for(t, 'ext4');
    if (disk === undefined) return;
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL]);
    workspace.launcher = launcher;
    t.after(() => removeJournalsBelow(disk.path));
    const [data, other] = [join(disk.path, 'data'), join(disk.path, 'other')];
    const handed = await assertServed(workspace, data);
    disk.remount();
    for (let start = 0; start < 3; start++) {
      handed.push(dispense(workspace, data));
      disk.remount();
    }
    assert.equal(new Set(handed).size, handed.length);
    copy(data, other);
    const { status, stderr } = run(workspace, 'dispense', 'pet', '--data', other);
    assert.equal(status, 1);
    assert.match(stderr, /DATA_MOVED/);
    const adopted = run(workspace, 'adopt', '--restored', '--data', other);
    assert.equal(adopted.status, 0, adopted.stderr);
    disk.remount();
    assert.match(run(workspace, 'dispense', 'pet', '--data', other).stderr, /POOL_EMPTY/);

    // A store that is killed again and again, and its copy that is.
    const lives = new Lives();
    const [own, copied] = [join(disk.path, 'own'), join(disk.path, 'copied')];
    for (let life = 0; life < 2; life++) {
      assert.equal(await lives.kill(own, { launcher }), 'killed');
      disk.remount();
    }
    copy(own, copied);
    assert.equal(await lives.kill(copied, { launcher }), 'refused');
  });

  test('on tmpfs nothing distinguishes a copy: the configuration has to say so', {
    ...LIMIT,
    skip: WITHOUT_MEMORY,
  }, async (t) => {
    await using workspace = new Workspace();
    const memory = mkdtempSync(join(MEMORY, 'vanitypool-test-'));
    t.after(() => {
      removeJournalsBelow(memory);
      removeDirectory(memory);
    });
    const data = join(memory, 'data');
    workspace.configure([EASY_POOL]);
    workspace.launcher = launcher;
    for (let start = 0; start < 2; start++) {
      const refused = new Server(workspace, ['--data', data]);
      assert.equal(await refused.exited, 2);
      assert.match(refused.output, /store\.copies = \\?"unguarded.*CONFIG_INVALID/);
    }
    workspace.configure([EASY_POOL], '[store]', 'copies = "unguarded"');
    const handed = await assertServed(workspace, data);
    handed.push(dispense(workspace, data), dispense(workspace, data));
    assert.equal(new Set(handed).size, handed.length);
    // What is not known cannot be compared: what was served so is not taken on trust later.
    workspace.configure([EASY_POOL]);
    const { status, stderr } = run(workspace, 'dispense', 'pet', '--data', data);
    assert.equal(status, 2);
    assert.match(stderr, /CONFIG_INVALID/);
  });
});
