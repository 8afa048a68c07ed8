/**
 * The database went back in time: found by what the nodes remember, nothing is leased until all of them have said
 * what they did, what may have left is burned, and nothing else.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Recover } from '../../src/store/recovery.ts';
import { EpochOver, type Store, StoreRewound } from '../../src/store/store.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  figuresOf,
  handOut,
  inserted,
  type PostgresNode,
  PostgresNodes,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { hitsFor } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
const LIMIT = { timeout: 120_000, skip };
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

async function awake(store: Store): Promise<void> {
  for (;;) {
    try {
      await store.everywhere();
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== 'STORE_UNAVAILABLE') throw error;
    }
  }
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
    await awake(first.store);
    await server.sql('SELECT pg_switch_wal()');
    await first.store.everywhere();
  });
  await rewound(() => first.store.everywhere());
  await rewound(() => first.store.turn({ pool, head: 10, wanted: 1 }));
  const recovered = await first.store.rejoin(left(10, 2));
  assert.deepEqual(recovered, { pet: { dispensed: 2, returned: 8, burned: 0 } });
  assert.equal(await scene.figures(), '88 0 0 12 0');
  assert.equal((await first.store.turn({ pool, head: 0, wanted: 5 })).leased.length, 5);
  await inserted(first.store, pool, 5);
});
