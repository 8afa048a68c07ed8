import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { VanityError } from '../../src/errors.ts';
import { answer, Caller } from '../../src/port.ts';

type TestCalls = {
  double(value: number): number;
  later(value: string): Promise<string>;
  length(bytes: Uint8Array): number;
  refuse(detail: string): never;
  crash(secret: string): never;
  never(nothing: undefined): Promise<void>;
};

/** A call that is never settled fails its test instead of holding it up. */
const LIMIT = { timeout: 300_000 };

/** Both sides over a real channel, in this thread; closed when the test ends. */
function connect(t: TestContext): {
  caller: Caller<TestCalls>;
  far: MessagePort;
  errors: unknown[];
} {
  const { port1, port2 } = new MessageChannel();
  const errors: unknown[] = [];
  t.after(() => port1.close());
  answer<TestCalls>(
    port2,
    {
      double: (value: number) => 2 * value,
      later: async (value: string) => `${value}!`,
      length: (bytes: Uint8Array) => bytes.length,
      refuse: (detail: string) => {
        throw new VanityError('POOL_EMPTY', detail, {
          retryAfterSeconds: 7,
          cause: new Error('x'),
        });
      },
      crash: (secret: string) => {
        throw new Error(`cannot handle ${secret}`);
      },
      never: () => new Promise(() => undefined),
    },
    (error) => errors.push(error),
  );
  return { caller: new Caller<TestCalls>(port1, 'STORE_UNAVAILABLE'), far: port2, errors };
}

function rejects(promise: Promise<unknown>, code: string, message: string): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.ok(error instanceof VanityError);
    assert.equal(error.code, code);
    assert.equal(error.message, message);
    return true;
  });
}

test('a call is answered with the value of its own, whatever the order of the answers', async (t) => {
  const { caller } = connect(t);
  const answers = await Promise.all([
    caller.call('later', 'a'),
    caller.call('double', 21),
    caller.call('later', 'b'),
    ...Array.from({ length: 100 }, (_, index) => caller.call('double', index)),
  ]);
  assert.deepEqual(answers.slice(0, 3), ['a!', 42, 'b!']);
  assert.deepEqual(
    answers.slice(3),
    Array.from({ length: 100 }, (_, index) => 2 * index),
  );
});

test('an error with a code arrives with its code, message and seconds, without its cause', async (t) => {
  const { caller, errors } = connect(t);
  await assert.rejects(caller.call('refuse', 'pool pet: 0 left'), (error) => {
    assert.ok(error instanceof VanityError);
    assert.equal(error.code, 'POOL_EMPTY');
    assert.equal(error.message, 'pool pet: 0 left');
    assert.equal(error.retryAfterSeconds, 7);
    assert.equal(error.cause, undefined);
    return true;
  });
  assert.deepEqual(errors, []);
});

test('any other error arrives as INTERNAL without its text, and is seen on the far side', async (t) => {
  const { caller, errors } = connect(t);
  await rejects(caller.call('crash', 'the seed'), 'INTERNAL', 'a thread of the server failed');
  assert.deepEqual(errors.map(String), ['Error: cannot handle the seed']);
  assert.equal(await caller.call('double', 1), 2, 'the port is still good');
});

test('a call that does not exist is an error, not a hang', async (t) => {
  const { caller, errors } = connect(t);
  await rejects(caller.call('absent' as 'double', 1), 'INTERNAL', 'a thread of the server failed');
  assert.equal(errors.length, 1);
});

test('a call without an answer is given up after its time, and others go on', async (t) => {
  const { caller } = connect(t);
  const message = 'never: no answer in 5 ms; it may still be done';
  await rejects(caller.call('never', undefined, { timeoutMs: 5 }), 'STORE_UNAVAILABLE', message);
  assert.equal(await caller.call('double', 4, { timeoutMs: 60_000 }), 8);
  assert.equal(caller.waiting, 1, 'the other side has not answered it');
});

test('an answer that comes after the time is dropped', async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const caller = new Caller<TestCalls>(port1, 'STORE_UNAVAILABLE', {}, 1);
  const asked = once(port2, 'message');
  await assert.rejects(caller.call('double', 1));
  const [{ id }] = await asked;
  port2.postMessage({ id, value: 2 });
  port2.postMessage({ id: id + 1, value: 'second' });
  assert.equal(await caller.call('later', 'x', { timeoutMs: 60_000 }), 'second');
  assert.equal(caller.waiting, 0);
});

test('transferred memory moves to the far side', async (t) => {
  const { caller } = connect(t);
  const bytes = new Uint8Array(64);
  assert.equal(await caller.call('length', bytes, { transfer: [bytes.buffer] }), 64);
  assert.equal(bytes.length, 0);
});

test(
  'when the far side closes, calls that wait and calls that follow are refused',
  LIMIT,
  async (t) => {
    const { caller, far } = connect(t);
    const waiting = [
      caller.call('never', undefined),
      caller.call('never', undefined, { timeoutMs: 60_000 }),
    ];
    far.close();
    for (const call of waiting) {
      await rejects(call, 'STORE_UNAVAILABLE', 'the other thread is gone');
    }
    await rejects(caller.call('double', 1), 'STORE_UNAVAILABLE', 'the other thread is gone');
  },
);

test('when the thread on the far side dies, so do its calls', LIMIT, async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  new Worker(
    `const { workerData } = require('node:worker_threads');
     workerData.on('message', () => process.exit());`,
    { eval: true, workerData: port2, transferList: [port2] },
  );
  const caller = new Caller<TestCalls>(port1, 'STORE_UNAVAILABLE');
  await rejects(caller.call('double', 1), 'STORE_UNAVAILABLE', 'the other thread is gone');
});
