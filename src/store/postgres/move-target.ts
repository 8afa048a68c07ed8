/**
 * A database that a store moves to: empty before, and all or nothing of it after. Runs in the thread that calls it.
 *
 *   1 'migrating', with the id of the store: no node starts         2 one transaction: all rows, and their proof
 *   3 the old store is marked (../sqlite/moving.ts)                 4 'sound': nodes start
 *
 * What is cut off before 3 begins anew, also behind the commit of 2: the old store may have been served since. What
 * is cut off after it goes on with 4.
 */
import { VanityError } from '../../errors.ts';
import type { ClusterState } from './bound-rows.ts';
import { Connection } from './connection.ts';
import { CopiedRows } from './copied-rows.ts';
import { migrate, SCHEMA } from './schema.ts';
import { checkServer } from './server-check.ts';
import type { ConnectionSettings } from './settings.ts';
import type { Query } from './transaction.ts';

/** All that rows are in, but the one row of the cluster. */
const TABLES = `nodes, epochs, handed_keys, pools, figures, lane_ends, lane_heads, keys, data_keys, secrets, remains, queues,
  leases, returned, burns, tokens, hand_outs, quotas, reservations, signatures, lost_signatures, counters`;

const SQL = {
  look: `SELECT store_id, state, epoch = 0 AND binding IS NULL AS "isEmpty" FROM vanitypool.cluster
    FOR UPDATE`,
  begin: `UPDATE vanitypool.cluster SET state = 'migrating', store_id = $1`,
  /** What an earlier try has committed. */
  clear: `SET LOCAL search_path = ${SCHEMA};
    ALTER TABLE keys DISABLE TRIGGER keys_kept; ALTER TABLE remains DISABLE TRIGGER remains_kept;
    TRUNCATE ${TABLES} RESTART IDENTITY;
    ALTER TABLE keys ENABLE TRIGGER keys_kept; ALTER TABLE remains ENABLE TRIGGER remains_kept;
    SET LOCAL search_path = DEFAULT`,
  /** The old store may be slow to read, and be large; and a sum is of what the server writes. */
  prepare: `SELECT set_config('idle_in_transaction_session_timeout', '600000', true),
    set_config('statement_timeout', '0', true), set_config('bytea_output', 'hex', true); SET CONSTRAINTS ALL DEFERRED`,
  cluster: `UPDATE vanitypool.cluster SET sealing_key = $1, epoch = $2, lane = $3, token_id = $4,
    had_tokens = $5, binding = $6, mac = $7`,
  quotas: `INSERT INTO vanitypool.quotas (token_id, day, used)
    SELECT token_id, at / 86400000, sum(count) FROM vanitypool.hand_outs
    WHERE token_id IS NOT NULL GROUP BY 1, 2`,
  identities: ['pools', 'data_keys']
    .map(
      (table) => `SELECT setval(pg_get_serial_sequence('vanitypool.${table}', 'id'),
        coalesce(max(id), 1), max(id) IS NOT NULL) FROM vanitypool.${table}`,
    )
    .join('; '),
  analyze: `ANALYZE ${TABLES.split(/,\s*/)
    .map((table) => `${SCHEMA}.${table}`)
    .join(', ')}`,
  /** Keys of which another row has the hash, or none. */
  keys: `SELECT (SELECT count(*) FROM vanitypool.keys)
      - (SELECT count(*) FROM vanitypool.secrets AS s
        JOIN vanitypool.keys AS k ON k.key_hash = s.key_hash AND k.id = s.id)
      - (SELECT count(*) FROM vanitypool.remains AS m
        JOIN vanitypool.keys AS k ON k.key_hash = sha256(m.public_key) AND k.id = m.id)
      - (SELECT count(*) FROM vanitypool.remains WHERE public_key = decode(repeat('00', 32), 'hex'))
    AS wrong`,
  states: `SELECT pool_id, state, count(*) AS count FROM vanitypool.address_states GROUP BY 1, 2`,
  figures: `SELECT pool_id, ${['available', 'leased', 'reserved', 'dispensed', 'burned']
    .map((state) => `sum(${state})::bigint AS ${state}`)
    .join(', ')} FROM vanitypool.figures GROUP BY pool_id`,
  end: `UPDATE vanitypool.cluster SET state = 'sound' WHERE store_id = $1 AND state = 'migrating'`,
} as const;

interface Look {
  readonly store_id: string;
  readonly state: ClusterState;
  readonly isEmpty: boolean;
}

/** What the one row of the cluster says of a store. */
export interface MovedCluster {
  readonly sealingKey: Uint8Array;
  readonly epoch: number;
  readonly lane: number;
  readonly tokenId: number;
  readonly hadTokens: boolean;
  readonly binding: string;
  readonly mac: Uint8Array;
}

