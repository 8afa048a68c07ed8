/**
 * Whether a store lies where it lay: a copy of the data directory, or a backup that was put back,
 * holds addresses that may have left since, and must not be served as if nothing had happened.
 * Runs in the thread that opens the store.
 *
 * A store knows its file by inode and time of birth, which no copy shares. The device is left out:
 * many systems number theirs anew at each start. What cannot be told: a clone of the whole volume
 * or machine.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { VanityError } from '../errors.ts';
import { holdDataDirectory, storeFileOf } from './data-directory.ts';
import { type Change, type Range, Segments, type State, sizeOf } from './segments.ts';
import { openDatabase, openToRead, transaction } from './sqlite-database.ts';
import { storeError } from './sqlite-error.ts';
import { metaOf, poolRows, prepareStatements, type Statements } from './sqlite-statements.ts';

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

/** 'moved': this is the only one, the old place is gone. 'restored': others may have served since. */
export type Adoption = 'moved' | 'restored';

/** Inside the transaction of opening. A new store takes its place. Error: DATA_MOVED. */
export function assertInPlace(statements: Statements, storeFile: string): void {
  const { place } = metaOf(statements);
  if (place === null) {
    statements.setPlace.run(placeOf(storeFile));
  } else if (place !== placeOf(storeFile)) {
    const message =
      `${storeFile}: this store was copied, moved or restored, and addresses may have left it ` +
      'elsewhere. If it was moved and nothing serves the old one: vanitypool adopt --moved. ' +
      'If it is a copy or a backup: vanitypool adopt --restored (burns what was available)';
    throw new VanityError('DATA_MOVED', message);
  }
}

/** The same for a store that is only looked at. Errors: DATA_MOVED, those of opening it to read. */
export function assertPlaceOf(directory: string): void {
  const storeFile = storeFileOf(directory);
  try {
    using db = openToRead(storeFile);
    assertInPlace(prepareStatements(db), storeFile);
  } catch (cause) {
    throw storeError(cause, storeFile, 'opening');
  }
}

export interface Adopted {
  readonly storeId: string;
  /** How many addresses, by pool. */
  readonly burned: Readonly<Record<string, number>>;
}

/**
 * Takes the store in `directory` for what it is said to be. Errors: those of opening a store,
 * DATA_MOVED excepted.
 */
export function adoptStore(directory: string, as: Adoption): Adopted {
  using resources = new DisposableStack();
  const { storeFile } = resources.use(holdDataDirectory(directory, false));
  try {
    const db = resources.use(openDatabase(storeFile));
    const { store_id: storeId } = metaOf(prepareStatements(db));
    return transaction(db, () => {
      takePlace(db, storeFile);
      if (as === 'moved') return { storeId, burned: {} };
      skipAhead(db, Date.now());
      return { storeId, burned: burnAll(db) };
    });
  } catch (cause) {
    throw storeError(cause, storeFile, 'opening');
  }
}

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

/** This file is from now on the place of the store in it. */
export function takePlace(db: DatabaseSync, storeFile: string): void {
  prepareStatements(db).setPlace.run(placeOf(storeFile));
}

/** A name for the recorded place of a store: what belongs to it elsewhere lies under that. */
export function placeName(recorded: string): string {
  return createHash('sha256').update(recorded).digest('hex').slice(0, 16);
}

function placeOf(file: string): string {
  const { ino, birthtimeNs } = statSync(file, { bigint: true });
  return `${ino}:${birthtimeNs}`;
}
