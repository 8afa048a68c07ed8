/** What a crash leaves, and what the next start makes of it: a real store and real journals. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import { memoryBase } from '../../src/pool/journal-places.ts';
import { Journals } from '../../src/pool/journals.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { Crashed } from '../support/crashed-store.ts';
import { WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { turn } from '../support/turns.ts';

const SLOT = 96;
/** All after it in the slot is the same with and without a record that has no token and no key. */
const COUNT_END = 24;

test('what the journals name is dispensed, the rest returned, nothing burned', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([4, 1], [5, 2]);
  await crashed.journal([9, 3]);
  assert.deepEqual(await crashed.restart(), {
    dispensed: 7,
    returned: 8,
    burned: 0,
    counts: [12, 8, 0],
  });
});

test('a start that fails leaves them to the next one', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 2]);
  await crashed.close();
  const { directory, machine } = crashed;
  {
    using journals = new Journals({ dataDirectory: directory, machine });
    const sealingKey = `file:${directory}/sealing.key`;
    const recover: Recover = (journal) => {
      assert.equal(journals.recover(journal)?.length, 1);
      throw new Error('cut off');
    };
    await assert.rejects(openSqliteStore({ directory, sealingKey, recover }), /cut off/);
  }
  await crashed.open();
  assert.deepEqual(crashed.store.recovered.pet, { dispensed: 2, returned: 13, burned: 0 });
});

test('records that the store has recorded already say nothing new', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([0, 5]);
  const { dispensed, returned } = await crashed.restart();
  assert.deepEqual([dispensed, returned], [0, 15]);
});

test('no journal at all: nobody was served', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const { dispensed, returned } = await crashed.restart();
  assert.deepEqual([dispensed, returned], [0, 20]);
});

test('one journal of two is lost: all that was leased is burned', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 1]);
  rmSync(await crashed.journal([6, 1]));
  assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
});

test('a journal that is damaged in its header is lost', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  writeFileSync(await crashed.journal([5, 1]), Buffer.alloc(9696));
  assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
});

test('a journal that says more than was leased is not believed', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 16]);
  assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
});

test('of a committed epoch the rest is returned whatever is lost: nothing left unrecorded', async () => {
  await using crashed = new Crashed('committed');
  await crashed.lease(20, 5);
  rmSync(await crashed.journal([5, 3]));
  assert.deepEqual((await crashed.restart()).counts, [5, 15, 0]);
});

test('what a journal says of an idempotency key is known after the crash', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  const [recorded, late, last] = [randomBytes(32), randomBytes(32), randomBytes(32)];
  // The store has recorded the pops of the first two, but not for whom they were.
  await crashed.journal([1, 2, recorded], [9, 1, last]);
  await crashed.journal([4, 1, late], [5, 4]);
  await crashed.restart();
  const idsOf = async (key: Uint8Array) =>
    (await crashed.store.handOut(key, 'pet'))!.addresses!.map(({ id }) => id);
  assert.deepEqual(await idsOf(recorded), [2, 3]);
  assert.deepEqual(await idsOf(late), [5]);
  assert.deepEqual(await idsOf(last), [10]);
  assert.equal(await crashed.store.handOut(randomBytes(32), 'pet'), undefined);
});

test('records that the store has are not read again', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const key = randomBytes(32);
  await crashed.journal([0, 2, key], [2, 1]);
  const at = Date.now() - 5000;
  await crashed.record(2, 1, { position: 0, count: 2, at, token: 0, key, body: key });
  const { dispensed } = await crashed.restart();
  assert.equal(dispensed, 1);
  assert.equal((await crashed.store.handOut(key, 'pet'))!.at, at, 'as it was recorded first');
});

test('positions start again with each epoch', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 5]);
  await crashed.restart(); // 10 dispensed, 10 returned
  await turn(crashed.store, 'pet', 0, 10);
  await crashed.journal();
  const { dispensed, returned } = await crashed.restart();
  assert.deepEqual([dispensed, returned], [0, 10]);
});

test('an older copy of a journal is not believed, as far as the store has more', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const path = await crashed.journal([0, 1], [1, 1]);
  const older = readFileSync(path).fill(0, 2 * SLOT, 3 * SLOT);
  await crashed.record(2, 2);
  writeFileSync(path, older);
  assert.deepEqual((await crashed.restart()).counts, [2, 0, 18]);
});

test('a hole in what the store has not is not believed', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 0);
  const path = await crashed.journal([0, 1], [1, 1], [2, 1]);
  const holed = readFileSync(path).fill(0, 2 * SLOT, 3 * SLOT);
  writeFileSync(path, holed);
  assert.deepEqual((await crashed.restart()).counts, [0, 0, 20]);
});

