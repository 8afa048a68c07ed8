/**
 * What left, put into a store that was made out of an older backup: runs in the transaction of the
 * restore, in the thread that calls it.
 *
 * While the list is read, all that was available is leased, because from there the schema lets it
 * become dispensed; what the list did not name is returned at the end. Neighbours that left in one
 * second are one change: a list in the order of hand-out costs one change for many addresses.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type List, type ListedAddress, listError } from './dispensed-list.ts';
import { type BurnCause, type Change, type Range, Segments, type State } from './segments.ts';
import { changeAllIn } from './sqlite-place.ts';
import { metaOf, prepareStatements } from './sqlite-statements.ts';

/** Of one pool: what was changed, and what the store does not have. */
export interface ListedCounts {
  dispensed: number;
  burned: number;
  unknown: number;
}

/** Neighbours of one segment that become the same. */
interface Run {
  readonly poolId: number;
  readonly pool: string;
  readonly from: State;
  readonly to: 'dispensed' | 'burned';
  readonly second: number;
  readonly cause: string;
  readonly first: number;
  last: number;
  at: number;
  /** Of the segment. */
  readonly end: number;
}

/** The list has to be of this store, and not older than the backup. Error: LIST_INVALID. */
export function assertListOf(
  path: string,
  { storeId, epoch }: List,
  meta: { readonly store_id: string; readonly epoch: number },
): void {
  if (storeId !== meta.store_id) {
    throw listError(path, `of another store (${storeId}); the backup is of ${meta.store_id}`);
  }
  if (epoch < meta.epoch) {
    throw listError(path, `of epoch ${epoch}, older than the backup, which is of ${meta.epoch}`);
  }
}

export class Listed {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #segments: Segments;
  readonly #byHash: StatementSync;
  readonly #byId: StatementSync;
  readonly #segment: StatementSync;
  readonly #epoch: number;
  readonly #counts = new Map<string, ListedCounts>();
  #run: Run | undefined;

  constructor(db: DatabaseSync, path: string) {
    this.#db = db;
    this.#path = path;
    this.#segments = new Segments(db);
    const row = `SELECT addresses.id, pool_id, name, seq
      FROM addresses JOIN pools ON pools.id = pool_id`;
    this.#byHash = db.prepare(`${row} WHERE key_hash = ?`);
    this.#byId = db.prepare(`${row} WHERE addresses.id = ?`);
    this.#segment = db.prepare(`SELECT last, state FROM segments
      WHERE pool_id = ? AND first <= ? ORDER BY first DESC LIMIT 1`);
    this.#epoch = metaOf(prepareStatements(db)).epoch;
    const leased = { to: 'leased', epoch: this.#epoch, lease: 1, at: Date.now() } as const;
    changeAllIn(db, ['available'], leased);
  }

  /** Error: LIST_INVALID. */
  add({ id, pool, keyHash, state, at, cause = 'restored' }: ListedAddress, line: number): void {
    const row = keyHash === undefined ? this.#byId.get(id) : this.#byHash.get(keyHash);
    if (row === undefined) {
      this.#countsOf(pool).unknown++;
      return;
    }
    if (row.id !== id || row.name !== pool) {
      const reason = `line ${line}: this address has another id or pool in the backup`;
      throw listError(this.#path, reason);
    }
    // The client that held it cannot be told from one that has it.
    const to = state === 'dispensed' ? 'dispensed' : 'burned';
    const [poolId, seq] = [Number(row.pool_id), Number(row.seq)];
    const second = Math.floor(at / 1000);
    const run = this.#run;
    const isNext = run?.poolId === poolId && run.last + 1 === seq && seq <= run.end;
    if (isNext && run.to === to && run.second === second && run.cause === cause) {
      run.last = seq;
      run.at = Math.max(run.at, at);
      return;
    }
    this.#change();
    const { last, state: from } = this.#segment.get(poolId, seq) as { last: number; state: State };
    const range = { first: seq, last: seq, end: last };
    this.#run = { poolId, pool, from, to, second, cause, at, ...range };
  }

  /** Returns what the list did not name to `available`; what was changed, by pool. */
  end(): ReadonlyMap<string, ListedCounts> {
    this.#change();
    changeAllIn(this.#db, ['leased', 'reserved'], { to: 'available' });
    return this.#counts;
  }

  #change(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined || isDone(run)) return;
    const { poolId, pool, from, to, at, cause } = run;
    const range: Range = { first: run.first, last: run.last };
    const epoch = this.#epoch;
    const change: Change =
      to === 'dispensed' ? { to, epoch, at } : { to, epoch, at, cause: cause as BurnCause };
    this.#segments.change(poolId, range, from, change);
    this.#countsOf(pool)[to] += range.last - range.first + 1;
  }

  #countsOf(pool: string): ListedCounts {
    const counts = this.#counts.get(pool) ?? { dispensed: 0, burned: 0, unknown: 0 };
    this.#counts.set(pool, counts);
    return counts;
  }
}

/** The backup knew it. What it burned, and did leave, is dispensed after all. */
function isDone({ from, to }: Run): boolean {
  return from === 'dispensed' || from === to;
}
