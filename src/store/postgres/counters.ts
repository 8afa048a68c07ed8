/** Figures of this node that outlive its runs, and how fast it grinds, for people. Runs in the store thread. */
import type { Counters } from '../store.ts';
import type { Run } from './run.ts';

const SQL = {
  read: 'SELECT name, value FROM vanitypool.counters WHERE node_id = $1 ORDER BY name',
  save: `INSERT INTO vanitypool.counters (node_id, name, value)
    SELECT $1, * FROM unnest($2::text[], $3::bigint[])
    ON CONFLICT (node_id, name) DO UPDATE SET value = EXCLUDED.value`,
  rate: 'UPDATE vanitypool.epochs SET attempts_per_second = $3 WHERE epoch = $1 AND run = $2',
} as const;

export class NodeCounters {
  readonly #run: Run;
  /** What was read or saved last. */
  #last: { readonly attempts: number; readonly atMs: number } | undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  async read(): Promise<Counters> {
    const counters = await this.#run.transaction(async (query) => {
      const { rows } = await query<{ name: string; value: number }>(SQL.read, [this.#run.node.id]);
      return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
    });
    this.#last = { attempts: counters.attempts ?? 0, atMs: performance.now() };
    return counters;
  }

  async save(counters: Counters): Promise<void> {
    const { node, epoch, id } = this.#run;
    const saved = [Object.keys(counters), Object.values(counters)];
    const rate = this.#rate(counters.attempts);
    await this.#run.repeated(async (query) => {
      await query(SQL.save, [node.id, ...saved]);
      if (rate !== undefined) await query(SQL.rate, [epoch, Buffer.from(id), rate]);
    });
  }

  /** Attempts a second since the last time. */
  #rate(attempts: number | undefined): number | undefined {
    if (attempts === undefined) return undefined;
    const last = this.#last;
    const atMs = performance.now();
    this.#last = { attempts, atMs };
    if (last === undefined || atMs <= last.atMs) return undefined;
    const rate = Math.round(((attempts - last.attempts) / (atMs - last.atMs)) * 1000);
    return Math.min(Math.max(0, rate), Number.MAX_SAFE_INTEGER);
  }
}
