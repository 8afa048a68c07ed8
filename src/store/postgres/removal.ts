/**
 * The deletion of a pool, in steps, each of which a run that comes later goes on with: nobody leases of it any more;
 * each run ends its queue; when none is open, the rest is burned. Runs in the store thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../../errors.ts';
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
  others: `SELECT q.is_ended OR q.position = q.pushed AS "isEmpty" FROM vanitypool.queues AS q JOIN vanitypool.epochs AS e ON e.epoch = q.epoch
    WHERE q.pool_id = $1 AND q.epoch <> $2 AND e.state = 'open' ORDER BY q.epoch FOR SHARE OF q`,
  held: `UPDATE vanitypool.reservations SET ended_at = $2, outcome = 'released'
    WHERE pool_id = $1 AND ended_at IS NULL RETURNING address_id`,
} as const;

/** Less than a request waits, with `everywhere`. */
const OTHERS_MS = 4000;
const LOOK_MS = 100;

export interface RemovalOptions {
  readonly run: Run;
  readonly queues: Queues;
  readonly pools: PoolRows;
  readonly turns: Turns;
}

/** How many were burned. Error beside those of the contract: STORE_UNAVAILABLE while another run has its queue. */
export async function removePool(
  options: RemovalOptions,
  ended: Required<EndedQueue>,
): Promise<number> {
  const { run, queues, pools, turns } = options;
  const pool = await run.repeated(async (query) => {
    await pools.lock(query);
    const row = await pools.row(query, ended.pool);
    if (row.state === 'open') await pools.set(query, row, { state: 'closing' });
    return row;
  });
  // Of each step as it was done: made again, it finds less to do.
  let own = 0;
  await run.untilKnown(() =>
    queues.change([pool.id], async (fence, query) => {
      const { rest } = await turns.endOne(fence, query, pool, ended, 'burn');
      own = Math.max(own, rest);
    }),
  );
  let rest = 0;
  for (let waitedMs = 0; waitedMs <= OTHERS_MS; waitedMs += LOOK_MS) {
    const isOver = await run.repeated(async (query) => {
      await pools.lock(query);
      const row = await pools.known(query, ended.pool);
      // By this call, or by another node; or it was made anew by one.
      if (row.state !== 'closing') return true;
      const others = await query<{ isEmpty: boolean }>(SQL.others, [row.id, run.epoch]);
      if (others.rows.some(({ isEmpty }) => !isEmpty)) return false;
      rest = await burnRest(query, run, row);
      const removed = { settings: null, is_paused: false, removed_at: run.now } as const;
      await pools.set(query, row, { ...removed, state: 'removed' });
      return true;
    });
    if (isOver) return own + rest;
    await sleep(LOOK_MS);
  }
  const detail = `pool ${ended.pool}: is being deleted; another node has not ended its queue yet`;
  throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
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
