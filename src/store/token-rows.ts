/** A row of the table of tokens as the store reports it, and who that is. Pure: true of any database. */
import type { Scope } from '../token.ts';
import type { AuditedToken, Taken } from './audit-store.ts';
import type { Row } from './row-macs.ts';
import type { StoredToken } from './token-store.ts';

/** Nothing of it is believed but that it is there. */
export function forgedToken({ id, name, hash }: Row): StoredToken {
  const nothing = { scopes: [], pools: [], quota: undefined, expiresAt: undefined };
  const never = { revokedAt: undefined, offAt: undefined, lastUsedAt: undefined };
  const known = { id: Number(id), name: String(name), hash: hash as Uint8Array };
  return { ...known, ...nothing, createdAt: 0, ...never, isForged: true };
}

/** `lists` are what its database has in a form of its own. What was not read of the row is not known. */
export function storedToken(
  row: Row,
  lists: { readonly scopes: Scope[]; readonly pools: string[] | undefined },
): StoredToken {
  const optional = (value: unknown) => (value == null ? undefined : Number(value));
  return {
    id: Number(row.id),
    name: String(row.name),
    hash: row.hash as Uint8Array,
    ...lists,
    quota: optional(row.quota),
    expiresAt: optional(row.expires_at),
    createdAt: Number(row.created_at),
    revokedAt: optional(row.revoked_at),
    offAt: optional(row.off_at),
    isForged: false,
    lastUsedAt: optional(row.last_used_at),
  };
}

export function auditedToken({ id, name, created_at, revoked_at, off_at }: Row): AuditedToken {
  return {
    id: Number(id),
    name: String(name),
    createdAt: Number(created_at),
    revokedAt: revoked_at === null ? undefined : Number(revoked_at),
    offAt: off_at === null ? undefined : Number(off_at),
  };
}

/** Most first. `sums` by the id of a token, 0 for none; the number of one that is not among `tokens` is its name. */
export function takenBy(
  sums: Iterable<readonly [id: number, addresses: number]>,
  tokens: readonly AuditedToken[],
): Taken[] {
  const names = new Map(tokens.map(({ id, name }) => [id, name]));
  return [...sums]
    .map(([id, addresses]) => {
      return { token: id === 0 ? undefined : (names.get(id) ?? `#${id}`), addresses };
    })
    .sort((one, other) => other.addresses - one.addresses);
}
