/**
 * The states of a pool's addresses as segments: runs of neighbours in one state, which partition
 * the seqs 1 to n. A lease, a hand-out or a return of any number of neighbours changes one row,
 * so it costs the same for one address and for a thousand. Runs in the store thread, inside a
 * transaction of the caller; every constraint and the figures of the pool are the schema's.
 *
 * A change of state takes three steps: split what lies across an end of the range, change the one
 * segment that the range then is, and merge it with its neighbours where nothing is lost: they
 * agree in everything, and what is timed happened within the same second.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Range, sizeOf } from '../ranges.ts';
import { prepareAll } from './database.ts';

export type State = 'available' | 'leased' | 'reserved' | 'dispensed' | 'burned';
export type BurnCause = 'crash' | 'unsealable' | 'restored' | 'released' | 'expired' | 'deleted';

/** What the addresses of a range become. Moments are milliseconds since 1970. */
export type Change =
  | { readonly to: 'available' }
  | { readonly to: 'leased'; readonly epoch: number; readonly lease: number; readonly at: number }
  | { readonly to: 'reserved' | 'dispensed'; readonly epoch: number; readonly at: number }
  | {
      readonly to: 'burned';
      readonly epoch: number;
      readonly at: number;
      readonly cause: BurnCause;
    };

/** What the index of waiting segments covers: a query uses it only if it says so. */
const WAITING = `state IN ('available', 'leased')`;
/** The segment that starts before :at, of which a partition has one at most. */
const BEFORE = `(SELECT max(first) FROM segments WHERE pool_id = :pool AND first < :at)`;

const SQL = {
  append: `INSERT INTO segments (pool_id, first, last, state, epoch, lease, changed_at, cause)
    VALUES (:pool, :first, :last, 'available', 0, 0, 0, '')`,
  waiting: `SELECT first, last FROM segments
    WHERE pool_id = :pool AND state = :state AND ${WAITING}
    ORDER BY lease, first`,
  newestLease: `SELECT last, lease FROM segments
    WHERE pool_id = :pool AND state = 'leased' AND ${WAITING}
    ORDER BY lease DESC, first DESC LIMIT 1`,
  copyTail: `INSERT INTO segments
    SELECT pool_id, :at, last, state, epoch, lease, changed_at, cause, is_destroyed
    FROM segments WHERE pool_id = :pool AND first = ${BEFORE} AND last >= :at`,
  cutTail: `UPDATE segments SET last = :at - 1
    WHERE pool_id = :pool AND first = ${BEFORE} AND last >= :at`,
  change: `UPDATE segments SET state = :to, epoch = :epoch, lease = :lease, changed_at = :changedAt,
      cause = :cause
    WHERE pool_id = :pool AND first = :first AND last = :last AND state = :from`,
  destroyed: `UPDATE segments SET is_destroyed = 1
    WHERE pool_id = :pool AND first = :first AND last = :last AND state IN ('dispensed', 'burned')`,
  absorb: `UPDATE segments AS left
    SET last = right.last, changed_at = max(left.changed_at, right.changed_at)
    FROM segments AS right
    WHERE right.pool_id = :pool AND right.first = :at
      AND left.pool_id = :pool AND left.first = ${BEFORE}
      AND (left.state, left.epoch, left.lease, left.cause, left.is_destroyed)
        = (right.state, right.epoch, right.lease, right.cause, right.is_destroyed)
      AND (left.state = 'leased' OR left.changed_at / 1000 = right.changed_at / 1000)`,
  living: `SELECT first, last, state FROM segments
    WHERE pool_id = :pool AND state IN ('available', 'leased', 'reserved') ORDER BY first`,
  remove: `DELETE FROM segments WHERE pool_id = :pool AND first = :at`,
  holding: `SELECT state, epoch, is_destroyed FROM segments
    WHERE pool_id = :pool AND first <= :seq ORDER BY first DESC LIMIT 1`,
} as const;

interface StateOf {
  readonly state: State;
  readonly epoch: number;
  readonly isDestroyed: boolean;
}

