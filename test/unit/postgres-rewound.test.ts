/**
 * The database went back in time: found by what the nodes remember, nothing is leased until all of them have said
 * what they did, what may have left is burned, and nothing else.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { listNodes, retireNode } from '../../src/store/postgres/nodes.ts';
import { EpochOver, StoreRewound } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  Hold,
  inserted,
  type PostgresNode,
  UNHEARD,
  untilDone,
  whileUnderWay,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import type { Fate } from '../support/postgres-proxy.ts';
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
  const recovered = await first.store.rejoin(left(10, 4));
  assert.deepEqual(recovered, { pet: { dispensed: 4, returned: 0, burned: 6 } });
  assert.equal(await scene.figures(), '65 0 0 14 21');
});

test('a run that is missing as a whole was lost, whatever it did', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await first.store.endQueues([{ pool, head: 12 }], 'return');
  await scene.goesBack(async () => {
    await awake(first.store);
    await first.store.close();
    await first.open();
  });
  await rewound(() => first.store.turn({ pool, head: 0, wanted: 1 }));
  await first.store.rejoin(() => []);
  assert.equal(await scene.figures(), '80 0 0 12 8', 'what was given back may have left by then');
});

test('a snapshot without anything lost burns nothing', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  await scene.goesBack(async () => {
    await look(first, server);
  });
  await rewound(() => first.store.turn({ pool, head: 10, wanted: 1 }));
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  const recovered = await first.store.rejoin(left(10, 2));
  assert.deepEqual(recovered, { pet: { dispensed: 2, returned: 8, burned: 0 } });
  assert.equal(await scene.figures(), '88 0 0 12 0');
  assert.equal((await first.store.turn({ pool, head: 0, wanted: 5 })).leased.length, 5);
  await inserted(first.store, pool, 5);
});

/** What the first beat of a node says: no other look is answered before its end. */
async function beaten({ proxy, store }: PostgresNode): Promise<Error | undefined> {
  const [said, ended] = [Promise.withResolvers<Error | undefined>(), Promise.withResolvers<void>()];
  let beats = 0;
  proxy.judge = async ({ connection, text }): Promise<Fate> => {
    if (text.includes('SET beats')) beats = connection;
    if (connection === beats && /^(COMMIT|ROLLBACK)$/.test(text)) ended.resolve();
    if (text.startsWith('SELECT version')) await ended.promise;
    return 'pass';
  };
  let deadlines = 0;
  // The first is that of its beginning.
  const deadline = () => void (++deadlines > 1 && said.resolve(undefined));
  using _ = store.watch({ ...UNHEARD, deadline, over: said.resolve });
  return await said.promise;
}

test('an insert sees it by itself, and so does a beat', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const other = await scene.nodes.pool('other');
  const inOther = () => inserted(first.store, other, 1);
  await inOther();
  await scene.goesBack(async () => {
    await awake(first.store);
    await inOther();
    await server.sql('SELECT pg_switch_wal()');
    await inOther();
  });
  await awake(first.store);
  assert.ok((await beaten(first)) instanceof StoreRewound);
  await scene.asSound();
  // Of a lane that is as it left it.
  await rewound(() => first.store.insert(hitsFor(pool, 1)));
  await first.store.rejoin(left(10, 10));
});

test('a commit without an answer hides nothing that is missing', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const { store } = first;
  await scene.goesBack(async () => {
    await awake(store);
    await scene.lease(first, 20, 5);
    first.commits('cut-answer');
    await assert.rejects(store.turn({ pool, head: 20, wanted: 5 }), { code: 'STORE_UNAVAILABLE' });
    first.pass();
  });
  // More than was lost.
  await server.sql('SELECT pg_switch_wal()');
  await rewound(() => store.turn({ pool, head: 20, wanted: 1 }));
  await store.rejoin(left(10, 10));
  assert.equal(await scene.figures(), '75 0 0 20 5', 'nothing left of what was not answered');
  // The same of a lane, which is looked at by the insert itself.
  await inserted(store, pool, 5);
  let isFilling = false;
  first.fate(async (_number, text) => {
    isFilling ||= text.startsWith('UPDATE vanitypool.lane_ends');
    if (isFilling && text.startsWith('SELECT filled')) {
      isFilling = false;
      await scene.sql(
        'UPDATE vanitypool.lane_ends SET filled = filled - 5 WHERE writer IS NOT NULL',
      );
    }
    return isFilling && text === 'COMMIT' ? 'lose' : 'pass';
  });
  await rewound(() => store.insert(hitsFor(pool, 1)));
  first.pass();
  await scene.sql('UPDATE vanitypool.lane_ends SET filled = filled + 5 WHERE writer IS NOT NULL');
});

test('a run whose number another one has got is over', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const { store } = first;
  const other = await scene.nodes.pool('other');
  const run = Buffer.alloc(16, 7);
  for (const table of ['epochs', 'queues']) {
    await scene.sql(`UPDATE vanitypool.${table} SET run = $1 WHERE epoch = $2`, [run, store.epoch]);
  }
  for (const call of [
    () => store.turn({ pool, head: 11, wanted: 1 }),
    // It has no queue of it yet.
    () => store.turn({ pool: other, head: 0, wanted: 0 }),
    () => store.insert(hitsFor(pool, 1)),
  ]) {
    await rewound(call);
    await scene.asSound();
  }
  assert.ok((await beaten(first)) instanceof StoreRewound);
  await scene.asSound();
});

