/**
 * How a pool that was made at run time is written into the store and read out of it, and what may not be
 * done to it: the same in a running server and for the command line without one.
 */
import { POOLS_MAX, type PoolConfig } from '../config/pool-config.ts';
import { VanityError } from '../errors.ts';
import { completed, type StoredPool } from '../store/stored-pool.ts';

/** The settings of a pool that was made at run time, and is not deleted. */
export function configOf(stored: StoredPool): PoolConfig | undefined {
  const { name, prefix, suffix, ignoreCase, keys, handout, settings, isRemoved } = stored;
  if (settings === undefined || isRemoved) return undefined;
  return {
    name,
    prefix,
    suffix,
    ignoreCase,
    keys,
    handout,
    ...settings,
  };
}

/** Also of one that stands in the configuration of others, as far as filling it goes. */
export function configToFill(stored: StoredPool): PoolConfig | undefined {
  const { settings = { ...completed({}), target: stored.target ?? 0 } } = stored;
  return configOf({ ...stored, settings });
}

export function poolExists(name: string): VanityError {
  return new VanityError('POOL_EXISTS', `pool ${name}: there is one of this name`);
}

export function poolLimit(name: string): VanityError {
  const detail = `pool ${name}: a server has at most ${POOLS_MAX} pools; delete one first`;
  return new VanityError('POOL_LIMIT_REACHED', detail);
}

export function poolConfigured(name: string): VanityError {
  const table = `[[pools]] with name = "${name}" in vanitypool.toml`;
  const detail = `pool ${name}: is set by the configuration or by default, and changed there: edit or`;
  return new VanityError('POOL_CONFIGURED', `${detail} make ${table}, and start the server anew`);
}
