/**
 * Nodes whose database goes back in time, for tests: what is leased is leased once, whatever the database says.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../../src/store/postgres/connection.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { EpochOver, type Store, StoreRewound } from '../../src/store/store.ts';
import type { PostgresServer } from './postgres.ts';
import {
  figuresOf,
  handOut,
  inserted,
  type PostgresNode,
  PostgresNodes,
  untilDone,
} from './postgres-nodes.ts';
import type { PostgresStores } from './postgres-stores.ts';
import { hitsFor } from './store-subject.ts';

export const pool = 'pet';

/** Nodes of which the first has leased 20 of 100 addresses and recorded 10, each with a journal. */
export class RewoundScene implements AsyncDisposable {
  readonly nodes: PostgresNodes;
  readonly #server: PostgresServer;
  readonly #given = new Set<number>();

  static async open(
    stores: PostgresStores,
    server: PostgresServer,
    count = 1,
  ): Promise<RewoundScene> {
    const nodes = await PostgresNodes.open(stores, server, count);
    const scene = new RewoundScene(server, nodes);
    await scene.nodes.pool(pool);
    await inserted(scene.first.store, pool, 100);
    await scene.lease(scene.first, 0, 20);
    await scene.lease(scene.first, 10, 0);
    for (const { store } of scene.nodes.nodes) await store.addJournals([{ pool, number: 1 }]);
    return scene;
  }

  private constructor(server: PostgresServer, nodes: PostgresNodes) {
    this.#server = server;
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
      assert.ok(!this.#given.has(id), `${id} is given twice`);
      this.#given.add(id);
    }
    return leased.length;
  }

  async figures(node = this.first): Promise<string> {
    return figuresOf(node.store, pool);
  }

  /** The database has what it had before `work`. */
  async goesBack(work: () => Promise<unknown>): Promise<void> {
    await this.#server.stop();
    const kept = this.#server.keep();
    await this.#server.start();
    await work();
    await this.#server.stop();
    this.#server.putBack(kept);
    await this.#server.start();
  }

  sql(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const { pathname } = new URL(this.first.place.url);
    return this.#server.sql(text, values, pathname.slice(1));
  }

  /** As if no node had seen anything. */
  async asSound(): Promise<void> {
    await this.sql(`UPDATE vanitypool.cluster SET state = 'sound'`);
    await this.sql('UPDATE vanitypool.nodes SET confirmed = true WHERE retired_at IS NULL');
  }

  /** The same after what is done before `work`, which the log of the server has. */
  async goesBackToPoint(
    before: () => Promise<unknown>,
    work: () => Promise<unknown>,
  ): Promise<void> {
    const server = this.#server;
    await server.stop();
    const kept = server.keep();
    await server.start();
    await before();
    await server.sql(`SELECT pg_create_restore_point('point')`);
    await work();
    await server.stop();
    server.recover(kept, 'point');
    await server.start();
    const isThere = 'SELECT pg_is_in_recovery() AS "isStandby"';
    while ((await server.sql<{ isStandby: boolean }>(isThere))[0]!.isStandby) await sleep(20);
  }

  /** The same by a copy of the database, which comes in its place: the server is the one that it was. */
  async isReplaced(work: () => Promise<unknown>): Promise<void> {
    const server = this.#server;
    const name = new URL(this.first.place.url).pathname.slice(1);
    await server.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [
      name,
    ]);
    const kept = new URL(await server.database(name)).pathname.slice(1);
    await work();
    await server.sql(`DROP DATABASE ${name} WITH (FORCE)`);
    await server.sql(`ALTER DATABASE ${kept} RENAME TO ${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nodes[Symbol.asyncDispose]();
  }
}

/** The journal of the queue says that these positions left. */
export const left =
  (position: number, count: number): Recover =>
  () => [handOut(position, { count })];

/** The connections of before are gone: a first call may find that. */
export async function rewound(call: () => Promise<unknown>): Promise<void> {
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
export async function awake(store: Store): Promise<void> {
  await untilDone(() => store.counts(pool));
}

/** Nothing leaves by it, and it knows how far the log had come. */
export async function look({ store }: PostgresNode, server: PostgresServer): Promise<void> {
  await awake(store);
  await untilDone(() => store.insert(hitsFor(pool, 1)));
  await server.sql('SELECT pg_switch_wal()');
  await store.insert(hitsFor(pool, 1));
}

export const connectionTo = ({ place: { url } }: PostgresNode) =>
  new Connection(connectionSettings(url, {}));
