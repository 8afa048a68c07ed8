/** A server's rows are resealed in pieces, behind what requests wait for. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setImmediate as afterMessages } from 'node:timers/promises';
import { VanityError } from '../../src/errors.ts';
import { Resealer, type ResealerOptions } from '../../src/store-thread/resealer.ts';
import { WorkQueue } from '../../src/store-thread/work-queue.ts';
import { Leaked } from '../support/leaked.ts';

/** What it logs and reports, and how the store is asked. */
function resealerOf({ store }: Leaked) {
  const queue = new WorkQueue(undefined, (_, call) => {
    const soon = setImmediate(call);
    return () => clearImmediate(soon);
  });
  const said: string[] = [];
  const ran: string[] = [];
  const ended: (string | undefined)[] = [];
  const asked: ResealerOptions['store'] = {
    get isLogLong() {
      return store.isLogLong;
    },
    sealingKey: () => store.sealingKey(),
    reseal() {
      ran.push(isBehind ? 'piece' : 'a piece that requests wait for');
      return store.reseal();
    },
    checkpointLog: () => store.checkpointLog(),
  };
  let isBehind = false;
  const resealer = new Resealer({
    store: asked,
    behind: (work) =>
      queue.behind(async () => {
        isBehind = true;
        return await work().finally(() => {
          isBehind = false;
        });
      }),
    onEnd: (error) => ended.push(error?.code),
    log: { info: (...args: unknown[]) => said.push(String(args.at(-1))) } as never,
  });
  return { said, ran, ended, resealer, asked };
}

const BEGUN = 'resealing addresses';
const DONE = 'addresses are resealed: nothing in the store opens with the old key';

test('a store that failed when it was asked works again, also where nothing is to be done', async () => {
  await using leaked = await Leaked.make();
  const { resealer, ended, asked } = resealerOf(leaked);
  const { sealingKey } = asked;
  const fails = async () => {
    throw new VanityError('STORE_UNAVAILABLE', 'not now');
  };
  Object.assign(asked, { sealingKey: fails });
  await resealer.reseal();
  Object.assign(asked, { sealingKey });
  await resealer.reseal();
  await resealer.stop();
  assert.deepEqual(ended, ['STORE_UNAVAILABLE', undefined]);
});

test('where nothing is to be done nothing is said, and what is to be done is, to its end', async () => {
  await using leaked = await Leaked.make();
  const { resealer, said, ran, ended } = resealerOf(leaked);
  await resealer.reseal();
  assert.deepEqual([said, ran, ended], [[], [], [undefined]]);
  await leaked.rotate();
  const all = resealer.reseal();
  assert.equal(resealer.reseal(), all, 'never two at once');
  await all;
  assert.deepEqual([...new Set(ran)], ['piece']);
  assert.deepEqual(
    [said, ended],
    [
      [BEGUN, DONE],
      [undefined, undefined],
    ],
  );
  assert.equal((await leaked.store.sealingKey()).toReseal, 0);
});

test('a stop ends it after a piece, and the next run goes on', async () => {
  await using leaked = await Leaked.make();
  await leaked.rotate();
  const { resealer, said, ran, asked } = resealerOf(leaked);
  const { reseal } = asked;
  let stopped: Promise<void> | undefined;
  Object.assign(asked, {
    reseal() {
      stopped ??= resealer.stop();
      return reseal();
    },
  });
  await resealer.reseal();
  await stopped;
  assert.deepEqual([said, ran], [[BEGUN], ['piece']]);
  const next = resealerOf(leaked);
  await next.resealer.reseal();
  assert.deepEqual(next.said, [BEGUN, DONE]);
});

test('what fails, or waits for another reader, is tried again after 10 s', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await using leaked = await Leaked.make();
  await leaked.rotate();
  const { resealer, said, ended, asked } = resealerOf(leaked);
  const { reseal } = asked;
  let isFull = true;
  Object.assign(asked, {
    async reseal() {
      if (isFull) throw new VanityError('DISK_FULL', 'full');
      return reseal();
    },
  });
  /** The attempt that the timer begins; nothing if it begins none. */
  const attempt = async () => {
    const before = ended.length;
    t.mock.timers.tick(10_000);
    for (let turn = 0; ended.length === before && turn < 10_000; turn++) await afterMessages();
    return ended.slice(before);
  };
  await resealer.reseal();
  assert.deepEqual(ended, ['DISK_FULL']);
  isFull = false;
  const other = new DatabaseSync(join(leaked.directory, 'store.db'));
  other.exec('BEGIN');
  other.prepare('SELECT count(*) FROM addresses').get();
  assert.deepEqual(await attempt(), [undefined]);
  assert.deepEqual(said, [BEGUN], 'said once');
  other.close();
  assert.deepEqual(await attempt(), [undefined]);
  assert.deepEqual(said, [BEGUN, DONE]);
  await resealer.stop();
});
