/** The check behind a start: a real process, on a real store whose file comes and goes. */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackOff } from '../../src/back-off.ts';
import { ServedCheck } from '../../src/store-thread/served-check.ts';
import { collectedLog } from '../support/collected-log.ts';
import { openStoreIn, removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

test('a store that is removed under its check is no failure that it found', LIMIT, async (t) => {
  const directory = temporaryDirectory();
  t.after(() => removeDirectory(directory));
  await (await openStoreIn(directory)).close();
  const file = join(directory, 'store.db');
  const log = collectedLog();
  const found: (string | undefined)[] = [];
  let unstarted = 0;
  const check = new ServedCheck({
    directory,
    onFound: (error) => found.push(error?.code),
    onUnstarted: () => unstarted++,
    log,
    backOff: new BackOff(1, 10),
  });
  t.after(() => check.stop());
  // Its process has only been started.
  renameSync(file, `${file}.away`);
  while (unstarted === 0) await sleep(5);
  assert.deepEqual(found, []);
  assert.equal(log.lines[0]!.msg, 'the store cannot be checked; retrying');
  renameSync(`${file}.away`, file);
  while (found.length === 0) await sleep(5);
  assert.deepEqual(found, [undefined], 'it is looked at again, and whole');
});
