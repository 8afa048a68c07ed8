/**
 * Nodes on one PostgreSQL database for tests, each a process of its own with a data directory of its own, and
 * behind a proxy of its own, or at the end of a cable. What befalls them is done here; the database itself is `server`.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResultRow } from 'pg';
import type { Cable } from './cable.ts';
import { PgBouncer } from './pgbouncer.ts';
import { type PostgresOptions, PostgresServer } from './postgres.ts';
import type { Version } from './postgres-program.ts';
import { type Fate, PostgresProxy, type Seen } from './postgres-proxy.ts';
import { Relay } from './relay.ts';
import { type Server, Workspace } from './server.ts';

/** The shortest that there is. */
export const TTL_SECONDS = 10;
/** A long campaign, or a short one on a machine that has no core left. */
const LIFE_MAX_MS = 900_000;
const LOOK_MS = 50;
/** However the test ends. */
const KILLED_WITH_TEST = ['setpriv', '--pdeathsig', 'KILL'];
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

export interface NodeOptions {
  /** `leased` if not given. */
  readonly durability?: 'leased' | 'committed';
  /** `TTL_SECONDS` if not given. */
  readonly ttlSeconds?: number;
  /** It runs at the other end: it reaches the database through this alone, and is asked through a socket. */
  readonly cable?: Cable;
  /** Beside the test's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

interface Ready {
  readonly pools: readonly { readonly name: string; readonly ready: number }[];
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
  readonly #cable: Cable | undefined;
  #relay: Relay | undefined;

  constructor(proxy: PostgresProxy, { cable, environment = {} }: NodeOptions) {
    this.proxy = proxy;
    this.#cable = cable;
    this.workspace.lifeMs = LIFE_MAX_MS;
    this.workspace.launcher = [...(cable?.launcher ?? []), ...KILLED_WITH_TEST];
    this.workspace.environment = environment;
    proxy.judge = (seen) => {
      proxy.seen.length = 0;
      return this.turns.judge(seen);
    };
  }

  async start(...args: string[]): Promise<Server> {
    const socket = join(this.workspace.path, 'socket');
    const place = this.#cable === undefined ? [] : ['--host', `unix:${socket}`];
    this.server = await this.workspace.serve(...place, ...args);
    this.servers.push(this.server);
    if (this.#cable !== undefined) {
      this.#relay ??= await Relay.to(socket);
      this.server.url = this.#relay.url;
    }
    this.isUp = true;
    return this.server;
  }

  /** Of this node for its store. */
  through(url: string): string {
    return (this.#cable ?? this.proxy).through(url);
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

  /** Some addresses leave without a look at the database: of one pool, or of each. */
  async untilReady(pool?: string): Promise<void> {
    for (;;) {
      const { pools } = (await (await fetch(`${this.server.url}/v1/pools`)).json()) as Ready;
      const wanted = pools.filter(({ name }) => pool === undefined || name === pool);
      if (wanted.every(({ ready }) => ready >= READY)) return;
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
    await this.#relay?.[Symbol.asyncDispose]();
    await this.workspace[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
  }
}

export interface ClusterOptions {
  readonly pools: readonly Record<string, unknown>[];
  readonly nodes: readonly NodeOptions[];
  readonly version?: Version;
  /** In transaction mode. */
  readonly isPooled?: boolean;
  /** Of the server. */
  readonly places?: PostgresOptions['places'];
}

export class Cluster implements AsyncDisposable {
  readonly server: PostgresServer;
  readonly nodes: readonly ClusterNode[];
  /** Of the database, past all proxies. */
  readonly url: string;

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { version = 18, isPooled = false, pools, places } = options;
    await using held = new AsyncDisposableStack();
    const settings = listening(options.nodes.flatMap(({ cable }) => cable ?? []));
    const started = PostgresServer.start({ version, settings, ...(places && { places }) });
    const server = held.use(await started);
    const url = await server.database();
    const pooler = isPooled && held.use(await PgBouncer.before(server, 'transaction'));
    const way = pooler ? pooler.through(url) : url;
    const nodes: ClusterNode[] = [];
    for (const wanted of options.nodes) {
      const { durability = 'leased', ttlSeconds = TTL_SECONDS } = wanted;
      const proxy = await PostgresProxy.before(Number(new URL(way).port));
      const node = held.use(new ClusterNode(proxy, wanted));
      const place = [`url = "${node.through(way)}"`, `data = "${node.workspace.data}"`];
      const store = ['[store]', ...place, `durability = "${durability}"`];
      const ttl = `lease_ttl_seconds = ${ttlSeconds}`;
      node.workspace.configure(pools, ...store, ttl, ...SETTINGS);
      nodes.push(node);
    }
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

  /** One that may take so many a day. */
  async token(quota: number): Promise<string> {
    const { server, token } = this.nodes[0]!;
    const order = { name: 'limited', scopes: ['dispense'], quota };
    const { status, body, text } = await server.ask('POST', '/v1/tokens', { token, body: order });
    assert.equal(status, 201, text);
    return body.token;
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

/** Of a server that these lead to. */
function listening(cables: readonly Cable[]): string {
  const ends = new Set(['127.0.0.1', ...cables.map(({ here }) => here)]);
  return `listen_addresses = '${[...ends].join(',')}'`;
}

/** Before the first start of `to`. */
export function shareKey(from: Workspace, to: Workspace): void {
  mkdirSync(to.data, { mode: 0o700 });
  copyFileSync(join(from.data, 'sealing.key'), join(to.data, 'sealing.key'));
}