export class Segments {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };

  constructor(db: DatabaseSync) {
    this.#statements = prepareAll(db, SQL);
  }

  /** New addresses, at the end of the pool. */
  append(pool: number, { first, last }: Range): void {
    this.#statements.append.run({ pool, first, last });
    this.#merge(pool, first);
  }

  /**
   * At most `count` addresses that wait in `state`: available ones oldest first, leased ones in
   * the order in which they were leased.
   */
  oldest(pool: number, state: 'available' | 'leased', count: number): Range[] {
    const ranges: Range[] = [];
    let left = count;
    if (left <= 0) return ranges;
    for (const { first, last } of this.#statements.waiting.iterate({ pool, state })) {
      const range = {
        first: Number(first),
        last: Math.min(Number(last), Number(first) + left - 1),
      };
      ranges.push(range);
      left -= sizeOf(range);
      if (left === 0) break;
    }
    return ranges;
  }

  /** Leases available ranges; they become dispensed in this order, after what is leased already. */
  lease(pool: number, ranges: readonly Range[], epoch: number, at: number): void {
    const newest = this.#statements.newestLease.get({ pool });
    let lease = Number(newest?.lease ?? 1);
    let end = newest === undefined ? undefined : Number(newest.last);
    for (const range of ranges) {
      // What continues the newest lease is part of it; anything else comes after it.
      if (end !== undefined && range.first !== end + 1) lease++;
      this.change(pool, range, 'available', { to: 'leased', epoch, lease, at });
      end = range.last;
    }
  }

  /** The `count` oldest leased addresses, or all if they are fewer, are dispensed: how many. */
  dispense(pool: number, count: number, epoch: number, at: number): number {
    const ranges = this.oldest(pool, 'leased', count);
    for (const range of ranges) this.change(pool, range, 'leased', { to: 'dispensed', epoch, at });
    return total(ranges);
  }

  /** All addresses that could still leave are given up; returns how many there were. */
  burnAll(pool: number, burned: Extract<Change, { to: 'burned' }>): number {
    const ranges = this.#statements.living.all({ pool }).map(({ first, last, state }) => ({
      first: Number(first),
      last: Number(last),
      state: state as State,
    }));
    for (const { state, ...range } of ranges) this.change(pool, range, state, burned);
    return total(ranges);
  }

  /** What one address is, since which epoch. */
  stateOf(pool: number, seq: number): StateOf {
    return this.find(pool, seq)!;
  }

  /** The same, or undefined if there is no such address. */
  find(pool: number, seq: number): StateOf | undefined {
    const row = this.#statements.holding.get({ pool, seq });
    if (row === undefined) return undefined;
    const { state, epoch, is_destroyed } = row as unknown as {
      state: State;
      epoch: number;
      is_destroyed: number;
    };
    return { state, epoch, isDestroyed: is_destroyed === 1 };
  }

  /** All addresses of the range, which lies in one segment, go from `from` to `change.to`. */
  change(pool: number, range: Range, from: State, change: Change): void {
    const { to, epoch, at, lease, cause } = { epoch: 0, at: 0, lease: 0, cause: '', ...change };
    this.#isolate(pool, range);
    const row = { pool, ...range, from, to, epoch, lease, changedAt: at, cause };
    if (this.#statements.change.run(row).changes !== 1) {
      throw new Error(`addresses ${range.first} to ${range.last} are not all ${from}`);
    }
    this.#mergeBoth(pool, range);
  }

  /** All leased addresses of the pool become `change.to`; returns how many there were. */
  changeAll(pool: number, from: 'available' | 'leased', change: Change): number {
    const ranges = this.oldest(pool, from, Number.POSITIVE_INFINITY);
    for (const range of ranges) this.change(pool, range, from, change);
    return total(ranges);
  }

  /** Marks dispensed or burned addresses, which lie in one segment: their secrets are gone. */
  markDestroyed(pool: number, range: Range): void {
    this.#isolate(pool, range);
    this.#statements.destroyed.run({ pool, ...range });
    this.#mergeBoth(pool, range);
  }

  #isolate(pool: number, { first, last }: Range): void {
    this.#split(pool, first);
    this.#split(pool, last + 1);
  }

  /** Makes `at` the start of a segment, if it lies within one. */
  #split(pool: number, at: number): void {
    const { copyTail, cutTail } = this.#statements;
    if (copyTail.run({ pool, at }).changes === 0) return;
    cutTail.run({ pool, at });
  }

  #mergeBoth(pool: number, { first, last }: Range): void {
    this.#merge(pool, last + 1);
    this.#merge(pool, first);
  }

  /** Merges the segment that starts at `at` into the one before it, if both agree. */
  #merge(pool: number, at: number): void {
    const { absorb, remove } = this.#statements;
    if (absorb.run({ pool, at }).changes > 0) remove.run({ pool, at });
  }
}

function total(ranges: readonly Range[]): number {
  return ranges.reduce((sum, range) => sum + sizeOf(range), 0);
}
