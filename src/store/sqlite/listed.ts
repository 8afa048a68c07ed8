/**
 * What left, put into a store that was made out of an older backup: runs in the transaction of the
 * restore, in the thread that calls it.
 *
 * While the list is read, all that was available is leased, because from there the schema lets it
 * become dispensed; what the list did not name is returned at the end. Neighbours that left in one
 * second are one change: a list in the order of hand-out costs one change for many addresses.
 *
 * It gives nobody a right that the backup does not know of: a token of the backup that is valid by
 * the list is switched on, and a dispensed address may sign as often as the list leaves it.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  type List,
  type ListedAddress,
  type ListedToken,
  type ListReader,
  listError,
} from '../dispensed-list.ts';
import type { Range } from '../ranges.ts';
import type { BoundRows } from './bound-rows.ts';
import { changeAllIn } from './place.ts';
import { type BurnCause, type Change, Segments, type State } from './segments.ts';
import { metaOf, prepareStatements } from './statements.ts';

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

export class Listed implements ListReader {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #rows: BoundRows;
  readonly #segments: Segments;
  readonly #byHash: StatementSync;
  readonly #byId: StatementSync;
  readonly #segment: StatementSync;
  readonly #token: StatementSync;
  readonly #switchOn: StatementSync;
  readonly #signed: StatementSync;
  readonly #knowsAll: StatementSync;
  readonly #lacks: StatementSync;
  readonly #epoch: number;
  readonly #counts = new Map<string, ListedCounts>();
  #run: Run | undefined;

  constructor(db: DatabaseSync, path: string, rows: BoundRows, now: number) {
    this.#db = db;
    this.#path = path;
    this.#rows = rows;
    this.#segments = new Segments(db);
    const row = `SELECT addresses.id, pool_id, name, seq, handout
      FROM addresses JOIN pools ON pools.id = pool_id`;
    this.#byHash = db.prepare(`${row} WHERE key_hash = ?`);
    this.#byId = db.prepare(`${row} WHERE addresses.id = ?`);
    this.#segment = db.prepare(`SELECT last, state FROM segments
      WHERE pool_id = ? AND first <= ? ORDER BY first DESC LIMIT 1`);
    this.#token = db.prepare('SELECT * FROM tokens WHERE id = ?');
    this.#switchOn = db.prepare('UPDATE tokens SET off_at = NULL WHERE id = ?');
    this.#signed = db.prepare('SELECT count(*) AS count FROM signatures WHERE address_id = ?');
    this.#knowsAll = db.prepare('DELETE FROM lost_signatures WHERE address_id = ?');
    this.#lacks = db.prepare('INSERT OR REPLACE INTO lost_signatures VALUES (?, ?)');
    this.#epoch = metaOf(prepareStatements(db)).epoch;
    const leased = { to: 'leased', epoch: this.#epoch, lease: 1, at: now } as const;
    changeAllIn(db, ['available'], leased);
  }

  /** Error: LIST_INVALID. */
  address(listed: ListedAddress, line: number): void {
    const { id, pool, keyHash, state, at, cause = 'restored' } = listed;
    const row = keyHash === undefined ? this.#byId.get(id) : this.#byHash.get(keyHash);
    if (row === undefined) {
      this.#countsOf(pool).unknown++;
      return;
    }
    if (row.id !== id || row.name !== pool) {
      const reason = `line ${line}: this address has another id or pool in the backup`;
      throw listError(this.#path, reason);
    }
    // A client that reserved it cannot be distinguished from one that got it.
    const to = state === 'dispensed' ? 'dispensed' : 'burned';
    if (row.handout === 'sign-only' && to === 'dispensed') this.#allowToSign(listed);
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

  /** One that the backup does not have, or has with another name or time, is ignored. */
  token({ id, name, createdAt, isValid }: ListedToken): void {
    const row = this.#token.get(id);
    if (row === undefined || !isValid || !this.#rows.isRight('token', row)) return;
    if (row.name !== name || row.created_at !== createdAt) return;
    this.#switchOn.run(id);
    this.#rows.bind('token', { ...row, off_at: null });
  }

  #allowToSign({ id, signatures }: ListedAddress): void {
    if (signatures === undefined) {
      this.#lacks.run(id, null);
      return;
    }
    const lost = signatures - Number(this.#signed.get(id)!.count);
    if (lost > 0) this.#lacks.run(id, lost);
    else this.#knowsAll.run(id);
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
