/** What is burned, switched off and given up when a database went back in time, beside what the nodes had leased. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { PostgresServer } from '../support/postgres.ts';
import { handOut, inserted, told } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { awake, left, look, pool, RewoundScene, rewound } from '../support/rewound-scene.ts';
import { hitsFor } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const DAY_MS = 86_400_000;
const open = (count?: number) => RewoundScene.open(stores, server, count);

let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

test('what had been given back may have been leased again', LIMIT, async () => {
  await using scene = await open();
  const { store } = scene.first;
  await store.endQueues([{ pool, head: 10 }], 'return');
  await scene.goesBack(async () => {
    await awake(store);
    assert.equal((await store.turn({ pool, head: 10, wanted: 4 })).leased.length, 4);
  });
  await rewound(() => store.turn({ pool, head: 10, wanted: 1 }));
  await store.rejoin(() => []);
  assert.equal(await scene.figures(), '80 0 0 10 10');
});

test('what a client held may have been let go and leased again', LIMIT, async () => {
  await using scene = await open();
  const { store } = scene.first;
  const id = randomBytes(16).toString('hex');
  const held = handOut(10, { reservation: { id, ttlMs: DAY_MS } });
  await store.turn({ pool, head: 11, wanted: 0, handOuts: told(held) });
  assert.equal(await scene.figures(), '80 9 1 10 0');
  await scene.goesBack(async () => {
    await awake(store);
    await store.reservations.release(id, 0, true);
    assert.equal((await store.turn({ pool, head: 11, wanted: 1 })).leased.length, 1);
  });
  await rewound(() => store.turn({ pool, head: 11, wanted: 1 }));
  await rewound(() => store.reservations.dispense(id, 0, pool));
  await store.rejoin(left(11, 9));
  assert.equal(await scene.figures(), '80 0 0 19 1');
  await assert.rejects(store.reservations.dispense(id, 0, pool), { code: 'RESERVATION_OVER' });
});

test('a failover without a loss keeps both', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const id = randomBytes(16).toString('hex');
  const held = handOut(10, { reservation: { id, ttlMs: DAY_MS } });
  await first.store.turn({ pool, head: 11, wanted: 0, handOuts: told(held) });
  await first.store.endQueues([{ pool, head: 11 }], 'return');
  await scene.goesBack(() => look(first, server));
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  await first.store.rejoin(() => []);
  assert.equal(await scene.figures(), '89 0 1 10 0');
  await first.store.reservations.dispense(id, 0, pool);
});

test('a token that may have been revoked is off until it is restored', LIMIT, async () => {
  await using scene = await open(2);
  const [one, two] = [scene.first.store, scene.second.store];
  const made = (name: string) => {
    const limits = { scopes: ['dispense' as const], pools: undefined, quota: undefined };
    return one.tokens.create({ name, hash: randomBytes(32), ...limits, expiresAt: undefined });
  };
  for (const name of ['kept', 'revoked', 'old']) await made(name);
  await one.tokens.revoke('old');
  for (const store of [one, two]) await store.tokens.all();
  await made('late');
  let lost: number | undefined;
  await scene.goesBack(async () => {
    await awake(one);
    await one.tokens.revoke('revoked');
    lost = (await made('lost')).id;
    await one.tokens.all();
    await scene.lease(scene.first, 20, 1);
  });
  await awake(two);
  await rewound(() => one.turn({ pool, head: 20, wanted: 1 }));
  await assert.rejects(
    two.rejoin(() => []),
    { code: 'STORE_REWOUND' },
  );
  await one.rejoin(() => []);
  await two.rejoin(() => []);
  const states = async () =>
    (await two.tokens.all()).map(({ name, revokedAt, offAt, isForged }) => {
      return [name, revokedAt !== undefined, offAt !== undefined, isForged];
    });
  const others = [
    ['old', true, false, false],
    ['late', false, false, false],
  ];
  const kept = ['kept', false, false, false];
  assert.deepEqual(await states(), [kept, ['revoked', false, true, false], ...others]);
  await two.tokens.restore('revoked');
  assert.deepEqual(await states(), [kept, ['revoked', false, false, false], ...others]);
  // Somebody may still have the other one.
  assert.ok((await made('next')).id > lost!);
});

test('an address that signs may have signed as often as it may', LIMIT, async () => {
  await using scene = await open();
  const { store } = scene.first;
  const signing = 'signed';
  await scene.nodes.pool(signing, 'sign-only');
  await inserted(store, signing, 4);
  const { leased } = await store.turn({ pool: signing, head: 0, wanted: 1 });
  await store.turn({ pool: signing, head: 1, wanted: 0, handOuts: told(handOut(0)) });
  const limits = new Map([[signing, 2]]);
  const sign = (publicKey: Uint8Array, messageHash: Uint8Array) => {
    const order = { publicKey, token: 0, limits, messageHash, sign: () => randomBytes(64) };
    return store.signatures.sign(order);
  };
  const [message, another] = [randomBytes(32), randomBytes(32)];
  const { publicKey } = leased[0]!;
  const signature = await sign(publicKey, message);
  await scene.goesBack(async () => {
    await awake(store);
    await sign(publicKey, another);
    await scene.lease(scene.first, 20, 1);
  });
  await rewound(() => store.turn({ pool, head: 20, wanted: 1 }));
  await rewound(() => sign(publicKey, another));
  await store.rejoin(() => []);
  await assert.rejects(sign(publicKey, randomBytes(32)), { code: 'SIGN_LIMIT_REACHED' });
  assert.deepEqual(Buffer.from(await sign(publicKey, message)), Buffer.from(signature));
  const next = await store.turn({ pool: signing, head: 0, wanted: 1 });
  await store.turn({ pool: signing, head: 1, wanted: 0, handOuts: told(handOut(0)) });
  await sign(next.leased[0]!.publicKey, randomBytes(32));
});

test('what another run had leased that was given up meanwhile is burned', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await first.store.close();
  const committed = await first.open({ durability: 'committed' });
  await committed.turn({ pool, head: 0, wanted: 5 });
  await scene.goesBack(async () => {
    await awake(committed);
    await committed.turn({ pool, head: 0, wanted: 6 });
  });
  await rewound(() => committed.turn({ pool, head: 0, wanted: 1 }));
  assert.deepEqual(await committed.rejoin(() => []), {
    pet: { dispensed: 0, returned: 0, burned: 5 },
  });
});

for (const before of [0, 3_000_000_000]) {
  test(
    `numbers begin far above all that nodes may have had, which were above ${before}`,
    LIMIT,
    async () => {
      await using scene = await open();
      const { store } = scene.first;
      await scene.sql(`UPDATE vanitypool.cluster SET epoch = epoch + $1, lane = lane + $1`, [
        before,
      ]);
      await scene.goesBack(async () => {
        await awake(store);
        await scene.lease(scene.first, 20, 1);
      });
      await rewound(() => store.turn({ pool, head: 20, wanted: 1 }));
      const seconds = Math.floor(Date.now() / 1000) - 60;
      await store.rejoin(() => []);
      const least = Math.max(before + 2 ** 20, seconds);
      assert.ok(store.epoch > least);
      await scene.lease(scene.first, 0, 100);
      await inserted(store, pool, 1);
      const [address] = (await store.turn({ pool, head: 0, wanted: 1 })).leased;
      assert.ok(address!.id > least * 2 ** 20);
    },
  );
}

test('what a node adds afterwards is sealed under another data key', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.goesBack(async () => {
    await awake(second.store);
    // Its first, which makes one.
    await inserted(second.store, pool, 1);
    await look(second, server);
  });
  await awake(first.store);
  await rewound(() => second.store.insert(hitsFor(pool, 1)));
  await assert.rejects(
    second.store.rejoin(() => []),
    { code: 'STORE_REWOUND' },
  );
  await first.store.rejoin(left(10, 10));
  await second.store.rejoin(() => []);
  await inserted(second.store, pool, 3);
  const { leased, burned } = await second.store.turn({ pool, head: 0, wanted: 100 });
  assert.deepEqual([leased.length, burned], [83, 0]);
});
