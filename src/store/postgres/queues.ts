/**
 * The queues of this run: what it knows of them, which changes only after a commit that was answered. Runs in
 * the store thread.
 *
 * The first statement of whatever changes a queue is its fence: a compare-and-set on the number of its turn.
 * What changes anything is sent after its answer. So a commit of which nobody knows whether it is in is
 * found out by that number, and nothing is done twice.
 */
import type { Range } from '../ranges.ts';
import type { Limits } from './connection.ts';
import { SIGHT, type Sight } from './database-sight.ts';
import { CommitUnknown } from './error.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

/** Locked until the transaction ends, and so open until then: another node that ends the run waits for it. */
const OWN = `WITH own AS (SELECT FROM vanitypool.epochs
    WHERE epoch = $1 AND run = $3 AND state = 'open'
      AND EXISTS (SELECT FROM vanitypool.cluster WHERE state = 'sound') FOR KEY SHARE)`;

const SQL = {
  begin: `${OWN} INSERT INTO vanitypool.queues (epoch, pool_id, run)
    SELECT $1, $2, $3 WHERE EXISTS (SELECT FROM own) ON CONFLICT DO NOTHING`,
  look: `${OWN} SELECT turn, position, pushed, journals FROM vanitypool.queues
    WHERE epoch = $1 AND pool_id = $2 AND run = $3 AND EXISTS (SELECT FROM own) FOR UPDATE`,
  fence: `${OWN} UPDATE vanitypool.queues SET turn = turn + 1, journals = $5,
      position = greatest(position, $6),
      recorded_at = CASE WHEN position < $6 THEN $7 ELSE recorded_at END
    WHERE epoch = $1 AND pool_id = $2 AND run = $3 AND turn = $4 AND EXISTS (SELECT FROM own)
    RETURNING ${SIGHT}`,
  turn: 'SELECT turn FROM vanitypool.queues WHERE epoch = $1 AND pool_id = $2 AND run = $3',
  push: `UPDATE vanitypool.queues SET pushed = $3, is_ended = false
    WHERE epoch = $1 AND pool_id = $2`,
  end: `UPDATE vanitypool.queues SET pushed = position, is_ended = true
    WHERE epoch = $1 AND pool_id = $2`,
} as const;

/** What the store counts on of a dispense journal. */
interface CountedJournal {
  readonly recorded: number;
  readonly leases: number;
}

export type CountedJournals = Readonly<Record<string, CountedJournal>>;

/** Of a queue in the database. */
interface QueueState {
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

interface KnownQueue {
  readonly state: QueueState;
  readonly reported: number;
}

interface OwnQueue extends KnownQueue {
  /** Commits since then that had no answer. */
  readonly unanswered: number;
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

  positionOf(pool: number): number {
    return this.#own.get(pool)?.state.position ?? 0;
  }

  leasedHere(pool: number): number {
    const { position = 0, pushed = 0 } = this.#own.get(pool)?.state ?? {};
    return pushed - position;
  }

  /** Ids of the pools of which journals of these numbers may be counted, in their order. */
  counting(numbers: ReadonlySet<string> | 'all'): number[] {
    const pools = [...this.#own].filter(([, { state, unanswered }]) => {
      const counted = Object.keys(state.journals);
      return unanswered > 0 || counted.some((number) => numbers === 'all' || numbers.has(number));
    });
    return pools.map(([pool]) => pool).sort((a, b) => a - b);
  }

