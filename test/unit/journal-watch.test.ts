/**
 * Dispense journals that somebody removes while they are written: real files, a real store, and a kill
 * at each moment. What left never leaves again, whatever is removed; and what is made anew is believed.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { readPool } from '../../src/config/pool-config.ts';
import { JournalDirectory } from '../../src/pool/journal-places.ts';
import { RenewedPools } from '../../src/store-thread/renewed-pools.ts';
import { WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { WatchedStore } from '../support/watched-store.ts';

const LIMIT = { timeout: 300_000 };
const REMOVED = 'dispense journals were removed: until they are recreated a kill burns addresses';
const WHOLE = 'dispense journals are complete again';
const STUCK = 'dispense journals cannot be recreated; retrying';
const LOCK_REMOVED = 'the lock of the dispense journals was removed; taking it again';
const BEING_MADE = /^JOURNAL_UNAVAILABLE: .*are recreated/;
const NOT_MADE = /^JOURNAL_UNAVAILABLE: .*cannot be recreated/;

const removeAll = (directory: string) => rmSync(directory, { recursive: true });

suite('journals that were removed', { skip: WITHOUT_MEMORY }, () => {
  test(
    'a kill right after, with hand-outs between: burned, and none leaves twice',
    LIMIT,
    async () => {
      await using watched = await WatchedStore.create();
      watched.pop(0, 3);
      await watched.turn();
      watched.pop(1, 4);
      removeAll(watched.memory);
      watched.pop(0, 5);
      watched.pop(1, 6);
      const { dispensed, returned, burned, counts } = await watched.restart();
      assert.deepEqual([dispensed, returned], [0, 0]);
      assert.ok(burned >= 15 && counts.dispensed === 3);
      await watched.exhaust();
    },
  );

  const removals: Record<string, (watched: WatchedStore) => void> = {
    'their directory': ({ memory }) => removeAll(memory),
    'that of all stores': ({ base }) => removeAll(base),
    'what is in it': ({ memory }) => {
      for (const name of readdirSync(memory)) rmSync(join(memory, name));
    },
    'their files': (watched) => {
      for (const name of watched.partsIn()) rmSync(join(watched.memory, name));
    },
    'one file': (watched) => rmSync(join(watched.memory, watched.partsIn().toSorted().at(-1)!)),
    'their directory, for a copy of it': ({ memory }) => {
      cpSync(memory, `${memory}.copy`, { recursive: true });
      chmodSync(`${memory}.copy`, 0o700);
      removeAll(memory);
      renameSync(`${memory}.copy`, memory);
    },
    'their directory, for a link to where it is now': ({ memory }) => {
      renameSync(memory, `${memory}.moved`);
      symlinkSync(`${memory}.moved`, memory);
    },
  };
  for (const [what, remove] of Object.entries(removals)) {
    test(`${what}: noticed, made anew, and then a kill burns nothing`, LIMIT, async () => {
      await using watched = await WatchedStore.create();
      watched.pop(0, 3);
      await watched.watch.look();
      assert.equal(watched.health.journalFault, undefined);
      remove(watched);
      watched.pop(1, 4);
      await watched.watch.look();
      assert.match(watched.health.journalFault!, BEING_MADE, 'the store counts on the old ones');
      await watched.repair();
      const said = watched.said().filter((msg) => msg !== LOCK_REMOVED);
      assert.deepEqual(said, [REMOVED, WHOLE]);
      assert.ok(watched.health.read().journalsRenewed > 0);
      const popped = 7 + watched.pop(0, 5) + watched.pop(1, 6);
      const { burned, counts } = await watched.restart();
      assert.deepEqual([burned, counts.burned, counts.dispensed], [0, 0, popped]);
      await watched.exhaust();
    });
  }

  test('a kill before one thread knows its new journal burns', LIMIT, async () => {
    await using watched = await WatchedStore.create();
    const [, late] = watched.threads;
    late!.isPrompt = false;
    removeAll(watched.memory);
    const looked = watched.watch.look();
    await late!.told();
    watched.pop(1, 4);
    watched.pop(0, 2);
    await watched.turn();
    assert.match(watched.health.journalFault!, BEING_MADE);
    watched.pop(1, 3);
    late!.act();
    await looked;
    // In the old journal there is what the store has not: it is still counted on.
    assert.match(watched.health.journalFault!, BEING_MADE);
    const { burned, dispensed, counts } = await watched.restart();
    assert.ok(dispensed === 0 && burned > 0 && counts.dispensed === 6);
    await watched.exhaust();
  });

  test(
    'what left by the old ones is in the store before the new ones are believed',
    LIMIT,
    async () => {
      await using watched = await WatchedStore.create();
      removeAll(watched.memory);
      watched.pop(0, 7);
      watched.pop(1, 8);
      await watched.repair();
      assert.equal((await watched.store.counts('pet')).dispensed, 15);
      assert.equal(watched.partsIn().length, 3, 'a journal of each thread and of the store’s');
      const { dispensed, burned } = await watched.restart();
      assert.deepEqual([dispensed, burned], [0, 0]);
      await watched.exhaust();
    },
  );

  test('removed again and again they are made again and again', LIMIT, async () => {
    await using watched = await WatchedStore.create();
    for (let round = 0; round < 4; round++) {
      removeAll(watched.memory);
      watched.pop(round % 2, 5);
      await watched.watch.look();
      removeAll(watched.memory);
      watched.pop((round + 1) % 2, 5);
      await watched.repair();
    }
    assert.equal((await watched.restart()).burned, 0);
    await watched.exhaust();
  });

  test(
    'a thread whose journal is gone before it opens it hands nothing out, until it has another',
    LIMIT,
    async () => {
      await using watched = await WatchedStore.create();
      const thread = watched.threads[0]!;
      thread.isPrompt = false;
      removeAll(watched.memory);
      const looked = watched.watch.look();
      await thread.told();
      removeAll(watched.memory);
      thread.act();
      await looked;
      assert.throws(() => watched.pop(0, 1), { code: 'JOURNAL_UNAVAILABLE', message: /ENOENT/ });
      thread.isPrompt = true;
      await watched.repair();
      assert.equal(watched.pop(0, 1), 1);
      assert.deepEqual(watched.said(), [REMOVED, WHOLE], 'one line for each change of state');
    },
  );

  test(
    'files are looked at when their directory changed, and else once a minute',
    LIMIT,
    async (t) => {
      await using watched = await WatchedStore.create();
      const looks = t.mock.getter(
        RenewedPools.prototype,
        'lostJournals',
        Object.getOwnPropertyDescriptor(RenewedPools.prototype, 'lostJournals')!.get,
      );
      for (let look = 0; look < 2; look++) await watched.watch.look();
      assert.equal(looks.mock.callCount(), 2, 'the first look, and one more');
      for (let look = 0; look < 59; look++) await watched.watch.look();
      assert.equal(looks.mock.callCount(), 2);
      await watched.watch.look();
      assert.equal(looks.mock.callCount(), 3, 'a minute is over');
      rmSync(join(watched.memory, watched.partsIn()[0]!));
      await watched.watch.look();
      assert.equal(watched.said()[0], REMOVED, 'at once');
    },
  );

  test('the lock alone is taken again, and keeps others out', LIMIT, async () => {
    await using watched = await WatchedStore.create();
    rmSync(join(watched.memory, 'lock'));
    await watched.watch.look();
    assert.deepEqual(watched.said(), [LOCK_REMOVED]);
    assert.equal(watched.health.journalFault, undefined);
    using other = new JournalDirectory(watched.memory);
    assert.equal(other.hold(), false);
    removeAll(watched.memory);
    await watched.repair();
    assert.equal(other.hold(), false, 'a directory that is made anew is locked');
    assert.ok(existsSync(join(watched.memory, 'owner')));
  });

  test(
    'a lock that another took meanwhile is reported, and taken when it is free',
    LIMIT,
    async () => {
      await using watched = await WatchedStore.create();
      const other = new JournalDirectory(watched.memory);
      rmSync(join(watched.memory, 'lock'));
      assert.equal(other.hold(), true);
      for (let looks = 0; looks < 3; looks++) await watched.watch.look();
      assert.deepEqual(watched.said(), [STUCK]);
      assert.match(watched.health.journalFault!, NOT_MADE);
      other[Symbol.dispose]();
      await watched.repair();
      assert.equal(watched.health.journalFault, undefined);
    },
  );

  for (const what of ['a link', 'a directory that others may enter'] as const) {
    test(
      `${what} in its place is never entered: the data directory takes them`,
      LIMIT,
      async (t) => {
        const elsewhere = temporaryDirectory();
        t.after(() => removeDirectory(elsewhere));
        for (const name of ['1-1.journal', 'lock', 'owner'])
          writeFileSync(join(elsewhere, name), name);
        await using watched = await WatchedStore.create();
        removeAll(watched.base);
        if (what === 'a link') symlinkSync(elsewhere, watched.base);
        else {
          cpSync(elsewhere, watched.base, { recursive: true });
          chmodSync(watched.base, 0o755);
        }
        watched.pop(0, 3);
        await watched.repair();
        const inData = watched.partsIn(watched.journals.directories[1]);
        assert.equal(inData.length, 3);
        const popped = 3 + watched.pop(1, 4);
        const { burned, counts } = await watched.restart();
        assert.deepEqual([burned, counts.dispensed], [0, popped]);
        watched.journals.remove();
        assert.deepEqual(readdirSync(watched.base).sort(), ['1-1.journal', 'lock', 'owner']);
        await watched.exhaust();
      },
    );
  }

  test(
    'a link in the place of the store’s own directory is not emptied by a stop',
    LIMIT,
    async (t) => {
      const elsewhere = temporaryDirectory();
      t.after(() => removeDirectory(elsewhere));
      writeFileSync(join(elsewhere, '1-1.journal'), 'kept');
      await using watched = await WatchedStore.create();
      removeAll(watched.memory);
      symlinkSync(elsewhere, watched.memory);
      watched.journals.remove();
      assert.equal(readFileSync(join(elsewhere, '1-1.journal'), 'utf8'), 'kept');
    },
  );

  test(
    'where they cannot be made the reason is logged, once, and tried until they can',
    LIMIT,
    async () => {
      await using watched = await WatchedStore.create('data');
      const [, directory] = watched.journals.directories;
      removeAll(directory);
      writeFileSync(directory, 'in the way');
      for (let looks = 0; looks < 3; looks++) await watched.watch.look();
      assert.match(watched.health.journalFault!, NOT_MADE);
      assert.deepEqual(watched.said(), [REMOVED, STUCK]);
      const stuck = watched.log.lines.find(({ msg }) => msg === STUCK)!;
      assert.match(String(stuck.fields.reason), new RegExp(`^${directory}: `));
      watched.pop(0, 5);
      rmSync(directory);
      await watched.repair();
      assert.deepEqual(watched.said(), [REMOVED, STUCK, WHOLE]);
      assert.equal((await watched.restart()).burned, 0);
      await watched.exhaust();
    },
  );

  test('pools are made, changed and deleted meanwhile, whole', LIMIT, async () => {
    await using watched = await WatchedStore.create();
    const config = (name: string) => readPool({ name, suffix: 'z' }, String);
    removeAll(watched.base);
    await watched.pools.create(config('new'));
    await watched.pools.change('new', { target: 7 });
    await watched.pools.remove('new');
    await watched.pools.create(config('other'));
    await watched.repair();
    assert.deepEqual(
      watched.entries.all.map(({ name }) => name),
      ['pet', 'other'],
    );
    assert.equal((await watched.restart()).burned, 0);
    assert.deepEqual(
      watched.entries.all.map(({ name }) => name),
      ['pet', 'other'],
    );
    await watched.exhaust();
  });

  test(
    'a pool whose journals are removed while it is made is made all the same',
    LIMIT,
    async () => {
      await using watched = await WatchedStore.create();
      const before = watched.partsIn().length;
      const made = watched.pools.create(readPool({ name: 'new', suffix: 'z' }, String));
      while (watched.partsIn().length === before) await Promise.resolve();
      removeAll(watched.memory);
      await made;
      assert.ok(watched.entries.find('new') !== undefined);
      assert.equal(watched.partsIn().length, 3);
    },
  );
});
