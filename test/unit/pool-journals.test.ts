/** Journals that grow with what is leased: a real store, its refiller, real files, and threads that pop. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileBudget } from '../../src/pool/file-budget.ts';
import type { Machine } from '../../src/pool/journal-places.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { UnrecordedHandOuts } from '../../src/store-thread/unrecorded-hand-outs.ts';
import { testMachine, WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { Bench, config, FIRST_PART } from '../support/journaled-pools.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
suite('journals that grow', { skip: WITHOUT_MEMORY }, () => {
  test(
    'put back from before a lease they are not believed, though they lack no record',
    LIMIT,
    async () => {
      await using bench = await new Bench().open();
      const { name, journals } = await bench.serve('pump', 50, 2);
      const paths = journals.flatMap(({ parts }) => parts.map(({ path }) => path));
      const copies = paths.map((path) => readFileSync(path));
      await bench.refiller.refill(name, 10);
      await bench.crash();
      for (const [index, path] of paths.entries()) writeFileSync(path, copies[index]!);
      await bench.open();
      assert.equal(bench.store.recovered.pump?.returned, 0);
      assert.ok(bench.store.recovered.pump.burned >= 10);
    },
  );

  test('each thread could hand out all that is leased, and one does', LIMIT, async () => {
    await using bench = await new Bench().open();
    const pool = await bench.serve('pet', 8000, 3);
    assert.deepEqual(
      bench.files(0).map(({ size }) => size),
      [FIRST_PART, FIRST_PART, FIRST_PART],
    );
    await pool.fill(5000);
    assert.ok(pool.journals.every((journal) => journal.parts.length > 1));
    pool.pop(1, 5000);
    await bench.restart();
    assert.deepEqual(await pool.counts(), [5000, 3000, 0]);
    assert.deepEqual(bench.warnings(), []);
  });

  test('parts go round and are exact after a kill, some of them on disk', LIMIT, async () => {
    await using bench = await new Bench().open();
    const pool = await bench.serve('pet', 12_000, 2);
    bench.block(3, 1);
    await pool.fill(3000);
    assert.deepEqual(
      bench.files(1).map(({ name }) => name),
      ['1-3.journal'],
    );
    let dispensed = 0;
    for (let round = 0; round < 3; round++) {
      for (const thread of [0, 1]) {
        pool.pop(thread, 1400);
        dispensed += 1400;
      }
      await bench.refiller.commit('pet');
      await pool.fill(3000);
    }
    pool.pop(0, 1500);
    pool.pop(1, 700);
    const fallbacks = bench.warnings();
    assert.equal(fallbacks.length, 1);
    assert.match(fallbacks[0]!, /ready_max.*--shm-size.*durability = "committed"/);
    await bench.restart();
    const all = dispensed + 2200;
    assert.deepEqual(await pool.counts(), [all, 12_000 - all, 0]);
  });

  test(
    'what is on disk alone is not believed after another start of the machine',
    LIMIT,
    async () => {
      let start = 'one';
      using machine = testMachine({ bootId: () => start });
      await using bench = await new Bench(machine).open();
      const pool = await bench.serve('pet', 4000, 1);
      bench.block(2, 1);
      await pool.fill(2000);
      assert.equal(bench.files(1).length, 1);
      start = 'another';
      await bench.restart();
      assert.deepEqual(await pool.counts(), [0, 2000, 2000]);
    },
  );

  test(
    'where no more can be had, less is leased, with one warning, and no request fails',
    LIMIT,
    async () => {
      await using bench = await new Bench().open();
      const pool = await bench.serve('pet', 6000, 2, { ready: 4000 });
      // A turn that finds no room does not try the next one: all of these are never reached.
      bench.block(3, 4);
      writeFileSync(join(bench.directory, 'journal'), 'in the way');
      for (let turn = 0; turn < 5; turn++) await bench.refiller.refill('pet', 1000);
      bench.refiller.start();
      while (pool.ready < 1150) await bench.refiller.record('pet').then(() => undefined);
      assert.equal(pool.ready, 1150, 'one slot is kept for a pop that is not written yet');
      pool.pop(0, 1150);
      assert.equal((await pool.threads[1]!.dispense(1000)).length, 1000);
      const [small, stuck, ...others] = bench.warnings();
      assert.match(small!, /^journals cannot be made in memory/);
      assert.match(stuck!, /^journals cannot grow/);
      assert.deepEqual(others, []);
      await bench.refiller.stop();
      assert.deepEqual(await pool.counts(), [2150, 3850, 0]);
    },
  );

  test('where no file descriptors are left, less is leased too', LIMIT, async () => {
    const bench = new Bench();
    await using _ = bench;
    // For the first parts of two journals and the fewest connections.
    bench.budget = FileBudget.of({ limit: 2 * 2 + 16, ofServer: 0, threads: 1, wanted: 1000 });
    await bench.open();
    const pool = await bench.serve('pet', 6000, 2, { ready: 4000 });
    assert.deepEqual(bench.budget.ofThread, { connections: 12, refused: 4 });
    for (let turn = 0; turn < 5; turn++) await bench.refiller.refill('pet', 1000);
    assert.equal(pool.ready, 1150);
    const [stuck, ...others] = bench.warnings();
    assert.match(stuck!, /^journals cannot grow/);
    assert.deepEqual(others, []);
  });

  test('a thread that comes later has room for all that is leased by then', LIMIT, async () => {
    await using bench = await new Bench().open();
    const pool = await bench.serve('pet', 5000, 1);
    await pool.fill(4000);
    const handOuts = bench.poolJournals.handOutsOf('pet');
    const [first] = await bench.poolJournals.add([{ pool: 'pet', handOuts }]);
    await handOuts.roomFor(4000);
    const [late] = await bench.poolJournals.add([{ pool: 'pet', handOuts }]);
    assert.ok(late!.journal.capacity >= first!.journal.capacity && late!.journal.capacity > 4000);
    await bench.poolJournals.drop([late!]);
    assert.equal(existsSync(late!.journal.parts[0]!.path), false);
    assert.ok(first!.journal.parts.every(({ path }) => existsSync(path)));
  });

  test('16 pools as configured by default take far less than 64 MB', LIMIT, async () => {
    await using bench = await new Bench().open();
    for (let index = 0; index < 16; index++) await bench.serve(`pool-${index}`, 0, 2);
    const bytes = bench.files(0).reduce((sum, { size }) => sum + size, 0);
    assert.equal(bytes, 16 * 2 * FIRST_PART);
    assert.ok(bytes < 64e6 / 16);
  });

  test(
    'a pool that cannot have journals is not made, and nothing of it is left',
    LIMIT,
    async () => {
      await using bench = await new Bench().open();
      await bench.pools.open([]);
      await bench.pools.create(config('first'));
      bench.block(2, 20);
      writeFileSync(join(bench.directory, 'journal'), 'in the way');
      await assert.rejects(bench.pools.create(config('second')), {
        code: 'JOURNAL_UNAVAILABLE',
        message: new RegExp(join(bench.directory, 'journal')),
      });
      assert.equal(bench.entries.find('second') !== undefined, false);
      assert.deepEqual(
        (await bench.store.pools()).map(({ name }) => name),
        ['first'],
      );
      await bench.restart();
      await bench.pools.open([]);
      assert.deepEqual(
        bench.entries.all.map(({ name }) => name),
        ['first'],
      );
      rmSync(join(bench.directory, 'journal'));
      await bench.pools.create(config('second'));
      assert.equal(bench.files(0).length, 2);
    },
  );

  test('a pool that the store refuses leaves no journal', LIMIT, async () => {
    await using bench = await new Bench().open();
    await bench.pools.open([]);
    await bench.pools.create(config('new'));
    await bench.pools.remove('new');
    while (bench.files(0).length > 0) await sleep(10);
    await assert.rejects(bench.pools.create(config('new', { suffix: 'y' })), {
      code: 'POOL_MISMATCH',
    });
    assert.deepEqual(bench.files(0), []);
  });
});

/** A machine whose memory-backed storage has room for that many bytes. */
function smallMachine(t: TestContext, size: string): Machine | undefined {
  const memory = temporaryDirectory();
  t.after(() => {
    spawnSync('umount', ['-l', memory]);
    removeDirectory(memory);
  });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', memory]);
  if (mounted.status !== 0) {
    t.skip('only root may mount');
    return undefined;
  }
  mkdirSync(join(memory, 'shm'));
  const machine = testMachine();
  t.after(() => machine[Symbol.dispose]());
  return { ...machine, memory: join(memory, 'shm') };
}

