/**
 * What commands do with a data directory that no server holds: the composition root of the command
 * line where there is no server to ask. Runs in the main thread.
 */
import type { Config } from './config.ts';
import { VanityError } from './errors.ts';
import { Journals, recoverIn } from './pool/journals.ts';
import type { ReadyAddress } from './pool/ready-queue.ts';
import { readyAddress } from './pool/refill.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { type BackupOptions, backupStore } from './store/sqlite-backup.ts';
import { type Adoption, adoptStore } from './store/sqlite-place.ts';
import { readPools } from './store/sqlite-reader.ts';
import { type Restored, type RestoreOptions, restoreStore } from './store/sqlite-restore.ts';
import type { LeasedAddress, StoredPool } from './store/store.ts';

/**
 * Hands `count` addresses out of the store, all or none: they are dispensed durably before this
 * returns. Errors: POOL_EMPTY, POOL_NOT_FOUND, and those of opening a store; DATA_IN_USE when a
 * server holds it after all.
 */
export async function dispenseOffline(
  { store: { directory, sealingKey } }: Config,
  pool: string,
  count: number,
): Promise<ReadyAddress[]> {
  await using store = await openSqliteStore({
    directory,
    sealingKey,
    create: false,
    recover: recoverIn(directory),
  });
  const leased: LeasedAddress[] = [];
  for (let left = count; leased.length < count && left > 0; ) {
    // Some may turn out to be unsealable; there may be others in their place.
    const turn = await store.turn(pool, 0, count - leased.length);
    leased.push(...turn.leased);
    left = turn.counts.available;
  }
  if (leased.length < count) {
    await store.returnLease(pool);
    throw new VanityError('POOL_EMPTY', `pool ${pool}: ${count} asked for, ${leased.length} left`);
  }
  const addresses = leased.map(readyAddress);
  for (const { keypair } of leased) keypair.fill(0);
  const handOut = { position: 0, count, at: Date.now(), token: 0 };
  await store.turn(pool, count, 0, { records: [handOut], journals: new Map() });
  return addresses;
}

/** Takes a store that was moved or restored for its own; how many were burned, by pool. */
export function adoptOffline({ store: { directory } }: Config, as: Adoption) {
  const { storeId, burned } = adoptStore(directory, as);
  if (as === 'restored') removeJournals(storeId, directory);
  return burned;
}

/** Writes the store to a new file; a server may hold it. Errors: those of `backupStore`. */
export function backupOffline(
  { store: { directory } }: Config,
  file: string,
  options: BackupOptions,
): Promise<void> {
  return backupStore(directory, file, options);
}

/** Makes the store out of a backup; what became of its addresses, by pool. */
export async function restoreOffline(
  { store: { directory, sealingKey } }: Config,
  from: Pick<RestoreOptions, 'file' | 'list' | 'signal'>,
): Promise<Restored['pools']> {
  const { storeId, pools } = await restoreStore({ directory, sealingKey, ...from });
  removeJournals(storeId, directory);
  return pools;
}

/** The pools as the store has them; changes nothing. Errors: those of opening a store. */
export function poolsOffline({ store: { directory } }: Config): StoredPool[] {
  return readPools(directory);
}

/** They are of runs that the store knows nothing of, or whose leases are burned. */
function removeJournals(storeId: string, directory: string): void {
  try {
    new Journals(storeId, directory).remove();
  } catch {
    // No start takes one of them for its own: they only take room until the next.
  }
}
