import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { WorkQueue } from '../../src/store-thread/work-queue.ts';

/** A queue whose clock goes on by as much as its work says, and what has run in it, in order. */
function timed(wait?: ConstructorParameters<typeof WorkQueue>[1]) {
  let now = 0;
  const ran: string[] = [];
  const queue = new WorkQueue(() => now, wait);
  const work = (name: string, ms: number) => async () => {
    ran.push(name);
    now += ms;
    return name;
  };
  return { queue, ran, work };
}

test('one piece runs after the other, in the order in which they came, whatever fails', async () => {
  const { queue, ran, work } = timed();
  let isRunning = false;
  const alone = (name: string) => async () => {
    assert.equal(isRunning, false);
    isRunning = true;
    await new Promise((resolve) => setImmediate(resolve));
    isRunning = false;
    return work(name, 1)();
  };
  const failed = queue.exclusively(async () => {
    throw new RangeError('no');
  });
  const results = ['a', 'b', 'c'].map((name) => queue.exclusively(alone(name)));
  assert.deepEqual(ran, [], 'nothing runs in the call that brings it');
  await assert.rejects(failed, RangeError);
  assert.deepEqual(await Promise.all(results), ['a', 'b', 'c']);
  assert.equal(await queue.exclusively(alone('d')), 'd', 'also when it had nothing to do');
  await assert.rejects(
    queue.behind(() => Promise.reject(new RangeError('no'))),
    RangeError,
  );
  assert.deepEqual(ran, ['a', 'b', 'c', 'd']);
});

test('what nobody waits for runs behind all that waits, and what comes meanwhile', async () => {
  const { queue, ran, work } = timed();
  const late = [queue.behind(work('late', 1)), queue.behind(work('later', 1))];
  const first = queue.exclusively(async () => {
    void queue.exclusively(work('second', 1));
    return work('first', 1)();
  });
  await first;
  await Promise.all(late);
  assert.deepEqual(ran, ['first', 'second', 'late', 'later']);
});

test('a request that lies here as a message is taken first', async () => {
  const { queue, ran, work } = timed();
  const { port1, port2 } = new MessageChannel();
  port1.on('message', (name: string) => void queue.exclusively(work(name, 1)));
  // The ports have been opened by now, which takes a turn of its own.
  port2.postMessage('opening');
  await once(port1, 'message');
  const late = queue.behind(async () => {
    port2.postMessage('request');
    return work('late', 1)();
  });
  const next = queue.behind(work('next', 1));
  await Promise.all([late, next]);
  port1.close();
  assert.deepEqual(ran, ['opening', 'late', 'request', 'next']);
});

test('where requests come one soon after the other, no piece comes between them', async () => {
  const waits = new Set<{ ms: number; call: () => void }>();
  const { queue, ran, work } = timed((ms, call) => {
    const wait = { ms, call };
    waits.add(wait);
    return () => waits.delete(wait);
  });
  const requests = Array(20).fill('request');
  let pieces: Promise<unknown> = Promise.resolve();
  for (const name of requests) {
    await queue.exclusively(work(name, 1));
    if (ran.length === 1) {
      pieces = Promise.all(['first', 'second'].map((piece) => queue.behind(work(piece, 1))));
    }
    while (waits.size === 0) await nextTurn();
  }
  assert.deepEqual(ran, requests);
  const [wait, ...others] = waits;
  assert.deepEqual([wait!.ms, others], [5, []]);
  wait!.call();
  await pieces;
  assert.deepEqual(ran, [...requests, 'first', 'second'], 'the second waits for nothing any more');
});

test('one piece begins within 100 ms, however many requests wait', async () => {
  const { queue, ran, work } = timed();
  const REQUESTS = 100;
  const answered = Array.from({ length: REQUESTS }, () => queue.exclusively(work('request', 10)));
  for (let piece = 0; piece < 3; piece++) await queue.behind(work('piece', 5));
  await Promise.all(answered);
  const places = ran.flatMap((name, place) => (name === 'piece' ? [place] : []));
  assert.deepEqual(places, [10, 21, 32], 'after 100 ms each, and not before');
  assert.equal(ran.length, REQUESTS + 3);
});
