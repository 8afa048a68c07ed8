/**
 * The messages between the main thread and the store thread. Only types.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Role, StoreConfig } from '../config/config.ts';
import type { Hit } from '../keypair/signing-key.ts';
import type { LogLevel } from '../log.ts';
import type { Connection } from '../pool/calls.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { NodeName, StoreState } from '../store/node-store.ts';
import type { Counters, InsertReport } from '../store/store.ts';

export interface StoreWorkerData {
  readonly role: Role;
  readonly store: StoreConfig;
  readonly httpThreads: number;
  /** Of the configuration. */
  readonly pools: readonly SharedPool[];
  readonly health: SharedArrayBuffer;
  readonly tallies: SharedArrayBuffer;
  readonly files: SharedArrayBuffer;
  /** Of pools. */
  readonly changes: SharedArrayBuffer;
  /** As of `SharedPool`. */
  readonly deadline: SharedArrayBuffer;
  readonly nodes: SharedArrayBuffer;
  readonly port: MessagePort;
  readonly logLevel: LogLevel;
  readonly isPretty: boolean;
  readonly lastWarnings: SharedArrayBuffer;
}

export interface OpenReport {
  readonly id: string;
  readonly epoch: number;
  readonly counters: Counters;
  readonly pools: readonly SharedPool[];
}

/** What the main thread may ask. */
export type StoreCalls = {
  /** Errors: those of opening a store, POOL_MISMATCH. */
  open(): Promise<OpenReport>;
  insert(hits: readonly Hit[]): Promise<InsertReport>;
  saveCounters(counters: Counters): Promise<void>;
  /** Serves an HTTP thread's `StoreThreadCalls` on a port of its own. Error: JOURNAL_UNAVAILABLE. */
  connect(port: MessagePort): Promise<Connection>;
  /** After the last request is answered. */
  stop(counters: Counters): Promise<void>;
};

/** Sent to the main thread. */
export type MainNotices = {
  /** All of them, after one was created or deleted. */
  pools(pools: readonly SharedPool[]): void;
  /** As of `StoreEvents`. */
  lost(node: NodeName): void;
  /** As of `StoreEvents`. */
  rewound(state: Exclude<StoreState, 'sound'>): void;
};
