/**
 * The end of secrets: those of what was dispensed or burned long enough ago are deleted, in pieces that others
 * need not wait long for; what stays is the public key. Runs in the store thread, inside a transaction of the
 * caller. Any node does it, also for runs that are over, and passes over what another has locked.
 */
import type { Range } from '../ranges.ts';
import { type Addresses, idsOf, type PoolOfRows } from './addresses.ts';
import { leased } from './hand-outs.ts';
import { sum } from './lanes.ts';
import type { Query } from './transaction.ts';

/** Addresses of one piece. */
const PIECE = 128;

const POOL = 'p.name, p.keys, p.handout';

/** Behind the last position of which every pop before it is old enough. */
const DUE_END = `CASE WHEN q.recorded_at < $1 THEN q.position ELSE coalesce(
    (SELECT min(h.position) FROM vanitypool.hand_outs AS h
      WHERE (h.epoch, h.pool_id) = (q.epoch, q.pool_id) AND h.position >= q.destroyed AND h.at >= $1),
    (SELECT max(h.position + h.count) FROM vanitypool.hand_outs AS h
      WHERE (h.epoch, h.pool_id) = (q.epoch, q.pool_id)),
    q.destroyed) END`;

const SQL = {
  burns: `SELECT b.first, b.last, ${POOL} FROM vanitypool.burns AS b
    JOIN vanitypool.pools AS p ON p.id = b.pool_id
    WHERE NOT b.is_destroyed AND b.at < $1 ORDER BY b.at LIMIT 32 FOR UPDATE OF b SKIP LOCKED`,
  splitBurn: `WITH cut AS (UPDATE vanitypool.burns SET last = $2 WHERE first = $1
      RETURNING pool_id, at, cause)
    INSERT INTO vanitypool.burns (first, last, pool_id, at, cause)
    SELECT $2 + 1, $3, pool_id, at, cause FROM cut`,
  burnDone: 'UPDATE vanitypool.burns SET is_destroyed = true WHERE first = ANY($1::bigint[])',
  held: `SELECT r.id, r.address_id, ${POOL} FROM vanitypool.reservations AS r
    JOIN vanitypool.pools AS p ON p.id = r.pool_id
    WHERE NOT r.is_destroyed AND r.ended_at < $1 AND r.outcome = 'dispensed'
    ORDER BY r.ended_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED`,
  heldDone: 'UPDATE vanitypool.reservations SET is_destroyed = true WHERE id = ANY($1::text[])',
  /** Few, since the turns of other nodes wait for them. */
  queues: `SELECT q.epoch, q.pool_id, q.destroyed, ${DUE_END} AS due, ${POOL}
    FROM vanitypool.queues AS q JOIN vanitypool.pools AS p ON p.id = q.pool_id
    WHERE q.destroyed < q.position AND q.destroyed < ${DUE_END}
    ORDER BY q.epoch, q.pool_id LIMIT 4 FOR UPDATE OF q SKIP LOCKED`,
  reservedIn: `SELECT address_id FROM vanitypool.reservations
    WHERE epoch = $1 AND pool_id = $2 AND position >= $3 AND position < $4`,
  queueDone: 'UPDATE vanitypool.queues SET destroyed = $3 WHERE epoch = $1 AND pool_id = $2',
  count: `SELECT (SELECT coalesce(sum(last - first + 1), 0) FROM vanitypool.burns
      WHERE NOT is_destroyed AND at < $1)
    + (SELECT count(*) FROM vanitypool.reservations
      WHERE NOT is_destroyed AND ended_at < $1 AND outcome = 'dispensed')
    + (SELECT coalesce(sum(${DUE_END} - q.destroyed), 0) FROM vanitypool.queues AS q
      WHERE q.destroyed < q.position) AS count`,
} as const;

interface BurnRow extends Range, PoolOfRows {}

interface HeldRow extends PoolOfRows {
  readonly id: string;
  readonly address_id: number;
}

interface QueueRow extends PoolOfRows {
  readonly epoch: number;
  readonly pool_id: number;
  readonly destroyed: number;
  readonly due: number;
}

/** How many were destroyed of those that are older than `before`; 0 if there is none. */
export async function destroyPiece(
  query: Query,
  addresses: Addresses,
  before: number,
): Promise<number> {
  let left = PIECE;
  const destroy = async (pool: PoolOfRows, ranges: readonly Range[]) => {
    await addresses.destroy(query, await addresses.remainsOf(query, pool, ranges));
    left -= sum(ranges);
  };
  for (const { first, last, ...pool } of (await query<BurnRow>(SQL.burns, [before])).rows) {
    if (left === 0) break;
    const range = { first, last: Math.min(last, first + left - 1) };
    if (range.last < last) await query(SQL.splitBurn, [first, range.last, last]);
    await destroy(pool, [range]);
    await query(SQL.burnDone, [[first]]);
  }
  for (const row of (await query<HeldRow>(SQL.held, [before, left])).rows) {
    await destroy(row, [{ first: row.address_id, last: row.address_id }]);
    await query(SQL.heldDone, [[row.id]]);
  }
  for (const row of (await query<QueueRow>(SQL.queues, [before])).rows) {
    if (left === 0) break;
    const { epoch, pool_id: pool, destroyed, due } = row;
    const end = Math.min(due, destroyed + left);
    const ranges = await leased(query, { epoch, pool }, destroyed, end - destroyed);
    const reserved = await query<{ address_id: number }>(SQL.reservedIn, [
      epoch,
      pool,
      destroyed,
      end,
    ]);
    // Each of them has its own time.
    const apart = new Set(reserved.rows.map(({ address_id }) => address_id));
    const ids = ranges.flatMap(idsOf).filter((id) => !apart.has(id));
    await destroy(
      row,
      ids.map((id) => ({ first: id, last: id })),
    );
    await query(SQL.queueDone, [epoch, pool, end]);
  }
  return PIECE - left;
}

/** How many are due; what is reserved counts with the rest. */
export async function countDue(query: Query, before: number): Promise<number> {
  return Number((await query<{ count: number }>(SQL.count, [before])).rows[0]!.count);
}
