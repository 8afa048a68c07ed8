/**
 * The database went back in time: found by what the nodes remember, nothing is leased until all of them have said
 * what they did, what may have left is burned, and nothing else.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Connection } from '../../src/store/postgres/connection.ts';
import { listNodes, retireNode } from '../../src/store/postgres/nodes.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { EpochOver, type Store, StoreRewound } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  figuresOf,
  handOut,
  inserted,
  type PostgresNode,
  PostgresNodes,
  untilDone,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { hitsFor } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 60_000, skip };
const pool = 'pet';

let server: PostgresServer;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip === false) server = await PostgresServer.start();
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
});

/** Nodes of which the first has leased 20 of 100 addresses and recorded 10, each with a journal. */
class Scene implements AsyncDisposable {
  readonly nodes: PostgresNodes;
  readonly #given = new Map<number, number>();

  static async open(count = 1): Promise<Scene> {
    const scene = new Scene(await PostgresNodes.open(stores, server, count));
    await scene.nodes.pool(pool);
    await inserted(scene.first.store, pool, 100);
    await scene.lease(scene.first, 0, 20);
    await scene.lease(scene.first, 10, 0);
    for (const { store } of scene.nodes.nodes) await store.addJournals([{ pool, number: 1 }]);
    return scene;
  }

  private constructor(nodes: PostgresNodes) {
    this.nodes = nodes;
  }

  get first(): PostgresNode {
    return this.nodes.nodes[0]!;
  }

  get second(): PostgresNode {
    return this.nodes.nodes[1]!;
  }

  /** No address is given twice. */
  async lease({ store }: PostgresNode, head: number, wanted: number): Promise<number> {
    const { leased } = await store.turn({ pool, head, wanted });
    for (const { id } of leased) {
      assert.equal(this.#given.get(id), undefined, `${id} is given twice`);
      this.#given.set(id, store.epoch);
    }
    return leased.length;
  }

  /** What was leased and surely came back is none that was given. */
  forget(from: number): void {
    const ids = [...this.#given.keys()].sort((a, b) => a - b);
    for (const id of ids.slice(from)) this.#given.delete(id);
  }

  async figures(node = this.first): Promise<string> {
    return figuresOf(node.store, pool);
  }

  /** The database has what it had before `work`. */
  async goesBack(work: () => Promise<unknown>): Promise<void> {
    await server.stop();
    const kept = server.keep();
    await server.start();
    await work();
    await server.stop();
    server.putBack(kept);
    await server.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nodes[Symbol.asyncDispose]();
  }
}

/** The journal of the queue says that these positions left. */
const left =
  (position: number, count: number): Recover =>
  () => [handOut(position, { count })];

/** The connections of before are gone: a first call may find that. */
async function rewound(call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await call();
      assert.fail('done');
    } catch (error) {
      if (error instanceof StoreRewound) return;
      if ((error as { code?: string }).code !== 'STORE_UNAVAILABLE') throw error;
      assert.ok(!(error instanceof EpochOver), 'the run is over');
    }
  }
}

/** The same. */
async function awake(store: Store): Promise<void> {
  await untilDone(() => store.counts(pool));
}

/** Nothing leaves by it, and it knows how far the log had come. */
async function look({ store }: PostgresNode): Promise<void> {
  await awake(store);
  await untilDone(() => store.insert(hitsFor(pool, 1)));
  await server.sql('SELECT pg_switch_wal()');
  await store.insert(hitsFor(pool, 1));
}

test('a snapshot: what may have left is burned, and nothing else', LIMIT, async () => {
  await using scene = await Scene.open();
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

test('what no journal names is burned, too', LIMIT, async () => {
  await using scene = await Scene.open();
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
  await using scene = await Scene.open();
  const { first } = scene;
  await scene.goesBack(async () => {
    await look(first);
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
  await using scene = await Scene.open();
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
  await using scene = await Scene.open();
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
    await using scene = await Scene.open();
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
  await using scene = await Scene.open();
  await scene.first.open({ bootId: 'another', recover: left(10, 4) });
  assert.equal(await scene.figures(), '86 0 0 14 0');
});

test('one node sees it, and no other leases until all have said what they did', LIMIT, async () => {
  await using scene = await Scene.open(2);
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
    await using scene = await Scene.open(2);
    const { first, second } = scene;
    await scene.goesBack(async () => {
      await awake(second.store);
      await scene.lease(second, 0, 15);
      await look(first);
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

const connectionTo = ({ place: { url } }: PostgresNode) =>
  new Connection(connectionSettings(url, {}));

test(
  'one that does not come back is waited for, until somebody says that it lost nothing',
  LIMIT,
  async () => {
    await using scene = await Scene.open(2);
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
        [first.place.node.id, true, 0, 'all', 'settled'],
        [second.place.node.id, false, 10, 'all', 'open'],
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
  await using scene = await Scene.open(2);
  const { first, second } = scene;
  await scene.goesBack(async () => {
    await awake(second.store);
    await scene.lease(second, 0, 15);
    await look(first);
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
  await using scene = await Scene.open(2);
  const { first, second } = scene;
  await scene.goesBack(async () => {
    await awake(second.store);
    await scene.lease(second, 0, 15);
    await look(first);
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
