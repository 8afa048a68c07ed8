/**
 * Opens the store of a data directory that no server holds, for one command: what the command line does
 * where there is no server to ask begins here. Runs in the main thread.
 */
import { statSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { VanityError } from '../errors.ts';
import { Journals } from '../pool/journals.ts';
import { storeFileOf } from '../store/sqlite/data-directory.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';

/** Whether there is a store, served or not. Error: DATA_NOT_WRITABLE for what cannot be looked into. */
export function hasStore({ store: { directory } }: Config): boolean {
  try {
    storeFileOf(directory);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'STORE_NOT_FOUND') return false;
    throw error;
  }
}

/** To another user, root included, the journals of a crash are missing: it would burn what they save. */
export function assertOwner(directory: string): void {
  const owner = statSync(storeFileOf(directory)).uid;
  if (owner === process.getuid!()) return;
  const message = `${directory}: the store is that of user ${owner}; run this as that user`;
  throw new VanityError('DATA_NOT_WRITABLE', message);
}

export async function withStoreOffline<T>(
  config: Config,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  await using store = await openOffline(config);
  return await work(store);
}

/** A crash is settled as a start does it, which only the user of the server can. */
export async function openOffline({ store }: Pick<Config, 'store'>): Promise<Store> {
  using journals = new Journals({ dataDirectory: store.data });
  return await openWith(journals, store);
}

export function openWith(journals: Journals, store: Config['store']): Promise<Store> {
  const { directory, sealingKey, durability, copies } = store;
  assertOwner(directory);
  const { recover } = journals;
  const witness = witnessDirectory(directory);
  const settings = { directory, sealingKey, durability, copies, witness };
  return openSqliteStore({ ...settings, create: false, recover, onBound });
}

/** What a server would log. */
export function onBound(rows: readonly string[]): void {
  const names = rows.join(', ');
  process.stderr.write(`vanitypool: bound to the sealing key as they are: ${names}\n`);
}
