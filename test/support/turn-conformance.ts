/**
 * What every store must do for a queue: orders that come twice, hand-outs that it refuses, and the end. Each
 * test has eight addresses in the pool 'pet', of which five are leased.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { addressOf } from '../../src/keypair/address.ts';
import type { HandOut, HandOuts } from '../../src/store/hand-out.ts';
import type { TurnReport } from '../../src/store/store.ts';
import { DAY_MS } from '../../src/store/token-store.ts';
import { hexOf, type Subject } from './store-subject.ts';

const AT = Date.now();
const pool = 'pet';

const told = (...records: HandOut[]): HandOuts => ({ records, journals: new Map() });
const handOut = (position: number, more: Partial<HandOut> = {}): HandOut => ({
  ...{ position, count: 1, at: AT, token: 0 },
  ...more,
});
const keyed = () => ({ key: randomBytes(32), body: randomBytes(32), mayBeRefused: true as const });
const idsOf = ({ leased }: Pick<TurnReport, 'leased'>) => leased.map(({ id }) => id);

async function tokenIn({ store }: Subject): Promise<number> {
  const limits = { scopes: ['dispense' as const], pools: undefined, quota: undefined };
  const token = { name: 'shop', hash: randomBytes(32), ...limits, expiresAt: undefined };
  return (await store.tokens.create(token)).id;
}

export function turnConformance(openEmpty: () => Promise<Subject>): void {
  const open = async () => {
    const subject = await openEmpty();
    const hits = await subject.insert(8);
    const first = await subject.store.turn({ pool, head: 0, wanted: 5 });
    assert.deepEqual(first.leased.map(hexOf), hits.slice(0, 5).map(hexOf));
    return Object.assign(subject, { inserted: hits, ids: idsOf(first) });
  };

  test('what is leased has the positions behind what was leased before', async () => {
    await using subject = await open();
    const { store } = subject;
    const second = await store.turn({ pool, head: 2, wanted: 2 });
    assert.deepEqual([second.position, second.leased.length], [5, 2]);
    assert.deepEqual([second.counts.leased, second.counts.leasedHere], [5, 5]);
    const third = await store.turn({ pool, head: 7, wanted: 9 });
    assert.deepEqual([third.position, third.leased.length], [7, 1]);
    const stored = (await store.pools()).find(({ name }) => name === pool);
    assert.equal(stored!.position, 7);
  });

  test('an order that comes again changes nothing, and neither does one from before', async () => {
    await using subject = await open();
    const { store } = subject;
    const token = await tokenIn(subject);
    const { key, body } = keyed();
    const id = 'a'.repeat(32);
    const handOuts = told(
      handOut(0, { key, body, token }),
      handOut(1, { count: 2, token }),
      handOut(3, { token, reservation: { id, ttlMs: DAY_MS } }),
    );
    const done = await store.turn({ pool, head: 4, wanted: 0, handOuts });
    for (const head of [4, 1]) {
      const again = await store.turn({ pool, head, wanted: 0, handOuts });
      assert.deepEqual({ ...again, failure: undefined }, { ...done, leased: [] });
    }
    assert.equal(await subject.figures(), '3 1 3 0');
    assert.equal(await store.tokens.used(token, Math.floor(AT / DAY_MS)), 4);
    assert.deepEqual(idsOf({ leased: (await store.handOut(key, pool))!.addresses! }), [
      subject.ids[0],
    ]);
    const { state, address } = await store.reservations.get(id, token);
    assert.deepEqual([state, address], ['reserved', addressOf(subject.inserted[3]!.publicKey)]);
  });

  test('a record that comes late is recorded once', async () => {
    await using subject = await open();
    const { store } = subject;
    const token = await tokenIn(subject);
    await store.turn({ pool, head: 3, wanted: 0 });
    const handOuts = told(handOut(1, { count: 2, token }));
    for (let time = 0; time < 2; time++) await store.turn({ pool, head: 3, wanted: 0, handOuts });
    assert.equal(await store.tokens.used(token, Math.floor(AT / DAY_MS)), 2);
    assert.equal(await subject.figures(), '3 2 3 0');
  });

  test('a record that is new beside one that comes again is recorded', async () => {
    await using subject = await open();
    const { store } = subject;
    const token = await tokenIn(subject);
    const records = [0, 1, 2].map((position) => handOut(position, { token }));
    for (const head of [2, 3]) {
      await store.turn({ pool, head, wanted: 0, handOuts: told(...records.slice(0, head)) });
    }
    assert.equal(await store.tokens.used(token, Math.floor(AT / DAY_MS)), 3);
  });

  test('a head behind all that is leased is refused, and nothing of the order happens', async () => {
    await using subject = await open();
    const { store } = subject;
    const { key, body } = keyed();
    const handOuts = told(handOut(0, { key, body }));
    await assert.rejects(store.turn({ pool, head: 6, wanted: 2, handOuts }), RangeError);
    assert.equal(await subject.figures(), '3 5 0 0');
    assert.equal(await store.handOut(key, pool), undefined);
  });

  test('an idempotency key that was served is refused: the first reply stands, and the addresses come again', async () => {
    await using subject = await open();
    const { store, ids } = subject;
    const [mine, other] = [keyed(), keyed()];
    await store.turn({ pool, head: 1, wanted: 0, handOuts: told(handOut(0, mine)) });
    const handOuts = told(handOut(1), handOut(2, { ...mine, count: 2 }), handOut(4, other));
    const { refused, counts } = await store.turn({ pool, head: 5, wanted: 0, handOuts });
    assert.deepEqual(refused, [{ position: 2, why: 'key' }]);
    assert.deepEqual([counts.available, counts.leased, counts.dispensed], [5, 0, 3]);
    const replies = [mine, other].map(async ({ key }) =>
      idsOf({ leased: (await store.handOut(key, pool))!.addresses! }),
    );
    assert.deepEqual(await Promise.all(replies), [[ids[0]], [ids[4]]], 'behind the gap, too');
    const next = await store.turn({ pool, head: 5, wanted: 3 });
    assert.equal(next.position, 5);
    assert.deepEqual(idsOf(next).slice(0, 2), [ids[2], ids[3]], 'the oldest first');
    const asked = [mine.key, randomBytes(32), other.key];
    assert.deepEqual(await store.areServed(asked), [true, false, true]);
    assert.deepEqual(await store.areServed([]), []);
    await store.turn({ pool, head: 6, wanted: 0, handOuts: told(handOut(5, keyed())) });
    assert.equal(await subject.figures(), '2 2 4 0');
  });

  test('of two records with one key in one turn the first is taken', async () => {
    await using subject = await open();
    const { store, ids } = subject;
    const same = keyed();
    const handOuts = told(handOut(0, same), handOut(1, same));
    const { refused } = await store.turn({ pool, head: 2, wanted: 0, handOuts });
    assert.deepEqual(refused, [{ position: 1, why: 'key' }]);
    const found = await store.handOut(same.key, pool);
    assert.deepEqual(idsOf({ leased: found!.addresses! }), [ids[0]]);
    assert.equal(await subject.figures(), '4 3 1 0');
  });

  test('a quota is counted over all turns of the UTC day, and what exceeds it is refused', async () => {
    await using subject = await open();
    const { store } = subject;
    const token = await tokenIn(subject);
    const take = (position: number, count = 1) =>
      handOut(position, { token, count, quota: 3, mayBeRefused: true });
    const first = { pool, head: 4, wanted: 0, handOuts: told(take(0, 2), take(2, 2)) };
    assert.deepEqual((await store.turn(first)).refused, [{ position: 2, why: 'quota' }]);
    // Two of them came back, and are leased again behind the last.
    await store.turn({ pool, head: 4, wanted: 5 });
    const second = { pool, head: 6, wanted: 0, handOuts: told(take(4), take(5)) };
    assert.deepEqual((await store.turn(second)).refused, [{ position: 5, why: 'quota' }]);
    const day = Math.floor(AT / DAY_MS);
    const used = [day - 1, day, day + 1].map((one) => store.tokens.used(token, one));
    assert.deepEqual(await Promise.all(used), [0, 3, 0]);
    assert.equal(await subject.figures(), '1 4 3 0');
  });

  test('nothing is held by a reservation that is refused', async () => {
    await using subject = await open();
    const { store } = subject;
    const same = keyed();
    const held = (position: number) => {
      const reservation = { id: String(position).repeat(32), ttlMs: DAY_MS };
      return handOut(position, { ...same, reservation });
    };
    const { refused, counts } = await store.turn({
      ...{ pool, head: 2, wanted: 0 },
      handOuts: told(held(0), held(1)),
    });
    assert.deepEqual(refused, [{ position: 1, why: 'key' }]);
    assert.deepEqual([counts.reserved, counts.available], [1, 4]);
    await assert.rejects(store.reservations.get('1'.repeat(32), 0), {
      code: 'RESERVATION_NOT_FOUND',
    });
  });

  test('queues end together: what was popped is recorded, the rest returns, and once more is nothing', async () => {
    await using subject = await open();
    const { store, ids } = subject;
    await store.insert(subject.hits(2, 'pump'));
    await store.turn({ pool: 'pump', head: 0, wanted: 2 });
    const same = keyed();
    const queues = [
      { pool, head: 3, handOuts: told(handOut(0, same), handOut(1, same)) },
      { pool: 'pump', head: 1 },
    ];
    const ended = await store.endQueues(queues, 'return');
    const refused = [{ position: 1, why: 'key', pool }];
    assert.deepEqual(ended, { rest: 3, refused, failure: undefined });
    for (let time = 0; time < 2; time++) {
      assert.equal(await subject.figures(), '6 0 2 0');
      assert.equal(await subject.figures('pump'), '1 0 1 0');
      const again = { rest: 0, refused: [], failure: undefined };
      const bare = queues.map((queue) => ({ ...queue, handOuts: told() }));
      assert.deepEqual(await store.endQueues(bare, 'return'), again);
    }
    const next = await store.turn({ pool, head: 3, wanted: 9 });
    assert.deepEqual([next.position, next.leased.length, idsOf(next)[0]], [3, 6, ids[1]]);
    await subject.reopen();
    assert.equal(await subject.figures(), '0 0 2 6', 'it had not ended');
  });

  test('a queue that ends may burn what it had, and no more', async () => {
    await using subject = await open();
    const ended = await subject.store.endQueues([{ pool, head: 2 }], 'burn');
    assert.deepEqual(ended, { rest: 3, refused: [], failure: undefined });
    assert.equal(await subject.figures(), '3 0 2 3');
  });
}
