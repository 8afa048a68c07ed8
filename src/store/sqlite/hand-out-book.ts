/**
 * What left, with whom, and for which idempotency key. Runs in the store thread, inside a
 * transaction of the caller. A hand-out is known by the positions that its addresses had in the
 * ready queue; the leases say which addresses those were. Both are kept for ever.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import type { HandOut, HandOuts } from '../hand-out.ts';
import { joined, uncut } from '../positions.ts';
import { type Range, sizeOf } from '../ranges.ts';
import { forged } from '../row-macs.ts';
import type { Refusal } from '../store.ts';
import { DAY_MS } from '../token-store.ts';
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
  removeLease: `DELETE FROM leases
    WHERE pool_id = :pool AND epoch = :epoch AND position = :position`,
  /** From the one that covers :from, in order. */
  leases: `SELECT position, first, last FROM leases
    WHERE pool_id = :pool AND epoch = :epoch AND position < :end AND position >= (
      SELECT max(position) FROM leases
      WHERE pool_id = :pool AND epoch = :epoch AND position <= :from)
    ORDER BY position`,
  add: `INSERT INTO hand_outs (pool_id, epoch, position, count, at, token_id, key_hash, body_hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key_hash) DO NOTHING`,
  used: `SELECT coalesce(sum(count), 0) AS used FROM hand_outs
    WHERE token_id = ? AND at >= ? AND at < ?`,
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

/** The ready queue of a pool in one epoch. */
export interface Queue {
  readonly pool: number;
  readonly epoch: number;
}

/** What became of the addresses of records, beside leaving. */
interface Recorded {
  /** Those that are held for clients. */
  readonly held: number[];
  /** Those of refused records. */
  readonly freed: Range[];
  readonly refused: Refusal[];
}