/** A store of any size is copied in it. */
const COPY_MS = 24 * 3_600_000;

export class MoveTarget implements AsyncDisposable {
  /** Without user and password. */
  readonly name: string;
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.name = connection.name;
  }

  /** Errors: those of opening a store of many nodes. */
  static async open(settings: ConnectionSettings): Promise<MoveTarget> {
    await using resources = new AsyncDisposableStack();
    const connection = resources.use(new Connection(settings));
    await checkServer(connection);
    await migrate(connection, true);
    resources.move();
    return new MoveTarget(connection);
  }

  /** No node starts from now on, until `end`. Error: DATA_MOVED for a database that has another store. */
  begin(storeId: string): Promise<void> {
    return this.#connection.transaction(async ({ query }) => {
      const look = await looked(query);
      const isFree = look.state === 'migrating' ? look.store_id === storeId : look.isEmpty;
      if (!isFree) throw taken(this.name, look, storeId);
      await query(SQL.begin, [storeId]);
    });
  }

  /**
   * All of the store, by `work`, in place of what an earlier try has left. `onVerified` hears how much of it is
   * compared. After an error nothing of it is there; but after STORE_UNAVAILABLE of a commit all may be.
   */
  copy(
    storeId: string,
    cluster: MovedCluster,
    work: (rows: CopiedRows) => Promise<void>,
    onVerified: (done: number, total: number) => void,
  ): Promise<void> {
    return this.#connection.transaction(
      async ({ query }) => {
        const look = await looked(query);
        // Two of these at once.
        if (look.state !== 'migrating' || look.store_id !== storeId) {
          throw taken(this.name, look, storeId);
        }
        await query(SQL.prepare);
        if (!look.isEmpty) await query(SQL.clear);
        const { sealingKey, epoch, lane, tokenId, hadTokens, binding, mac } = cluster;
        const said = [tokenId, hadTokens, binding, Buffer.from(mac)];
        await query(SQL.cluster, [Buffer.from(sealingKey), epoch, lane, ...said]);
        const rows = new CopiedRows(query);
        await work(rows);
        await rows.flush();
        await query(SQL.quotas);
        await query(SQL.identities);
        await query(SQL.analyze);
        await rows.verify(onVerified);
        await assertStates(query);
      },
      { timeoutMs: COPY_MS },
    );
  }

  /** Nodes start from now on. Error: DATA_MOVED if this is not where the store went. */
  end(storeId: string): Promise<void> {
    return this.#connection.transaction(async ({ query }) => {
      const look = await looked(query);
      if (look.store_id !== storeId) throw taken(this.name, look, storeId);
      await query(SQL.end, [storeId]);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }
}

async function looked(query: Query): Promise<Look> {
  return (await query<Look>(SQL.look)).rows[0]!;
}

/** Every address has its hash, and is in a state; of each there are as many as the figures say. Error: STORE_CORRUPT. */
async function assertStates(query: Query): Promise<void> {
  const [{ wrong } = { wrong: 0 }] = (await query<{ wrong: number }>(SQL.keys)).rows;
  if (wrong !== 0) throw wrongCount('keys', wrong, 0);
  const states = await query<{ pool_id: number; state: string; count: number }>(SQL.states);
  const counted = new Map(
    states.rows.map(({ pool_id, state, count }) => [`${pool_id} ${state}`, count]),
  );
  for (const { pool_id, ...figures } of (await query<{ pool_id: number }>(SQL.figures)).rows) {
    for (const [state, figure] of Object.entries(figures)) {
      const name = `${pool_id} ${state}`;
      const count = counted.get(name) ?? 0;
      counted.delete(name);
      if (count !== figure) throw wrongCount(`pool ${pool_id}: ${state}`, count, Number(figure));
    }
  }
  for (const [name, count] of counted) throw wrongCount(`pool ${name}`, count, 0);
}

function wrongCount(what: string, is: number, was: number): VanityError {
  const detail = `${what}: ${is} there, and ${was} in the old store; nothing was moved`;
  return new VanityError('STORE_CORRUPT', detail);
}

function taken(name: string, { store_id, state, isEmpty }: Look, storeId: string): VanityError {
  let found = `has a store already (${store_id})`;
  let remedy = 'name a database without one';
  if (state === 'migrating') {
    found = `another store (${store_id}) is on its way there`;
    remedy += ', or, if that one is not to move there after all: DROP SCHEMA vanitypool CASCADE';
  } else if (store_id === storeId) {
    found = 'has this store already, and serves it';
    remedy = 'the one of this directory must not be served any more, whatever put it back';
  } else if (isEmpty) {
    found = 'has no store';
    remedy = 'name the database that the store went to';
  }
  return new VanityError('DATA_MOVED', `${name}: ${found}; ${remedy}`);
}
