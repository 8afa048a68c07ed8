/**
 * What commands do with the pools of a data directory that no server holds. Runs in the main thread.
 */
import type { Config } from '../config/config.ts';
import {
  assertReadyFits,
  POOLS_MAX,
  type PoolChange,
  type PoolConfig,
} from '../config/pool-config.ts';
import { VanityError } from '../errors.ts';
import { parsePattern } from '../keypair/pattern.ts';
import type { SealingKey } from '../keypair/sealing-key.ts';
import { findSealingKey } from '../keypair/sealing-key-files.ts';
import { parseSignPolicy } from '../keypair/sign-policy.ts';
import { configOf, poolConfigured, poolExists, poolLimit } from '../pool/pool-definition.ts';
import { readBurned, readPools, readSealingKey } from '../store/open-store.ts';
import { untilRemoved } from '../store/pool-removal.ts';
import type { Store } from '../store/store.ts';
import { parts, type StoredPool } from '../store/stored-pool.ts';
import { withStoreOffline } from './open.ts';

/**
 * The pools as the store has them; changes nothing. Without the sealing key nothing proves who wrote
 * them. Errors: those of opening a store to read, STORE_FORGED.
 */
export async function poolsOffline({ store }: Config): Promise<StoredPool[]> {
  const pools = await readPools(store, await keyOf(store).catch(() => undefined));
  return pools.filter(({ isRemoved }) => !isRemoved);
}

async function keyOf(store: Config['store']): Promise<SealingKey | undefined> {
  return (await findSealingKey(store.sealingKey, await readSealingKey(store))).key;
}

/**
 * Makes a pool that the next server serves. Errors: POOL_EXISTS, POOL_MISMATCH, POOL_LIMIT_REACHED,
 * those of the pattern, of what it signs and of opening a store.
 */
export function createPoolOffline(config: Config, pool: PoolConfig): Promise<StoredPool> {
  parsePattern(pool);
  parseSignPolicy(pool);
  return withStoreOffline(config, async (store) => {
    const { name } = pool;
    const names = await poolNames(config, store);
    if (names.has(name)) throw poolExists(name);
    if (names.size >= POOLS_MAX) throw poolLimit(name);
    const { identity, settings } = parts(pool);
    return store.definePool(identity, settings);
  });
}

/** Of the pools that the next server serves. */
export async function poolNames({ pools }: Config, store: Store): Promise<ReadonlySet<string>> {
  const others = (await store.pools()).filter((stored) => configOf(stored) !== undefined);
  return new Set([...pools, ...others].map(({ name }) => name));
}

/** Errors: POOL_NOT_FOUND, POOL_CONFIGURED, CONFIG_INVALID, and those of opening a store. */
export function changePoolOffline(
  config: Config,
  name: string,
  change: PoolChange,
): Promise<StoredPool> {
  return withStoreOffline(config, async (store) => {
    const known = configOf(await storedPool(store, name));
    if (known === undefined) throw poolConfigured(name);
    const changed = { ...known, ...change };
    assertReadyFits(changed, `pool ${name}: ready`);
    await store.changePool(name, { settings: parts(changed).settings });
    return storedPool(store, name);
  });
}

/** Errors: POOL_NOT_FOUND, and those of opening a store. */
export function pausePoolOffline(
  config: Config,
  name: string,
  isPaused: boolean,
): Promise<StoredPool> {
  return withStoreOffline(config, async (store) => {
    await storedPool(store, name);
    await store.changePool(name, { isPaused });
    return storedPool(store, name);
  });
}

/** Burns all that is left of a pool; how many that were. Errors: as of `changePoolOffline`. */
export function removePoolOffline(config: Config, name: string): Promise<number> {
  if (config.pools.some((pool) => pool.name === name)) throw poolConfigured(name);
  return withStoreOffline(config, async (store) => {
    await storedPool(store, name);
    await store.closePool(name);
    const remove = () => store.removePool(name);
    return untilRemoved(name, await remove(), remove);
  });
}

/** Error: POOL_NOT_FOUND. */
export async function storedPool(store: Store, name: string): Promise<StoredPool> {
  const pools = (await store.pools()).filter(({ isRemoved }) => !isRemoved);
  const found = pools.find((pool) => pool.name === name);
  if (found !== undefined) return found;
  throw poolNotFound(name, pools);
}

/** Names those that there are. */
export function poolNotFound(
  name: string,
  pools: readonly { readonly name: string }[],
): VanityError {
  const names = [...new Set(pools.map((pool) => pool.name))].join(', ') || 'none';
  return new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool; there are: ${names}`);
}

/** Burned addresses by pool and cause; changes nothing. Errors: those of opening a store. */
export function burnedOffline({ store }: Config): ReturnType<typeof readBurned> {
  return readBurned(store);
}
