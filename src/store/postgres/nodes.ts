/**
 * The nodes of a store: who they are, how they are doing, and the end of those that do not come back. Needs no run
 * of its own: an operator asks when none can begin, too. Any thread.
 */
import { VanityError } from '../../errors.ts';
import type { Loss, StoreNode, StoreNodes } from '../node-store.ts';
import { BURNING, type Burner, burnAvailable } from './burning.ts';
import type { Connection } from './connection.ts';
import { look } from './database-sight.ts';
import { giveUp } from './expiry.ts';
import { IS_HEARD, NODE_STATE } from './node-states.ts';
import { ask, finish } from './roll-call.ts';

const SQL = {
  all: `SELECT n.id, n.name, n.place, n.confirmed AS "isConfirmed", n.retired_at AS "retiredAt",
      e.role, ${NODE_STATE} AS state, ${IS_HEARD} AS "isHeard", e.beaten_at AS "lastSeenAt",
      CASE WHEN ${IS_HEARD} THEN e.attempts_per_second ELSE 0 END AS "attemptsPerSecond",
      coalesce((SELECT sum(q.pushed - q.position) FROM vanitypool.queues AS q
          JOIN vanitypool.epochs AS own ON own.epoch = q.epoch
        WHERE own.node_id = n.id AND own.state = 'open' AND NOT q.is_ended), 0)::bigint AS leased
    FROM vanitypool.cluster AS c CROSS JOIN vanitypool.nodes AS n LEFT JOIN LATERAL (
      SELECT * FROM vanitypool.epochs WHERE node_id = n.id ORDER BY epoch DESC LIMIT 1) AS e ON true
    ORDER BY n.created_at, n.id`,
  one: 'SELECT id FROM vanitypool.nodes WHERE id = $1',
  now: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  open: `SELECT epoch, durability FROM vanitypool.epochs
    WHERE node_id = $1 AND state = 'open' FOR UPDATE`,
  retire: 'UPDATE vanitypool.nodes SET retired_at = coalesce(retired_at, $2) WHERE id = $1',
} as const;

/** Errors: those of `Connection`. */
export function listNodes(connection: Connection): Promise<StoreNodes> {
  return connection.read(async ({ query }) => {
    const { state } = await look(query);
    return { state, nodes: (await query<StoreNode>(SQL.all)).rows };
  });
}

/**
 * Nobody waits for this node any more: its run is over, as that of one that died. If it was the last one that was
 * missed, the store is sound. A node that comes back all the same is one again, and what it remembers counts.
 * Errors: USAGE_INVALID for one that is unknown, those of `Connection`; the same again changes nothing.
 */
export function retireNode(connection: Connection, id: string, loss: Loss): Promise<void> {
  return connection.transaction(async ({ query }) => {
    const seen = await look(query, true);
    if ((await query(SQL.one, [id])).rows.length === 0) {
      throw new VanityError(
        'USAGE_INVALID',
        `node ${id}: there is none; "vanitypool nodes" lists them`,
      );
    }
    const [{ now } = { now: 0 }] = (await query<{ now: number }>(SQL.now)).rows;
    const burner: Burner = { node: { id }, now };
    const open = await query<{ epoch: number; durability: string }>(SQL.open, [id]);
    for (const { epoch, durability } of open.rows) {
      const mayHaveLeft = durability === 'leased' || loss === 'burn';
      await giveUp(query, burner, epoch, mayHaveLeft ? 'crash' : undefined);
    }
    await query(SQL.retire, [id, now]);
    let { state } = seen;
    if (loss === 'burn') {
      // The others may have had what this one was to return.
      if (state !== 'lost') await ask(query, seen, 'lost');
      state = 'lost';
      await burnAvailable(query, burner);
    }
    if (state !== 'sound') await finish(query, burner, state);
  }, BURNING);
}
