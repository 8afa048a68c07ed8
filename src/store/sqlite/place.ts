/**
 * What becomes of a store that is taken for another than the one that was served: a backup that is
 * made a store, a copy that is adopted. Runs in the thread that calls it, inside a transaction of
 * the caller.
 */
import { randomInt } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { type FileIdentity, formatIdentity } from '../../disk/identity.ts';
import { VanityError } from '../../errors.ts';
import { TOKEN_ID_MAX } from '../dispensed-list.ts';
import { type Range, sizeOf } from '../ranges.ts';
import type { BoundRows } from './bound-rows.ts';
import { type Change, Segments, type State } from './segments.ts';
import { metaOf, poolRows, prepareStatements, savedTime } from './statements.ts';

/**
 * New ids, epochs and ids of tokens begin at the time of day: the second since 1970, and this many
 * ids for each.
 * The lost state cannot have come so far, even if it was itself restored, and a second before: no
 * server inserts as many a second, or starts as often. A fixed step would give the same ids to two
 * stores that are restored from one backup, one after the other was lost. A random number of them is
 * skipped too, for a clock that shows the same second twice.
 */
const IDS_PER_SECOND = 2 ** 18;
/** What is skipped where the clock is behind the store. */
const IDS_SKIPPED = 2 ** 32;
const EPOCHS_SKIPPED = 2 ** 20;
/** Ids of tokens end at 2^32, and have to last: a clock that is past 2105 is not followed. */
const TOKENS_SKIPPED = 2 ** 16;

/**
 * Ids and epochs go on by the clock, which is to be right for that. Error: CLOCK_BEHIND, unless it is
 * ignored.
 */
export function assertClock(db: DatabaseSync, now: number, isIgnored = false): void {
  const saved = savedTime(prepareStatements(db));
  if (isIgnored || saved === undefined || now >= saved) return;
  const [is, was] = [now, saved].map((at) => new Date(at).toISOString());
  const detail =
    `the clock says ${is}, and the store was served until ${was}: set it right, or the addresses of ` +
    'two stores may have the same ids. If it is right, and was wrong then: --ignore-clock';
  throw new VanityError('CLOCK_BEHIND', detail);
}

/** Every address that may still leave the store: any of them may have left another copy of it. */
export function burnAll(db: DatabaseSync, now: number): Record<string, number> {
  const { epoch } = metaOf(prepareStatements(db));
  const change = { to: 'burned', epoch, at: now, cause: 'restored' } as const;
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
 * Nobody knows what was revoked and signed since: tokens are off, and addresses of sign-only pools
 * that were dispensed sign no more.
 */
export function distrust(db: DatabaseSync, rows: BoundRows, now: number): void {
  const off = db.prepare('UPDATE tokens SET off_at = ? WHERE id = ?');
  for (const token of db.prepare('SELECT * FROM tokens').all()) {
    const isOn = token.revoked_at === null && token.off_at === null;
    if (!isOn || !rows.isRight('token', token)) continue;
    off.run(now, token.id!);
    rows.bind('token', { ...token, off_at: now });
  }
  db.exec(`INSERT OR REPLACE INTO lost_signatures (address_id, count)
    SELECT addresses.id, NULL FROM pools
      JOIN segments ON segments.pool_id = pools.id
      JOIN addresses ON addresses.pool_id = pools.id AND seq BETWEEN first AND last
    WHERE handout = 'sign-only' AND state = 'dispensed'`);
}

/** The names of the tokens that are off until somebody switches them on. */
export function tokensOff(db: DatabaseSync): string[] {
  const off = db.prepare(
    'SELECT name FROM tokens WHERE off_at IS NOT NULL AND revoked_at IS NULL ORDER BY id',
  );
  return off.all().map(({ name }) => String(name));
}

/**
 * Ids, those of tokens too, and epochs go on above all that the lost state can have given, which is at
 * least `known`. A
 * dispense journal of its runs is that of no run to come, and no reservation holds. Nothing may be
 * leased.
 */
export function skipAhead(
  db: DatabaseSync,
  rows: BoundRows,
  now: number,
  known: { readonly epoch: number; readonly id: number; readonly token: number } = {
    epoch: 0,
    id: 0,
    token: 0,
  },
): void {
  const meta = metaOf(prepareStatements(db));
  const seconds = Math.floor(now / 1000);
  const epoch = Math.max(meta.epoch, known.epoch);
  const id = Math.max(meta.next_id, known.id + 1);
  const { lastId, hadTokens } = rows.history;
  const token = Math.max(lastId, known.token);
  // Two stores that come out of one backup within a second, or by a clock that stands still.
  const [moreIds, moreEpochs] = [randomInt(IDS_SKIPPED), randomInt(EPOCHS_SKIPPED)];
  const moreTokens = randomInt(TOKENS_SKIPPED);
  db.exec('DELETE FROM journals');
  // What they held is burned, or another's by the time at which they would end.
  db.prepare(
    `UPDATE reservations SET ended_at = ?, outcome = 'expired' WHERE ended_at IS NULL`,
  ).run(now);
  db.prepare('UPDATE meta SET epoch = ?, next_id = ?').run(
    moreEpochs + (seconds > epoch ? seconds : epoch + EPOCHS_SKIPPED),
    moreIds + (seconds * IDS_PER_SECOND > id ? seconds * IDS_PER_SECOND : id + IDS_SKIPPED),
  );
  const isNewer = seconds > token && seconds < TOKEN_ID_MAX;
  // A list that has tokens is of a store that had some.
  const isKnown = hadTokens || known.token > 0;
  rows.history = {
    lastId: moreTokens + (isNewer ? seconds : token + TOKENS_SKIPPED),
    hadTokens: isKnown,
  };
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
