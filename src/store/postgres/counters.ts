/** Figures of this node that outlive its runs. Runs in the store thread. */
import type { Counters } from '../store.ts';
import type { Run } from './run.ts';

const SQL = {
  read: 'SELECT name, value FROM vanitypool.counters WHERE node_id = $1 ORDER BY name',
  save: `INSERT INTO vanitypool.counters (node_id, name, value)
    SELECT $1, * FROM unnest($2::text[], $3::bigint[])
    ON CONFLICT (node_id, name) DO UPDATE SET value = EXCLUDED.value`,
} as const;

export function readCounters(run: Run): Promise<Counters> {
  return run.transaction(async (query) => {
    const { rows } = await query<{ name: string; value: number }>(SQL.read, [run.node.id]);
    return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  });
}

export async function saveCounters(run: Run, counters: Counters): Promise<void> {
  const saved = [Object.keys(counters), Object.values(counters)];
  await run.repeated((query) => query(SQL.save, [run.node.id, ...saved]));
}
