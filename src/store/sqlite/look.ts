/**
 * Looking at a store without serving it: no epoch begins, nothing is written, and a server may
 * hold it meanwhile, another one than this. Runs in the thread that calls it.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import type { StoredPool } from '../stored-pool.ts';
import { boundRowsOf } from './bound-rows.ts';
import { storeFileOf } from './data-directory.ts';
import { openToRead } from './database.ts';
import { decided } from './error.ts';
import { metaOf, poolRows, prepareStatements, storedPool } from './statements.ts';

/**
 * Rows that are bound to `key` are checked by it, if it is that of the store. Errors: STORE_NOT_FOUND,
 * STORE_FOREIGN, STORE_NEWER, STORE_LOCKED, STORE_CORRUPT, STORE_UNAVAILABLE, STORE_FORGED.
 */
export function readPools(directory: string, key?: SealingKey): StoredPool[] {
  return read(directory, (db) => {
    const rows = key && boundRowsOf(db, key);
    return poolRows(prepareStatements(db)).map((row) => {
      rows?.assertRight('pool', { ...row });
      return storedPool(row);
    });
  });
}

/** The public half of its sealing key; null where it has none yet. Errors as of `readPools`. */
export function readSealingKey(directory: string): Uint8Array | null {
  return read(directory, (db) => metaOf(prepareStatements(db)).sealing_key);
}

/**
 * Of each pool that has any, how many addresses are burned, by cause. Takes a tenth of a second for
 * a million segments. Errors as of `readPools`.
 */
export function readBurned(directory: string): Record<string, Record<string, number>> {
  return read(directory, (db) => {
    const rows = db.prepare(`SELECT name, cause, sum(last - first + 1) AS count
      FROM segments JOIN pools ON pools.id = pool_id
      WHERE state = 'burned' GROUP BY pools.id, cause ORDER BY pools.id, count DESC`);
    const burned: Record<string, Record<string, number>> = {};
    for (const { name, cause, count } of rows.iterate()) {
      burned[String(name)] ??= {};
      burned[String(name)]![String(cause)] = Number(count);
    }
    return burned;
  });
}

/** On a connection of its own, the only one of this process. Errors as of `readPools`. */
function read<T>(directory: string, look: (db: DatabaseSync) => T): T {
  const path = storeFileOf(directory);
  return decided(path, 'opening', () => {
    using db = openToRead(path);
    return look(db);
  });
}
