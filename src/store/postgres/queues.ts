/**
 * The queues of this run: what it was told of them, which holds only after a commit that was answered. Runs in
 * the store thread.
 *
 * The first statement of whatever changes a queue is its fence: a compare-and-set on the number of its turn.
 * What changes anything is sent after its answer. So a commit of which nobody knows whether it is in is
 * found out by that number, and nothing is done twice.
 */
import { CommitUnknown } from './error.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

const SQL = {
  begin: `INSERT INTO vanitypool.queues (epoch, pool_id, run)
    SELECT $1, $2, $3 WHERE EXISTS (
      SELECT FROM vanitypool.epochs WHERE epoch = $1 AND run = $3 AND state = 'open')
    ON CONFLICT DO NOTHING`,
  look: `SELECT turn, position, pushed, journals FROM vanitypool.queues
    WHERE epoch = $1 AND pool_id = $2 AND run = $3 FOR UPDATE`,
  fence: `UPDATE vanitypool.queues SET turn = turn + 1, is_ended = false, journals = $5,
      position = greatest(position, $6),
      recorded_at = CASE WHEN position < $6 THEN $7 ELSE recorded_at END
    WHERE epoch = $1 AND pool_id = $2 AND run = $3 AND turn = $4`,
  push: 'UPDATE vanitypool.queues SET pushed = $3 WHERE epoch = $1 AND pool_id = $2',
} as const;

/** What the store counts on of a dispense journal. */
interface CountedJournal {
  readonly recorded: number;
  readonly leases: number;
}

export type CountedJournals = Readonly<Record<string, CountedJournal>>;

/** Of a queue in the database. */
export interface QueueState {
  readonly turn: number;
  /** Positions before it are recorded. */
  readonly position: number;
  /** Positions before it are leased. */
  readonly pushed: number;
  readonly journals: CountedJournals;
}

/** A queue after its fence, in a transaction. */
export interface FencedQueue {
  /** As it was before. */
  readonly before: QueueState;
  /** Addresses before this position were reported as leased. */
  readonly reported: number;
  readonly epoch: number;
  readonly pool: number;
}

export interface OwnQueue {
  readonly pool: number;
  state: QueueState;
  reported: number;
  /** A commit had no answer since `state` was known. */
  isUnknown: boolean;
}

export class Queues {
  readonly #run: Run;
  /** By the id of the pool. */
  readonly #own = new Map<number, OwnQueue>();

  constructor(run: Run) {
    this.#run = run;
  }

  /** Another epoch has begun. */
  clear(): void {
    this.#own.clear();
  }

  /** Ids of the pools of which this run has a queue. */
  get known(): number[] {
    return [...this.#own.keys()];
  }

  positionOf(pool: number): number {
    return this.#own.get(pool)?.state.position ?? 0;
  }

  leasedHere(pool: number): number {
    const { position = 0, pushed = 0 } = this.#own.get(pool)?.state ?? {};
    return pushed - position;
  }

  journalsOf(pool: number): CountedJournals {
    return this.#own.get(pool)?.state.journals ?? {};
  }

  /**
   * One transaction that changes these queues, in the order of their pools. `work` gives what is so when it is
   * committed. Error beside those of `work`: EpochOver.
   */
  async change<T>(
    pools: readonly number[],
    work: (query: Query, fence: Fence) => Promise<T>,
  ): Promise<T> {
    const next = new Map<number, QueueState>();
    for (const pool of pools) await this.#begin(pool);
    try {
      const result = await this.#run.transaction((query) => {
        next.clear();
        return work(query, new Fence(query, this.#run, this.#own, next));
      });
      for (const [pool, state] of next) {
        Object.assign(this.#own.get(pool)!, { state, isUnknown: false, reported: state.pushed });
      }
      return result;
    } catch (error) {
      if (error instanceof CommitUnknown) {
        for (const pool of next.keys()) this.#own.get(pool)!.isUnknown = true;
      }
      throw error;
    }
  }

  /** Of a queue that this run has not used before. */
  async #begin(pool: number): Promise<void> {
    if (this.#own.has(pool)) return;
    const { epoch, id } = this.#run;
    const state = await this.#run.repeated(async (query) => {
      await query(SQL.begin, [epoch, pool, id]);
      const [row] = (await query<QueueState>(SQL.look, [epoch, pool, id])).rows;
      if (row === undefined) throw await this.#run.fenced(query);
      return row;
    });
    this.#own.set(pool, { pool, state, reported: state.pushed, isUnknown: false });
  }
}

export class Fence {
  readonly #query: Query;
  readonly #run: Run;
  readonly #own: ReadonlyMap<number, OwnQueue>;
  readonly #next: Map<number, QueueState>;

  constructor(
    query: Query,
    run: Run,
    own: ReadonlyMap<number, OwnQueue>,
    next: Map<number, QueueState>,
  ) {
    this.#query = query;
    this.#run = run;
    this.#own = own;
    this.#next = next;
  }

  /** RangeError for a head behind all that is leased; EpochOver. */
  async pass(
    pool: number,
    head: number,
    journals: (known: CountedJournals) => CountedJournals = (known) => known,
  ): Promise<FencedQueue> {
    const { epoch, id, now } = this.#run;
    const own = this.#own.get(pool)!;
    const before = own.isUnknown ? await this.#look(pool) : own.state;
    if (head > before.pushed) {
      const detail = `${head - before.position} popped, but ${before.pushed - before.position} are leased`;
      throw new RangeError(`pool ${pool}: ${detail}`);
    }
    const next = journals(before.journals);
    const fence = [epoch, pool, id, before.turn, JSON.stringify(next), head, now];
    const { count } = await this.#query(SQL.fence, fence);
    if (count === 0) throw await this.#run.fenced(this.#query);
    const position = Math.max(before.position, head);
    this.#next.set(pool, { ...before, turn: before.turn + 1, position, journals: next });
    return { before, reported: Math.min(own.reported, before.pushed), epoch, pool };
  }

  /** From now on so many positions are leased. */
  async push(pool: number, pushed: number): Promise<void> {
    const state = this.#next.get(pool)!;
    if (state.pushed === pushed) return;
    await this.#query(SQL.push, [this.#run.epoch, pool, pushed]);
    this.#next.set(pool, { ...state, pushed });
  }

  /** Waits until a commit without an answer is in, or is not. */
  async #look(pool: number): Promise<QueueState> {
    const { epoch, id } = this.#run;
    const [row] = (await this.#query<QueueState>(SQL.look, [epoch, pool, id])).rows;
    if (row === undefined) throw await this.#run.fenced(this.#query);
    return row;
  }
}
