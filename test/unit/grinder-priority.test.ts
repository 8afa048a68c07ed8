import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { kernelLevels } from '../../src/grinder/load-kernel.ts';
import { NICE, PRIORITIES } from '../../src/system/priority.ts';
import { Grinding, job, loweredThreads, until } from '../support/grinding.ts';

const LIMIT = { timeout: 300_000 };
const A = job('a', 'a');
const canSeePriorities = process.platform === 'linux' && kernelLevels().length > 1;

for (const priority of PRIORITIES) {
  test(`priority ${priority}: of all threads only those of the grinder`, LIMIT, async () => {
    await using grinding = new Grinding({ priority });
    grinding.grinder.steer([A]);
    await grinds(grinding, 2);
    const nice = NICE[priority];
    if (canSeePriorities) assert.deepEqual(loweredThreads(), nice === 0 ? [] : [nice, nice]);
    const { perThread } = grinding.grinder.stats();
    assert.deepEqual(
      perThread.map((thread) => thread.priority),
      [priority, priority],
    );
  });
}

/** Until so many threads, from the one on that was started last, have posted attempts. */
async function grinds({ workers }: Grinding, count: number): Promise<void> {
  await until(() => workers.length >= count);
  const posters = new Set<Worker>();
  const latest = workers.slice(-count);
  for (const worker of latest) {
    worker.on('message', ({ kind }) => kind === 'progress' && posters.add(worker));
  }
  await until(() => posters.size === count);
}

test(
  'auto: another urgency is other threads, and nothing that was found is lost',
  LIMIT,
  async () => {
    await using grinding = new Grinding({ priority: 'auto' });
    const { grinder, workers, stored, posted } = grinding;
    assert.equal(grinder.prioritize('dry'), true);
    grinder.steer([A]);
    await grinds(grinding, 2);
    if (canSeePriorities) assert.deepEqual(loweredThreads(), [3]);
    for (const [urgency, nices] of [
      ['low', [3, 3]],
      ['stocked', [15, 15]],
      ['dry', [3]],
      ['stocked', [15, 15]],
    ] as const) {
      const had = workers.length;
      assert.equal(grinder.prioritize(urgency), true);
      assert.equal(grinder.prioritize(urgency), false, 'it has that already');
      await until(
        () => workers.slice(0, had).filter(({ threadId }) => threadId !== -1).length <= 2,
      );
      await grinds(grinding, workers.length - had);
      if (canSeePriorities) await until(() => loweredThreads().join() === nices.join());
      assert.equal(grinder.stats().active, 2);
    }
    assert.equal(grinder.stats().priorityChanges, 5);
    assert.equal(grinder.stats().restarts, 0, 'none of them died');
    await grinding.close();
    assert.deepEqual(stored.toSorted(), posted.toSorted());
    assert.equal(new Set(posted).size, posted.length);
    assert.deepEqual(grinding.lines, []);
  },
);

test('threads that sleep take another priority when they wake', LIMIT, async () => {
  await using grinding = new Grinding({ priority: 'auto', threads: 1 });
  const { grinder, workers } = grinding;
  grinder.steer([A]);
  await grinds(grinding, 1);
  grinder.steer([]);
  grinder.prioritize('low');
  assert.equal(workers.length, 1);
  grinder.steer([A]);
  await until(() => workers.length === 2);
  await grinds(grinding, 1);
  assert.equal(workers.length, 2);
});

test('at another priority no more hits wait than before', LIMIT, async () => {
  let isOpen = false;
  const onHits = () => until(() => isOpen);
  await using grinding = new Grinding({
    priority: 'auto',
    threads: 1,
    batch: 4,
    maxUnstored: 10,
    onHits,
  });
  const { grinder, posted, stored } = grinding;
  grinder.steer([A]);
  for (const urgency of ['low', 'stocked', 'dry', 'stocked', 'low'] as const) {
    grinder.prioritize(urgency);
    await sleep(30);
  }
  await until(() => grinder.stats().paused);
  // Each thread that was replaced may have found a batch before it heard of that.
  assert.ok(posted.length <= 10 + 5 * 4, `${posted.length} hits wait`);
  isOpen = true;
  await until(() => stored.length > 100);
});

test('the share of a core that a thread got', LIMIT, async () => {
  await using grinding = new Grinding({ threads: 1 });
  const { grinder } = grinding;
  assert.equal(grinder.stats().perThread[0]!.share, undefined);
  grinder.steer([job('rare', 'zzzzzzzzzz')]);
  await until(() => grinder.stats().attempts > 0);
  await until(() => (grinder.stats().perThread[0]!.share ?? 0) > 0);
  assert.ok(grinder.stats().perThread[0]!.share! <= 1);
  grinder.steer([]);
  assert.equal(grinder.stats().perThread[0]!.share, undefined);
});