test('a turn hears of no record of a pop that it does not cover', LIMIT, async () => {
  await using bench = await new Bench().open();
  const pool = await bench.serve('pet', 50, 1);
  await pool.fill(20);
  pool.pop(0, 1);
  const { take } = UnrecordedHandOuts.prototype;
  UnrecordedHandOuts.prototype.take = function () {
    // A thread may pop at any moment.
    pool.pop(0, 1);
    return take.call(this);
  };
  try {
    await bench.refiller.record('pet');
  } finally {
    UnrecordedHandOuts.prototype.take = take;
  }
  await bench.restart();
  assert.deepEqual(await pool.counts(), [2, 48, 0]);
});

test(
  'a memory of 1 MB: what does not fit goes to the disk, whole, with one warning',
  LIMIT,
  async (t) => {
    const machine = smallMachine(t, '1m');
    if (machine === undefined) return;
    await using bench = await new Bench(machine).open();
    await bench.pools.open([]);
    for (let index = 0; index < 12; index++) await bench.pools.create(config(`pool-${index}`));
    const [inMemory, onDisk] = [bench.files(0), bench.files(1)];
    assert.ok(inMemory.length >= 8 && onDisk.length >= 3);
    assert.equal(inMemory.length + onDisk.length, 12);
    for (const { size } of [...inMemory, ...onDisk]) assert.equal(size, FIRST_PART);
    const { bavail, bsize } = statfsSync(machine.memory);
    assert.ok(bavail * bsize > 0, 'what did not fit takes no room');
    assert.equal(bench.warnings().length, 1);
    await bench.restart();
    await bench.pools.open([]);
    assert.equal(bench.entries.all.length, 12);
  },
);

test(
  'what the first leases would take is known before a file is made: to the disk, or refused',
  LIMIT,
  async (t) => {
    const machine = smallMachine(t, '4m');
    if (machine === undefined) return;
    await using bench = await new Bench(machine).open();
    const large = ['one', 'two'].map((name) => sharePool(config(name, { ready: 20_000 })));
    const needed = Math.ceil((2 * 2 * 20_000 * 96) / 2 ** 20);
    await bench.pools.open(large, 1);
    assert.deepEqual([bench.files(0).length, bench.files(1).length], [0, 4]);
    const warned = bench.log.lines.filter(({ level }) => level === 'warn');
    assert.equal(
      warned[0]!.fields.reason,
      `${needed} MiB are needed, and ${machine.memory} leaves 4 MiB`,
    );
    bench.setting = 'memory';
    await bench.restart();
    await assert.rejects(bench.pools.open(large, 1), {
      code: 'SYSTEM_LIMIT_REACHED',
      message: new RegExp(
        `^2 pools: ${needed} MiB are needed .*, and ${machine.memory} leaves 4 MiB`,
      ),
    });
    assert.deepEqual([bench.files(0), bench.files(1)], [[], []]);
  },
);
