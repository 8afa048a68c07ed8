/** The tokens of all nodes. Runs in the store thread. A token that is revoked stays known. */
import { VanityError } from '../../errors.ts';
import type { Scope } from '../../token.ts';
import { forged, type Row } from '../row-macs.ts';
import { forgedToken, storedToken } from '../token-rows.ts';
import type { NewToken, StoredToken, TokenStore } from '../token-store.ts';
import type { BoundRows } from './bound-rows.ts';
import { usedOn } from './hand-outs.ts';
import type { ValidTokens } from './marks.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

const SQL = {
  all: 'SELECT * FROM vanitypool.tokens ORDER BY id',
  byName: 'SELECT * FROM vanitypool.tokens WHERE name = $1',
  byId: 'SELECT 1 FROM vanitypool.tokens WHERE id = $1',
  add: `INSERT INTO vanitypool.tokens (id, name, hash, scopes, pools, quota, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
  set: 'UPDATE vanitypool.tokens SET revoked_at = $2, off_at = $3 WHERE id = $1',
  /** In one order in all nodes: two that note the same ones do not wait for each other. */
  use: `WITH used AS (SELECT id FROM vanitypool.tokens WHERE id = ANY($2::bigint[])
      ORDER BY id FOR NO KEY UPDATE)
    UPDATE vanitypool.tokens SET last_used_at = greatest($1, last_used_at)
    WHERE id IN (SELECT id FROM used)`,
  /** Its lock is the order of changes: they are made one at a time. */
  change: 'UPDATE vanitypool.cluster SET version = version + 1',
} as const;

export class PostgresTokens implements TokenStore {
  readonly #run: Run;
  readonly #rows: BoundRows;

  constructor(run: Run, rows: BoundRows) {
    this.#run = run;
    this.#rows = rows;
  }

  async all(): Promise<StoredToken[]> {
    const { stored, valid, last } = await this.#run.transaction(async (query) => {
      // Before the rows: one that is made and revoked meanwhile is none of those that are known.
      const { lastId: last } = await this.#rows.history(query);
      const rows = await allTokens(query);
      const stored: StoredToken[] = [];
      for (const row of rows) stored.push(await this.#stored(query, row));
      const valid = await this.#rows.rightOnes(query, 'token', rows.filter(isOn));
      return { stored, valid, last };
    });
    this.#run.marks.noteTokens({ last, ids: valid.map(({ id }) => id as number) });
    return stored;
  }

  find(name: string): Promise<StoredToken | undefined> {
    return this.#run.transaction(async (query) => {
      const [row] = (await query<Row>(SQL.byName, [name])).rows;
      return row && (await this.#stored(query, row));
    });
  }

  wereMade(): Promise<boolean> {
    return this.#run.transaction(async (query) => (await this.#rows.history(query)).hadTokens);
  }

  create({ name, hash, scopes, pools, quota, expiresAt }: NewToken): Promise<StoredToken> {
    const limits = [[...scopes], pools === undefined ? null : [...pools], quota ?? null];
    return this.#run.repeated(async (query) => {
      await query(SQL.change);
      const [known] = (await query<Row>(SQL.byName, [name])).rows;
      // Of a try of which nobody knew whether it was in.
      if (known !== undefined && Buffer.from(hash).equals(known.hash as Uint8Array)) {
        return await this.#stored(query, known);
      }
      if (known !== undefined) {
        const detail = `token ${name}: there is one of this name, revoked or not; take another`;
        throw new VanityError('TOKEN_EXISTS', detail);
      }
      let id = (await this.#rows.history(query)).lastId + 1;
      // Rows that somebody else wrote.
      while ((await query(SQL.byId, [id])).rows.length > 0) id++;
      const at = [this.#run.now, expiresAt ?? null];
      await query(SQL.add, [id, name, Buffer.from(hash), ...limits, ...at]);
      const [row] = (await query<Row>(SQL.byName, [name])).rows;
      await this.#rows.bind(query, 'token', row!);
      await this.#rows.setHistory(query, { lastId: id, hadTokens: true });
      return tokenOf(row!);
    });
  }

  revoke(name: string): Promise<StoredToken> {
    return this.#change(name, ({ revoked_at, off_at }) => ({
      revoked_at: revoked_at ?? this.#run.now,
      off_at,
    }));
  }

  restore(name: string): Promise<StoredToken> {
    return this.#change(name, ({ revoked_at }) => ({ revoked_at, off_at: null }));
  }

  async noteUse(ids: readonly number[]): Promise<void> {
    await this.#run.transaction((query) => query(SQL.use, [this.#run.now, [...ids]]));
  }

  used(id: number, day: number): Promise<number> {
    return this.#run.transaction((query) => usedOn(query, id, day));
  }

  async #change(name: string, work: (row: Row) => Row): Promise<StoredToken> {
    const changed = await this.#run.repeated(async (query) => {
      await query(SQL.change);
      const [row] = (await query<Row>(SQL.byName, [name])).rows;
      if (row === undefined) {
        throw new VanityError('TOKEN_NOT_FOUND', `token ${name}: there is none of this name`);
      }
      await this.#rows.assertRight(query, 'token', row);
      const next: Row = { ...row, ...work(row) };
      await query(SQL.set, [next.id, next.revoked_at, next.off_at]);
      await assertSaid(query, next);
      await this.#rows.bind(query, 'token', next);
      return tokenOf(next);
    });
    // A revocation is remembered before it is answered.
    await this.all();
    return changed;
  }

  async #stored(query: Query, row: Row): Promise<StoredToken> {
    return (await this.#rows.isRight(query, 'token', row)) ? tokenOf(row) : forgedToken(row);
  }
}

export async function allTokens(query: Query): Promise<readonly Row[]> {
  return (await query<Row>(SQL.all)).rows;
}

/**
 * The database went back in time: what was valid by then, as far as this node knows, stays so; any other token that was
 * made before may have been revoked, and is off until somebody restores it. No id comes again.
 */
export async function switchOffTokens(
  query: Query,
  rows: BoundRows,
  valid: ValidTokens,
  now: number,
): Promise<void> {
  const ids = new Set(valid.ids);
  const doubtful = (await query<Row>(SQL.all)).rows.filter(
    (row) => isOn(row) && !ids.has(row.id as number) && (row.id as number) <= valid.last,
  );
  for (const row of await rows.rightOnes(query, 'token', doubtful)) {
    const next: Row = { ...row, off_at: now };
    await query(SQL.set, [next.id, next.revoked_at, next.off_at]);
    await rows.bind(query, 'token', next);
  }
  const { lastId, hadTokens } = await rows.history(query);
  if (valid.last > lastId) await rows.setHistory(query, { lastId: valid.last, hadTokens });
}

function isOn({ revoked_at, off_at }: Row): boolean {
  return revoked_at === null && off_at === null;
}

/** The row says this, whatever triggers somebody has made. Error: STORE_FORGED. */
async function assertSaid(query: Query, next: Row): Promise<void> {
  const [row] = (await query<Row>(SQL.byName, [next.name])).rows;
  const isSaid = row?.revoked_at === next.revoked_at && row?.off_at === next.off_at;
  if (!isSaid) throw forged(`token ${next.name}`);
}

function tokenOf(row: Row): StoredToken {
  return storedToken(row, {
    scopes: row.scopes as Scope[],
    pools: (row.pools as string[] | null) ?? undefined,
  });
}
