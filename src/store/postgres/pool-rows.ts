/**
 * The pools of all nodes. Runs in the store thread, inside a transaction of the caller. Changes are made one at a
 * time: each begins with the lock of the cluster's row, behind which it sees what those before it did.
 */
import { VanityError } from '../../errors.ts';
import type { KeyType } from '../../keypair/signing-key.ts';
import {
  type ConfiguredPool,
  completed,
  type PoolIdentity,
  type PoolSettings,
  type StoredPool,
} from '../stored-pool.ts';
import type { BoundRows } from './bound-rows.ts';
import { countsFrom, SUMS_OF_POOL, type Sums } from './figures.ts';
import type { Queues } from './queues.ts';
import type { Query } from './transaction.ts';

const COLUMNS = `p.id, p.name, p.prefix, p.suffix, p.ignore_case, p.keys, p.handout, p.target, p.settings,
  p.is_paused, p.removed_at, p.state, p.mac`;

const SQL = {
  all: `SELECT ${COLUMNS}, f.* FROM vanitypool.pools AS p, ${SUMS_OF_POOL} ORDER BY p.id`,
  row: `SELECT ${COLUMNS} FROM vanitypool.pools AS p WHERE name = $1`,
  any: `SELECT ${COLUMNS}, f.* FROM vanitypool.pools AS p, ${SUMS_OF_POOL} WHERE name = $1`,
  add: `INSERT INTO vanitypool.pools (name, prefix, suffix, ignore_case, keys, handout, target)
    VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (name) DO NOTHING`,
  set: `UPDATE vanitypool.pools
    SET settings = $2, is_paused = $3, state = $4, removed_at = $5, target = $6 WHERE id = $1`,
  lock: 'SELECT FROM vanitypool.cluster FOR NO KEY UPDATE',
  change: 'UPDATE vanitypool.cluster SET version = version + 1',
} as const;

export interface PoolRow extends Record<string, unknown> {
  readonly id: number;
  readonly name: string;
  readonly prefix: string;
  readonly suffix: string;
  readonly ignore_case: boolean;
  readonly keys: KeyType;
  readonly handout: PoolIdentity['handout'];
  /** Of one that stands in a configuration. */
  readonly target: number;
  readonly settings: string | null;
  readonly is_paused: boolean;
  readonly removed_at: number | null;
  readonly state: 'open' | 'closing' | 'removed';
  readonly mac: Uint8Array | null;
}

type Changed = Partial<Pick<PoolRow, 'settings' | 'is_paused' | 'removed_at' | 'state' | 'target'>>;

type RowChecks = Pick<BoundRows, 'isRight' | 'assertRight' | 'bind'>;

/** Without the private key no row can be checked, or changed. */
export const UNCHECKED: RowChecks = {
  isRight: async () => true,
  assertRight: async () => undefined,
  bind: () => Promise.reject(new Error('the row of a pool takes the private sealing key')),
};

export class PoolRows {
  readonly #rows: RowChecks;
  readonly #queues: Queues;

  constructor(rows: RowChecks, queues: Queues) {
    this.#rows = rows;
    this.#queues = queues;
  }

