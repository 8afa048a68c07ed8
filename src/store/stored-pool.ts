/** A pool as the store knows it: what never changes of it, what may, and what it holds. */
import type { PoolConfig } from '../config/pool-config.ts';
import { POOL_SETTINGS, type SettingsTable } from '../config/pool-settings.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import type { PoolCounts } from './address.ts';

/**
 * What makes a pool this pool: it never changes after the pool is made, and a database has a column for
 * each. Without a prefix or a suffix, that is ''.
 */
export interface PoolIdentity
  extends Pick<PoolConfig, 'name' | 'prefix' | 'suffix' | 'ignoreCase' | 'handout'> {
  readonly keys: KeyType;
}

/** What a pool that was made at run time comes back with. */
export type PoolSettings = Omit<PoolConfig, keyof PoolIdentity>;

/** One that stands in the configuration. */
export interface ConfiguredPool extends PoolIdentity {
  /** What others that share the store are to fill it to, until one of them starts with another. */
  readonly target?: number;
}

export interface StoredPool extends PoolIdentity {
  readonly counts: PoolCounts;
  /** Undefined for one that stands in the configuration, or did. */
  readonly settings: PoolSettings | undefined;
  /** Of such a one, if the store is shared: as the node said that started last. */
  readonly target?: number;
  readonly isPaused: boolean;
  /** Deleted: its name and its history are kept. */
  readonly isRemoved: boolean;
  /** Recorded by turns of this epoch: where the counters of its ready queue start. */
  readonly position: number;
}

export function parts(config: PoolConfig): { identity: PoolIdentity; settings: PoolSettings } {
  const { name, prefix, suffix, ignoreCase, keys, handout, ...settings } = config;
  return { identity: { name, prefix, suffix, ignoreCase, keys, handout }, settings };
}

/** Settings as they were stored. A pool that was made before there was one of them has its default. */
export function completed(
  stored: Partial<PoolSettings>,
  table: SettingsTable = POOL_SETTINGS,
): PoolSettings {
  const defaults = Object.entries(table).map(([name, setting]) => [name, setting.default]);
  return { ...parts(Object.fromEntries(defaults) as PoolConfig).settings, ...stored };
}
