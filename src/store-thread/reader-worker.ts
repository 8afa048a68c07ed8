/**
 * Entry of the reader thread: it looks at the store of a running server for those who manage it, on a
 * connection of its own that only reads, so that no request waits for it. It runs while it is asked
 * (served-reader.ts). Not at a low priority: a busy neighbour would starve it, and a backup is made by
 * Node.js's pool of threads, which would have the priority of the first thread that uses it.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { StoreConfig } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { LastWarnings } from '../last-warnings.ts';
import { createLog, type LogLevel } from '../log.ts';
import { answer } from '../port.ts';
import type {
  AuditPage,
  AuditQuery,
  FoundAddress,
  StoreReader,
  Taken,
} from '../store/audit-store.ts';
import type { StoreNodes } from '../store/node-store.ts';
import { openReader } from '../store/open-store.ts';
import { backupStore } from '../store/sqlite/backup.ts';

export interface ReaderData {
  readonly store: StoreConfig;
  readonly port: MessagePort;
  readonly logLevel: LogLevel;
  readonly isPretty: boolean;
  readonly lastWarnings: SharedArrayBuffer;
}

/** Errors: those of opening a store to read, SEALING_KEY_INVALID. */
export type ReaderCalls = {
  /** Error: POOL_NOT_FOUND, also of one that is configured no more and was never in the store. */
  page(query: AuditQuery): Promise<AuditPage>;
  /** By its public key, 32 bytes. */
  find(publicKey: Uint8Array): Promise<FoundAddress | undefined>;
  /** As of `ReadingCalls`. */
  taken(since: number): Promise<Taken[]>;
  nodes(): Promise<StoreNodes>;
  /** Makes a backup under this name; one at a time. Errors: those of `backupStore`. */
  backup(path: string): Promise<void>;
  /** The sealing key is there from now on. */
  useKey(source: string): void;
  /** Ends the backup that is being made. */
  stopBackup(): void;
};

if (parentPort !== null) {
  const data = workerData as ReaderData;
  let { store } = data;
  const lastWarnings = new LastWarnings(data.lastWarnings);
  const log = createLog('reader', data.logLevel, data.isPretty, lastWarnings);
  let opening: Promise<StoreReader> | undefined;
  let backup = new AbortController();
  const reader = async (): Promise<StoreReader> => {
    opening ??= openReader(store);
    try {
      const opened = await opening;
      if (await opened.isCurrent()) return opened;
      void opened[Symbol.asyncDispose]();
      opening = openReader(store);
      return await opening;
    } catch (error) {
      opening = undefined;
      throw error;
    }
  };
  const calls: ReaderCalls = {
    async page(query) {
      const audit = await reader();
      const { pool } = query;
      if (pool !== undefined && !(await audit.store()).pools.includes(pool)) {
        throw new VanityError('POOL_NOT_FOUND', `pool ${pool}: the store has no such pool`);
      }
      return audit.page(query);
    },
    find: async (publicKey) => (await reader()).find(publicKey),
    taken: async (since) => (await reader()).taken(since),
    nodes: async () => (await reader()).nodes(),
    async backup(path) {
      backup = new AbortController();
      await backupStore(store.directory!, path, { signal: backup.signal });
    },
    useKey(sealingKey) {
      store = { ...store, sealingKey };
    },
    stopBackup: () => backup.abort(new VanityError('STORE_UNAVAILABLE', 'the backup was ended')),
  };
  answer(data.port, calls, (error) => log.error({ err: error }, 'a reader of the store failed'));
}
