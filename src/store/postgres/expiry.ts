/**
 * The end of a run by another one. What it had leased and might hand out is burned: however late its holder wakes,
 * nobody else gets it. What only leaves after a commit is returned, for no commit of that run succeeds any more.
 * Runs in the store thread.
 */
import type { Durability } from '../../config/config.ts';
import type { NodeName } from '../node-store.ts';
import type { Range } from '../ranges.ts';
import type { Connection } from './connection.ts';
import { moveFigures } from './figures.ts';
import { cutOut, leased } from './hand-outs.ts';
import { burn, giveBack, leaveLanes, sum } from './lanes.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

const SQL = {
  /** Once, by the first who sees it; never one that has beaten since, or that is waited for. */
  take: `SELECT e.durability, n.id, n.name
    FROM vanitypool.epochs AS e JOIN vanitypool.nodes AS n ON n.id = e.node_id
    WHERE e.epoch = $1 AND e.beats = $2 AND e.state = 'open'
      AND EXISTS (SELECT FROM vanitypool.cluster WHERE state = 'sound') FOR UPDATE OF e SKIP LOCKED`,
  queues: `SELECT pool_id, position, pushed FROM vanitypool.queues
    WHERE epoch = $1 AND NOT is_ended ORDER BY pool_id FOR UPDATE`,
  expired: `UPDATE vanitypool.epochs SET state = 'expired' WHERE epoch = $1`,
  push: 'UPDATE vanitypool.queues SET pushed = position WHERE epoch = $1 AND pool_id = $2',
  overlapping: `DELETE FROM vanitypool.burns
    WHERE pool_id = $1 AND first <= $3 AND last >= $2 RETURNING first, last, at, cause, is_destroyed`,
  keep: `INSERT INTO vanitypool.burns (first, last, pool_id, at, cause, is_destroyed)
    VALUES ($1, $2, $3, $4, $5, $6)`,
} as const;

/** As it was last seen. */
export interface OpenRun {
  readonly epoch: number;
  readonly beats: number;
}

type Taken = NodeName & { readonly durability: Durability };

interface QueueRow {
  readonly pool_id: number;
  readonly position: number;
  readonly pushed: number;
}

interface BurnRow extends Range {
  readonly at: number;
  readonly cause: string;
  readonly is_destroyed: boolean;
}

/** Whose run it was, if this one was the one to end it. Errors: those of `Connection`. */
export function expire(
  connection: Connection,
  run: Run,
  { epoch, beats }: OpenRun,
): Promise<NodeName | undefined> {
  return connection.transaction(async ({ query }) => {
    const [found] = (await query<Taken>(SQL.take, [epoch, beats])).rows;
    if (found === undefined) return undefined;
    const { durability, id, name } = found;
    await giveUp(query, run, epoch, durability === 'leased' ? 'crash' : undefined);
    return { id, name };
  });
}

/**
 * Ends a run: what it had leased is burned with this cause, or returned without one. Its epoch is locked for that,
 * and open no more behind it: its next turn does not pass its fence, and the numbers of its turns stay what it knows.
 */
export async function giveUp(
  query: Query,
  { node, now }: { readonly node: { readonly id: string }; readonly now: number },
  epoch: number,
  cause: 'crash' | undefined,
): Promise<void> {
  for (const row of (await query<QueueRow>(SQL.queues, [epoch])).rows) {
    const { pool_id: pool, position, pushed } = row;
    const count = pushed - position;
    const ranges =
      cause === undefined
        ? await cutOut(query, { epoch, pool }, position, count)
        : await leased(query, { epoch, pool }, position, count);
    if (cause === undefined) {
      await giveBack(query, pool, ranges);
      await query(SQL.push, [epoch, pool]);
    } else await burn(query, pool, ranges, now, cause);
    const to = cause === undefined ? 'available' : 'burned';
    await moveFigures(query, pool, node.id, { leased: -count, [to]: sum(ranges) });
  }
  await leaveLanes(query, epoch);
  await query(SQL.expired, [epoch]);
}

/** What was burned of these ranges is not any more: how many. */
export async function unburn(
  query: Query,
  pool: number,
  ranges: readonly Range[],
): Promise<number> {
  let count = 0;
  for (const { first, last } of ranges) {
    for (const row of (await query<BurnRow>(SQL.overlapping, [pool, first, last])).rows) {
      const { at, cause, is_destroyed } = row;
      const keep = (from: number, to: number) =>
        from <= to ? query(SQL.keep, [from, to, pool, at, cause, is_destroyed]) : undefined;
      await keep(row.first, first - 1);
      await keep(last + 1, row.last);
      count += Math.min(row.last, last) - Math.max(row.first, first) + 1;
    }
  }
  return count;
}
