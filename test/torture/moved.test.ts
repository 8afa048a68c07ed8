/**
 * Data directories that are moved, copied, linked, restored elsewhere or looked at while they
 * rest: at most one of two directories of one store is served, what is moved loses nothing, and the
 * error names the choices. A second server that comes by a way around the lock file is refused, says
 * what to do, and does no harm. The stores are those of real servers, stopped or killed; each kind of
 * refusal, and of what goes on, is also that of a real server, the others are of the store alone.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { changesSince, copyOf } from '../support/copies.ts';
import { LeftBehind } from '../support/left-behind.ts';
import { openStoreIn } from '../support/sqlite-stores.ts';
import { assertNothingBurned, IDLE, Tampering } from '../support/tampering.ts';

const LIMIT = { timeout: 300_000 };
const IN_USE = /DATA_IN_USE/;
const MOVED = /DATA_MOVED/;
/** The error for a directory that shares its files with another. */
const TWO_NAMES = /2 names.*DATA_NOT_WRITABLE/;
const LINKED = /symbolic link.*DATA_NOT_WRITABLE/;
/** Nothing can be kept below it. */
const NO_STATE = { XDG_STATE_HOME: '/dev/null' };

/** A store from which some have left, three of them for a key: the reply. */
async function use(tampering: Tampering, end: 'SIGTERM' | 'SIGKILL'): Promise<string> {
  const server = await tampering.full();
  await tampering.takeEach(server, 20);
  const reply = await tampering.ask(server, 'a key', 3);
  await server.kill(end);
  return reply;
}

/** With all that a copy can keep. */
function copyAll(tampering: Tampering, ...flags: string[]): string {
  const copy = tampering.path('copy');
  execFileSync('cp', ['-a', ...flags, tampering.data, copy]);
  return copy;
}

/** A directory beside the data, with a sealing key and no store. */
function emptyPlace(tampering: Tampering, name: string): string {
  const place = tampering.path(name);
  mkdirSync(place, { mode: 0o700 });
  cpSync(join(tampering.data, 'sealing.key'), join(place, 'sealing.key'));
  return place;
}

/** By a server: nothing was given up, the key has its reply, and all that is left comes once. */
async function assertServed(tampering: Tampering, data: string, reply: string): Promise<void> {
  const server = await tampering.serve('--data', data, ...IDLE);
  await assertNothingBurned(server);
  assert.equal(await tampering.askAgain(server, 'a key', 3), reply);
  await tampering.exhaust(server);
  assert.equal(await server.kill('SIGTERM'), 0);
}

/** The same without a server. */
async function assertGoesOn(tampering: Tampering, data: string, reply: string): Promise<void> {
  await tampering.askAgainAtRest(reply, 'a key', data);
  await tampering.exhaustAtRest(data);
}

/** A store that rests is looked at without a trace. */
async function assertNoTrace(tampering: Tampering, end: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  // No one knows a file of this name: it has to stay, too.
  writeFileSync(join(tampering.data, 'notes'), '');
  const [data, state] = [copyOf(tampering.data), copyOf(tampering.workspace.state)];
  // An audit settles what a kill left leased, as a start does.
  const audit = end === 'SIGTERM' ? [['audit', '--json']] : [];
  for (const command of [['status'], ...audit, ['backup', 'backup']]) {
    await tampering.done(...command);
    // The index of a log that is there is made anew by whatever reads it.
    const isIndex = (change: string) => end === 'SIGKILL' && change.startsWith('store.db-shm');
    const changed = changesSince(data, tampering.data).filter((change) => !isIndex(change));
    assert.deepEqual(changed, [], command[0]);
    assert.deepEqual(changesSince(state, tampering.workspace.state), [], command[0]);
  }
}

suite('after a stop', () => {
  test('a store is looked at, copied and adopted; the original is refused', LIMIT, async () => {
    await using tampering = new Tampering();
    const reply = await use(tampering, 'SIGTERM');
    await assertNoTrace(tampering, 'SIGTERM');
    const copy = copyAll(tampering);
    await tampering.refusalAsMoved(copy);
    const { code, stdout, stderr } = await tampering.run('adopt', '--moved', '--data', 'copy');
    assert.equal(code, 0, stderr);
    assert.match(stdout + stderr, /delete|remove/i);
    await assertServed(tampering, copy, reply);
    await tampering.refusalAtRest(MOVED);
  });

  test('`--from` retires the original, with no witness at hand', LIMIT, async () => {
    await using tampering = new Tampering();
    tampering.workspace.environment = NO_STATE;
    await tampering.made(60);
    await tampering.takeAtRest(20);
    const copy = copyAll(tampering);
    await tampering.done('adopt', '--moved', '--from', 'data', '--data', 'copy');
    await tampering.exhaustAtRest(copy);
    await tampering.refusalAtRest(MOVED);
  });
});

