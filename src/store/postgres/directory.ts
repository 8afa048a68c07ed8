/**
 * What the nodes do to pools and tokens, by a version that each change raises: this run acts on what others
 * changed, and waits until others act on what it changed. Keys that are handed to it are looked for, too. Runs in the store thread; looks each second.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../../errors.ts';
import type { NodeCounts } from '../node-store.ts';
import { type StoreEvents, StoreRewound } from '../store.ts';
import { LOOK, type Look } from './database-sight.ts';
import { isHanded, takeHanded } from './handing.ts';
import { NODE_COUNTS } from './node-states.ts';
import type { Run } from './run.ts';
import type { HeldKey } from './store-keys.ts';

const SQL = {
  look: `SELECT version, ${LOOK}, ${NODE_COUNTS} AS nodes, (SELECT count(*) FROM vanitypool.epochs
      WHERE state = 'open' AND role <> 'grinder') AS runs FROM vanitypool.cluster AS c`,
  acted: `UPDATE vanitypool.epochs SET acted = greatest(acted, $3) WHERE epoch = $1 AND run = $2`,
  looked: `UPDATE vanitypool.epochs SET looked = $3 WHERE epoch = $1 AND run = $2`,
  behind: `SELECT 1 FROM vanitypool.epochs
    WHERE state = 'open' AND epoch <> $1 AND acted < $2 LIMIT 1`,
  stock: `SELECT p.name, concat_ws(' ', sum(f.available), sum(f.leased), sum(f.reserved),
      sum(f.dispensed), sum(f.burned)) AS figures
    FROM vanitypool.figures AS f JOIN vanitypool.pools AS p ON p.id = f.pool_id
    WHERE p.state = 'open' GROUP BY p.name`,
} as const;

interface Directories {
  readonly version: number;
  readonly runs: number;
  readonly nodes: Partial<NodeCounts> | null;
}

const NO_NODES: NodeCounts = { running: 0, lost: 0, missed: 0, stopped: 0 };
const LOOK_MS = 1000;
const WAIT_MS = 50;
const OTHERS_MS = 4000;

export class Directory {
  readonly #run: Run;
  /** None if it only grinds. */
  readonly #held: HeldKey | undefined;
  /** That hand out, as of the last look. */
  runs = 1;
  #acted = 0;
  /** The start of the server since which this run has compared the database with what it remembers. */
  #looked = '';
  /** By pool. */
  readonly #stock = new Map<string, string>();

  constructor(run: Run, held?: HeldKey) {
    this.#run = run;
    this.#held = held;
  }

  /** Another epoch has begun, which acts on nothing yet. */
  clear(): void {
    this.#acted = 0;
    this.#looked = '';
  }

  watch(events: StoreEvents): Disposable {
    const stop = new AbortController();
    void this.#watch(events, stop.signal);
    return { [Symbol.dispose]: () => stop.abort() };
  }

  /** Error: STORE_UNAVAILABLE after some seconds. */
  async everywhere(): Promise<void> {
    // Others may have changed something before that, too: this run says that it acts on it when it does.
    const { version } = await this.#look();
    for (let waitedMs = 0; await this.#isBehind(version); waitedMs += WAIT_MS) {
      if (waitedMs >= OTHERS_MS) {
        const detail = 'the change stands, but another node does not act on it yet; ask again';
        throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
      }
      await sleep(WAIT_MS);
    }
  }

  async #watch({ directory, stock, over, nodes }: StoreEvents, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const { epoch } = this.#run;
        const { version, runs, serverStart, isKeyHanded } = await this.#look(nodes);
        this.runs = runs;
        if (serverStart !== this.#looked) await this.#compare(epoch, serverStart);
        if (isKeyHanded) await takeHanded(this.#run, this.#held!);
        if (version > this.#acted) {
          await directory();
          await this.#act(epoch, version);
        }
        for (const pool of await this.#changedStock()) {
          if (!signal.aborted) stock(pool);
        }
      } catch (error) {
        // The calls that others make fail with it, too; but there may be none.
        if (error instanceof StoreRewound && !signal.aborted) over(error);
        if (!(error instanceof VanityError)) throw error;
      }
      await sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** `onNodes` hears of them also where the database went back. */
  async #look(
    onNodes?: StoreEvents['nodes'],
  ): Promise<Look & Directories & { readonly isKeyHanded: boolean }> {
    const since = this.#run.sight.last;
    return this.#run.transaction(async (query) => {
      const [seen] = (await query<Look & Directories>(SQL.look)).rows;
      onNodes?.({ ...NO_NODES, ...seen!.nodes });
      this.#run.sight.assertSound(seen!, since);
      await this.#run.assertKey(query);
      const isKeyHanded = this.#held !== undefined && (await isHanded(query, this.#run));
      return { ...seen!, isKeyHanded };
    });
  }

  /** A server that was started may have less than before, and end further ahead: nodes that are new wait for this. */
  async #compare(epoch: number, serverStart: string): Promise<void> {
    const run = this.#run;
    const { id } = run;
    await run.judge();
    await run.transaction(async (query) => {
      await run.assertSound(query);
      await query(SQL.looked, [epoch, id, serverStart]);
    });
    this.#looked = serverStart;
  }

  /** One that has ended meanwhile acts on nothing. */
  async #act(epoch: number, version: number): Promise<void> {
    const { id } = this.#run;
    await this.#run.transaction((query) => query(SQL.acted, [epoch, id, version]));
    if (epoch === this.#run.epoch) this.#acted = version;
  }

  async #isBehind(version: number): Promise<boolean> {
    const { rows } = await this.#run.transaction((query) =>
      query(SQL.behind, [this.#run.epoch, version]),
    );
    return rows.length > 0;
  }

  async #changedStock(): Promise<string[]> {
    const { rows } = await this.#run.transaction((query) =>
      query<{ name: string; figures: string }>(SQL.stock),
    );
    const changed = rows.filter(({ name, figures }) => this.#stock.get(name) !== figures);
    for (const { name, figures } of changed) this.#stock.set(name, figures);
    return changed.map(({ name }) => name);
  }
}
