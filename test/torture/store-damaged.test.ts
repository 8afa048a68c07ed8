/**
 * A real server whose store is damaged under it or before it starts, that hangs on its disk, that
 * cannot store hits alone, or whose journal has no place: what the store or the journal does not
 * know of never leaves, and whatever it is is reported.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { placeName } from '../../src/disk/place.ts';
import { memoryPath, THIS_MACHINE } from '../../src/pool/journal-places.ts';
import { readOwnToken } from '../../src/service/own-token.ts';
import { POOL, Trial } from '../support/degradation.ts';
import type { FaultyDisk } from '../support/faulty-disk.ts';
import { Server } from '../support/server.ts';
import { openStoreIn, withDatabase } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const PAGE_BYTES = 4096;
const STEPS = /store\.db: damaged: .*vanitypool restore FILE/;

/** Overwrites every page of the table of addresses and its indexes, as far as the file has them. */
function damage(directory: string): void {
  const pages = withDatabase(directory, (db) => {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    return db
      .prepare(`SELECT pageno FROM dbstat WHERE name LIKE '%addresses%'`)
      .all()
      .map(({ pageno }) => Number(pageno));
  });
  assert.ok(pages.length > 0);
  const file = openSync(join(directory, 'store.db'), 'r+');
  for (const page of pages)
    writeSync(file, Buffer.alloc(PAGE_BYTES, 0xa5), 0, PAGE_BYTES, (page - 1) * PAGE_BYTES);
  closeSync(file);
}

/** The cache of the server (2 MB) holds some 9,000 of them. */
const MORE_THAN_CACHED = 12_000;
const BATCH = 256;
const FEW = 300;
const FALLBACK =
  'journals cannot be made in memory: the data directory takes them; where memory is full: smaller with a lower ready_max, more with --shm-size, none with durability = "committed"';
const JOURNALS = `/dev/shm/vanitypool-${process.getuid!()}/`;

/** Starts a server that must not start, and returns its output. */
async function refused({ workspace }: Trial): Promise<string> {
  const server = new Server(workspace, []);
  assert.equal(await server.exited, 1, server.output);
  assert.deepEqual(
    server.log.filter(({ level }) => level === 'fatal'),
    [],
  );
  return server.output;
}

function execute(directory: string, sql: string): void {
  withDatabase(directory, (db) => db.exec(`PRAGMA busy_timeout = 10000; ${sql}`));
}

/** No commit ends from here on, and one has begun: the pool is short, so hits come all the time. */
async function untilHeld(disk: FaultyDisk): Promise<void> {
  disk.hold();
  while (!disk.isHeld) await sleep(5);
}

/** None changes anything when it is done after all. */
const OF_THE_STORE = [
  ['GET', '/v1/tokens'],
  ['DELETE', '/v1/tokens/nobody'],
  ['POST', '/v1/pools/pet/reservations'],
  ['GET', '/v1/reservations/r'],
  ['POST', '/v1/reservations/r/dispense'],
  ['DELETE', '/v1/reservations/r'],
] as const;

/** What only the store can answer, while it does not. */
async function assertNoneWaitsForEver({ server, workspace }: Trial): Promise<void> {
  const headers = { authorization: `Bearer ${readOwnToken(workspace.data)}` };
  const answers = OF_THE_STORE.map(async ([method, path]) => {
    const reply = await fetch(new URL(path, server.url), { method, headers });
    assert.equal(reply.status, 503, path);
    assert.match(await reply.text(), /STORE_UNAVAILABLE.*no answer in 10000 ms/, path);
  });
  await Promise.all(answers);
}

