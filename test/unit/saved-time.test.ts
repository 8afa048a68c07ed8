/** What a store believes of the clock over restarts, and rows whose numbers or texts are none of ours. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { readPools } from '../../src/store/sqlite-reader.ts';
import type { Store } from '../../src/store/store.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { poolNamed } from '../support/store-conformance.ts';
import { TestTime } from '../support/test-time.ts';

const HOUR = 3_600_000;

class Subject implements Disposable {
  readonly directory = temporaryDirectory();
  readonly time = new TestTime();

  open(): Promise<Store> {
    const { directory, time } = this;
    return openSqliteStore({
      directory,
      time,
      sealingKey: `file:${join(directory, 'sealing.key')}`,
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
