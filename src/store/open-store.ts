/**
 * Opens the store that a configuration names: the one place that chooses between databases. Runs in the thread
 * that calls it.
 */
import type { StoreConfig } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { nodeIn } from './postgres/node-file.ts';
import { openPostgresStore } from './postgres/open.ts';
import { connectionSettings } from './postgres/settings.ts';
import type { Recover } from './recovery.ts';
import { holdOwnDirectory } from './sqlite/data-directory.ts';
import { openSqliteStore, type SqliteStoreOptions } from './sqlite/open.ts';
import type { Store } from './store.ts';

export interface StoreOptions
  extends Pick<SqliteStoreOptions, 'create' | 'onNoWitness' | 'onForged' | 'onBound' | 'onCommit'> {
  readonly recover: Recover;
}

/**
 * Opens the store for service, and holds the directory of this machine until it is closed. Errors: as of
 * `openSqliteStore` and `openPostgresStore`.
 */
export function openStore(config: StoreConfig, options: StoreOptions): Promise<Store> {
  const { directory, database, data, sealingKey, durability, copies } = config;
  if (directory === undefined) {
    // Before the node: who does not hold the directory is not it.
    using resources = new DisposableStack();
    resources.use(holdOwnDirectory(data));
    const settings = connectionSettings(database!);
    const node = nodeIn(data);
    const ttlMs = config.leaseTtlSeconds * 1000;
    const held = resources.move();
    return openPostgresStore({ settings, node, sealingKey, durability, ttlMs, held, ...options });
  }
  const held = data === directory ? undefined : holdOwnDirectory(data);
  const witness = witnessDirectory(directory);
  if (witness === undefined) {
    options.onNoWitness?.('no state directory outside the data directory: see XDG_STATE_HOME');
  }
  return openSqliteStore({ directory, sealingKey, durability, copies, witness, held, ...options });
}