  async all(query: Query): Promise<(StoredPool & { readonly isForged: boolean })[]> {
    const rows = await allRows(query);
    const pools: (StoredPool & { readonly isForged: boolean })[] = [];
    for (const row of rows) {
      const isForged = !(await this.#rows.isRight(query, 'pool', saidOf(row)));
      pools.push({ ...this.#stored(row), isForged });
    }
    return pools;
  }

  /** Errors: POOL_NOT_FOUND, STORE_FORGED. */
  async row(query: Query, name: string): Promise<PoolRow> {
    const row = await this.known(query, name);
    if (row.state === 'removed') throw notFound(name);
    return row;
  }

  /** The same, deleted or not. */
  async known(query: Query, name: string): Promise<PoolRow> {
    const [row] = (await query<PoolRow>(SQL.row, [name])).rows;
    if (row === undefined) throw notFound(name);
    await this.#rows.assertRight(query, 'pool', saidOf(row));
    return row;
  }

  /** Before what a change goes by is read. */
  async lock(query: Query): Promise<void> {
    await query(SQL.lock);
  }

  /** After `lock`. Errors: POOL_MISMATCH, STORE_FORGED. */
  async define(
    query: Query,
    identity: ConfiguredPool,
    settings?: PoolSettings,
  ): Promise<StoredPool> {
    const { name, prefix, suffix, ignoreCase, keys, handout } = identity;
    const added = await query(SQL.add, [name, prefix, suffix, ignoreCase, keys, handout]);
    const isNew = added.count > 0;
    const [row] = (await query<PoolRow & Sums>(SQL.any, [name])).rows;
    if (!isNew) await this.#rows.assertRight(query, 'pool', saidOf(row!));
    const stored = this.#stored(row!);
    for (const field of ['prefix', 'suffix', 'ignoreCase', 'keys', 'handout'] as const) {
      if (stored[field] === identity[field]) continue;
      const [was, is] = [stored[field], identity[field]].map((value) => JSON.stringify(value));
      const message = `pool ${name}: made with ${field} ${was}, not ${is}; give the other its own name`;
      throw new VanityError('POOL_MISMATCH', message);
    }
    const text = settings === undefined ? null : JSON.stringify(settings);
    const target = settings?.target ?? identity.target ?? row!.target;
    const isSame = !isNew && row!.settings === text && row!.state === 'open';
    if (isSame && row!.target === target) return stored;
    const changed = { settings: text, state: 'open', removed_at: null, target } as const;
    await this.set(query, row!, changed);
    return this.#stored({ ...row!, ...changed });
  }

  /** A change of which all nodes hear. After `lock`. */
  async set(query: Query, row: PoolRow, changed: Changed): Promise<void> {
    const next = { ...row, ...changed };
    const { id, settings, is_paused, state, removed_at, target } = next;
    await query(SQL.set, [id, settings, is_paused, state, removed_at, target]);
    await this.#rows.bind(query, 'pool', saidOf(next));
    await query(SQL.change);
  }

  #stored(row: PoolRow & Sums): StoredPool {
    return storedPool(row, this.#queues.leasedHere(row.id), this.#queues.positionOf(row.id));
  }
}

/** In the order in which they were made. */
export async function allRows(query: Query): Promise<readonly (PoolRow & Sums)[]> {
  return (await query<PoolRow & Sums>(SQL.all)).rows;
}

/** With what a run has of it, if one asks. */
export function storedPool(row: PoolRow & Sums, leasedHere = 0, position = 0): StoredPool {
  const { name, prefix, suffix, keys, handout, target, settings } = row;
  return {
    ...{ name, prefix, suffix, ignoreCase: row.ignore_case, keys, handout },
    counts: countsFrom(row, leasedHere),
    settings: settings === null ? undefined : settingsIn(settings),
    ...(settings === null && { target }),
    isPaused: row.is_paused,
    isRemoved: row.state !== 'open',
    position,
  };
}

export function notFound(name: string): VanityError {
  return new VanityError('POOL_NOT_FOUND', `pool ${name}: the store has no such pool`);
}

/** As the MACs of all databases have it. */
export function saidOf(row: PoolRow): Record<string, unknown> {
  return { ...row, ignore_case: Number(row.ignore_case), is_paused: Number(row.is_paused) };
}

/** Undefined for what this program did not write: the server of the pool detects that by its MAC. */
function settingsIn(text: string): PoolSettings | undefined {
  try {
    const parsed = JSON.parse(text) as PoolSettings | null;
    return typeof parsed === 'object' && parsed !== null ? completed(parsed) : undefined;
  } catch {
    return undefined;
  }
}