  /**
   * One transaction that changes these queues, in the order of their pools. `work` gives what is so when it is
   * committed. Error beside those of `work`: EpochOver.
   */
  async change<T>(
    pools: readonly number[],
    work: (fence: Fence, query: Query) => Promise<T>,
    limits?: Limits,
  ): Promise<T> {
    const next = new Map<number, KnownQueue>();
    const { marks, sight } = this.#run;
    for (const pool of pools) await this.#begin(pool);
    let isIn = false;
    try {
      const taken: Range[] = [];
      const result = await this.#run.transaction(async (query) => {
        const result = await work(new Fence(query, this.#run, this.#own, next, taken), query);
        marks.allow(taken);
        return result;
      }, limits);
      isIn = true;
      const turns = [...next].map(([pool, { state }]) => [pool, state.turn] as const);
      marks.note(new Map(turns), taken, sight.last);
      for (const [pool, known] of next) this.#own.set(pool, { ...known, unanswered: 0 });
      return result;
    } catch (error) {
      // Without its mark it counts as one without an answer: the next one finds it.
      if (isIn || error instanceof CommitUnknown) {
        for (const pool of next.keys()) {
          const own = this.#own.get(pool)!;
          this.#own.set(pool, { ...own, unanswered: own.unanswered + 1 });
        }
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
      return look(query, this.#run, pool);
    });
    this.#own.set(pool, { state, reported: state.pushed, unanswered: 0 });
  }
}

/** Of the queues of one transaction. */
export class Fence {
  readonly #query: Query;
  readonly #run: Run;
  readonly #own: Map<number, OwnQueue>;
  readonly #next: Map<number, KnownQueue>;
  readonly #taken: Range[];

  constructor(
    query: Query,
    run: Run,
    own: Map<number, OwnQueue>,
    next: Map<number, KnownQueue>,
    taken: Range[],
  ) {
    this.#query = query;
    this.#run = run;
    this.#own = own;
    this.#next = next;
    this.#taken = taken;
  }

  /** RangeError for a head behind all that is leased; EpochOver, StoreRewound. */
  async pass(
    pool: number,
    head: number,
    journals: (known: CountedJournals) => CountedJournals = (known) => known,
  ): Promise<FencedQueue> {
    const { epoch, id, now } = this.#run;
    const { state: before, reported } = await this.#known(pool);
    if (head > before.pushed) {
      const detail = `${head - before.position} popped, but ${before.pushed - before.position} are leased`;
      throw new RangeError(`pool ${pool}: ${detail}`);
    }
    const next = journals(before.journals);
    const fence = [epoch, pool, id, before.turn, JSON.stringify(next), head, now];
    const since = this.#run.sight.last;
    const [seen] = (await this.#query<Sight>(SQL.fence, fence)).rows;
    if (seen === undefined) {
      const [now] = (await this.#query<{ turn: number }>(SQL.turn, [epoch, pool, id])).rows;
      throw await this.#run.fenced(this.#query, this.#run, (now?.turn ?? -1) < before.turn);
    }
    this.#run.sight.assertSame(seen, since);
    const position = Math.max(before.position, head);
    const state = { ...before, turn: before.turn + 1, position, journals: next };
    this.#next.set(pool, { state, reported });
    return { before, reported, epoch, pool };
  }

  /** From now on so many positions are leased, and the addresses of all of them reported: also these. */
  async push(pool: number, pushed: number, taken: readonly Range[]): Promise<void> {
    this.#taken.push(...taken);
    const { state } = this.#next.get(pool)!;
    if (state.pushed !== pushed) await this.#query(SQL.push, [this.#run.epoch, pool, pushed]);
    this.#next.set(pool, { state: { ...state, pushed }, reported: pushed });
  }

  /** Nothing is leased any more, until a turn leases. */
  async end(pool: number): Promise<void> {
    const { state } = this.#next.get(pool)!;
    const pushed = state.position;
    await this.#query(SQL.end, [this.#run.epoch, pool]);
    this.#next.set(pool, { state: { ...state, pushed }, reported: pushed });
  }

  /** As the last commit left it. */
  async #known(pool: number): Promise<OwnQueue> {
    const own = this.#own.get(pool)!;
    if (own.unanswered === 0) return own;
    const state = await look(this.#query, this.#run, pool);
    const ahead = state.turn - own.state.turn;
    if (ahead < 0 || ahead > own.unanswered) {
      throw await this.#run.fenced(this.#query, this.#run, ahead < 0);
    }
    const known = { state, reported: Math.min(own.reported, state.pushed), unanswered: 0 };
    this.#own.set(pool, known);
    return known;
  }
}

/** Waits until a commit without an answer is in, or is not. Errors: EpochOver, StoreRewound. */
async function look(query: Query, run: Run, pool: number): Promise<QueueState> {
  const [row] = (await query<QueueState>(SQL.look, [run.epoch, pool, run.id])).rows;
  if (row === undefined) throw await run.fenced(query, run, true);
  return row;
}
