/**
 * What left, with whom, and for which idempotency key. Runs in the store thread, inside a
 * transaction of the caller. A hand-out is known by the positions that its addresses had in the
 * ready queue; the leases say which addresses those were. Both are kept for ever.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import type { HandOut, HandOuts } from '../hand-out.ts';
import { type Range, sizeOf } from '../ranges.ts';
import { prepareAll } from './database.ts';

const SQL = {
  /** The newest lease, if what comes is its continuation in the pool and in the queue. */
  continueLease: `UPDATE leases SET last = :last
    WHERE pool_id = :pool AND epoch = :epoch
      AND position = (SELECT max(position) FROM leases WHERE pool_id = :pool AND epoch = :epoch)
      AND last + 1 = :first AND position + last - first + 1 = :position`,
  addLease: `INSERT INTO leases (pool_id, epoch, position, first, last)
    VALUES (:pool, :epoch, :position, :first, :last)`,
  cutLease: `UPDATE leases SET last = first + :position - position - 1
    WHERE pool_id = :pool AND epoch = :epoch
      AND position < :position AND position + last - first >= :position`,
  removeLeases: `DELETE FROM leases
    WHERE pool_id = :pool AND epoch = :epoch AND position >= :position`,
  /** From the one that covers :from, in order. */
  leases: `SELECT position, first, last FROM leases
    WHERE pool_id = :pool AND epoch = :epoch AND position < :end AND position >= (
      SELECT max(position) FROM leases
      WHERE pool_id = :pool AND epoch = :epoch AND position <= :from)
    ORDER BY position`,
  add: `INSERT INTO hand_outs (pool_id, epoch, position, count, at, token_id, key_hash, body_hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  reserve: `INSERT INTO reservations (id, hand_out_id, pool_id, seq, expires_at, ttl)
    VALUES (?, ?, ?, ?, ?, ?)`,
  /** The newest, since an address that was given back may have had several positions. */
  positionOf: `SELECT position + :seq - first AS position FROM leases
    WHERE pool_id = :pool AND epoch = :epoch AND first <= :seq AND last >= :seq
    ORDER BY position DESC LIMIT 1`,
  covering: `SELECT token_id, position + count AS "end" FROM hand_outs
    WHERE pool_id = :pool AND epoch = :epoch AND position <= :position
    ORDER BY position DESC LIMIT 1`,
  find: `SELECT hand_outs.*, pools.name FROM hand_outs JOIN pools ON pools.id = pool_id
    WHERE key_hash = ?`,
  markJournal: 'UPDATE journals SET recorded = ? WHERE number = ?',
} as const;

export interface HandOutRow {
  readonly name: string;
  readonly pool_id: number;
  readonly epoch: number;
  readonly position: number;
  readonly count: number;
  readonly at: number;
  readonly body_hash: Uint8Array;
}

export class HandOutBook {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };

  constructor(db: DatabaseSync) {
    this.#statements = prepareAll(db, SQL);
  }

  /** These addresses take the positions from `position` on. */
  lease(pool: number, epoch: number, position: number, ranges: readonly Range[]): void {
    const { continueLease, addLease } = this.#statements;
    let at = position;
    for (const { first, last } of ranges) {
      const lease = { pool, epoch, position: at, first, last };
      if (continueLease.run(lease).changes === 0) addLease.run(lease);
      at += sizeOf({ first, last });
    }
  }

  /** What had the positions from `position` on was never popped. */
  takeBack(pool: number, epoch: number, position: number): void {
    this.#statements.removeLeases.run({ pool, epoch, position });
    this.#statements.cutLease.run({ pool, epoch, position });
  }

  /** `near` is a position of the same queue, uncut: those of the records are found by it. */
  record(pool: number, epoch: number, near: number, { records, journals }: HandOuts): void {
    const { add, markJournal } = this.#statements;
    for (const record of joined(records)) {
      const { position, count, at, token, key = null, body = null, reservation } = record;
      const from = uncut(position, near);
      const tokenId = token === 0 ? null : token;
      // By place: binding eight names takes 1 us more.
      const { lastInsertRowid } = add.run(pool, epoch, from, count, at, tokenId, key, body);
      if (reservation === undefined) continue;
      const { id, expiresAt } = reservation;
      const seq = this.seqAt(pool, epoch, from);
      this.#statements.reserve.run(id, lastInsertRowid, pool, seq, expiresAt, expiresAt - at);
    }
    for (const [number, end] of journals) markJournal.run(end, number);
  }

  /** The address that had this position. Error: STORE_CORRUPT. */
  seqAt(pool: number, epoch: number, position: number): number {
    const [range] = this.#ranges(pool, epoch, position, 1);
    if (range !== undefined) return range.first;
    const remedy = 'go on from the newest backup: vanitypool restore FILE';
    const detail = `leases: none has position ${position} of epoch ${epoch}, and it was popped`;
    throw new VanityError('STORE_CORRUPT', `${detail}; ${remedy}`);
  }

  /** Of records of reservations, the addresses that they hold. */
  heldBy(pool: number, epoch: number, near: number, records: readonly HandOut[]): number[] {
    return records
      .filter(({ reservation, isUnseen }) => reservation !== undefined || isUnseen)
      .map(({ position }) => this.seqAt(pool, epoch, uncut(position, near)));
  }

  /** The token that an address went to in the epoch, 0 for none; undefined if nobody knows. */
  tokenOf(pool: number, epoch: number, seq: number): number | undefined {
    const at = this.#statements.positionOf.get({ pool, epoch, seq });
    if (at === undefined) return undefined;
    const position = Number(at.position);
    const row = this.#statements.covering.get({ pool, epoch, position });
    return row !== undefined && Number(row.end) > position ? Number(row.token_id ?? 0) : undefined;
  }

  find(key: Uint8Array): HandOutRow | undefined {
    return this.#statements.find.get(key) as unknown as HandOutRow | undefined;
  }

  /** The addresses of a hand-out, in the order in which they left. */
  rangesOf({ pool_id, epoch, position, count }: HandOutRow): Range[] {
    return this.#ranges(pool_id, epoch, position, count);
  }

  #ranges(pool: number, epoch: number, from: number, count: number): Range[] {
    const end = from + count;
    const ranges: Range[] = [];
    for (const row of this.#statements.leases.iterate({ pool, epoch, from, end })) {
      const [position, first, last] = [row.position, row.first, row.last].map(Number);
      const skipped = Math.max(0, from - position!);
      const range = {
        first: first! + skipped,
        last: Math.min(last!, first! + end - position! - 1),
      };
      if (sizeOf(range) > 0) ranges.push(range);
    }
    return ranges;
  }
}

/**
 * Records that differ in nothing but their positions, which follow each other, are one: replies of
 * one thread in one millisecond. A row costs 4 us, and is kept for ever.
 */
function* joined(records: readonly HandOut[]): Generator<HandOut, void> {
  let last: HandOut | undefined;
  for (const record of records) {
    if (last !== undefined && goesOn(last, record)) {
      last = { ...last, count: last.count + record.count };
      continue;
    }
    if (last !== undefined) yield last;
    last = record;
  }
  if (last !== undefined) yield last;
}

function goesOn(last: HandOut, next: HandOut): boolean {
  return (
    next.at === last.at &&
    next.token === last.token &&
    ((next.position - last.position - last.count) | 0) === 0 &&
    [last, next].every(({ key, reservation }) => key === undefined && reservation === undefined)
  );
}

/** The position behind the last of the records, at least `near`. */
export function endOf(records: readonly HandOut[], near: number): number {
  return records.reduce(
    (end, { position, count }) => Math.max(end, uncut(position, near) + count),
    near,
  );
}

/** The whole number below 2^53 that is closest to `near` and has these low 32 bits. */
function uncut(position: number, near: number): number {
  return near + ((position - near) | 0);
}
