/**
 * Looking at a store without serving it: no epoch begins, nothing is written, and a server may
 * hold it meanwhile. Runs in the thread that calls it.
 */
import { storeFileOf } from './data-directory.ts';
import { openToRead } from './sqlite-database.ts';
import { storeError } from './sqlite-error.ts';
import { poolRows, prepareStatements, storedPool } from './sqlite-statements.ts';
import type { StoredPool } from './store.ts';

/** Errors: STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_LOCKED, STORE_CORRUPT. */
export function readPools(directory: string): StoredPool[] {
  const path = storeFileOf(directory);
  try {
    using db = openToRead(path);
    return poolRows(prepareStatements(db)).map(storedPool);
  } catch (cause) {
    throw storeError(cause, path, 'opening');
  }
}
