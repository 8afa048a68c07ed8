/** Idempotency keys that are asked for at once are one look at the store. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { inTurn } from '../../src/store-thread/in-turn.ts';
import { KeyLooks } from '../../src/store-thread/key-looks.ts';

const keys = Array.from({ length: 5 }, () => randomBytes(32));

test('what is asked for while the store is busy is looked up together, each for itself', async () => {
  const exclusively = inTurn();
  const asked: number[] = [];
  let isBroken = false;
  const store = {
    async areServed(some: readonly Uint8Array[]) {
      asked.push(some.length);
      if (isBroken) throw new VanityError('STORE_UNAVAILABLE', 'not now');
      return some.map((key) => keys.findIndex((one) => one.equals(key)) % 2 === 0);
    },
  };
  const looks = new KeyLooks(store, exclusively);
  const busy = Promise.withResolvers<void>();
  void exclusively(() => busy.promise);
  const all = Promise.all(keys.map((key) => looks.isServed(key)));
  busy.resolve();
  assert.deepEqual(await all, [true, false, true, false, true]);
  assert.equal(await looks.isServed(keys[1]!), false);
  assert.deepEqual(asked, [5, 1]);
  isBroken = true;
  const failed = keys.map((key) => looks.isServed(key));
  for (const one of failed) await assert.rejects(one, { code: 'STORE_UNAVAILABLE' });
  isBroken = false;
  assert.equal(await looks.isServed(keys[0]!), true);
});
