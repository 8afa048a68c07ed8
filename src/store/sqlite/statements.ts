/**
 * Every statement of the SQLite store but those of segments.ts, prepared once, and the rows that
 * they give. Runs in the store thread. Columns are described in migrations.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Durability } from '../../config/config.ts';
import { VanityError } from '../../errors.ts';
import type { KeyType } from '../../keypair/signing-key.ts';
import type { PoolCounts } from '../address.ts';
import type { OwnClock } from '../own-clock.ts';
import {
  completed,
  type PoolIdentity,
  type PoolSettings,
  type StoredPool,
} from '../stored-pool.ts';
import type { BoundRows } from './bound-rows.ts';
import { prepareAll } from './database.ts';

const SQL = {
  meta: 'SELECT store_id, binding, sealing_key, next_id, epoch, durability, place FROM meta',
  startEpoch: 'UPDATE meta SET epoch = epoch + 1, sealing_key = ?, durability = ?',
  startPositions: 'UPDATE pools SET position = 0',
  journals: 'SELECT number, recorded, leases FROM journals WHERE pool_id = ? ORDER BY number',
  addJournal: 'INSERT INTO journals (number, pool_id) VALUES (?, ?)',
  countLease: 'UPDATE journals SET leases = leases + 1 WHERE pool_id = ?',
  removeJournal: 'DELETE FROM journals WHERE number = ?',
  removeJournals: 'DELETE FROM journals',
  saveNextId: 'UPDATE meta SET next_id = ?',
  anyDataKey: 'SELECT 1 FROM data_keys LIMIT 1',
  addDataKey: 'INSERT INTO data_keys (sealed, created_at) VALUES (?, ?)',
  pools: 'SELECT * FROM pools ORDER BY id',
  pool: 'SELECT * FROM pools WHERE name = ? AND removed_at IS NULL',
  anyPool: 'SELECT * FROM pools WHERE name = ?',
  poolOf: 'SELECT * FROM pools WHERE id = ?',
  advance: 'UPDATE pools SET position = ? WHERE id = ?',
  addPool: `INSERT INTO pools (name, prefix, suffix, ignore_case, keys, handout)
    VALUES (?, ?, ?, ?, ?, ?)`,
  setPool: `UPDATE pools SET settings = ?2, is_paused = ?3, removed_at = NULL
    WHERE id = ?1 AND (settings, is_paused, removed_at) IS NOT (?2, ?3, NULL)`,
  removePool: 'UPDATE pools SET settings = NULL, is_paused = 0, removed_at = ? WHERE id = ?',
  endReservations: `UPDATE reservations SET ended_at = ?, outcome = 'released'
    WHERE pool_id = ? AND ended_at IS NULL`,
  addAddress: `INSERT INTO addresses
      (id, pool_id, seq, key_hash, data_key_id, sealed, origin, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key_hash) DO NOTHING`,
  countGround: 'UPDATE pools SET available = available + ?1, ground = ground + ?1 WHERE id = ?2',
  countImported: `UPDATE pools SET available = available + ?1, imported = imported + ?1
    WHERE id = ?2`,
  addresses: `SELECT id, seq, key_hash, data_key_id, sealed, origin, created_at
    FROM addresses WHERE pool_id = ? AND seq BETWEEN ? AND ? ORDER BY seq`,
  oldestSecrets: `SELECT pool_id, first, last FROM segments
    WHERE state IN ('dispensed', 'burned') AND is_destroyed = 0 AND changed_at < ?
    ORDER BY changed_at LIMIT ?`,
  countSecrets: `SELECT coalesce(sum(count), 0) AS count FROM (
    SELECT last - first + 1 AS count FROM segments
    WHERE state IN ('dispensed', 'burned') AND is_destroyed = 0 AND changed_at < ?
    LIMIT ?)`,
  overwrite: 'UPDATE addresses SET sealed = ? WHERE pool_id = ? AND seq = ?',
  counters: 'SELECT name, value FROM counters ORDER BY name',
  moveReservations: 'UPDATE reservations SET expires_at = expires_at + ? WHERE ended_at IS NULL',
  moveHandOuts: 'UPDATE hand_outs SET at = at + ? WHERE pool_id = ? AND epoch = ?',
  /** In whole seconds, which separate neighbouring segments. */
  moveSecrets: `UPDATE segments SET changed_at = changed_at + ?
    WHERE state IN ('dispensed', 'burned') AND is_destroyed = 0 AND changed_at BETWEEN ? AND ?`,
  /** After a start: ?1 is the time, ?2 whether that may be wrong. */
  limitReservations: `UPDATE reservations SET expires_at = iif(?2, ?1 + ttl, min(expires_at, ?1 + ttl))
    WHERE ended_at IS NULL`,
  saveCounter: `INSERT INTO counters (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
} as const;

export type Statements = { readonly [name in keyof typeof SQL]: StatementSync };

export function prepareStatements(db: DatabaseSync): Statements {
  return prepareAll(db, SQL);
}

export interface MetaRow {
  readonly store_id: string;
  /** NULL until its rows are bound (bound-rows.ts). */
  readonly binding: string | null;
  readonly sealing_key: Uint8Array | null;
  readonly next_id: number;
  readonly epoch: number;
  readonly durability: Durability;
  readonly place: string | null;
}

export interface PoolRow extends Omit<PoolCounts, 'leasedHere'> {
  readonly id: number;
  readonly name: string;
  readonly prefix: string;
  readonly suffix: string;
  readonly ignore_case: number;
  readonly position: number;
  readonly keys: KeyType;
  readonly handout: PoolIdentity['handout'];
  readonly settings: string | null;
  readonly is_paused: number;
  readonly removed_at: number | null;
}

export function metaOf(statements: Statements): MetaRow {
  return statements.meta.get() as unknown as MetaRow;
}

export function poolRows(statements: Statements): PoolRow[] {
  return statements.pools.all() as unknown as PoolRow[];
}

/** Stored beside the counters, but not a figure and never reported. */
const TIME = 'own_time';
/** That a `Date` has. */
const LAST_TIME = 8.64e15;

export function countersOf(statements: Statements): Record<string, number> {
  const rows = statements.counters.all().filter(({ name }) => name !== TIME);
  return Object.fromEntries(rows.map(({ name, value }) => [String(name), Number(value)]));
}

type SavedClock = Pick<OwnClock, 'now' | 'isInDoubt'>;

/** The time of the store's clock that was saved last, in ms since 1970. */
export function savedTime(statements: Statements): number | undefined {
  const row = statements.counters.all().find(({ name }) => name === TIME);
  return row && Math.min(Number(row.value), LAST_TIME);
}

/** What has left since this start had its time from the clock that was wrong. */
export function moveLeft(
  statements: Statements,
  { began, now }: OwnClock,
  epoch: number,
  stepMs: number,
): void {
  const { moveHandOuts, moveSecrets } = statements;
  for (const { id } of poolRows(statements)) moveHandOuts.run(stepMs, id, epoch);
  moveSecrets.run(Math.ceil(stepMs / 1000) * 1000, began, now);
}

/** While a start is in doubt what was saved stays: the next start would believe a wrong time. */
export function saveTime(statements: Statements, { now, isInDoubt }: SavedClock): void {
  if (!isInDoubt) statements.saveCounter.run(TIME, now);
}

export function storedPool(row: PoolRow): StoredPool {
  const { name, prefix, suffix, keys, handout, position, settings } = row;
  return {
    name,
    prefix,
    suffix,
    ignoreCase: row.ignore_case === 1,
    keys,
    handout,
    counts: countsOf(row),
    settings: settings === null ? undefined : settingsIn(settings),
    isPaused: row.is_paused === 1,
    isRemoved: row.removed_at !== null,
    position,
  };
}

export function countsOf(row: PoolRow): PoolCounts {
  const { available, leased, reserved, dispensed, burned, ground, imported } = row;
  return { available, leased, leasedHere: leased, reserved, dispensed, burned, ground, imported };
}

/** Inside a transaction of the caller. Errors: POOL_MISMATCH, STORE_FORGED. */
export function definePool(
  { anyPool, addPool, setPool }: Statements,
  rows: BoundRows,
  identity: PoolIdentity,
  settings: PoolSettings | undefined,
): StoredPool {
  const { name, prefix, suffix, ignoreCase, keys, handout } = identity;
  const known = anyPool.get(name);
  if (known === undefined) addPool.run(name, prefix, suffix, Number(ignoreCase), keys, handout);
  else rows.assertRight('pool', known);
  const row = anyPool.get(name) as unknown as PoolRow;
  const stored = storedPool(row);
  for (const field of ['prefix', 'suffix', 'ignoreCase', 'keys', 'handout'] as const) {
    if (stored[field] === identity[field]) continue;
    const [was, is] = [stored[field], identity[field]].map((value) => JSON.stringify(value));
    const message = `pool ${name}: made with ${field} ${was}, not ${is}; give the other its own name`;
    throw new VanityError('POOL_MISMATCH', message);
  }
  const changed = {
    settings: settings === undefined ? null : JSON.stringify(settings),
    is_paused: known === undefined ? 0 : row.is_paused,
    removed_at: null,
  };
  setPool.run(row.id, changed.settings, changed.is_paused);
  rows.bind('pool', { ...row, ...identityRow(identity), ...changed });
  return storedPool(anyPool.get(name) as unknown as PoolRow);
}

/** Inside a transaction of the caller. */
export function changePool(
  { setPool }: Statements,
  rows: BoundRows,
  pool: PoolRow,
  change: { readonly settings?: PoolSettings; readonly isPaused?: boolean },
): void {
  const settings = change.settings === undefined ? pool.settings : JSON.stringify(change.settings);
  const is_paused = Number(change.isPaused ?? pool.is_paused);
  setPool.run(pool.id, settings, is_paused);
  rows.bind('pool', { ...pool, settings, is_paused });
}

function identityRow({ ignoreCase, ...identity }: PoolIdentity) {
  return { ...identity, ignore_case: Number(ignoreCase) };
}

/** As JSON. Undefined for what this program did not write: the server of the pool detects that by its MAC. */
function settingsIn(text: string): PoolSettings | undefined {
  let parsed: PoolSettings | null;
  try {
    parsed = JSON.parse(text) as PoolSettings | null;
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  return completed(parsed);
}
