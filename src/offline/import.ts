/** Keys into a store that no server holds. Runs in the main thread. */
import type { Config } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { assertKeyType, assertMatches } from '../keypair/importable.ts';
import { parsePattern } from '../keypair/pattern.ts';
import type { SigningKey } from '../keypair/signing-key.ts';
import { configOf } from '../pool/pool-definition.ts';
import type { InsertReport } from '../store/store.ts';
import { parts } from '../store/stored-pool.ts';
import { openOffline } from './open.ts';
import { poolNotFound, poolsOffline } from './pools.ts';

/** Takes keys, which the caller has proved, into the pool; all of one call or, when it throws, none. */
export type Import = (keys: readonly SigningKey[]) => Promise<InsertReport>;

/**
 * Runs `work` with the store of a data directory that no server holds. Errors: POOL_NOT_FOUND,
 * IMPORTS_REFUSED, those of opening a store; from `Import` also KEYPAIR_REFUSED.
 */
export async function importOffline<T>(
  config: Config,
  name: string,
  work: (take: Import) => Promise<T>,
): Promise<T> {
  const configured = config.pools.find((known) => known.name === name);
  const made = (await poolsOffline(config)).flatMap((one) => configOf(one) ?? []);
  const pool = configured ?? made.find((one) => one.name === name);
  if (pool === undefined) throw poolNotFound(name, [...config.pools, ...made]);
  if (!pool.acceptsImports) {
    const remedy = 'accepts_imports = true in its configuration allows them';
    throw new VanityError('IMPORTS_REFUSED', `pool ${name}: takes no imports; ${remedy}`);
  }
  const pattern = parsePattern(pool);
  await using store = await openOffline(config);
  if (configured) await store.definePool(parts(configured).identity);
  return await work((keys) => {
    for (const [index, key] of keys.entries()) {
      assertKeyType(name, pool.keys, key.keyType);
      assertMatches(key, index, pattern);
    }
    const hits = keys.map(({ keyType, key, publicKey }) => ({
      pool: name,
      keyType,
      key,
      publicKey,
    }));
    return store.insert(hits, 'imported');
  });
}
