/**
 * Data directories that are moved, copied, linked, restored elsewhere or looked at while they
 * rest, with real servers: at most one of two directories of one store is served, what is moved
 * loses nothing, and the error names the choices. A second server that comes by a way around the
 * lock file is refused, says what to do, and does no harm.
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
import { suite, test } from 'node:test';
import { changesSince, copyOf } from '../support/copies.ts';
import { assertNothingBurned, IDLE, Tampering } from '../support/tampering.ts';

const LIMIT = { timeout: 300_000 };
const IN_USE = /DATA_IN_USE/;
const MOVED = /DATA_MOVED/;
/** The error for a directory that shares its files with another. */
const TWO_NAMES = /2 names.*DATA_NOT_WRITABLE/;
/** Nothing can be kept below it. */
const NO_STATE = { XDG_STATE_HOME: '/dev/null' };

/** A store from which some have left, three of them for a key. */
async function used(end: 'SIGTERM' | 'SIGKILL') {
  const tampering = new Tampering();
  const server = await tampering.full();
  await tampering.takeEach(server, 20);
  const reply = await tampering.ask(server, 'a key', 3);
  await server.kill(end);
  return { tampering, reply };
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

/** Serves it: nothing was given up, the key has its reply, and all that is left comes once. */
async function assertServed(tampering: Tampering, data: string, reply: string): Promise<void> {
  const server = await tampering.serve('--data', data, ...IDLE);
  await assertNothingBurned(server);
  assert.equal(await tampering.askAgain(server, 'a key', 3), reply);
  await tampering.exhaust(server);
  assert.equal(await server.kill('SIGTERM'), 0);
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

suite('`adopt --moved`', () => {
  test(
    'a store that rests is looked at, copied and adopted; the original is refused',
    LIMIT,
    async () => {
      const { tampering, reply } = await used('SIGTERM');
      await using _ = tampering;
      await assertNoTrace(tampering, 'SIGTERM');
      const copy = copyAll(tampering);
      await tampering.refusalAsMoved(copy);
      const { code, stdout, stderr } = await tampering.run('adopt', '--moved', '--data', 'copy');
      assert.equal(code, 0, stderr);
      assert.match(stdout + stderr, /delete|remove/i);
      await assertServed(tampering, copy, reply);
      await tampering.refusal(MOVED);
    },
  );

  test('`--from` retires the original, with no witness at hand', LIMIT, async () => {
    await using tampering = new Tampering();
    tampering.workspace.environment = NO_STATE;
    const server = await tampering.full();
    await tampering.takeEach(server, 20);
    const reply = await tampering.ask(server, 'a key', 3);
    await server.kill('SIGTERM');
    const copy = copyAll(tampering);
    await tampering.done('adopt', '--moved', '--from', 'data', '--data', 'copy');
    await assertServed(tampering, copy, reply);
    await tampering.refusal(MOVED);
  });

  test('killed, copied and adopted: the journals of the old place settle it', LIMIT, async () => {
    const { tampering, reply } = await used('SIGKILL');
    await using _ = tampering;
    const copy = copyAll(tampering);
    await tampering.done('adopt', '--moved', '--data', 'copy');
    await assertServed(tampering, copy, reply);
    await tampering.refusal(MOVED);
  });

  test('killed, copied, and the old place removed: the same', LIMIT, async () => {
    const { tampering, reply } = await used('SIGKILL');
    await using _ = tampering;
    const copy = copyAll(tampering);
    rmSync(tampering.data, { recursive: true });
    await tampering.done('adopt', '--moved', '--data', 'copy');
    await assertServed(tampering, copy, reply);
  });

  test('another name on the same file system needs no adoption', LIMIT, async () => {
    for (const end of ['SIGTERM', 'SIGKILL'] as const) {
      const { tampering, reply } = await used(end);
      await using _ = tampering;
      const elsewhere = tampering.path('elsewhere');
      renameSync(tampering.data, elsewhere);
      await assertServed(tampering, elsewhere, reply);
    }
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
    await assertServed(tampering, tampering.data, reply);
    assert.equal(await other.kill('SIGTERM'), 0);
  });

  test('without its lock file a running server is still alone', LIMIT, async () => {
    await using tampering = new Tampering();
    const server = await tampering.full();
    await tampering.takeEach(server, 5);
    rmSync(join(tampering.data, 'lock'));
    const holder = new RegExp(`process ${server.process.pid} holds it.*DATA_IN_USE`);
    // Its files change while it runs. The second of these finds a lock file that the first of them made.
    for (let attempt = 0; attempt < 2; attempt++) {
      const second = await tampering.tryToServe(...IDLE);
      assert.ok(typeof second === 'string', 'a second server is refused');
      assert.match(second, holder);
    }
    await tampering.takeEach(server, 50);
    // The directory is linked: it is one directory, by either name.
    const link = tampering.path('link');
    symlinkSync(tampering.data, link);
    const third = await tampering.tryToServe('--data', link, ...IDLE);
    assert.ok(typeof third === 'string', 'it is refused by its other name too');
    assert.match(third, IN_USE);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    await tampering.exhaust(await tampering.serve('--data', link, ...IDLE));
  });

  test('a link to the database is refused, whatever else runs', LIMIT, async () => {
    const { tampering } = await used('SIGTERM');
    await using _ = tampering;
    const other = emptyPlace(tampering, 'other');
    const assertRefused = async (link: typeof symlinkSync | typeof linkSync) => {
      const told = link === linkSync ? TWO_NAMES : /symbolic link.*DATA_NOT_WRITABLE/;
      link(join(tampering.data, 'store.db'), join(other, 'store.db'));
      const before = copyOf(other);
      const second = await tampering.tryToServe('--data', other, ...IDLE);
      if (typeof second !== 'string') {
        assert.fail(`it is not refused; ${await tampering.harm(second)}`);
      }
      assert.match(second, told);
      assert.deepEqual(changesSince(before, other), []);
      rmSync(join(other, 'store.db'));
    };
    for (const link of [symlinkSync, linkSync]) await assertRefused(link);
    // Before the link is made: two links would be refused on both sides.
    const server = await tampering.serve(...IDLE);
    for (const link of [symlinkSync, linkSync]) await assertRefused(link);
    await tampering.exhaust(server);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
  });

  test('`cp -al` after a kill: neither is served until one is removed', LIMIT, async () => {
    const { tampering, reply } = await used('SIGKILL');
    await using _ = tampering;
    await assertNoTrace(tampering, 'SIGKILL');
    const twin = copyAll(tampering, '-l');
    await tampering.refusal(TWO_NAMES, twin);
    assert.match(await tampering.refusal(TWO_NAMES), /-samefile/);
    rmSync(twin, { recursive: true });
    await assertServed(tampering, tampering.data, reply);
  });
});

suite('backups', () => {
  test('a copy of its file is not a store: only `restore` makes one', LIMIT, async () => {
    const { tampering } = await used('SIGTERM');
    await using _ = tampering;
    await tampering.done('backup', 'backup');
    const server = await tampering.serve(...IDLE);
    await tampering.takeEach(server, 50);
    await server.kill('SIGTERM');
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
    await tampering.refusal(/restore/);
    rmSync(join(other, 'store.db'));
    await tampering.done('restore', tampering.path('backup'), '--data', 'other');
    await tampering.exhaust(await tampering.serve('--data', other, ...IDLE));
  });
});