test('a last record cut off at any byte never left: available again, unless a later one did', async () => {
  for (let cut = 0; cut < SLOT; cut += 5) {
    await using crashed = new Crashed();
    await crashed.lease(20, 0);
    const path = await crashed.journal([0, 2], [2, 3]);
    const isLater = cut % 2 === 0;
    await crashed.journal(...(isLater ? ([[5, 1]] as const) : []));
    writeFileSync(path, readFileSync(path).fill(0, 2 * SLOT + cut, 3 * SLOT));
    const { dispensed, returned, burned } = await crashed.restart();
    // The last 12 bytes are of hashes that this one has none of.
    const left = isLater ? 6 : cut > COUNT_END ? 5 : 2;
    assert.deepEqual([dispensed, returned, burned], [left, 20 - left, 0], `cut at ${cut}`);
  }
});

test('a header that is changed at any byte is that of no journal', async () => {
  for (let at = 0; at < 80; at += 7) {
    await using crashed = new Crashed();
    await crashed.lease(3, 1);
    const path = await crashed.journal([1, 1]);
    const bytes = readFileSync(path);
    bytes[at]! ^= 1;
    writeFileSync(path, bytes);
    assert.deepEqual((await crashed.restart()).counts, [1, 0, 2], `byte ${at}`);
  }
});

test('the journal of another thread, epoch or store in its place is not believed', async () => {
  await using other = new Crashed();
  await other.lease(1, 0);
  const foreign = readFileSync(await other.journal());
  for (const which of ['thread', 'epoch', 'store']) {
    await using crashed = new Crashed();
    await crashed.lease(20, 0);
    const past = readFileSync(await crashed.journal());
    await crashed.restart();
    await turn(crashed.store, 'pet', 0, 20);
    const path = await crashed.journal([0, 1]);
    const second = readFileSync(await crashed.journal());
    writeFileSync(path, { thread: second, epoch: past, store: foreign }[which]!);
    assert.deepEqual((await crashed.restart()).counts, [0, 0, 20], which);
  }
});

suite('on disk', () => {
  const onDisk = async (): Promise<Crashed> => {
    const crashed = new Crashed();
    crashed.setting = 'data';
    await crashed.lease(20, 5);
    const path = await crashed.journal([5, 3]);
    assert.equal(dirname(path), join(crashed.directory, 'journal'));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    return crashed;
  };

  test('journals are believed while the machine has not started again', async () => {
    await using crashed = await onDisk();
    assert.deepEqual((await crashed.restart()).counts, [8, 12, 0]);
  });

  test('after another start of the machine they are not', async () => {
    await using crashed = await onDisk();
    crashed.machine = { ...crashed.machine, bootId: () => 'another start' };
    assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
  });

  test('where no start can be distinguished from another they are not, at either end', async () => {
    await using crashed = await onDisk();
    const known = crashed.machine;
    const without = { ...known, bootId: () => undefined };
    crashed.machine = without;
    assert.deepEqual((await crashed.restart()).counts, [5, 0, 15]);
    for (const [machine, burned] of [
      [without, 35],
      [known, 55],
    ] as const) {
      crashed.machine = without;
      await crashed.restart();
      await crashed.insert(20);
      await turn(crashed.store, 'pet', 0, 20);
      await crashed.journal([5, 3]);
      crashed.machine = machine;
      assert.deepEqual((await crashed.restart()).counts, [5, 0, burned]);
    }
  });

  test('in memory, which the machine takes with it, no start has to be recognised', {
    skip: WITHOUT_MEMORY,
  }, async () => {
    await using crashed = new Crashed();
    crashed.machine = { ...crashed.machine, bootId: () => undefined };
    await crashed.lease(20, 5);
    await crashed.journal([5, 3]);
    assert.deepEqual((await crashed.restart()).counts, [8, 12, 0]);
  });
});

test('journals are found where the last run had them, whatever the setting is by now', {
  skip: WITHOUT_MEMORY,
}, async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 3]);
  crashed.setting = 'data';
  assert.deepEqual((await crashed.restart()).counts, [8, 12, 0]);
  assert.deepEqual(readdirSync(memoryBase(crashed.machine)), [], 'nothing stays in memory');
  await turn(crashed.store, 'pet', 0, 12);
  await crashed.journal([0, 2]);
  crashed.setting = 'memory';
  assert.deepEqual((await crashed.restart()).counts, [10, 10, 0]);
  assert.deepEqual(readdirSync(join(crashed.directory, 'journal')), ['lock']);
});

