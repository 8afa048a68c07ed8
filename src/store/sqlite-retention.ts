/**
 * The end of secrets: those of addresses that were dispensed or burned long enough ago are
 * overwritten, the oldest first. Runs in the store thread; what stays is the public key.
 */
import { type Range, type Segments, sizeOf } from './segments.ts';
import type { Addresses } from './sqlite-addresses.ts';
import type { PoolRow, Statements } from './sqlite-statements.ts';

/** Secrets destroyed by one call: some tens of milliseconds. */
const DESTROY_MAX = 4096;

interface DueSecrets {
  readonly pool: PoolRow;
  readonly range: Range;
  readonly remains: ReadonlyMap<number, Uint8Array>;
}

/** Those whose state is older than `before` (milliseconds), and what is to stay in their place. */
export async function dueSecrets(
  statements: Statements,
  addresses: Addresses,
  before: number,
): Promise<DueSecrets[]> {
  const due: DueSecrets[] = [];
  let left = DESTROY_MAX;
  for (const { pool_id, first: from, last } of statements.oldestSecrets.all(before)) {
    const first = Number(from);
    const range = { first, last: Math.min(Number(last), first + left - 1) };
    const pool = statements.poolOf.get(pool_id!) as unknown as PoolRow;
    due.push({ pool, range, remains: await addresses.remains(pool, range) });
    left -= sizeOf(range);
    if (left === 0) break;
  }
  return due;
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
