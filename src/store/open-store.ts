/**
 * Opens the store that a configuration names, to serve it or to look at it: the one place that chooses between
 * databases. What connects to PostgreSQL is loaded once a database is named: it takes a start 55 ms of the processor.
 * Runs in the thread that calls it.
 */
import type { Role, StoreConfig } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { VanityError } from '../errors.ts';
import type { SealingKey } from '../keypair/sealing-key.ts';
import type { StoreReader } from './audit-store.ts';
import type { Loss, StoreNodes } from './node-store.ts';
import type { Connection } from './postgres/connection.ts';
import type { Enrolment } from './postgres/enrol-node.ts';
import { nodeIn } from './postgres/node-file.ts';
import { type ConnectionSettings, connectionSettings } from './postgres/settings.ts';
import type { Recover } from './recovery.ts';
import { AuditReader } from './sqlite/audit-reader.ts';
import { holdOwnDirectory } from './sqlite/data-directory.ts';
import * as sqlite from './sqlite/look.ts';
import { openSqliteStore, type SqliteStoreOptions } from './sqlite/open.ts';
import type { GrindingStore, Store } from './store.ts';
import type { StoredPool } from './stored-pool.ts';

const reading = () => import('./postgres/look.ts');
const nodes = () => import('./postgres/nodes.ts');

export interface StoreOptions
  extends Pick<SqliteStoreOptions, 'create' | 'onNoWitness' | 'onForged' | 'onBound' | 'onCommit'> {
  readonly recover: Recover;
  /** 'all' if not given. */
  readonly role?: Role;
}

/**
 * Opens the store for service, and holds the directory of this machine until it is closed. Errors: as of
 * `openSqliteStore` and `openPostgresStore`.
 */
export async function openStore(config: StoreConfig, options: StoreOptions): Promise<Store> {
  const { directory, database, data, sealingKey, durability, copies, standby } = config;
  if (directory === undefined) {
    const { openPostgresStore } = await import('./postgres/open.ts');
    const settings = { sealingKey, durability, ...(standby === 'synchronous' && { standby }) };
    return openPostgresStore({ ...asNode(database!, config), ...settings, ...options });
  }
  const held = data === directory ? undefined : holdOwnDirectory(data);
  const witness = witnessDirectory(directory);
  if (witness === undefined) {
    options.onNoWitness?.('no state directory outside the data directory: see XDG_STATE_HOME');
  }
  return openSqliteStore({ directory, sealingKey, durability, copies, witness, held, ...options });
}

/** Errors: those of opening a store to read, SEALING_KEY_INVALID. */
export async function openReader(config: StoreConfig): Promise<StoreReader> {
  const { directory, database, sealingKey } = config;
  if (directory !== undefined) return AuditReader.open(directory, sealingKey);
  const { PostgresReader } = await import('./postgres/reader.ts');
  return PostgresReader.open({ settings: connectionSettings(database!), sealingKey });
}

/**
 * Rows that are bound to `key` are checked by it, if it is that of the store. Changes nothing. Errors: those of
 * opening a store to read, STORE_FORGED.
 */
export async function readPools(
  { directory, database }: StoreConfig,
  key?: SealingKey,
): Promise<StoredPool[]> {
  if (directory !== undefined) return sqlite.readPools(directory, key);
  return (await reading()).readPools(connectionSettings(database!), key);
}

/** The public half of its sealing key; null where it has none yet. Errors as of `readPools`. */
export async function readSealingKey({
  directory,
  database,
}: StoreConfig): Promise<Uint8Array | null> {
  if (directory !== undefined) return sqlite.readSealingKey(directory);
  return (await reading()).readSealingKey(connectionSettings(database!));
}

/** Of each pool that has any, how many addresses are burned, by cause. Errors as of `readPools`. */
export async function readBurned({
  directory,
  database,
}: StoreConfig): Promise<Record<string, Record<string, number>>> {
  if (directory !== undefined) return sqlite.readBurned(directory);
  return (await reading()).readBurned(connectionSettings(database!));
}

/** The same for a node that only grinds. Errors: as of `openGrinderStore`. */
export async function openStoreToGrind(config: StoreConfig): Promise<GrindingStore> {
  const { database, sealingKey } = config;
  const { openGrinderStore } = await import('./postgres/grinder-store.ts');
  return openGrinderStore({ ...asNode(database!, config), sealingKey });
}

/**
 * Lets another node add addresses; this one may run meanwhile. Errors: CONFIG_INVALID for a store of one node, as
 * of `enrolNode` of the database.
 */
export async function enrolNode(
  { database, sealingKey }: StoreConfig,
  node: Pick<Enrolment, 'id' | 'signKey'>,
): Promise<{ readonly name: string }> {
  const settings = sharedDatabase(database);
  const { enrolNode: enrol } = await import('./postgres/enrol-node.ts');
  return enrol({ settings, sealingKey, ...node });
}

/** Changes nothing, and no run begins. Errors: CONFIG_INVALID for a store of one node, those of opening a store to read. */
export async function listNodes({ database }: StoreConfig): Promise<StoreNodes> {
  await using connection = await toRead(database);
  return await (await nodes()).listNodes(connection);
}

/** No run begins. Errors: USAGE_INVALID for an unknown node; as of `listNodes`. */
export async function retireNode({ database }: StoreConfig, id: string, loss: Loss): Promise<void> {
  await using connection = await toRead(database);
  await (await nodes()).retireNode(connection, id, loss);
}

async function toRead(database: string | undefined): Promise<Connection> {
  const settings = sharedDatabase(database);
  return (await reading()).connectToRead(settings);
}

function sharedDatabase(database: string | undefined): ConnectionSettings {
  if (database !== undefined) return connectionSettings(database);
  const detail =
    'a store of one node has no others; nodes share one with store.url = "postgres://..."';
  throw new VanityError('CONFIG_INVALID', `store.url: ${detail}`);
}

/** Of the data directory, which it holds: who does not is not that node. */
function asNode(database: string, { data, leaseTtlSeconds }: StoreConfig) {
  using resources = new DisposableStack();
  resources.use(holdOwnDirectory(data));
  const settings = connectionSettings(database);
  const node = nodeIn(data);
  return { settings, node, data, ttlMs: leaseTtlSeconds * 1000, held: resources.move() };
}
