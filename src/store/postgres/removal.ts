/**
 * The deletion of a pool, in steps, each of which a run that comes later goes on with: nobody leases of it any more;
 * each run ends its queue; when none is open, the rest is burned. Runs in the store thread.
 */
import type { Removal } from '../pool-removal.ts';
import type { EndedQueue } from '../store.ts';
import { moveFigures } from './figures.ts';
import { burn, sum, takeAll } from './lanes.ts';
import type { PoolRow, PoolRows } from './pool-rows.ts';
import type { Queues } from './queues.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';
import type { Turns } from './turns.ts';

const SQL = {
  /** Waits for their turns that are under way. */
  queues: `SELECT q.is_ended OR q.position = q.pushed AS "isEmpty" FROM vanitypool.queues AS q JOIN vanitypool.epochs AS e ON e.epoch = q.epoch
    WHERE q.pool_id = $1 AND e.state = 'open' ORDER BY q.epoch FOR SHARE OF q`,
  held: `UPDATE vanitypool.reservations SET ended_at = $2, outcome = 'released'
    WHERE pool_id = $1 AND ended_at IS NULL RETURNING address_id`,
} as const;

export interface RemovalOptions {
  readonly run: Run;
  readonly queues: Queues;
  readonly pools: PoolRows;
  readonly turns: Turns;
}

export function closePool({ run, pools }: RemovalOptions, name: string): Promise<void> {
  return run.repeated(async (query) => {
    await pools.lock(query);
    const row = await pools.row(query, name);
    if (row.state === 'open') await pools.set(query, row, { state: 'closing' });
  });
}

/** `own`: of the queue of this run, if that is to be ended. */
export async function removePool(
  { run, queues, pools, turns }: RemovalOptions,
  name: string,
  own: Omit<EndedQueue, 'pool'> | undefined,
): Promise<Removal> {
  // Of each step as it was done: made again, it finds less to do.
  let [ended, rest] = [0, 0];
  if (own !== undefined) {
    const id = await turns.idOf(name);
    await run.untilKnown(() =>
      queues.change([id], async (fence, query) => {
        const pool = await pools.known(query, name);
        ended = Math.max(ended, (await turns.endOne(fence, query, pool, own, 'burn')).rest);
      }),
    );
  }
  const isOver = await run.repeated(async (query) => {
    await pools.lock(query);
    const row = await pools.known(query, name);
    // By another node; or it was made anew by one.
    if (row.state !== 'closing') return true;
    const { rows } = await query<{ isEmpty: boolean }>(SQL.queues, [row.id]);
    if (rows.some(({ isEmpty }) => !isEmpty)) return false;
    rest = await burnRest(query, run, row);
    const removed = { settings: null, is_paused: false, removed_at: run.now } as const;
    await pools.set(query, row, { ...removed, state: 'removed' });
    return true;
  });
  return { burned: ended + rest, isOver };
}

async function burnRest(query: Query, { now, node }: Run, { id }: PoolRow): Promise<number> {
  // These first: one that another node gives back at this moment is available then.
  const held = (await query<{ address_id: number }>(SQL.held, [id, now])).rows;
  const available = await takeAll(query, id);
  const reserved = held.map(({ address_id }) => ({ first: address_id, last: address_id }));
  await burn(query, id, [...reserved, ...available], now, 'deleted');
  const burned = held.length + sum(available);
  const moved = { available: -sum(available), reserved: -held.length, burned };
  await moveFigures(query, id, node.id, moved);
  return burned;
}
