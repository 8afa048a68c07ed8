/**
 * Opens the store that a configuration names: the one place that chooses between databases. Runs in the thread
 * that calls it.
 */
import type { Role, StoreConfig } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { VanityError } from '../errors.ts';
import { type Enrolment, enrolNode as enrolInDatabase } from './postgres/enrol-node.ts';
import { openGrinderStore } from './postgres/grinder-store.ts';
import { nodeIn } from './postgres/node-file.ts';
import { openPostgresStore } from './postgres/open.ts';
import { connectionSettings } from './postgres/settings.ts';
import type { Recover } from './recovery.ts';
import { holdOwnDirectory } from './sqlite/data-directory.ts';
import { openSqliteStore, type SqliteStoreOptions } from './sqlite/open.ts';
import type { GrindingStore, Store } from './store.ts';

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
export function openStore(config: StoreConfig, options: StoreOptions): Promise<Store> {
  const { directory, database, data, sealingKey, durability, copies } = config;
  if (directory === undefined) {
    return openPostgresStore({ ...asNode(database!, config), sealingKey, durability, ...options });
  }
  const held = data === directory ? undefined : holdOwnDirectory(data);
  const witness = witnessDirectory(directory);
  if (witness === undefined) {
    options.onNoWitness?.('no state directory outside the data directory: see XDG_STATE_HOME');
  }
  return openSqliteStore({ directory, sealingKey, durability, copies, witness, held, ...options });
}

/** The same for a node that only grinds. Errors: as of `openGrinderStore`. */
export async function openStoreToGrind(config: StoreConfig): Promise<GrindingStore> {
  const { database, sealingKey } = config;
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
  if (database === undefined) {
    const detail =
      'a store of one node has no others; nodes share one with store.url = "postgres://..."';
    throw new VanityError('CONFIG_INVALID', `store.url: ${detail}`);
  }
  return enrolInDatabase({ settings: connectionSettings(database), sealingKey, ...node });
}

/** Of the data directory, which it holds: who does not is not that node. */
function asNode(database: string, { data, leaseTtlSeconds }: StoreConfig) {
  using resources = new DisposableStack();
  resources.use(holdOwnDirectory(data));
  const settings = connectionSettings(database);
  const node = nodeIn(data);
  return { settings, node, ttlMs: leaseTtlSeconds * 1000, held: resources.move() };
}