suite('a store that is damaged or cannot be had', { concurrency: true }, () => {
  test(
    'damaged pages: reported with the steps to take, and refused at the start',
    LIMIT,
    async () => {
      await using trial = new Trial(BATCH, FEW);
      await trial.made(MORE_THAN_CACHED);
      await trial.serve();
      const { server, workspace } = trial;
      // So that more are leased, the oldest first: pages of hits that come now are in its cache.
      const readPages = async () => {
        for (let taken = 0; taken < POOL.ready / 2 + 1; taken++) await trial.dispense();
        return (await trial.untilReadiness('degraded')).reasons;
      };
      trial.disk.strikeBelow(join(workspace.data, 'store.db'));
      trial.disk.fail('EIO', 'read');
      assert.equal(await readPages(), 'STORE_UNAVAILABLE', 'to SQLite it looks damaged');
      trial.disk.heal();
      await trial.untilReadiness('ready');
      await trial.untilFull();
      damage(workspace.data);
      let reasons = await readPages();
      while (reasons !== 'STORE_CORRUPT') {
        assert.equal(reasons, 'STORE_UNAVAILABLE', 'until the check has read all of it');
        await sleep(100);
        ({ reasons } = await trial.untilReadiness('degraded'));
      }
      const { served, code } = await trial.dispenseUntilRefused();
      assert.ok(served > 0);
      assert.equal(code, 'STORE_UNAVAILABLE');
      const told = trial.lines('the store fails');
      for (const { code, reason } of told.slice(0, -1)) {
        assert.equal(code, 'STORE_UNAVAILABLE');
        assert.doesNotMatch(String(reason), STEPS);
      }
      assert.match(String(told.at(-1)!.reason), STEPS);
      assert.notEqual(await server.kill('SIGTERM'), null);
      trial.assertDistinct();
      const output = await refused(trial);
      assert.match(output, STEPS);
      assert.match(output, /STORE_CORRUPT/);
      // The first refusal has changed nothing of that.
      const again = openStoreIn(workspace.data);
      await assert.rejects(again, { code: 'STORE_CORRUPT', message: STEPS });
    },
  );

  test('a store that takes no hits fails until it does, whatever else works', LIMIT, async () => {
    await using trial = await Trial.begin();
    const { data } = trial.workspace;
    execute(
      data,
      `CREATE TRIGGER no_room BEFORE INSERT ON addresses
       BEGIN SELECT RAISE(ABORT, 'for the test'); END`,
    );
    await trial.untilReadiness('degraded');
    const before = await trial.turns();
    while ((await trial.turns()) < before + 5) {
      await trial.dispense();
      assert.notEqual((await trial.readiness()).status, 'ready');
    }
    execute(data, 'DROP TRIGGER no_room');
    await trial.untilReadiness('ready');
    assert.equal(trial.lines('the store fails').length, 1);
    assert.equal(trial.lines('the store works again').length, 1);
    await trial.stop();
    await trial.assertNothingComesTwice();
  });

  test('a disk that hangs in a sync: served from memory, nothing lost', LIMIT, async () => {
    await using trial = await Trial.begin();
    const { disk, server } = trial;
    await untilHeld(disk);
    const { ready } = await server.pool();
    for (let replies = 0; replies < ready - 1; replies++) await trial.dispense();
    const degraded = await trial.untilReadiness('degraded');
    assert.equal(degraded.reasons, 'STORE_UNAVAILABLE');
    await trial.dispense();
    assert.ok(ready > 0 && disk.isHeld);
    assert.equal((await trial.readiness()).status, 'STORE_UNAVAILABLE');
    await assertNoneWaitsForEver(trial);
    await server.until(({ grinding }) => !grinding.active);
    disk.slow(200);
    disk.release();
    await trial.untilReadiness('ready');
    await trial.untilFull();
    await untilHeld(disk);
    server.process.kill('SIGTERM');
    await trial.untilLine('stopping: requests are answered, leases returned');
    disk.release();
    await trial.stop();
    assert.equal(trial.lines('hits were lost: the store could not save them').length, 0);
    await trial.assertNothingComesTwice();
  });

  test('a journal that cannot be written', LIMIT, async (t) => {
    await using trial = await Trial.begin(BATCH, FEW);
    await t.test(
      'takes no record: replies are refused, and one address alone is given up',
      async () => {
        trial.disk.strikeBelow(JOURNALS);
        await trial.dispense(3);
        trial.disk.fail('ENOSPC', 'write');
        for (let times = 0; times < 4; times++) {
          await assert.rejects(trial.dispense(), /JOURNAL_UNAVAILABLE/);
        }
        trial.disk.heal();
        await trial.dispense(3);
        await trial.stop(1);
        await trial.assertNothingComesTwice();
      },
    );

    await t.test(
      'has no room at the start: the error says where, and nothing is served without one',
      async () => {
        const { store_id, place, epoch } = withDatabase(
          trial.workspace.data,
          (db) => db.prepare('SELECT store_id, place, epoch FROM meta').get()!,
        );
        const memory = memoryPath(THIS_MACHINE, String(store_id), placeName(String(place)));
        // The room for its records, and nothing else.
        trial.disk.strikeBelow(`${memory}/${Number(epoch) + 1}-1.journal`);
        trial.disk.fail('ENOSPC', 'write');
        await trial.serve();
        const [warning] = trial.lines(FALLBACK);
        assert.match(String(warning?.reason), /ENOSPC/);
        assert.deepEqual(readdirSync(join(trial.workspace.data, 'journal')).sort(), [
          `${Number(epoch) + 1}-1.journal`,
          'lock',
        ]);
        await trial.dispense();
        await trial.stop(1);
        trial.disk.heal();
        rmSync(join(trial.workspace.data, 'journal'), { recursive: true });
        writeFileSync(join(trial.workspace.data, 'journal'), 'in the way');
        trial.disk.strikeBelow(`${memory}/${Number(epoch) + 2}-1.journal`);
        trial.disk.fail('ENOSPC', 'write');
        const output = await refused(trial);
        assert.match(output, /\/journal: .*JOURNAL_UNAVAILABLE/);
        trial.disk.heal();
        await trial.serve();
        await trial.dispense();
        await trial.stop(1);
        trial.assertDistinct();
      },
    );
  });
});
