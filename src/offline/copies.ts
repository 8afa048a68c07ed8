/**
 * A store that is moved, copied, backed up or restored, by a command and not by a server. Runs in the main
 * thread.
 */
import type { Config } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { Journals } from '../pool/journals.ts';
import { type Adopted, type AdoptOptions, adoptStore } from '../store/sqlite/adopt.ts';
import {
  type BackupOptions,
  backupStore,
  neededKey,
  receiveBackup,
} from '../store/sqlite/backup.ts';
import { type Restored, type RestoreOptions, restoreStore } from '../store/sqlite/restore.ts';
import { directoryOf, onBound } from './open.ts';

export type { BackupOptions };
export { neededKey };

/**
 * Takes a store that was moved, copied or put back for what it is said to be. Errors: those of
 * `adoptStore`.
 */
export async function adoptOffline(
  { store }: Config,
  how: Pick<AdoptOptions, 'as' | 'from' | 'ignoreClock'>,
): Promise<Adopted> {
  const { data, sealingKey } = store;
  const directory = directoryOf(store);
  using journals = new Journals({ dataDirectory: data });
  const witness = witnessDirectory(directory);
  const { recover } = journals;
  const adopted = await adoptStore({
    ...{ directory, sealingKey, ...how },
    ...{ witness, recover, onBound },
  });
  // Those of the old place are settled, or those of a state that is given up.
  journals.remove();
  return adopted;
}

/** Writes the store to a new file; a server may hold it. Errors: those of `backupStore`. */
export function backupOffline(
  { store }: Config,
  file: string,
  options: BackupOptions,
): Promise<void> {
  return backupStore(directoryOf(store), file, options);
}

/** Keeps a backup that a server sends as a new file. Errors: those of `receiveBackup`. */
export function keepBackup(
  source: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  return receiveBackup(source, file, signal);
}

/** Makes the store out of a backup; what became of its addresses and tokens. */
export async function restoreOffline(
  { store }: Config,
  from: Pick<RestoreOptions, 'file' | 'list' | 'signal' | 'ignoreClock'>,
): Promise<Restored> {
  const { data, sealingKey } = store;
  const directory = directoryOf(store);
  const restored = await restoreStore({ directory, sealingKey, ...from, onBound });
  removeJournalsIn(data);
  return restored;
}

/**
 * Those in the data directory: of runs that the store there knows nothing of, or whose leases are
 * burned. Those in memory may be of a server that lives, or of one that was killed beside it: they
 * are found by its database file alone, and a start removes them a day after that is gone.
 */
function removeJournalsIn(dataDirectory: string): void {
  using journals = new Journals({ dataDirectory });
  journals.remove();
}
