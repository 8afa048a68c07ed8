/**
 * Whether a store lies where it lay: a copy of the data directory, or a backup that was put back,
 * holds addresses that may have left since, and must not be served as if nothing had happened.
 * Runs in the thread that opens the store.
 *
 * A store knows its file by inode and time of birth, which no copy shares. The device is left out:
 * many systems number theirs anew at each start. What cannot be told: a clone of the whole volume
 * or machine.
 */
import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { VanityError } from '../errors.ts';
import { holdDataDirectory } from './data-directory.ts';
import { Segments } from './segments.ts';
import { openDatabase, transaction } from './sqlite-database.ts';
import { storeError } from './sqlite-error.ts';
import { metaOf, poolRows, prepareStatements, type Statements } from './sqlite-statements.ts';

/**
 * Room for whatever ids the lost state may have given since: no server gives more in a year at
 * a hundred addresses a second.
 */
const IDS_SKIPPED = 2 ** 32;

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

/**
 * Takes the store in `directory` for what it is said to be; returns how many addresses were burned,
 * by pool. Errors: those of opening a store, DATA_MOVED excepted.
 */
export function adoptStore(directory: string, as: Adoption): Record<string, number> {
  using resources = new DisposableStack();
  const { storeFile } = resources.use(holdDataDirectory(directory, false));
  try {
    const db = resources.use(openDatabase(storeFile));
    const statements = prepareStatements(db);
    return transaction(db, () => {
      statements.setPlace.run(placeOf(storeFile));
      return as === 'moved' ? {} : burnAll(db, statements);
    });
  } catch (cause) {
    throw storeError(cause, storeFile, 'opening');
  }
}

/** Any of them may have left since the copy was made; and ids must not be given again. */
function burnAll(db: DatabaseSync, statements: Statements): Record<string, number> {
  const segments = new Segments(db);
  const { epoch, next_id } = metaOf(statements);
  const change = { to: 'burned', epoch, at: Date.now(), cause: 'restored' } as const;
  const burned: Record<string, number> = {};
  for (const { id, name } of poolRows(statements)) {
    const available = segments.changeAll(id, 'available', change);
    burned[name] = available + segments.changeAll(id, 'leased', change);
  }
  statements.saveNextId.run(next_id + IDS_SKIPPED);
  return burned;
}

function placeOf(file: string): string {
  const { ino, birthtimeNs } = statSync(file, { bigint: true });
  return `${ino}:${birthtimeNs}`;
}
