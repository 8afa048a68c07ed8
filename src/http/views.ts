/**
 * What the program knows, in the shapes that leave over HTTP. Pure; also the command line shows
 * these when it reads the store itself, so that both say the same.
 */
import type { StoredToken } from '../store/store.ts';
import type { TokenView } from './schemas.ts';

export function tokenView(token: StoredToken): TokenView {
  const { name, scopes, pools, quota, createdAt, expiresAt, revokedAt, lastUsedAt } = token;
  return {
    name,
    scopes: [...scopes],
    pools: pools === undefined ? null : [...pools],
    quota: quota ?? null,
    createdAt: new Date(createdAt).toISOString(),
    expiresAt: timeOrNull(expiresAt),
    revokedAt: timeOrNull(revokedAt),
    lastUsedAt: timeOrNull(lastUsedAt),
  };
}

function timeOrNull(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString();
}
