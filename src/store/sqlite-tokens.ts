/**
 * The tokens of the store, and what was handed out to them. Runs in the store thread. A token that
 * is revoked stays known: what it took is told by its name for ever.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { VanityError } from '../errors.ts';
import type { Scope } from '../token.ts';
import { prepareAll } from './sqlite-database.ts';
import type { NewToken, StoredToken, TokenStore } from './store.ts';

const SQL = {
  all: 'SELECT * FROM tokens ORDER BY id',
  byName: 'SELECT * FROM tokens WHERE name = ?',
  add: `INSERT INTO tokens (name, hash, scopes, pools, quota, created_at, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)`,
  revoke: 'UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL',
  use: 'UPDATE tokens SET last_used_at = max(?, coalesce(last_used_at, 0)) WHERE id = ?',
  used: 'SELECT coalesce(sum(count), 0) AS used FROM hand_outs WHERE token_id = ? AND at >= ?',
} as const;

/** How the store runs a call, and what in it is one transaction. */
export interface Runner {
  call<T>(work: () => T | Promise<T>): Promise<T>;
  /** The same for what gives again what an earlier call let leave. */
  afterEffects<T>(work: () => T | Promise<T>): Promise<T>;
  transaction<T>(work: () => T): T;
  /** A transaction for which something may leave when this returns. */
  effect<T>(work: () => T): T;
}

export class SqliteTokens implements TokenStore {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };
  readonly #run: Runner;

  constructor(db: DatabaseSync, run: Runner) {
    this.#statements = prepareAll(db, SQL);
    this.#run = run;
  }

  all(): Promise<StoredToken[]> {
    return this.#run.call(() => this.#statements.all.all().map(storedToken));
  }

  create({ name, hash, scopes, pools, quota, expiresAt }: NewToken): Promise<StoredToken> {
    return this.#run.call(() =>
      this.#run.transaction(() => {
        const { add, byName } = this.#statements;
        if (byName.get(name) !== undefined) {
          const detail = `token ${name}: there is one of this name, revoked or not; take another`;
          throw new VanityError('TOKEN_EXISTS', detail);
        }
        const named = pools === undefined ? null : JSON.stringify(pools);
        const scoped = JSON.stringify(scopes);
        add.run(name, hash, scoped, named, quota ?? null, Date.now(), expiresAt ?? null);
        return storedToken(byName.get(name)!);
      }),
    );
  }

  revoke(name: string): Promise<StoredToken> {
    return this.#run.call(() =>
      this.#run.effect(() => {
        const { revoke, byName } = this.#statements;
        revoke.run(Date.now(), name);
        const row = byName.get(name);
        if (row !== undefined) return storedToken(row);
        throw new VanityError('TOKEN_NOT_FOUND', `token ${name}: there is none of this name`);
      }),
    );
  }

  noteUse(ids: readonly number[], at: number): Promise<void> {
    return this.#run.call(() =>
      this.#run.transaction(() => {
        for (const id of ids) this.#statements.use.run(at, id);
      }),
    );
  }

  used(id: number, since: number): Promise<number> {
    return this.#run.call(() => Number(this.#statements.used.get(id, since)!.used));
  }
}

function storedToken(row: Record<string, unknown>): StoredToken {
  const optional = (value: unknown) => (value === null ? undefined : Number(value));
  return {
    id: Number(row.id),
    name: String(row.name),
    hash: row.hash as Uint8Array,
    scopes: JSON.parse(String(row.scopes)) as Scope[],
    pools: row.pools === null ? undefined : (JSON.parse(String(row.pools)) as string[]),
    quota: optional(row.quota),
    expiresAt: optional(row.expires_at),
    createdAt: Number(row.created_at),
    revokedAt: optional(row.revoked_at),
    lastUsedAt: optional(row.last_used_at),
  };
}
