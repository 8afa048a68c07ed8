/**
 * Nodes on one PostgreSQL database for tests, each a process of its own with a data directory of its own, and
 * behind a proxy of its own. What befalls them is done here; the database itself is `server`.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResultRow } from 'pg';
import { PgBouncer } from './pgbouncer.ts';
import { PostgresServer } from './postgres.ts';
import type { Version } from './postgres-program.ts';
import { type Fate, PostgresProxy, type Seen } from './postgres-proxy.ts';
import { type Server, Workspace } from './server.ts';

/** The shortest that there is. */
export const TTL_SECONDS = 10;
/** A long campaign, or a short one on a machine that has no core left. */
const LIFE_MAX_MS = 900_000;
const LOOK_MS = 50;
/** More than clients take while one is cut off. */
const READY = 4;

const SETTINGS = [
  '[http]',
  'drain_seconds = 5',
  '[auth]',
  'required = false',
  '[grinder]',
  'batch = 16',
];

/** Expiries are counted where they happen: what somebody adds to the schema is theirs. */
const WATCH = `CREATE SCHEMA watch;
  CREATE TABLE watch.expiries (epoch bigint NOT NULL, node_id text NOT NULL, durability text NOT NULL);
  CREATE FUNCTION watch.expired() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO watch.expiries VALUES (NEW.epoch, NEW.node_id, NEW.durability);
    RETURN NULL;
  END $$;
  CREATE TRIGGER watch_expired AFTER UPDATE ON vanitypool.epochs FOR EACH ROW
    WHEN (OLD.state <> 'expired' AND NEW.state = 'expired') EXECUTE FUNCTION watch.expired()`;

/** Of one node: commits of its turns meet their fate, and those of keys that another had first are counted. */
class Turns {
  /** Of the next turns, in order; then all pass. */
  readonly fates: Fate[] = [];
  readonly seen = { in: 0, notIn: 0, refusals: 0 };
  /** By connection: what its transaction has done. */
  readonly #open = new Map<number, { isTurn: boolean; isRefusal: boolean }>();

  readonly judge = ({ text, connection }: Seen): Fate => {
    if (text.startsWith('BEGIN')) {
      this.#open.set(connection, { isTurn: false, isRefusal: false });
      return 'pass';
    }
    const open = this.#open.get(connection);
    if (open === undefined) return 'pass';
    if (text.includes('SET turn = turn + 1')) open.isTurn = true;
    if (text.includes('INSERT INTO vanitypool.hand_outs')) open.isRefusal = false;
    // What was popped for a key that is another's is no lease any more.
    if (text.startsWith('DELETE FROM vanitypool.leases')) open.isRefusal = true;
    if (text.startsWith('DELETE FROM vanitypool.hand_outs')) open.isRefusal = false;
    if (text !== 'COMMIT' || !open.isTurn) return 'pass';
    if (open.isRefusal) this.seen.refusals++;
    const fate = this.fates.shift() ?? 'pass';
    if (fate === 'cut-answer') this.seen.in++;
    if (fate === 'lose') this.seen.notIn++;
    return fate;
  };
}

interface Ready {
  readonly pools: readonly { readonly ready: number }[];
}

export class ClusterNode implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly proxy: PostgresProxy;
  readonly turns = new Turns();
  server!: Server;
  /** Clients may ask it; whether they get an answer is another matter. */
  isUp = false;
  /** All servers that it was. */
  readonly servers: Server[] = [];

  constructor(proxy: PostgresProxy) {
    this.proxy = proxy;
    this.workspace.lifeMs = LIFE_MAX_MS;
    proxy.judge = (seen) => {
      proxy.seen.length = 0;
      return this.turns.judge(seen);
    };
  }

  async start(...args: string[]): Promise<Server> {
    this.server = await this.workspace.serve(...args);
    this.servers.push(this.server);
    this.isUp = true;
    return this.server;
  }

  /** Its sockets are closed by the system, as those of a machine that is lost are not. */
  async kill(): Promise<void> {
    this.isUp = false;
    await this.server.kill('SIGKILL');
  }

  freeze(): void {
    this.server.process.kill('SIGSTOP');
  }

  thaw(): void {
    this.server.process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.isUp = false;
    assert.equal(await this.server.kill('SIGTERM'), 0, this.server.output);
  }

  /** Some addresses leave without a look at the database. */
  async untilReady(): Promise<void> {
    for (;;) {
      const { pools } = (await (await fetch(`${this.server.url}/v1/pools`)).json()) as Ready;
      if (pools.every(({ ready }) => ready >= READY)) return;
      await sleep(LOOK_MS);
    }
  }

  get id(): string {
    return JSON.parse(readFileSync(join(this.workspace.data, 'node.json'), 'utf8')).id;
  }

  get token(): string {
    return readFileSync(join(this.workspace.data, 'admin.token'), 'utf8').trim();
  }

  /** Lines of its log, of all its lives. */
  said(message: string): Record<string, unknown>[] {
    return this.servers.flatMap(({ log }) => log.filter(({ msg }) => msg === message));
  }

  async untilSaid(message: string, times: number): Promise<void> {
    while (this.said(message).length < times) await sleep(LOOK_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
  }
}

