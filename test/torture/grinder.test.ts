/**
 * Grinder threads are terminated at random moments, mid-slice, mid-post and while they load, under
 * a store that is slow and fails at random, while jobs change. What the threads posted, seen beside
 * the grinder, must be what is stored in the end: all of it, each hit once, though some are
 * delivered again. GRINDER_TORTURE is the number of terminations (30), SEED the random sequence.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Grinding, job, until } from '../support/grinding.ts';

const ROUNDS = Number(process.env.GRINDER_TORTURE ?? 30);
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
const JOBS = [job('a', 'a'), job('b', '[b-f]'), job('c', 'c', '[2-9]')];

/** Numbers from 0 on below `bound`, always the same ones for a seed (xorshift). */
function sequence(seed: number): (bound: number) => number {
  let state = seed | 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

test(`threads terminated ${ROUNDS} times, SEED=${SEED}`, { timeout: 600_000 }, async () => {
  const random = sequence(SEED);
  let failures = 0;
  await using grinding = new Grinding({
    threads: 3,
    batch: 8,
    maxUnstored: 60,
    onHits: async () => {
      await sleep(random(4));
      if (random(20) !== 0) return;
      failures++;
      throw new Error('the store fails');
    },
  });
  const { grinder, workers, posted, stored, lines } = grinding;
  let deaths = 0;
  for (let round = 0; round < ROUNDS; round++) {
    grinder.steer(JOBS.filter((_, index) => index === round % 3 || random(2) === 0));
    await sleep(random(60));
    const alive = workers.filter(({ threadId }) => threadId !== -1);
    const victim = alive[random(alive.length)];
    if (victim !== undefined) {
      deaths++;
      await victim.terminate();
    }
    const { unstored } = grinder.stats();
    assert.ok(unstored <= 60, `${unstored} hits wait`);
    // Hits that prove set the wait before a replacement back to its least.
    const count = posted.length;
    await until(() => posted.length > count);
  }
  grinder.steer(JOBS);
  const count = stored.length;
  await until(() => stored.length >= count + 60);
  await grinding.close();

  const stats = grinder.stats();
  assert.equal(new Set(posted).size, posted.length, 'no address was found twice');
  assert.deepEqual(stored.toSorted(), posted.toSorted(), 'all that was posted is stored, once');
  assert.deepEqual([stats.hits, stats.attempts], [posted.length, grinding.attemptsPosted]);
  assert.deepEqual([stats.restarts, stats.faults, stats.unstored], [deaths, 0, 0]);
  const told = (msg: string) => lines.filter((line) => line.msg === msg).length;
  assert.equal(told('a grinder thread ended; it is replaced'), deaths);
  assert.ok(failures > 0 || ROUNDS < 30, 'the store did fail');
});
