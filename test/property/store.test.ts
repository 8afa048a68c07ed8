/**
 * The SQLite store against a plain model: for each pool an array of keys with their states,
 * and one array of what is leased, in order. Random calls, openings clean and not, and two pools.
 * After each run the file is checked from outside. FC_RUNS sets how many runs.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Hit, KEY_TYPES, type SigningKey } from '../../src/keypair/signing-key.ts';
import type { PoolCounts } from '../../src/store/address.ts';
import type { Store } from '../../src/store/store.ts';
import { SqliteStores } from '../support/sqlite-stores.ts';
import { ANY_AGE, poolNamed } from '../support/store-subject.ts';
import { returnLease } from '../support/turns.ts';

const RUNS = Number(process.env.FC_RUNS ?? 18);
const POOLS = ['pet', 'pump'] as const;

type Call =
  | { readonly name: 'insert'; readonly pool: number; readonly keys: readonly number[] }
  | {
      readonly name: 'turn';
      readonly pool: number;
      readonly share: number;
      readonly wanted: number;
    }
  | { readonly name: 'returnLease'; readonly pool: number }
  | { readonly name: 'destroy' }
  | { readonly name: 'reopen'; readonly isClean: boolean };

const pool = fc.nat({ max: 1 });
const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      name: fc.constant('insert' as const),
      pool,
      // From few enough keys that some come twice.
      keys: fc.array(fc.nat({ max: 400 }), { maxLength: 40 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      name: fc.constant('turn' as const),
      pool,
      share: fc.integer({ min: 0, max: 100 }),
      wanted: fc.nat({ max: 30 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('returnLease' as const), pool }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('destroy' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ name: fc.constant('reopen' as const), isClean: fc.boolean() }),
  },
);

/** One pool has keys of each type. */
function keyOf(pool: number, key: number): SigningKey {
  const bytes = createHash('sha512').update(`key ${key}`).digest();
  const publicKey = bytes.subarray(32);
  if (KEY_TYPES[pool] === 'seed') return { keyType: 'seed', key: bytes, publicKey };
  return { keyType: 'expanded', key: Buffer.from(bytes).reverse(), publicKey };
}

function partsOf({ key, publicKey }: SigningKey): string[] {
  return [key, publicKey].map((bytes) => Buffer.from(bytes).toString('hex'));
}

class ModelPool {
  /** By key, oldest first. */
  available: number[] = [];
  leased: number[] = [];
  dispensed = 0;
  burned = 0;
  ground = 0;
  destroyed = 0;
  /** Of its queue: what is recorded. */
  position = 0;

  get counts(): PoolCounts {
    const { dispensed, burned, ground } = this;
    const [available, leased] = [this.available.length, this.leased.length];
    return {
      available,
      leased,
      leasedHere: leased,
      reserved: 0,
      dispensed,
      burned,
      ground,
      imported: 0,
    };
  }
}

class Model {
  readonly pools = POOLS.map(() => new ModelPool());
  readonly seen = new Set<number>();
  /** Ids by key: given in the order of insertion. */
  readonly ids = new Map<number, number>();
}

async function apply(call: Call, model: Model, stores: SqliteStores, store: Store): Promise<Store> {
  switch (call.name) {
    case 'insert': {
      const pool = model.pools[call.pool]!;
      const hits: Hit[] = call.keys.map((key) => ({
        pool: POOLS[call.pool]!,
        ...keyOf(call.pool, key),
      }));
      const fresh = [...new Set(call.keys)].filter((key) => !model.seen.has(key));
      const report = await store.insert(hits);
      assert.deepEqual(report, {
        inserted: fresh.length,
        duplicates: hits.length - fresh.length,
      });
      for (const key of fresh) {
        model.seen.add(key);
        model.ids.set(key, model.ids.size + 1);
        pool.available.push(key);
      }
      pool.ground += fresh.length;
      return store;
    }
    case 'turn': {
      const pool = model.pools[call.pool]!;
      const dispensed = Math.floor((pool.leased.length * call.share) / 100);
      pool.leased.splice(0, dispensed);
      pool.dispensed += dispensed;
      pool.position += dispensed;
      const position = pool.position + pool.leased.length;
      const wanted = pool.available.splice(0, call.wanted);
      pool.leased.push(...wanted);
      const order = { pool: POOLS[call.pool]!, head: pool.position };
      const report = await store.turn({ ...order, wanted: call.wanted });
      assert.deepEqual([report.position, report.refused], [position, []]);
      const again = await store.turn({ ...order, wanted: 0 });
      assert.deepEqual([again.leased, again.counts], [[], report.counts], 'the same order is one');
      assert.deepEqual(
        report.leased.map((leased) => [leased.id, ...partsOf(leased)]),
        wanted.map((key) => [model.ids.get(key), ...partsOf(keyOf(call.pool, key))]),
      );
      assert.deepEqual([report.burned, report.counts], [0, pool.counts]);
      return store;
    }
    case 'returnLease': {
      const pool = model.pools[call.pool]!;
      assert.equal(await returnLease(store, POOLS[call.pool]!), pool.leased.length);
      pool.available.unshift(...pool.leased.splice(0));
      return store;
    }
    case 'destroy': {
      const over = ({ dispensed, burned, destroyed }: ModelPool) => dispensed + burned - destroyed;
      const due = model.pools.reduce((sum, pool) => sum + over(pool), 0);
      assert.equal(await store.dueSecrets(ANY_AGE), due);
      let destroyed = 0;
      for (let piece = 1; piece > 0; destroyed += piece)
        piece = await store.destroySecrets(ANY_AGE);
      assert.equal(destroyed, due);
      for (const pool of model.pools) pool.destroyed = pool.dispensed + pool.burned;
      return store;
    }
    case 'reopen': {
      if (call.isClean) {
        for (const name of POOLS) await returnLease(store, name);
        for (const pool of model.pools) pool.available.unshift(...pool.leased.splice(0));
      }
      const burned = model.pools.map((pool) => pool.leased.splice(0).length);
      model.pools.forEach((pool, index) => {
        pool.burned += burned[index]!;
        pool.position = 0;
      });
      const reopened = await stores.reopen(store);
      assert.equal(reopened.epoch, store.epoch + 1);
      const expected = POOLS.map((name, index) => [name, burned[index]!] as const);
      const left = expected.filter(([, count]) => count > 0);
      assert.deepEqual(
        reopened.recovered,
        Object.fromEntries(
          left.map(([name, count]) => [name, { dispensed: 0, returned: 0, burned: count }]),
        ),
      );
      return reopened;
    }
  }
}

test('any calls in any order do what the model does', async () => {
  const stores = new SqliteStores();
  const calls = fc.array(call, { minLength: 1, maxLength: 40, size: 'max' });
  await fc.assert(
    fc.asyncProperty(calls, async (calls) => {
      const model = new Model();
      let store = await stores.open();
      try {
        for (const [index, name] of POOLS.entries()) {
          await store.definePool(poolNamed(name, KEY_TYPES[index]));
        }
        for (const call of calls) {
          store = await apply(call, model, stores, store);
          const pools = await store.pools();
          assert.deepEqual(
            pools.map(({ counts }) => counts),
            model.pools.map(({ counts }) => counts),
          );
        }
      } finally {
        await stores.destroy(store);
      }
    }),
    { numRuns: RUNS },
  );
});
