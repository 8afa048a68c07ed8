import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Delivery } from '../../src/grinder/delivery.ts';
import type { Hit } from '../../src/keypair/signing-key.ts';
import { keptLog, until } from '../support/grinding.ts';
import { someKey } from '../support/keys.ts';

const LIMIT = { timeout: 300_000 };

let made = 0;
function hits(count: number): Hit[] {
  return Array.from({ length: count }, () => ({
    pool: `${made++}`,
    ...someKey(),
  }));
}

const namesOf = (some: readonly Hit[]) => some.map(({ pool }) => pool);
const isWiped = ({ key }: Hit) => key.every((byte) => byte === 0);

/** Somebody who posts hits and counts what is acknowledged. */
function sender() {
  return {
    acknowledged: 0,
    stored(count: number) {
      this.acknowledged += count;
    },
  };
}

test('what gathers during a call is one call, up to a batch', LIMIT, async () => {
  const calls: number[] = [];
  const gate = Promise.withResolvers<void>();
  let running = 0;
  const onHits = async (some: Hit[]) => {
    assert.equal(++running, 1, 'one call at a time');
    calls.push(some.length);
    await gate.promise;
    running--;
  };
  const delivery = new Delivery(8, onHits, keptLog().log);
  const [left, right] = [sender(), sender()];
  for (const [count, from] of [
    [1, left],
    [3, left],
    [5, right],
    [2, left],
    [8, right],
  ] as const) {
    delivery.add(hits(count), from);
  }
  delivery.add([], left);
  assert.equal(delivery.size, 19);
  gate.resolve();
  await delivery.close();
  assert.deepEqual(calls, [1, 8, 2, 8]);
  assert.deepEqual([left.acknowledged, right.acknowledged, delivery.size], [6, 13, 0]);
});

test('what is added after all was stored is stored too', LIMIT, async () => {
  const stored: string[] = [];
  const onHits = async (some: Hit[]) => void stored.push(...namesOf(some));
  const delivery = new Delivery(8, onHits, keptLog().log);
  const from = sender();
  for (let round = 1; round <= 3; round++) {
    delivery.add(hits(2), from);
    await until(() => from.acknowledged === 2 * round);
    await turn();
  }
  assert.equal(stored.length, 6);
});

test(
  'a call that fails is made again with the same hits, and none is stored twice',
  LIMIT,
  async () => {
    const { log, lines } = keptLog();
    const calls: string[][] = [];
    const stored: string[] = [];
    const onHits = async (some: Hit[]) => {
      calls.push(namesOf(some));
      assert.ok(!some.some(isWiped), 'a secret is kept until it is stored');
      if (calls.length <= 3) throw new Error('disk full');
      stored.push(...namesOf(some));
    };
    const delivery = new Delivery(4, onHits, log);
    const from = sender();
    const [first, second] = [hits(3), hits(4)];
    delivery.add(first, from);
    delivery.add(second, from);
    await until(() => calls.length === 2);
    assert.deepEqual([from.acknowledged, delivery.size], [0, 7]);
    await until(() => from.acknowledged === 7);
    assert.deepEqual(calls.slice(0, 4), Array(4).fill(namesOf(first)));
    assert.deepEqual(stored, namesOf([...first, ...second]));
    assert.ok([...first, ...second].every(isWiped));
    assert.deepEqual(
      lines.map(({ level, msg }) => `${level} ${msg}`),
      ['error hits cannot be stored; keeping them in memory', 'info hits are stored again'],
    );
  },
);

test('a close waits for a store that fails for a while', LIMIT, async () => {
  let calls = 0;
  const onHits = async () => {
    if (++calls <= 4) throw new Error('busy');
  };
  const { log, lines } = keptLog();
  const delivery = new Delivery(4, onHits, log);
  const from = sender();
  delivery.add(hits(4), from);
  await delivery.close();
  assert.equal(from.acknowledged, 4);
  assert.equal(lines.at(-1)!.msg, 'hits are stored again');
});

test('a close gives up on a store that is gone, says so, and leaves no secret', LIMIT, async () => {
  const { log, lines } = keptLog();
  let calls = 0;
  const onHits = () => {
    calls++;
    return Promise.reject('gone, and no error object');
  };
  const delivery = new Delivery(4, onHits, log);
  const lost = [hits(4), hits(2)];
  const secrets = lost.flat().map(({ key }) => Buffer.from(key).toString('hex'));
  for (const some of lost) delivery.add(some, sender());
  await until(() => calls === 2);
  await delivery.close();
  assert.ok(calls <= 10, `${calls} calls`);
  const { level, msg, hits: count } = lines.at(-1)!;
  assert.deepEqual(
    [level, msg, count],
    ['error', 'hits were lost: the store could not save them', 6],
  );
  assert.ok(lost.flat().every(isWiped));
  assert.equal(delivery.size, 0);
  assert.doesNotMatch(JSON.stringify(lines), new RegExp(`${secrets.join('|')}|publicKey`));
});