/** Columns of the row that says which database it lies in, and what another one would have there. */
const OTHERS = {
  system_id: `'1'`,
  timeline: `'000000FF'`,
  database_oid: '1',
  table_oid: '1',
};

test('a database that is another one is found, whatever differs', LIMIT, async () => {
  await using scene = await open();
  const { store } = scene.first;
  const seen = async (name: string) => {
    // It begins a lane there, and nothing but that asks which database it is.
    const fresh = await scene.nodes.pool(name);
    await rewound(() => store.insert(hitsFor(fresh, 1)));
    await store.rejoin(left(10, 10));
    await inserted(store, fresh, 1);
  };
  for (const [column, value] of Object.entries(OTHERS)) {
    await scene.sql(`UPDATE vanitypool.cluster SET ${column} = ${value}`);
    await seen(column);
  }
  // All nodes but this one have agreed that it is right.
  await scene.sql(`CREATE TABLE vanitypool.other (LIKE vanitypool.cluster INCLUDING ALL);
    INSERT INTO vanitypool.other SELECT * FROM vanitypool.cluster;
    DROP TABLE vanitypool.cluster;
    ALTER TABLE vanitypool.other RENAME TO cluster;
    UPDATE vanitypool.cluster SET table_oid = 'vanitypool.cluster'::regclass::oid::bigint`);
  await seen('agreed');
  assert.equal(await scene.figures(), '80 0 0 20 0');
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

test('and so it does where it remembers nothing that is missing', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.goesBack(() => look(second, server));
  await rewound(() => second.store.insert(hitsFor(pool, 1)));
  const starting = () => first.open({ bootId: 'another', recover: () => undefined });
  await assert.rejects(starting(), { code: 'STORE_REWOUND' });
  await second.store.rejoin(() => []);
  await starting();
  assert.equal(await scene.figures(), '0 0 0 10 90', 'what it wrote last may be gone, too');
});

test('a loss of power of its machine alone is no reason to burn', LIMIT, async () => {
  await using scene = await open();
  const { first } = scene;
  const store = await first.open({ bootId: 'another', recover: left(10, 4) });
  assert.equal(await scene.figures(), '86 0 0 14 0');
  // From then on it knows exactly what it leases.
  await scene.goesBack(async () => {
    await awake(store);
    await store.turn({ pool, head: 0, wanted: 9 });
  });
  await rewound(() => store.turn({ pool, head: 0, wanted: 1 }));
  await store.rejoin(() => []);
  assert.equal(await scene.figures(), '77 0 0 14 9', 'of six that had come back, and three more');
});

test('one node sees it, and no other leases until all have said what they did', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  await scene.lease(second, 0, 10);
  await inserted(second.store, pool, 1);
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
  assert.equal(await scene.figures(), '56 0 0 23 22');
  assert.equal((await scene.lease(first, 0, 30)) + (await scene.lease(second, 0, 30)), 56);
});

for (const how of ['joins', 'starts'] as const) {
  test(
    `one that had seen more than the others asks them once, and ${how} again`,
    LIMIT,
    async () => {
      await using scene = await open(2);
      const { first, second } = scene;
      await scene.goesBack(async () => {
        await awake(second.store);
        // Further than the database comes until all have said what they did.
        await server.sql('SELECT pg_switch_wal()');
        await scene.lease(second, 0, 1);
      });
      for (const { store } of [first, second]) await awake(store);
      await rewound(() => second.store.turn({ pool, head: 0, wanted: 1 }));
      const again = () => (how === 'joins' ? second.store.rejoin(() => []) : second.open());
      await assert.rejects(again(), { code: 'STORE_REWOUND' });
      await first.store.rejoin(left(10, 10));
      await again();
      assert.equal(await scene.lease(first, 0, 40), 40);
      assert.equal(await scene.lease(second, 0, 40), 39);
    },
  );
}

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
    assert.equal((await listNodes(connection)).state, 'sound', 'nobody else is missed');
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
    const { nodes: known } = await listNodes(connection);
    const back = known.find(({ id }) => id === second.place.node.id);
    assert.equal(back!.retiredAt, null, 'and is asked the next time');
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

test('what a turn is leasing at that moment is burned, too', LIMIT, async () => {
  await using scene = await open(2);
  const { first, second } = scene;
  const hold = new Hold(first, (_number, text) => text.includes('INTO vanitypool.leases'));
  const turn = first.store.turn({ pool, head: 10, wanted: 1 });
  await hold.reached;
  await using connection = connectionTo(second);
  // It waits for the lane, and for no lock for ever.
  const retired = untilDone(() => retireNode(connection, second.place.node.id, 'burn'));
  const waiting = `SELECT FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()`;
  await whileUnderWay(retired, async () => (await scene.sql(waiting)).length > 0);
  hold.release();
  assert.equal((await turn).leased.length, 1);
  await retired;
  assert.equal(await scene.figures(), '0 11 0 10 79');
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
