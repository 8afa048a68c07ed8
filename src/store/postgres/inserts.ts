/** Hits of several pools, each into the lane of its pool. Runs in the store thread, beside all other calls. */
import type { Hit } from '../../keypair/signing-key.ts';
import type { Origin } from '../address.ts';
import type { InsertReport } from '../store.ts';
import type { Lanes } from './lanes.ts';
import type { PoolRow, PoolRows } from './pool-rows.ts';
import type { Run } from './run.ts';

export async function insertHits(
  run: Run,
  pools: PoolRows,
  lanes: Lanes,
  hits: readonly Hit[],
  origin: Origin,
): Promise<InsertReport> {
  const byPool = Map.groupBy(hits, ({ pool }) => pool);
  const rows = await run.aside(async (query) => {
    const found: PoolRow[] = [];
    for (const name of byPool.keys()) found.push(await pools.row(query, name));
    return found;
  });
  let inserted = 0;
  for (const row of rows) inserted += await lanes.insert(row, byPool.get(row.name)!, origin);
  return { inserted, duplicates: hits.length - inserted };
}
