/**
 * The database went back in time: found by what the nodes remember, nothing is leased until all of them have said
 * what they did, what may have left is burned, and nothing else.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { listNodes, retireNode } from '../../src/store/postgres/nodes.ts';
import { EpochOver, StoreRewound } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import { inserted } from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import {
  awake,
  connectionTo,
  left,
  look,
  pool,
  RewoundScene,
  rewound,
} from '../support/rewound-scene.ts';
import { hitsFor } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 300_000, skip };
const open = (count?: number) => RewoundScene.open(stores, server, count);

let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

test('a snapshot: what may have left is burned, and nothing else', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await scene.goesBack(async () => {
    await awake(first.store);
    await scene.lease(first, 20, 15);
  });
  await rewound(() => first.store.turn({ pool, head: 20, wanted: 1 }));
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  const recovered = await first.store.rejoin(left(10, 15));
  assert.deepEqual(recovered, { pet: { dispensed: 10, returned: 0, burned: 0 } });
  assert.equal(await scene.figures(), '65 0 0 20 15');
  assert.equal(await scene.lease(first, 0, 100), 65, 'all that never left');
  await inserted(first.store, pool, 5);
  assert.equal(await scene.lease(first, 65, 100), 5);
  await scene.nodes.check();
});

test('a point in time: the same of what came after it', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.goesBackToPoint(
    async () => {
      for (const { store } of [first, second]) await awake(store);
      await scene.lease(first, 20, 15);
      await scene.lease(second, 0, 10);
    },
    async () => {
      await scene.lease(first, 20, 5);
      await inserted(second.store, pool, 7);
    },
  );
  await rewound(() => first.store.turn({ pool, head: 20, wanted: 1 }));
  await rewound(() => second.store.insert(hitsFor(pool, 1)));
  await assert.rejects(first.store.rejoin(left(20, 18)), StoreRewound);
  const other = await second.store.rejoin(left(0, 3));
  assert.deepEqual(other, { pet: { dispensed: 3, returned: 0, burned: 7 } });
  const own = await first.store.rejoin(left(20, 18));
  assert.deepEqual(own, { pet: { dispensed: 15, returned: 0, burned: 0 } });
  assert.equal(await scene.figures(), '50 0 0 38 12');
  assert.equal((await scene.lease(first, 0, 30)) + (await scene.lease(second, 0, 30)), 50);
  await scene.nodes.check();
});

test('dropped and restored: the same, on a server that is the one it was', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await scene.isReplaced(async () => {
    await awake(first.store);
    await scene.lease(first, 20, 15);
  });
  await rewound(() => first.store.turn({ pool, head: 20, wanted: 1 }));
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  assert.deepEqual(await first.store.rejoin(left(10, 15)), {
    pet: { dispensed: 10, returned: 0, burned: 0 },
  });
  assert.equal(await scene.figures(), '65 0 0 20 15');
  await scene.isReplaced(async () => undefined);
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  await first.store.rejoin(() => []);
  assert.equal(await scene.figures(), '65 0 0 20 15', 'nothing was lost');
  assert.equal(await scene.lease(first, 0, 100), 65);
  await scene.nodes.check();
});

test('what no journal names is burned, too', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await scene.goesBack(async () => {
    await awake(first.store);
    await scene.lease(first, 12, 15);
  });
  await rewound(() => first.store.turn({ pool, head: 12, wanted: 1 }));
  await first.store.rejoin(left(10, 4));
  assert.equal(await scene.figures(), '65 0 0 14 21');
});

test('a snapshot without anything lost burns nothing', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await scene.goesBack(async () => {
    await look(first, server);
  });
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  await rewound(() => first.store.turn({ pool, head: 10, wanted: 1 }));
  const recovered = await first.store.rejoin(left(10, 2));
  assert.deepEqual(recovered, { pet: { dispensed: 2, returned: 8, burned: 0 } });
  assert.equal(await scene.figures(), '88 0 0 12 0');
  assert.equal((await first.store.turn({ pool, head: 0, wanted: 5 })).leased.length, 5);
  await inserted(first.store, pool, 5);
});

test('a node that was killed finds it when it starts', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await scene.goesBack(async () => {
    await awake(first.store);
    await scene.lease(first, 20, 15);
  });
  const store = await first.open({ recover: left(10, 15) });
  assert.deepEqual(store.recovered, { pet: { dispensed: 10, returned: 0, burned: 0 } });
  assert.equal(await scene.figures(), '65 0 0 20 15');
  assert.equal(await scene.lease(first, 0, 100), 65);
});

test('and one that stopped cleanly, also on a machine that was started anew', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await first.store.endQueues([{ pool, head: 20 }], 'return');
  await scene.goesBack(async () => {
    await awake(first.store);
    await scene.lease(first, 20, 15);
    await first.store.endQueues([{ pool, head: 25 }], 'return');
    await first.store.close();
  });
  await first.open({ bootId: 'another' });
  assert.equal(await scene.figures(), '65 0 0 20 15', 'the ten that came back may have left again');
});

test(
  'after a loss of power of its machine a node burns as far as it wrote ahead',
  LIMIT,
  async () => {
    await using scene = await open();
    const { first } = scene;
    await scene.goesBack(async () => {
      await awake(first.store);
      await scene.lease(first, 20, 15);
    });
    await first.open({ bootId: 'another', recover: () => undefined });
    assert.equal(await scene.figures(), '0 0 0 10 90');
  },
);

test('a loss of power of its machine alone is no reason to burn', LIMIT, async () => {
  await using scene = await open();
  await scene.first.open({ bootId: 'another', recover: left(10, 4) });
  assert.equal(await scene.figures(), '86 0 0 14 0');
});

test('one node sees it, and no other leases until all have said what they did', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.lease(second, 0, 10);
  await scene.goesBack(async () => {
    await awake(first.store);
    await scene.lease(first, 20, 15);
  });
  await awake(second.store);
  await rewound(() => first.store.turn({ pool, head: 20, wanted: 1 }));
  await rewound(() => second.store.turn({ pool, head: 0, wanted: 1 }));
  await rewound(() => second.store.insert(hitsFor(pool, 1)));
  await assert.rejects(first.store.rejoin(left(10, 15)), {
    code: 'STORE_REWOUND',
    message: new RegExp(
      `${second.place.node.id}.*vanitypool nodes retire ID --lost-nothing .*--burn`,
    ),
  });
  await assert.rejects(first.store.rejoin(left(10, 15)), StoreRewound, 'once more changes nothing');
  const recovered = await second.store.rejoin(left(0, 3));
  assert.deepEqual(recovered, { pet: { dispensed: 3, returned: 0, burned: 7 } });
  const own = await first.store.rejoin(left(10, 15));
  assert.deepEqual(own, { pet: { dispensed: 10, returned: 0, burned: 0 } });
  assert.equal(await scene.figures(), '55 0 0 23 22');
  assert.equal((await scene.lease(first, 0, 30)) + (await scene.lease(second, 0, 30)), 55);
});

test(
  'a node that says nothing is missing burns nothing, and one behind it does',
  LIMIT,
  async () => {
    await using scene = await open(2);
    const { first, second } = scene;
    await scene.goesBack(async () => {
      await awake(second.store);
      await scene.lease(second, 0, 15);
      await look(first, server);
    });
    await awake(second.store);
    await rewound(() => first.store.insert(hitsFor(pool, 1)));
    await assert.rejects(first.store.rejoin(left(10, 4)), StoreRewound);
    assert.equal(await scene.figures(), '80 10 0 10 0', 'nobody knows yet');
    await assert.rejects(
      second.store.rejoin(() => []),
      StoreRewound,
      'now all are asked again',
    );
    await first.store.rejoin(left(10, 4));
    await second.store.rejoin(() => []);
    assert.equal(await scene.figures(), '65 0 0 14 21');
  },
);

test(
  'one that does not come back is waited for, until somebody says that it lost nothing',
  LIMIT,
  async () => {
    await using scene = await open(2);
    const { first, second } = scene;
    await scene.lease(second, 0, 10);
    await scene.goesBack(async () => {
      await awake(first.store);
      await scene.lease(first, 20, 15);
    });
    await rewound(() => first.store.turn({ pool, head: 20, wanted: 1 }));
    await assert.rejects(first.store.rejoin(left(10, 15)), StoreRewound);
    await using connection = connectionTo(first);
    const { state, nodes } = await listNodes(connection);
    const told = nodes.filter(({ retiredAt }) => retiredAt === null);
    assert.equal(state, 'lost');
    assert.deepEqual(
      told.map(({ id, isConfirmed, leased, role, state }) => [
        id,
        isConfirmed,
        leased,
        role,
        state,
      ]),
      [
        [first.place.node.id, true, 0, 'all', 'stopped'],
        [second.place.node.id, false, 10, 'all', 'missed'],
      ],
    );
    await assert.rejects(retireNode(connection, 'nobody', 'burn'), { code: 'USAGE_INVALID' });
    await retireNode(connection, second.place.node.id, 'lost-nothing');
    await first.store.rejoin(left(10, 15));
    assert.equal(await scene.figures(), '55 0 0 20 25');
    assert.equal(await scene.lease(first, 0, 20), 20);
    // It comes back all the same.
    await awake(second.store).catch(() => undefined);
    await assert.rejects(second.store.turn({ pool, head: 0, wanted: 1 }), EpochOver);
    assert.deepEqual(await second.store.rejoin(left(0, 3)), {
      pet: { dispensed: 3, returned: 0, burned: 7 },
    });
    assert.equal(await scene.figures(), '35 20 0 23 22');
  },
);

test('or that nobody knows what it had', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.goesBack(async () => {
    await awake(second.store);
    await scene.lease(second, 0, 15);
    await look(first, server);
  });
  await awake(second.store);
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  await assert.rejects(first.store.rejoin(left(10, 4)), StoreRewound);
  await using connection = connectionTo(first);
  await retireNode(connection, second.place.node.id, 'burn');
  await rewound(() => first.store.turn({ pool, head: 10, wanted: 1 }));
  await first.store.rejoin(left(10, 4));
  assert.equal(await scene.figures(), '0 0 0 14 86');
  await inserted(first.store, pool, 5);
  assert.equal(await scene.lease(first, 0, 9), 5);
});

test('who was retired with a lie contradicts it', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.goesBack(async () => {
    await awake(second.store);
    await scene.lease(second, 0, 15);
    await look(first, server);
  });
  await awake(second.store);
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  await assert.rejects(first.store.rejoin(left(10, 4)), StoreRewound);
  await using connection = connectionTo(first);
  await retireNode(connection, second.place.node.id, 'lost-nothing');
  await first.store.rejoin(left(10, 4));
  assert.equal(await scene.figures(), '86 0 0 14 0');
  await assert.rejects(
    second.store.rejoin(() => []),
    StoreRewound,
  );
  await rewound(() => first.store.turn({ pool, head: 0, wanted: 1 }));
  await first.store.rejoin(() => []);
  await second.store.rejoin(() => []);
  // Of what was given back 6 may have left, and the lane's first 15 behind what the first had.
  assert.equal(await scene.figures(), '65 0 0 14 21');
});