export interface ClusterOptions {
  readonly pools: readonly Record<string, unknown>[];
  /** Of each node. */
  readonly durabilities: readonly ('leased' | 'committed')[];
  readonly version?: Version;
  /** In transaction mode. */
  readonly isPooled?: boolean;
  /** Of the last node, beside the test's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class Cluster implements AsyncDisposable {
  readonly server: PostgresServer;
  readonly nodes: readonly ClusterNode[];
  /** Of the database, past all proxies. */
  readonly url: string;

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { version = 18, isPooled = false, durabilities, pools, environment = {} } = options;
    await using held = new AsyncDisposableStack();
    const server = held.use(await PostgresServer.start({ version }));
    const url = await server.database();
    const pooler = isPooled && held.use(await PgBouncer.before(server, 'transaction'));
    const way = pooler ? pooler.through(url) : url;
    const nodes: ClusterNode[] = [];
    for (const durability of durabilities) {
      const node = held.use(new ClusterNode(await PostgresProxy.before(Number(new URL(way).port))));
      const place = [`url = "${node.proxy.through(way)}"`, `data = "${node.workspace.data}"`];
      const store = ['[store]', ...place, `durability = "${durability}"`];
      const ttl = `lease_ttl_seconds = ${TTL_SECONDS}`;
      node.workspace.configure(pools, ...store, ttl, ...SETTINGS);
      nodes.push(node);
    }
    nodes.at(-1)!.workspace.environment = environment;
    const [first, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
    await first.start();
    for (const { workspace } of others) shareKey(first.workspace, workspace);
    const cluster = new Cluster(server, nodes, url, held);
    await Promise.all([cluster.sql(WATCH), ...others.map((node) => node.start())]);
    cluster.#held = held.move();
    return cluster;
  }

  #held: AsyncDisposableStack;

  private constructor(
    server: PostgresServer,
    nodes: readonly ClusterNode[],
    url: string,
    held: AsyncDisposableStack,
  ) {
    this.server = server;
    this.nodes = nodes;
    this.url = url;
    this.#held = held;
  }

  sql<R extends QueryResultRow>(text: string, values: unknown[] = []): Promise<R[]> {
    return this.server.sql<R>(text, values, new URL(this.url).pathname.slice(1));
  }

  /** That a node has now. */
  async epochOf({ id }: ClusterNode): Promise<number> {
    const open = `SELECT epoch FROM vanitypool.epochs WHERE node_id = $1 AND state = 'open'`;
    const rows = await this.sql<{ epoch: string }>(open, [id]);
    assert.equal(rows.length, 1, `open epochs of ${id}`);
    return Number(rows[0]!.epoch);
  }

  async expired(): Promise<number[]> {
    const rows = await this.sql<{ epoch: string }>('SELECT epoch FROM watch.expiries ORDER BY 1');
    return rows.map(({ epoch }) => Number(epoch));
  }

  /** By other nodes. */
  async untilExpired(epochs: readonly number[]): Promise<void> {
    for (;;) {
      const expired = await this.expired();
      if (epochs.every((epoch) => expired.includes(epoch))) return;
      await sleep(5 * LOOK_MS);
    }
  }

  /** Of all nodes. */
  async terminateSessions(): Promise<void> {
    await this.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }
}

/** Before the first start of `to`. */
export function shareKey(from: Workspace, to: Workspace): void {
  mkdirSync(to.data, { mode: 0o700 });
  copyFileSync(join(from.data, 'sealing.key'), join(to.data, 'sealing.key'));
}
