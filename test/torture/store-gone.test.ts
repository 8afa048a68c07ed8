/**
 * A real server whose store is removed or moved away under it: what is ready is handed out as long
 * as it lasts, it is reported, the process ends when asked, and no later start hands out again
 * what left. Most of the time is that of a stop, which tries to the last: the tests share it.
 */
import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Trial } from '../support/degradation.ts';
import { Server } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
/** A pool that is soon full: only the first test grinds all the time. */
const FEW = 300;
const BATCH = 256;

/** The server goes on with what is ready, and then refuses. */
async function servesWhatIsReady(trial: Trial, reason: string): Promise<void> {
  await trial.dispense();
  const degraded = await trial.untilReadiness('degraded');
  assert.equal(degraded.reasons, reason);
  const { ready } = await trial.server.pool();
  const { served, code } = await trial.dispenseUntilRefused();
  assert.deepEqual({ served, code }, { served: ready, code: 'STORE_UNAVAILABLE' });
  assert.equal((await trial.readiness()).http, 503);
  assert.deepEqual(
    trial.lines('the store fails').map((line) => line.code),
    [reason],
  );
}

/** It could not record, and says so by its exit code; it does not hang or crash. */
async function endsUnrecorded({ server }: Trial): Promise<void> {
  assert.equal(await server.kill('SIGTERM'), 1, server.output);
  assert.doesNotMatch(server.output, /store thread failed|INTERNAL/);
}

suite('a store that is gone', { concurrency: true }, () => {
  test(
    'a data directory that is removed: served from memory, then a new store',
    LIMIT,
    async () => {
      await using trial = await Trial.begin();
      rmSync(trial.workspace.data, { recursive: true });
      await servesWhatIsReady(trial, 'STORE_UNAVAILABLE');
      assert.match(trial.server.output, /removed or replaced under the running server/);
      await endsUnrecorded(trial);
      await trial.assertServesOn();
    },
  );

  test('a database file that is removed alone: the same', LIMIT, async () => {
    await using trial = await Trial.begin(BATCH, FEW);
    rmSync(join(trial.workspace.data, 'store.db'));
    await servesWhatIsReady(trial, 'STORE_UNAVAILABLE');
    await endsUnrecorded(trial);
    await trial.assertServesOn();
  });

  test(
    'a data directory that is moved away: the next start there knows what left',
    LIMIT,
    async () => {
      await using trial = await Trial.begin(BATCH, FEW);
      const moved = trial.beside('moved');
      renameSync(trial.workspace.data, moved);
      await servesWhatIsReady(trial, 'STORE_UNAVAILABLE');
      const second = new Server(trial.workspace, ['--data', moved]);
      assert.equal(await second.exited, 1);
      assert.match(
        second.output,
        new RegExp(`process ${trial.server.process.pid} holds it.*DATA_IN_USE`),
      );
      await endsUnrecorded(trial);
      await trial.assertNothingComesTwice(moved);
    },
  );

  test('a data directory that is moved away and back: over by itself', LIMIT, async () => {
    await using trial = await Trial.begin(BATCH, FEW);
    const moved = trial.beside('moved');
    renameSync(trial.workspace.data, moved);
    await trial.dispense(5);
    await trial.untilReadiness('degraded');
    renameSync(moved, trial.workspace.data);
    await trial.untilReadiness('ready');
    await trial.stop();
    await trial.assertNothingComesTwice();
  });
});
