/**
 * The figures of pools: one row of each node, moved in the transaction of each transition. A pool's are their
 * sums. Runs in the store thread, inside a transaction of the caller.
 */
import type { PoolCounts } from '../address.ts';
import type { Query } from './transaction.ts';

const FIELDS = [
  'available',
  'leased',
  'reserved',
  'dispensed',
  'burned',
  'ground',
  'imported',
] as const;
type Field = (typeof FIELDS)[number];
export type Moved = Partial<Readonly<Record<Field, number>>>;

const ADD = `INSERT INTO vanitypool.figures AS f (pool_id, node_id, ${FIELDS.join(', ')})
  VALUES ($1, $2, ${FIELDS.map((_, index) => `$${index + 3}`).join(', ')})
  ON CONFLICT (pool_id, node_id) DO UPDATE SET
    ${FIELDS.map((field) => `${field} = f.${field} + EXCLUDED.${field}`).join(', ')}`;

const SUMS = FIELDS.map((field) => `coalesce(sum(${field}), 0)::bigint AS ${field}`).join(', ');

const COUNTS = `SELECT ${SUMS} FROM vanitypool.figures WHERE pool_id = $1`;

const MOVE_AND_COUNT = `WITH moved AS (${ADD}) ${COUNTS}`;

/** The sums of each pool in a query with `pools AS p`. */
export const SUMS_OF_POOL = `LATERAL (SELECT ${SUMS} FROM vanitypool.figures WHERE pool_id = p.id) AS f`;

export type Sums = Readonly<Record<Field, number>>;

export function added(one: Moved, other: Moved): Sums {
  const [ones, others] = [valuesOf(one), valuesOf(other)];
  const sums = FIELDS.map((field, index) => [field, ones[index]! + others[index]!]);
  return Object.fromEntries(sums);
}

function valuesOf(moved: Moved): number[] {
  return FIELDS.map((field) => moved[field] ?? 0);
}

export async function moveFigures(
  query: Query,
  pool: number,
  node: string,
  moved: Moved,
): Promise<void> {
  const figures = valuesOf(moved);
  if (figures.every((figure) => figure === 0)) return;
  await query(ADD, [pool, node, ...figures]);
}

/** The figures of the pool after `moved`: by one statement, which reads what was before it. */
export async function moveAndCount(
  query: Query,
  pool: number,
  node: string,
  moved: Moved,
  leasedHere: number,
): Promise<PoolCounts> {
  const [sums] = (await query<Sums>(MOVE_AND_COUNT, [pool, node, ...valuesOf(moved)])).rows;
  return countsFrom(added(sums!, moved), leasedHere);
}

export async function countsOf(
  query: Query,
  pool: number,
  leasedHere: number,
): Promise<PoolCounts> {
  const [sums] = (await query<Sums>(COUNTS, [pool])).rows;
  return countsFrom(sums!, leasedHere);
}

export function countsFrom(sums: Sums, leasedHere: number): PoolCounts {
  const { available, leased, reserved, dispensed, burned, ground, imported } = sums;
  return { available, leased, leasedHere, reserved, dispensed, burned, ground, imported };
}
