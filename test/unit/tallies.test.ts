import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { STARTED, Tallies, WEBHOOK_OUTCOMES } from '../../src/pool/tallies.ts';

test('a time counts in the first bucket that it fits, and in all above', () => {
  const { dispenseTimes } = new Tallies();
  const { bounds } = dispenseTimes;
  assert.equal(bounds[0], 1e-5);
  assert.equal(bounds.at(-1), 1);
  assert.deepEqual(
    bounds,
    bounds.toSorted((one, other) => one - other),
  );
  for (const ms of [0, 0.01, 0.0100001, 0.7, 1000, 1000.5]) dispenseTimes.add(ms);
  const { upTo, sum } = dispenseTimes.read();
  assert.equal(upTo.length, bounds.length + 1);
  assert.deepEqual([upTo[0], upTo[1], upTo.at(-2), upTo.at(-1)], [2, 3, 5, 6]);
  const count = (bound: number) => upTo[bounds.indexOf(bound)];
  assert.deepEqual([count(5e-4), count(1e-3)], [3, 4]);
  assert.ok(Math.abs(sum - 2.0012200001) < 1e-8, `${sum}`);
});

test('no figure is in the place of another', () => {
  const tallies = new Tallies();
  tallies.commitTimes.add(20_000);
  tallies.countError('BODY_INVALID');
  tallies.countError('SERVER_UNREACHABLE');
  tallies.countError('SERVER_UNREACHABLE');
  for (let times = 0; times < 5; times++) tallies.countRepeat();
  for (const outcome of ['sent', 'failed', 'failed', 'dropped'] as const) {
    tallies.countWebhook(outcome);
  }
  tallies.countUnstarted('check');
  const joined = new Tallies(tallies.buffer);
  assert.equal(joined.dispenseTimes.read().upTo.at(-1), 0);
  assert.equal(joined.dispenseTimes.read().sum, 0);
  const { upTo, sum } = joined.commitTimes.read();
  assert.deepEqual([upTo.at(-2), upTo.at(-1), sum], [0, 1, 20]);
  const counted = Object.entries(joined.errors).filter(([, count]) => count > 0);
  assert.deepEqual(counted, [
    ['BODY_INVALID', 1],
    ['SERVER_UNREACHABLE', 2],
  ]);
  assert.equal(joined.repeats, 5);
  assert.deepEqual(
    WEBHOOK_OUTCOMES.map((outcome) => joined.webhooks(outcome)),
    [1, 2, 1],
  );
  assert.deepEqual(
    STARTED.map((what) => joined.unstarted(what)),
    [0, 0, 0, 1],
  );
});

test('nothing is lost that two threads count at once', async () => {
  const tallies = new Tallies();
  const rounds = 100_000;
  const worker = new Worker(
    `const { Tallies } = require(${JSON.stringify(new URL('../../src/pool/tallies.ts', import.meta.url).pathname)});
     const { workerData, parentPort } = require('node:worker_threads');
     const tallies = new Tallies(workerData.buffer);
     parentPort.postMessage('ready');
     for (let round = 0; round < workerData.rounds; round++) tallies.dispenseTimes.add(0.25);`,
    { eval: true, workerData: { buffer: tallies.buffer, rounds } },
  );
  const ended = once(worker, 'exit');
  await once(worker, 'message');
  for (let round = 0; round < rounds; round++) tallies.dispenseTimes.add(0.25);
  await ended;
  const { upTo, sum } = tallies.dispenseTimes.read();
  assert.equal(upTo.at(-1), 2 * rounds);
  assert.equal(sum, (2 * rounds * 0.25) / 1000);
});
