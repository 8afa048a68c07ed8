/**
 * Opens the store for one command, where no server holds the data directory: what the command line does
 * where there is no server to ask begins here. Of a database the command is a node for as long as it runs: that
 * of its data directory. Runs in the main thread.
 */
import { existsSync, statSync } from 'node:fs';
import type { Config, StoreConfig } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { Journals } from '../pool/journals.ts';
import { openStore } from '../store/open-store.ts';
import { storeFileOf } from '../store/sqlite/data-directory.ts';
import type { Store, StoreEvents } from '../store/store.ts';

/** Nothing leaves before it is recorded, and one that is killed is given up soon. */
const OF_COMMANDS = { durability: 'committed', leaseTtlSeconds: 30 } as const;

/** Whether there is a store, served or not. Error: DATA_NOT_WRITABLE for what cannot be looked into. */
export function hasStore({ store: { directory } }: Config): boolean {
  if (directory === undefined) return true;
  try {
    storeFileOf(directory);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'STORE_NOT_FOUND') return false;
    throw error;
  }
}

/** The directory that the store lies in. Error: BACKUP_UNSUPPORTED for a database. */
export function directoryOf({ directory }: StoreConfig): string {
  if (directory !== undefined) return directory;
  const detail =
    'store.url: names a database, which is copied and put back with the tools of PostgreSQL';
  throw new VanityError('BACKUP_UNSUPPORTED', detail);
}

/** To another user, root included, the journals of a crash are missing: it would burn what they save. */
export function assertOwner({ directory, data }: StoreConfig): void {
  const path = directory === undefined ? data : storeFileOf(directory);
  if (!existsSync(path)) return;
  const owner = statSync(path).uid;
  if (owner === process.getuid!()) return;
  const message = `${directory ?? data}: the store is that of user ${owner}; run this as that user`;
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

export async function openWith(journals: Journals, config: StoreConfig): Promise<Store> {
  assertOwner(config);
  const { recover } = journals;
  const store = await openStore({ ...config, ...OF_COMMANDS }, { create: false, recover, onBound });
  store.watch(UNSEEN);
  return store;
}

/** So that others see this run live; a call of one that is ended fails. */
const UNSEEN: StoreEvents = {
  directory: async () => undefined,
  stock: () => undefined,
  deadline: () => undefined,
  over: () => undefined,
  nodes: () => undefined,
  lost: () => undefined,
  rewound: () => undefined,
};

/** What a server would log. */
export function onBound(rows: readonly string[]): void {
  const names = rows.join(', ');
  process.stderr.write(`vanitypool: bound to the sealing key as they are: ${names}\n`);
}