export class HandOutBook {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };

  constructor(db: DatabaseSync) {
    this.#statements = prepareAll(db, SQL);
  }

  /** These addresses take the positions from `position` on. */
  lease(queue: Queue, position: number, ranges: readonly Range[]): void {
    const { continueLease, addLease } = this.#statements;
    let at = position;
    for (const { first, last } of ranges) {
      const lease = { ...queue, position: at, first, last };
      if (continueLease.run(lease).changes === 0) addLease.run(lease);
      at += sizeOf({ first, last });
    }
  }

  /** What had the positions from `position` on was never popped. */
  takeBack(queue: Queue, position: number): void {
    this.#statements.removeLeases.run({ ...queue, position });
    this.#statements.cutLease.run({ ...queue, position });
  }

  /**
   * What is not recorded yet of what left of the queue, whose pops before `recorded` are: a record from
   * before that may come a second time. The positions of the records are found by it.
   */
  record(queue: Queue, recorded: number, { records, journals }: HandOuts): Recorded {
    const result: Recorded = { held: [], freed: [], refused: [] };
    const isKnown = ({ position }: HandOut): boolean => {
      const from = uncut(position, recorded);
      return from < recorded && this.#covering(queue, from) !== undefined;
    };
    for (const record of joined(records.filter((one) => !isKnown(one)))) {
      const from = uncut(record.position, recorded);
      const isNew = from >= recorded;
      const why = this.#add(queue, from, record, result);
      if (why === undefined) continue;
      result.refused.push({ position: record.position, why });
      // Otherwise a turn before has taken what was popped for it as left.
      if (!isNew) continue;
      result.freed.push(...this.#ranges(queue, from, record.count));
      this.#cutOut(queue, from, record.count);
    }
    for (const [number, end] of journals) this.#statements.markJournal.run(end, number);
    return result;
  }

  /** Why it is refused; undefined if it is recorded. */
  #add(
    queue: Queue,
    from: number,
    record: HandOut,
    { held }: Recorded,
  ): Refusal['why'] | undefined {
    const { pool, epoch } = queue;
    const { count, at, token, key = null, body = null, quota, reservation } = record;
    const used = quota === undefined ? 0 : this.usedOn(token, Math.floor(at / DAY_MS));
    if (quota !== undefined && used + count > quota) return 'quota';
    const tokenId = token === 0 ? null : token;
    // By place: binding eight names takes 1 us more.
    let added = this.#statements.add.run(pool, epoch, from, count, at, tokenId, key, body);
    if (added.changes === 0 && record.mayBeRefused) return 'key';
    // It has left: to free its addresses would hand them out again.
    if (added.changes === 0)
      added = this.#statements.add.run(pool, epoch, from, count, at, tokenId, null, null);
    if (reservation === undefined) return undefined;
    const { id, ttlMs } = reservation;
    const seq = this.seqAt(queue, from);
    this.#statements.reserve.run(id, added.lastInsertRowid, pool, seq, at + ttlMs, ttlMs);
    held.push(seq);
    return undefined;
  }

  /** Addresses that went to the token in that UTC day. */
  usedOn(token: number, day: number): number {
    return Number(this.#statements.used.get(token, day * DAY_MS, (day + 1) * DAY_MS)!.used);
  }

  /** These positions have no address any more. */
  #cutOut(queue: Queue, from: number, count: number): void {
    const end = from + count;
    for (const row of this.#statements.leases.all({ ...queue, from, end })) {
      const [position, first, last] = [row.position, row.first, row.last].map(Number);
      const size = last! - first! + 1;
      this.#statements.removeLease.run({ ...queue, position: position! });
      for (const [start, stop] of [
        [0, from - position!],
        [end - position!, size],
      ]) {
        const lease = { ...queue, position: position! + start!, first: first! + start! };
        if (stop! > start!) this.#statements.addLease.run({ ...lease, last: first! + stop! - 1 });
      }
    }
  }

  /** The address that had this position. Error: STORE_CORRUPT. */
  seqAt(queue: Queue, position: number): number {
    const [range] = this.#ranges(queue, position, 1);
    if (range !== undefined) return range.first;
    const remedy = 'go on from the newest backup: vanitypool restore FILE';
    const detail = `leases: none has position ${position} of epoch ${queue.epoch}, and it was popped`;
    throw new VanityError('STORE_CORRUPT', `${detail}; ${remedy}`);
  }

  /** Of records of a journal, the addresses that were to be held, and nobody has seen. */
  unseenOf(queue: Queue, near: number, records: readonly HandOut[]): number[] {
    return records
      .filter(({ isUnseen }) => isUnseen)
      .map(({ position }) => this.seqAt(queue, uncut(position, near)));
  }

  /** The token that an address went to in the epoch, 0 for none; undefined if nobody knows. */
  tokenOf(queue: Queue, seq: number): number | undefined {
    const at = this.#statements.positionOf.get({ ...queue, seq });
    if (at === undefined) return undefined;
    return this.#covering(queue, Number(at.position));
  }

  /** The token of the hand-out at this position, 0 for none; undefined if none is recorded. */
  #covering(queue: Queue, position: number): number | undefined {
    const row = this.#statements.covering.get({ ...queue, position });
    return row !== undefined && Number(row.end) > position ? Number(row.token_id ?? 0) : undefined;
  }

  find(key: Uint8Array): HandOutRow | undefined {
    return this.#statements.find.get(key) as unknown as HandOutRow | undefined;
  }

  /** Of a key of this pool; how another one hands out says nothing of it. Error: STORE_FORGED. */
  findIn(pool: string, key: Uint8Array): HandOutRow | undefined {
    const found = this.find(key);
    if (found === undefined || found.name === pool) return found;
    throw forged(`the hand-out of an idempotency key of pool ${pool}`);
  }

  /** The addresses of a hand-out, in the order in which they left. */
  rangesOf({ pool_id, epoch, position, count }: HandOutRow): Range[] {
    return this.#ranges({ pool: pool_id, epoch }, position, count);
  }

  #ranges(queue: Queue, from: number, count: number): Range[] {
    const end = from + count;
    const ranges: Range[] = [];
    for (const row of this.#statements.leases.iterate({ ...queue, from, end })) {
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
