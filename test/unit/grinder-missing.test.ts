/** What a pool gets that lacks a number of addresses: so many, and hardly any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';
import { Grinding, job, until } from '../support/grinding.ts';

const LIMIT = { timeout: 300_000 };
const THREADS = 2;

for (const keyType of KEY_TYPES) {
  const easy = job('easy', 'a', '', keyType);

  test(`${keyType}: a pool gets what it lacks, and no more without an order`, LIMIT, async () => {
    await using grinding = new Grinding({ threads: THREADS });
    const { grinder, posted } = grinding;
    let most = 0;
    for (const missing of [1, 7, 200]) {
      const before = posted.length;
      grinder.steer([{ ...easy, missing }]);
      await until(() => posted.length >= before + missing && grinder.stats().active === 0);
      await until(() => grinder.stats().unstored === 0);
      // What each thread was allowed, and what it found before it was allowed anew.
      most += 3 * missing + 2 * THREADS;
      await sleep(100);
    }
    await grinding.close();
    assert.ok(posted.length <= most, `${posted.length} of ${most}`);
    assert.deepEqual(grinding.lines, []);
  });
}

test('what waits to be stored is not missing; another pool goes on', LIMIT, async () => {
  const gate = Promise.withResolvers<void>();
  await using grinding = new Grinding({ maxUnstored: 1e6, onHits: () => gate.promise });
  const { grinder, posted, stored } = grinding;
  const jobs = [{ ...job('a', 'a', '', 'expanded'), missing: 5 }, job('b', 'b')];
  const ofA = () => posted.filter((name) => name.startsWith('a')).length;
  grinder.steer(jobs);
  await until(() => ofA() >= 5);
  for (let round = 0; round < 40; round++) {
    const all = posted.length;
    // Its figures do not have them yet.
    grinder.steer(jobs);
    await until(() => posted.length > all + 20);
  }
  const [found, all] = [ofA(), posted.length];
  gate.resolve();
  assert.ok(found <= 3 * 5 + 2 * THREADS, `${found}`);
  await until(() => stored.length > all);
  grinder.steer(jobs);
  await until(() => ofA() >= found + 5);
});

test('a thread that found what it may finds more when its pool lacks more', LIMIT, async () => {
  await using grinding = new Grinding({ threads: 1, maxUnstored: 1e6 });
  const { grinder, posted, workers } = grinding;
  const other = job('b', 'b', '', 'expanded');
  const pool = job('a', 'a', '', 'expanded');
  for (const missing of [1, 30, 2, 300]) {
    const [before, { unstored }] = [posted.length, grinder.stats()];
    // Together with one that is not filled, so that the jobs stay the same.
    grinder.steer([
      { ...pool, missing: missing + unstored },
      { ...other, missing: missing + 1000 + unstored },
    ]);
    await until(() => posted.length >= before + missing);
  }
  assert.equal(workers.length, 1);
  assert.deepEqual(grinding.lines, []);
});

test('a thread that hears nothing finds its share and no more', LIMIT, async () => {
  await using grinding = new Grinding({ threads: THREADS, maxUnstored: 1e6 });
  const { grinder, posted } = grinding;
  const pool = job('a', 'a', '', 'expanded');
  grinder.steer([{ ...pool, missing: 1 }]);
  await until(() => posted.length > 0 && grinder.stats().active === 0);
  const before = posted.length;
  grinder.steer([{ ...pool, missing: 40 }]);
  // This thread answers nobody meanwhile.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  await until(() => posted.length >= before + 40);
  await grinding.close();
  const found = posted.length - before;
  assert.ok(found <= 3 * 40 + 2 * THREADS, `${found}`);
});
