/**
 * The end of secrets: those of addresses that were dispensed or burned long enough ago are
 * overwritten, the oldest first, in pieces that others need not wait long for. Runs in the store
 * thread; what stays is the public key.
 */

import { type Range, sizeOf } from '../ranges.ts';
import type { Addresses } from './addresses.ts';
import type { Segments } from './segments.ts';
import type { PoolRow, Statements } from './statements.ts';

/**
 * Of one piece: each row is at worst on a page of its own, and each range changes a few pages of the
 * table of segments and of its indexes. All that a piece writes are so some hundred pages of the log.
 */
export const PIECE_ROWS = 128;
const PIECE_RANGES = 32;
/** Counted with one look: some milliseconds. */
const COUNTED_RANGES = 20_000;

interface DueSecrets {
  readonly pool: PoolRow;
  readonly range: Range;
  readonly remains: ReadonlyMap<number, Uint8Array>;
}

interface Piece {
  readonly due: readonly DueSecrets[];
  /** Of addresses. */
  readonly count: number;
  /** Nothing else is due. */
  readonly isLast: boolean;
}

/** Those whose state is older than `before` (milliseconds), and what is to stay in their place. */
export async function nextPiece(
  statements: Statements,
  addresses: Addresses,
  before: number,
): Promise<Piece> {
  const due: DueSecrets[] = [];
  let left = PIECE_ROWS;
  const ranges = statements.oldestSecrets.all(before, PIECE_RANGES);
  for (const { pool_id, first: from, last } of ranges) {
    if (left === 0) break;
    const first = Number(from);
    const range = { first, last: Math.min(Number(last), first + left - 1) };
    const pool = statements.poolOf.get(pool_id!) as unknown as PoolRow;
    due.push({ pool, range, remains: await addresses.remains(pool, range) });
    left -= sizeOf(range);
  }
  const isLast = left > 0 && ranges.length < PIECE_RANGES;
  return { due, count: PIECE_ROWS - left, isLast };
}

/** How many are due; at least so many where their ranges are more than can be counted at once. */
export function countDue({ countSecrets }: Statements, before: number): number {
  return Number(countSecrets.get(before, COUNTED_RANGES)!.count);
}

/** Inside a transaction of the caller. */
export function destroy(
  due: readonly DueSecrets[],
  addresses: Addresses,
  segments: Segments,
): void {
  for (const { pool, range, remains } of due) {
    addresses.overwrite(pool, remains);
    segments.markDestroyed(pool.id, range);
  }
}
