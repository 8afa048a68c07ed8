/**
 * Looking at a store without serving it: no run begins, nothing is written, and servers may use it meanwhile, also
 * others than this. Runs in the thread that calls it. Errors of all that is asked: STORE_NOT_FOUND, STORE_FOREIGN,
 * STORE_NEWER, and STORE_UNAVAILABLE for an older one; those of `checkServer`.
 */
import type { SealingKey } from '../../keypair/sealing-key.ts';
import { isKey } from '../../keypair/sealing-key-files.ts';
import type { StoredPool } from '../stored-pool.ts';
import { BoundRows } from './bound-rows.ts';
import { Connection } from './connection.ts';
import { allRows, saidOf, storedPool } from './pool-rows.ts';
import { assertSchema } from './schema.ts';
import { checkServer } from './server-check.ts';
import type { ConnectionSettings } from './settings.ts';
import { fixedKeys } from './store-keys.ts';
import type { Query } from './transaction.ts';

const SQL = {
  cluster: 'SELECT store_id, epoch, sealing_key, binding FROM vanitypool.cluster',
  burned: `SELECT p.name, b.cause, sum(b.last - b.first + 1)::bigint AS count
    FROM vanitypool.burns AS b JOIN vanitypool.pools AS p ON p.id = b.pool_id
    GROUP BY p.id, b.cause ORDER BY p.id, count DESC`,
} as const;

export interface ClusterRow {
  readonly store_id: string;
  readonly epoch: number;
  readonly sealing_key: Uint8Array | null;
  readonly binding: string | null;
}

/** A connection to a store that is there and can be read. */
export async function connectToRead(settings: ConnectionSettings): Promise<Connection> {
  await using resources = new AsyncDisposableStack();
  const connection = resources.use(new Connection(settings));
  await checkServer(connection);
  await assertSchema(connection);
  connection.moment = 'running';
  resources.move();
  return connection;
}

export async function clusterOf(query: Query): Promise<ClusterRow> {
  return (await query<ClusterRow>(SQL.cluster)).rows[0]!;
}

/** Rows that are bound to `key` are checked by it, if it is that of the store. Error, too: STORE_FORGED. */
export function readPools(settings: ConnectionSettings, key?: SealingKey): Promise<StoredPool[]> {
  return look(settings, async (query) => {
    const { store_id, sealing_key, binding } = await clusterOf(query);
    const isIts = key !== undefined && isKey(key, sealing_key) && binding !== null;
    const rows = isIts ? new BoundRows(fixedKeys(key, store_id, binding)) : undefined;
    const found = await allRows(query);
    for (const row of found) await rows?.assertRight(query, 'pool', saidOf(row));
    return found.map((row) => storedPool(row));
  });
}

/** The public half of its sealing key; null where it has none yet. */
export function readSealingKey(settings: ConnectionSettings): Promise<Uint8Array | null> {
  return look(settings, async (query) => (await clusterOf(query)).sealing_key);
}

/** Of each pool that has any, how many addresses are burned, by cause. */
export function readBurned(
  settings: ConnectionSettings,
): Promise<Record<string, Record<string, number>>> {
  return look(settings, async (query) => {
    const { rows } = await query<{ name: string; cause: string; count: number }>(SQL.burned);
    const burned: Record<string, Record<string, number>> = {};
    for (const { name, cause, count } of rows) {
      burned[name] ??= {};
      burned[name][cause] = count;
    }
    return burned;
  });
}

async function look<T>(
  settings: ConnectionSettings,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  await using connection = await connectToRead(settings);
  return await connection.read(({ query }) => work(query));
}
