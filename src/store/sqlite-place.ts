/**
 * What becomes of a store that is taken for another than the one that was served: a backup that is
 * made a store, a copy that is adopted. Runs in the thread that calls it, inside a transaction of
 * the caller.
 */
import type { DatabaseSync } from 'node:sqlite';
import { type FileIdentity, formatIdentity } from '../disk/identity.ts';
import { type Change, type Range, Segments, type State, sizeOf } from './segments.ts';
import { metaOf, poolRows, prepareStatements } from './sqlite-statements.ts';

/**
 * New ids and epochs begin at the time of day: the second since 1970, and this many ids for each.
 * The lost state cannot have come so far, even if it was itself restored, and a second before: no
 * server inserts as many a second, or starts as often. A fixed step would give the same ids to two
 * stores that are restored from one backup, one after the other was lost.
 */
const IDS_PER_SECOND = 2 ** 18;
/** What is skipped where the clock is behind the store. */
const IDS_SKIPPED = 2 ** 32;
const EPOCHS_SKIPPED = 2 ** 20;

/** Every address that may still leave the store: any of them may have left another copy of it. */
export function burnAll(db: DatabaseSync): Record<string, number> {
  const { epoch } = metaOf(prepareStatements(db));
  const change = { to: 'burned', epoch, at: Date.now(), cause: 'restored' } as const;
  return changeAllIn(db, ['available', 'leased', 'reserved'], change);
}

/** All addresses in these states become `change.to`; returns how many, by pool. */
export function changeAllIn(
  db: DatabaseSync,
  states: readonly State[],
  change: Change,
): Record<string, number> {
  const segments = new Segments(db);
  const changed: Record<string, number> = {};
  const those = db.prepare(`SELECT first, last, state FROM segments
    WHERE pool_id = ? AND state IN (${states.map((state) => `'${state}'`).join(', ')})`);
  for (const { id, name } of poolRows(prepareStatements(db))) {
    changed[name] = 0;
    for (const row of those.all(id)) {
      const { first, last, state } = row as unknown as Range & { state: State };
      segments.change(id, { first, last }, state, change);
      changed[name] += sizeOf({ first, last });
    }
  }
  return changed;
}

/**
 * Ids and epochs go on above all that the lost state can have given, which is at least `known`. A
 * dispense journal of its runs is that of no run to come, and no reservation holds. Nothing may be
 * leased.
 */
export function skipAhead(
  db: DatabaseSync,
  now: number,
  known: { readonly epoch: number; readonly id: number } = { epoch: 0, id: 0 },
): void {
  const meta = metaOf(prepareStatements(db));
  const seconds = Math.floor(now / 1000);
  const epoch = Math.max(meta.epoch, known.epoch);
  const id = Math.max(meta.next_id, known.id + 1);
  db.exec('DELETE FROM journals');
  // What they held is burned, or another's by the time at which they would end.
  db.prepare(
    `UPDATE reservations SET ended_at = ?, outcome = 'expired' WHERE ended_at IS NULL`,
  ).run(now);
  db.prepare('UPDATE meta SET epoch = ?, next_id = ?').run(
    seconds > epoch ? seconds : epoch + EPOCHS_SKIPPED,
    seconds * IDS_PER_SECOND > id ? seconds * IDS_PER_SECOND : id + IDS_SKIPPED,
  );
}

/**
 * The file that is `found` is from now on the place of the store in it; its first start gives it an anchor. Its
 * log is not that of another state.
 */
export function takePlace(db: DatabaseSync, found: FileIdentity): void {
  db.prepare(
    `UPDATE meta SET place = ?, anchor = NULL, anchor_before = NULL, anchor_file = NULL, logged = 0`,
  ).run(formatIdentity(found));
}
