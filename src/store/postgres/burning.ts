/**
 * What may have left of a database that went back in time, and that it knows nothing of, is burned: a part of each
 * lane from its start, by what the nodes remember, and all that was given back or held when a lost turn may have
 * leased it again. Runs in the store thread, inside a transaction of the caller, while nothing is leased.
 */
import type { Limits } from './connection.ts';
import { type Moved, moveFigures } from './figures.ts';
import { burn, sum, takeAll } from './lanes.ts';
import type { Query } from './transaction.ts';

/** By lane up to the id that may have left, as far as the lane is filled. */
const LANES = `SELECT h.lane, h.pool_id, h.taken, least(m.id, e.filled) AS last, e.filled, e.writer IS NULL AS "isLeft"
  FROM unnest($1::bigint[], $2::bigint[]) AS m (lane, id)
    JOIN vanitypool.lane_ends AS e ON e.lane = m.lane
    JOIN vanitypool.lane_heads AS h ON h.lane = m.lane
  WHERE h.taken < least(m.id, e.filled) ORDER BY h.lane FOR UPDATE OF h`;

const SQL = {
  lanes: LANES,
  takeHead: 'UPDATE vanitypool.lane_heads SET taken = $2, is_empty = $3 WHERE lane = $1',
  returned: `WITH gone AS (DELETE FROM vanitypool.returned RETURNING first, last, pool_id),
    burned AS (INSERT INTO vanitypool.burns (first, last, pool_id, at, cause)
      SELECT first, last, pool_id, $1, 'failover' FROM gone)
    SELECT pool_id, sum(last - first + 1)::bigint AS count FROM gone GROUP BY pool_id ORDER BY pool_id`,
  /** What is burned already was not reserved. */
  held: `WITH ended AS (UPDATE vanitypool.reservations AS r SET ended_at = $1, outcome = 'expired'
      WHERE ended_at IS NULL AND NOT EXISTS (SELECT FROM vanitypool.burns
        WHERE r.address_id BETWEEN first AND last) RETURNING address_id, pool_id),
    burned AS (INSERT INTO vanitypool.burns (first, last, pool_id, at, cause)
      SELECT address_id, address_id, pool_id, $1, 'failover' FROM ended)
    SELECT pool_id, count(*) AS count FROM ended GROUP BY pool_id ORDER BY pool_id`,
  pools: 'SELECT id FROM vanitypool.pools ORDER BY id',
} as const;

interface LaneRow {
  readonly lane: number;
  readonly pool_id: number;
  readonly taken: number;
  readonly last: number;
  readonly filled: number;
  readonly isLeft: boolean;
}

/** There may be many lanes, and nothing is handed out meanwhile. */
export const BURNING: Limits = { timeoutMs: 120_000 };

/** Who burns, and when. */
export interface Burner {
  readonly node: { readonly id: string };
  readonly now: number;
}

/** What a node may have leased: of each lane the last id. */
export async function burnLanes(
  query: Query,
  { node, now }: Burner,
  marks: ReadonlyMap<number, number>,
): Promise<void> {
  const { rows } = await query<LaneRow>(SQL.lanes, [[...marks.keys()], [...marks.values()]]);
  for (const { lane, pool_id: pool, taken, last, filled, isLeft } of rows) {
    await query(SQL.takeHead, [lane, last, isLeft && last === filled]);
    await burn(query, pool, [{ first: taken + 1, last }], now, 'failover');
    await moveFigures(query, pool, node.id, { available: taken - last, burned: last - taken });
  }
}

/** What no node can say of its own: what was given back or held. */
export async function burnCommon(query: Query, { node, now }: Burner): Promise<void> {
  const move = async (text: string, from: keyof Moved) => {
    for (const { pool_id, count } of (await query<{ pool_id: number; count: number }>(text, [now]))
      .rows) {
      await moveFigures(query, pool_id, node.id, { [from]: -count, burned: count });
    }
  };
  await move(SQL.returned, 'available');
  await move(SQL.held, 'reserved');
}

/** All that could still be leased: nobody knows what the node had that is missed. */
export async function burnAvailable(query: Query, { node, now }: Burner): Promise<void> {
  for (const { id } of (await query<{ id: number }>(SQL.pools)).rows) {
    const ranges = await takeAll(query, id);
    await burn(query, id, ranges, now, 'failover');
    await moveFigures(query, id, node.id, { available: -sum(ranges), burned: sum(ranges) });
  }
}
