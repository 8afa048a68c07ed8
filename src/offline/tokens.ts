/** Tokens of a data directory that no server holds. Runs in the main thread. */
import type { Config } from '../config/config.ts';
import type { NewToken, StoredToken, TokenStore } from '../store/token-store.ts';
import { assertPoolsExist } from '../token.ts';
import { withStoreOffline } from './open.ts';
import { poolNames } from './pools.ts';

/** Runs `work` on the tokens of a store that no server holds. Errors: those of opening a store. */
export function withTokensOffline<T>(
  config: Config,
  work: (tokens: TokenStore) => Promise<T>,
): Promise<T> {
  return withStoreOffline(config, ({ tokens }) => work(tokens));
}

/**
 * Makes a token; `isFirst`: every request needs one because of it. Errors: POOL_NOT_FOUND, TOKEN_EXISTS,
 * and those of opening a store.
 */
export function createTokenOffline(
  config: Config,
  token: NewToken,
): Promise<{ made: StoredToken; isFirst: boolean }> {
  return withStoreOffline(config, async (store) => {
    assertPoolsExist(token.pools ?? [], await poolNames(config, store));
    const isFirst = config.auth.required === 'auto' && !(await store.tokens.wereMade());
    return { made: await store.tokens.create(token), isFirst };
  });
}
