/**
 * A real server on a disk that fails under it and works again: what is ready is handed out as long
 * as it lasts, the rest is refused with a reason, grinding pauses, and all of it ends by itself
 * with the cause. At the end nothing acknowledged is lost, nothing was handed out twice, and
 * nothing is burned. What does not end by itself is in store-gone.test.ts and
 * store-damaged.test.ts.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { PAUSING, Trial } from '../support/degradation.ts';

const LIMIT = { timeout: 300_000 };

interface Cause {
  /** As `/readyz` and the log say it. */
  readonly reason: string;
  readonly begin: (trial: Trial) => void;
  readonly end: (trial: Trial) => void;
}

const heal = ({ disk }: Trial): void => disk.heal();

function lockedByAnother(): Cause {
  let other: DatabaseSync | undefined;
  return {
    reason: 'STORE_LOCKED',
    begin: ({ workspace }) => {
      other = new DatabaseSync(join(workspace.data, 'store.db'), { timeout: 10_000 });
      other.exec('BEGIN IMMEDIATE');
    },
    end: () => other!.close(),
  };
}

const CAUSES: Readonly<Record<string, Cause>> = {
  'full disk': {
    reason: 'DISK_FULL',
    begin: ({ disk }) => disk.fail('ENOSPC', 'write', 'resize'),
    end: heal,
  },
  'read-only file system': {
    reason: 'DATA_NOT_WRITABLE',
    begin: ({ disk }) => disk.fail('EROFS', 'write', 'resize', 'sync', 'open'),
    end: heal,
  },
  'disk that fails to write': {
    reason: 'STORE_UNAVAILABLE',
    begin: ({ disk }) => disk.fail('EIO', 'write'),
    end: heal,
  },
  'disk that fails to make durable': {
    reason: 'STORE_UNAVAILABLE',
    begin: ({ disk }) => disk.fail('EIO', 'sync'),
    end: heal,
  },
  'store locked by another program': lockedByAnother(),
};

suite('a disk that fails and works again', () => {
  let trial: Trial;
  before(async () => {
    trial = await Trial.begin();
  });
  after(() => trial[Symbol.asyncDispose]());

  for (const [name, { reason, begin, end }] of Object.entries(CAUSES)) {
    test(`${name}: served from memory, reported, and over when its cause is`, LIMIT, async () => {
      const fails = trial.lines('the store fails').length;
      const recoveries = trial.lines('the store works again').length;
      const pauses = trial.lines(PAUSING).length;
      await trial.dispense(10);
      await trial.untilFull();

      begin(trial);
      await trial.dispense();
      let degraded = await trial.untilReadiness('degraded');
      // A store that is at one thing for two seconds counts as one that hangs, until that has failed.
      while (degraded.reasons !== reason) degraded = await trial.untilReadiness('degraded');
      assert.deepEqual(degraded, { http: 200, status: 'degraded', reasons: reason });
      const { ready } = await trial.server.pool();
      const { served, code } = await trial.dispenseUntilRefused();
      assert.deepEqual({ served, code }, { served: ready, code: 'STORE_UNAVAILABLE' });
      const { http, reasons } = await trial.untilReadiness('STORE_UNAVAILABLE');
      assert.equal(http, 503);
      assert.match(reasons, new RegExp(reason));
      await trial.untilGrindingPauses(pauses + 1);
      assert.match(
        await trial.metrics(),
        new RegExp(`^vanitypool_store_failure{code="${reason}"} 1$`, 'm'),
      );

      end(trial);
      await trial.untilReadiness('ready');
      await trial.untilFull();
      await trial.dispense(20);
      assert.deepEqual(
        trial
          .lines('the store fails')
          .map((line) => line.code)
          .slice(fails),
        [reason],
      );
      assert.equal(trial.lines('the store works again').length, recoveries + 1);
    });
  }

  test('after all of that nothing is lost or comes again', LIMIT, async () => {
    await trial.stop();
    await trial.assertServesOn();
  });
});
