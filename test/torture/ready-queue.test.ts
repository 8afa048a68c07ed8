/**
 * The ready queue under threads that die. A producer and several consumers run freely; again and
 * again one of them is terminated at a random moment and replaced. Then: nobody received a torn
 * record or one out of order, no number came twice, those that never came can have died with the
 * terminated consumers, the queue passes everything as before, and its memory holds no trace.
 *
 * `TORTURE_SECONDS` makes it long. `TORTURE_SEED` draws a run's capacities and victims again; the
 * moments are the machine's.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { addressOfNumber, randomOf, Tally } from '../support/sequence.ts';
import type { TortureThread } from './ready-queue-thread.ts';

const SECONDS = Number(process.env.TORTURE_SECONDS ?? 2);
const SEED = Number(process.env.TORTURE_SEED ?? Date.now() % 2 ** 31);
const ROUND_SECONDS = 1.5;
const CAPACITIES = [64, 1, 1024, 2, 8];
const CONSUMERS = 4;
const POP_MAX = 8;
const LAST = 2 ** 23;
const TERMINATIONS_MIN = 8;

type Role = TortureThread['role'];

test('threads that die leave the ready queue whole', async (t) => {
  t.diagnostic(`TORTURE_SEED=${SEED}`);
  const random = randomOf(SEED);
  const until = Date.now() + SECONDS * 1000;
  let next = random(0, CAPACITIES.length - 1);
  do {
    const capacity = CAPACITIES[next++ % CAPACITIES.length]!;
    await round(t, random, capacity, Math.min(until, Date.now() + ROUND_SECONDS * 1000));
  } while (Date.now() < until);
});

async function round(
  t: TestContext,
  random: ReturnType<typeof randomOf>,
  capacity: number,
  until: number,
): Promise<void> {
  const start = 2 ** 32 - random(1, 5000);
  const queue = ReadyQueue.create(capacity, start);
  const tally = new Tally(LAST);
  const control = new Int32Array(new SharedArrayBuffer(4));
  const popMax = Math.min(capacity, POP_MAX);
  const terminated = { producer: 0, consumer: 0 };
  const failures: unknown[] = [];

  const startThread = async (role: Role): Promise<Worker> => {
    const workerData: TortureThread = {
      role,
      seed: random(1, 2 ** 31 - 1),
      queue: queue.buffer,
      tally: tally.buffer,
      control: control.buffer,
      start,
      last: LAST,
      popMax,
    };
    const worker = new Worker(new URL('ready-queue-thread.ts', import.meta.url), { workerData });
    worker.on('error', (error) => failures.push(error));
    await once(worker, 'message');
    return worker;
  };
  const roles: Role[] = ['producer', ...Array<Role>(CONSUMERS).fill('consumer')];
  const threads = await Promise.all(roles.map(startThread));

  const isEnough = () =>
    Date.now() >= until && terminated.producer + terminated.consumer >= TERMINATIONS_MIN;
  while (failures.length === 0 && !isEnough()) {
    await sleep(random(0, 12));
    const victims = roles.map((_, index) => index).filter(() => random(0, 1) === 0);
    await Promise.all(victims.map((index) => threads[index]!.terminate()));
    for (const index of victims) terminated[roles[index]!]++;
    for (const index of victims) threads[index] = await startThread(roles[index]!);
  }
  await end(control, 1, threads.slice(0, 1), failures);
  await end(control, 2, threads.slice(1), failures);

  const last = (queue.tail - start) >>> 0;
  const missing = tally.missing(last);
  t.diagnostic(
    `capacity ${capacity}: ${last} passed; terminated: ${terminated.producer} producers, ` +
      `${terminated.consumer} consumers with ${missing} addresses`,
  );
  assert.deepEqual(failures, []);
  assert.equal(queue.size, 0);
  assert.ok(missing <= terminated.consumer * popMax, `${missing} addresses never came`);
  for (let id = 1; id <= 3 * capacity; id++) {
    assert.equal(queue.push([addressOfNumber(id)]), 1);
    assert.deepEqual(queue.pop(1), [addressOfNumber(id)]);
  }
  queue.wipe();
  const fresh = ReadyQueue.create(capacity, queue.head);
  assert.ok(Buffer.from(queue.buffer).equals(Buffer.from(fresh.buffer)), 'no trace is left');
}

/** Has the threads end by themselves; after a failure nothing says that they can. */
async function end(
  control: Int32Array,
  state: number,
  threads: readonly Worker[],
  failures: readonly unknown[],
): Promise<void> {
  const exits = threads.map((thread) => thread.threadId === -1 || once(thread, 'exit'));
  Atomics.store(control, 0, state);
  Atomics.notify(control, 0);
  await Promise.all(exits).catch((error) => assert.ok(failures.includes(error)));
  if (failures.length > 0) await Promise.all(threads.map((thread) => thread.terminate()));
}
