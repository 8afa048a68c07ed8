/**
 * The tokens of the store, and what was handed out to them. Runs in the store thread. A token that
 * is revoked stays known: what it took is listed under its name for ever.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import type { Scope } from '../../token.ts';
import type { Row } from '../row-macs.ts';
import { forgedToken, storedToken } from '../token-rows.ts';
import type { NewToken, StoredToken, TokenStore } from '../token-store.ts';
import type { BoundRows } from './bound-rows.ts';
import { prepareAll } from './database.ts';
import type { HandOutBook } from './hand-out-book.ts';

const SQL = {
  all: 'SELECT * FROM tokens ORDER BY id',
  byId: 'SELECT 1 FROM tokens WHERE id = ?',
  byName: 'SELECT * FROM tokens WHERE name = ?',
  add: `INSERT INTO tokens (id, name, hash, scopes, pools, quota, created_at, expires_at)
    VALUES (:id, :name, :hash, :scopes, :pools, :quota, :created_at, :expires_at)`,
  revoke: 'UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL',
  restore: 'UPDATE tokens SET off_at = NULL WHERE name = ?',
  use: 'UPDATE tokens SET last_used_at = max(?, coalesce(last_used_at, 0)) WHERE id = ?',
} as const;

/** How the store runs a call, and what in it is one transaction. */
export interface Runner {
  /** The time that the store goes by, in ms since 1970. */
  readonly now: number;
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
  readonly #rows: BoundRows;
  readonly #handOuts: HandOutBook;

  constructor(db: DatabaseSync, run: Runner, rows: BoundRows, handOuts: HandOutBook) {
    this.#statements = prepareAll(db, SQL);
    this.#run = run;
    this.#rows = rows;
    this.#handOuts = handOuts;
  }

  all(): Promise<StoredToken[]> {
    return this.#run.call(() => this.#statements.all.all().map((row) => this.#stored(row)));
  }

  find(name: string): Promise<StoredToken | undefined> {
    return this.#run.call(() => {
      const row = this.#statements.byName.get(name);
      return row && this.#stored(row);
    });
  }

  wereMade(): Promise<boolean> {
    return this.#run.call(() => this.#rows.history.hadTokens);
  }

  create({ name, hash, scopes, pools, quota, expiresAt }: NewToken): Promise<StoredToken> {
    return this.#run.call(() =>
      this.#run.transaction(() => {
        const { add, byId, byName } = this.#statements;
        let id = this.#rows.history.lastId + 1;
        // Rows that somebody else wrote.
        while (byId.get(id) !== undefined) id++;
        if (byName.get(name) !== undefined) {
          const detail = `token ${name}: there is one of this name, revoked or not; take another`;
          throw new VanityError('TOKEN_EXISTS', detail);
        }
        const row = {
          ...{ id, name, hash, scopes: JSON.stringify(scopes) },
          ...{ pools: pools === undefined ? null : JSON.stringify(pools), quota: quota ?? null },
          ...{ created_at: this.#run.now, expires_at: expiresAt ?? null },
        };
        add.run(row);
        this.#rows.history = { lastId: id, hadTokens: true };
        return tokenOf(this.#rows.bind('token', { ...row, revoked_at: null, off_at: null }));
      }),
    );
  }

  revoke(name: string): Promise<StoredToken> {
    return this.#change(name, ({ revoked_at }) => {
      const now = this.#run.now;
      this.#statements.revoke.run(now, name);
      return { revoked_at: revoked_at ?? now };
    });
  }

  restore(name: string): Promise<StoredToken> {
    return this.#change(name, () => {
      this.#statements.restore.run(name);
      return { off_at: null };
    });
  }

  noteUse(ids: readonly number[]): Promise<void> {
    return this.#run.call(() =>
      this.#run.transaction(() => {
        for (const id of ids) this.#statements.use.run(this.#run.now, id);
      }),
    );
  }

  used(id: number, day: number): Promise<number> {
    return this.#run.call(() => this.#handOuts.usedOn(id, day));
  }

  /** `work` returns what its row says otherwise by then. */
  #change(name: string, work: (row: Row) => Row): Promise<StoredToken> {
    const { byName } = this.#statements;
    return this.#run.call(() =>
      this.#run.effect(() => {
        const row = byName.get(name);
        if (row === undefined) {
          throw new VanityError('TOKEN_NOT_FOUND', `token ${name}: there is none of this name`);
        }
        this.#rows.assertRight('token', row);
        return tokenOf(this.#rows.bind('token', { ...row, ...work(row) }));
      }),
    );
  }

  #stored(row: Row): StoredToken {
    return this.#rows.isRight('token', row) ? tokenOf(row) : forgedToken(row);
  }
}

function tokenOf(row: Row): StoredToken {
  return storedToken(row, {
    scopes: JSON.parse(String(row.scopes)) as Scope[],
    pools: row.pools === null ? undefined : (JSON.parse(String(row.pools)) as string[]),
  });
}