test('a store that is moved finds its journals, which are named by its file', async () => {
  await using crashed = new Crashed();
  await crashed.lease(20, 5);
  await crashed.journal([5, 3]);
  await crashed.close();
  const moved = `${crashed.directory}-moved`;
  renameSync(crashed.directory, moved);
  crashed.directory = moved;
  await crashed.open();
  const { dispensed, available, burned } = await crashed.store.counts('pet');
  assert.deepEqual([dispensed, available, burned], [8, 12, 0]);
});

for (const setting of ['memory', 'data'] as const) {
  const skip = setting === 'memory' && WITHOUT_MEMORY;
  test(`${setting}: while the run that wrote them is alive, no other opens its store`, {
    skip,
  }, async () => {
    await using crashed = new Crashed();
    crashed.setting = setting;
    await crashed.lease(20, 5);
    const path = await crashed.journal([5, 3]);
    const { directory, machine, store } = crashed;
    await store.close();
    using other = new Journals({ dataDirectory: directory, machine });
    const sealingKey = `file:${directory}/sealing.key`;
    const { recover } = other;
    await assert.rejects(openSqliteStore({ directory, sealingKey, recover }), {
      code: 'DATA_IN_USE',
      message: new RegExp(`^${dirname(path)}: another server`),
    });
    other.remove();
    assert.ok(existsSync(path), 'and nothing of it is removed');
    assert.throws(() => other.begin(store), { code: 'DATA_IN_USE' });
    assert.ok(existsSync(path), 'nor by a run that begins');
    assert.deepEqual((await crashed.restart()).counts, [8, 12, 0], 'nor settled');
  });
}

test('journals lie in a place of this user alone, and go with their run', {
  skip: WITHOUT_MEMORY,
}, async () => {
  await using crashed = new Crashed();
  await crashed.lease(5, 0);
  const directory = dirname(await crashed.journal([0, 1]));
  const { id, place } = crashed.store;
  assert.equal(directory, join(memoryBase(crashed.machine), `${id}-${place}`));
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(directory).sort(), ['1-1.journal', 'lock', 'owner']);
  assert.equal(readFileSync(join(directory, 'owner'), 'utf8'), `${crashed.directory}\n`);
  for (const name of readdirSync(directory)) {
    assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600, name);
  }
  crashed.journals.remove();
  assert.equal(existsSync(directory), false);
});

for (const setting of ['memory', 'data'] as const) {
  const skip = setting === 'memory' && WITHOUT_MEMORY;
  test(`${setting}: what cannot be removed is reported once, and ends no run`, {
    skip,
  }, async () => {
    await using crashed = new Crashed();
    crashed.setting = setting;
    await crashed.lease(20, 5);
    const path = await crashed.journal([5, 3]);
    // Of a part's name, and not to be removed as a file.
    const inTheWay = join(dirname(path), '7-7.journal');
    mkdirSync(inTheWay);
    crashed.log.lines.splice(0);
    assert.deepEqual((await crashed.restart()).counts, [8, 12, 0]);
    crashed.journals.removePart({ path: inTheWay });
    crashed.journals.remove();
    const warnings = crashed.log.lines.filter(({ level }) => level === 'warn');
    assert.deepEqual(
      warnings.map(({ msg }) => msg),
      ['journals of ended runs cannot be removed: they only take space'],
    );
  });

  test(`${setting}: journals that cannot be locked are no reason to burn`, { skip }, async () => {
    await using crashed = new Crashed();
    crashed.setting = setting;
    await crashed.lease(20, 5);
    const lock = join(dirname(await crashed.journal([5, 3])), 'lock');
    await crashed.close();
    rmSync(lock);
    mkdirSync(lock);
    await assert.rejects(crashed.open(), { code: 'JOURNAL_UNAVAILABLE' });
    crashed.journals[Symbol.dispose]();
    rmSync(lock, { recursive: true });
    await crashed.open();
    assert.deepEqual(crashed.store.recovered.pet, { dispensed: 3, returned: 12, burned: 0 });
  });
}

test('the start says where they are and why, in one line', { skip: WITHOUT_MEMORY }, async () => {
  await using crashed = new Crashed();
  for (const setting of ['auto', 'data'] as const) {
    crashed.setting = setting;
    await crashed.open();
    const { id, place } = crashed.store;
    const inMemory = join(memoryBase(crashed.machine), `${id}-${place}`);
    const [directory, reason, where] =
      setting === 'auto'
        ? [inMemory, `${crashed.machine.memory} outlives this process`, 'memory']
        : [join(crashed.directory, 'journal'), 'store.journal is "data"', 'data'];
    const fields = { place: where, directory, reason };
    assert.deepEqual(crashed.log.lines.splice(0), [{ level: 'info', fields, msg: 'journals' }]);
    await crashed.close();
  }
  await crashed.open();
});