suite('after a kill', () => {
  const tampering = new Tampering();
  let reply: string;
  let left: LeftBehind;
  before(async () => {
    reply = await use(tampering, 'SIGKILL');
    left = new LeftBehind(tampering.workspace, tampering.handed);
  });
  after(() => tampering[Symbol.asyncDispose]());

  test('copied and adopted: the journals of the old place settle it', LIMIT, async () => {
    const copy = copyAll(tampering);
    await tampering.done('adopt', '--moved', '--data', 'copy');
    await assertGoesOn(tampering, copy, reply);
    await tampering.refusalAtRest(MOVED);
    rmSync(copy, { recursive: true });
    left.revert();
  });

  test('another name on the same file system needs no adoption', LIMIT, async () => {
    const [elsewhere, again] = [tampering.path('elsewhere'), tampering.path('again')];
    renameSync(tampering.data, elsewhere);
    const server = await tampering.serve('--data', elsewhere, ...IDLE);
    await assertNothingBurned(server);
    await tampering.take(server, 10);
    assert.equal(await server.kill('SIGTERM'), 0);
    renameSync(elsewhere, again);
    await assertGoesOn(tampering, again, reply);
    renameSync(again, tampering.data);
    left.revert();
  });

  test('`cp -al`: neither is served until one is removed', LIMIT, async () => {
    await assertNoTrace(tampering, 'SIGKILL');
    const twin = copyAll(tampering, '-l');
    await tampering.refusal(TWO_NAMES, twin);
    assert.match(await tampering.refusalAtRest(TWO_NAMES), /-samefile/);
    rmSync(twin, { recursive: true });
    await assertGoesOn(tampering, tampering.data, reply);
    left.revert();
  });

  test('copied, and the old place removed: adopted all the same', LIMIT, async () => {
    const copy = copyAll(tampering);
    rmSync(tampering.data, { recursive: true });
    await tampering.done('adopt', '--moved', '--data', 'copy');
    await assertGoesOn(tampering, copy, reply);
  });
});

suite('two directories with one store', () => {
  test('beside a running server nothing is adopted, served or lost', LIMIT, async () => {
    await using tampering = new Tampering();
    const server = await tampering.full();
    await tampering.takeEach(server, 20);
    const reply = await tampering.ask(server, 'a key', 3);
    await tampering.quiet(server);
    // Nothing leaves from now on: but for the server it could be adopted.
    const copy = copyAll(tampering);
    const before = copyOf(copy);
    const { code, stderr } = await tampering.run(
      ...['adopt', '--moved', '--from', 'data', '--data', 'copy'],
    );
    assert.equal(code, 1);
    assert.match(stderr, IN_USE);
    assert.deepEqual(changesSince(before, copy), []);

    // A backup that is restored beside it costs it nothing.
    await tampering.done('backup', 'backup');
    emptyPlace(tampering, 'other');
    await tampering.done('restore', tampering.path('backup'), '--data', 'other');
    const other = await tampering.serve('--data', tampering.path('other'), ...IDLE);
    await tampering.takeEach(server, 20);
    await server.kill('SIGKILL');
    await assertGoesOn(tampering, tampering.data, reply);
    assert.equal(await other.kill('SIGTERM'), 0);
  });

  test('without its lock file, by a link, a running server is still alone', LIMIT, async () => {
    await using tampering = new Tampering();
    const { data } = tampering;
    const server = await tampering.full();
    await tampering.takeEach(server, 5);
    const other = emptyPlace(tampering, 'other');
    rmSync(join(data, 'lock'));
    const holder = new RegExp(`process ${server.process.pid} holds it.*DATA_IN_USE`);
    // Its files change while it runs.
    const second = await tampering.tryToServe(...IDLE);
    assert.ok(typeof second === 'string', 'a second server is refused');
    assert.match(second, holder);
    // This one finds a lock file that the first of them made.
    const inUse = { code: 'DATA_IN_USE', message: /holds it/ };
    await assert.rejects(openStoreIn(data), inUse);
    // The directory is linked: it is one directory, by either name.
    const link = tampering.path('link');
    symlinkSync(data, link);
    await assert.rejects(openStoreIn(link), inUse);
    await tampering.takeEach(server, 50);

    // The database is linked, while it runs and then while it rests.
    const linked = async (make: typeof symlinkSync | typeof linkSync) => {
      make(join(data, 'store.db'), join(other, 'store.db'));
      await tampering.refusalAtRest(make === linkSync ? TWO_NAMES : LINKED, other);
    };
    for (const make of [symlinkSync, linkSync]) {
      await linked(make);
      rmSync(join(other, 'store.db'));
    }
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    await linked(linkSync);
    rmSync(join(other, 'store.db'));
    await linked(symlinkSync);
    await tampering.refusal(LINKED, other);
    await tampering.exhaustAtRest(link);
  });
});

suite('backups', () => {
  test('a copy of its file is not a store: only `restore` makes one', LIMIT, async () => {
    await using tampering = new Tampering();
    await tampering.made(100);
    await tampering.takeAtRest(20);
    await tampering.done('backup', 'backup');
    await tampering.takeAtRest(50);
    const other = emptyPlace(tampering, 'other');
    cpSync(tampering.path('backup'), join(other, 'store.db'));
    const refused = await tampering.refusal(/restore/, other);
    assert.match(refused, /backup/i);
    for (const as of ['--moved', '--restored']) {
      const before = copyOf(other);
      const { code, stderr } = await tampering.run('adopt', as, '--data', 'other');
      assert.equal(code, 1, `adopt ${as} takes it`);
      assert.match(stderr, /restore/);
      assert.deepEqual(changesSince(before, other), []);
    }
    // Over the store that was: the same.
    cpSync(tampering.path('backup'), join(tampering.data, 'store.db'));
    await tampering.refusalAtRest(/restore/);
    rmSync(join(other, 'store.db'));
    await tampering.done('restore', tampering.path('backup'), '--data', 'other');
    // All that may have left since is given up.
    assert.match((await tampering.run('dispense', 'pet', '--data', 'other')).stderr, /POOL_EMPTY/);
  });
});
