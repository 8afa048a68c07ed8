/** What a store believes of the clock over restarts, and rows whose numbers or texts are none of ours. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { HandOut } from '../../src/store/hand-out.ts';
import { readPools } from '../../src/store/sqlite/look.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import {
  checkStore,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { TestTime } from '../support/test-time.ts';
import { turn } from '../support/turns.ts';

const HOUR = 3_600_000;

class Subject implements Disposable {
  readonly directory = temporaryDirectory();
  readonly time = new TestTime();

  open(recover?: () => HandOut[]): Promise<Store> {
    const { directory, time } = this;
    return openSqliteStore({
      directory,
      time,
      sealingKey: `file:${join(directory, 'sealing.key')}`,
      ...(recover && { recover }),
    });
  }

  [Symbol.dispose](): void {
    removeDirectory(this.directory);
  }
}

for (const hours of [30, -30]) {
  test(`a clock that is ${hours} h off is not believed because the store was started twice`, async () => {
    using subject = new Subject();
    const { time } = subject;
    await (await subject.open()).close();
    time.set(hours * HOUR);
    for (let starts = 0; starts < 3; starts++) {
      const store = await subject.open();
      assert.equal(store.clock.isSettled, false, `start ${starts}`);
      time.pass(60_000);
      await store.saveCounters({});
      await store.close();
    }
    const store = await subject.open();
    time.pass(HOUR);
    assert.ok(store.clock.isSettled, 'when it has stood');
    await store.saveCounters({});
    await store.close();
    assert.ok((await subject.open()).clock.isSettled, 'and from then on');
  });
}

for (const hours of [30, -500_000]) {
  test(`what left while a start was ${hours} h off is kept as long as ever`, async () => {
    using subject = new Subject();
    const { time } = subject;
    const first = await subject.open();
    await first.definePool(poolNamed('pet'));
    await first.insert(hitsFor('pet', 3));
    await first.close();
    time.set(hours * HOUR);
    const store = await subject.open();
    await turn(store, 'pet', 0, 2);
    const key = Buffer.alloc(32, 5);
    const handOut = { position: 0, count: 2, at: store.clock.now, token: 0, key, body: key };
    await turn(store, 'pet', 2, 0, { records: [handOut], journals: new Map() });
    time.pass(60_001);
    time.set(-hours * HOUR);
    await store.takeStep(store.clock.look().due!);
    for (const [passed, isOver] of [
      [22, false],
      [3, true],
    ] as const) {
      time.pass(passed * HOUR);
      assert.equal(store.clock.isSettled, true);
      const { at, addresses } = (await store.handOut(key, 'pet'))!;
      assert.deepEqual([store.clock.isOver(at, 24 * HOUR), addresses!.length], [isOver, 2]);
      const destroyed = await store.destroySecrets(24 * HOUR);
      assert.equal(destroyed, isOver ? 2 : 0);
    }
    await store.close();
    checkStore(subject.directory);
  });
}

suite('what this program does not write', () => {
  const huge = '9007199254740993';
  const rows = {
    'the next id': `UPDATE meta SET next_id = ${huge}`,
    'the epoch': `UPDATE meta SET epoch = ${huge}`,
    'the last id of a token': `UPDATE meta SET token_id = ${huge}`,
    'the time': `INSERT OR REPLACE INTO counters VALUES ('own_time', ${huge})`,
  };
  for (const [what, sql] of Object.entries(rows)) {
    test(`${what} as a number that is too large`, async () => {
      using subject = new Subject();
      await (await subject.open()).close();
      withDatabase(subject.directory, (db) => db.exec(sql));
      await assert.rejects(subject.open(), { code: 'STORE_CORRUPT', message: /too large/ });
    });
  }

  test('a queue without its leases, of which a journal says that one is held', async () => {
    using subject = new Subject();
    const store = await subject.open();
    await store.definePool(poolNamed('pet'));
    await store.insert(hitsFor('pet', 3));
    await store.addJournals([{ pool: 'pet', number: 1 }]);
    await turn(store, 'pet', 0, 2);
    await store.close();
    withDatabase(subject.directory, (db) => db.exec('DELETE FROM leases'));
    const held = {
      position: 0,
      count: 1,
      at: subject.time.system(),
      token: 0,
      isUnseen: true as const,
    };
    const recover = () => [held];
    await assert.rejects(subject.open(recover), { code: 'STORE_CORRUPT', message: /position 0/ });
  });

  for (const settings of ['{', 'null', '7']) {
    test(`${settings} as the settings of a pool`, async () => {
      using subject = new Subject();
      const first = await subject.open();
      await first.definePool(poolNamed('pet'));
      await first.close();
      withDatabase(subject.directory, (db) =>
        db.prepare('UPDATE pools SET settings = ?').run(settings),
      );
      assert.equal(readPools(subject.directory)[0]!.settings, undefined);
      const store = await subject.open();
      assert.equal((await store.pools())[0]!.isForged, true);
      await store.close();
    });
  }
});
