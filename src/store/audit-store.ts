/**
 * What may be asked of a store about what left it, in the words of the product and not of SQL: by a
 * command beside a server, and by the reader of a running one (store-thread/served-reader.ts).
 */
import type { Origin, PoolCounts } from './address.ts';
import type { StoreNodes } from './node-store.ts';

export interface AuditedAddress {
  readonly id: number;
  /** undefined if it can be read no more. */
  readonly address: string | undefined;
  readonly pool: string;
  readonly state: 'dispensed' | 'reserved' | 'burned';
  /** Milliseconds since 1970: of its hand-out, or else of its state. */
  readonly at: number;
  /** The name of the token that it was handed out to. */
  readonly token: string | undefined;
  /** SHA-256 of the idempotency key and its scope. */
  readonly keyHash: Uint8Array | undefined;
  /** Of a burned one. */
  readonly cause: string | undefined;
  /** How many were made with it. */
  readonly signatures: number;
  /** It signs no more: the store was restored, and nobody knows what the lost one signed. */
  readonly isExhausted: boolean;
}

/** A token as a list has it: never its hash. */
export interface AuditedToken {
  readonly id: number;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly revokedAt: number | undefined;
  /** Since when it is off, after a restore. */
  readonly offAt: number | undefined;
}

export interface AuditQuery {
  /** Only ids above this one. */
  readonly after: number;
  /** So many addresses are looked at, in whatever state: a page is bounded in time, and may be empty. */
  readonly limit: number;
  readonly pool?: string | undefined;
  /** Milliseconds since 1970, included. */
  readonly since?: number | undefined;
}

export interface AuditPage {
  /** By id. */
  readonly addresses: readonly AuditedAddress[];
  /** What the next page is `after`; undefined when this was the last. */
  readonly next: number | undefined;
}

/** What the store knows of one address, in whatever state. */
export interface FoundAddress {
  readonly id: number;
  readonly pool: string;
  readonly state: 'available' | 'leased' | AuditedAddress['state'];
  readonly origin: Origin;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Since when it is in its state; undefined for an available one, and for a leased one of many nodes. */
  readonly at: number | undefined;
  /** The others are as of an `AuditedAddress`. */
  readonly token: string | undefined;
  readonly keyHash: Uint8Array | undefined;
  readonly cause: string | undefined;
  /** Whether its secret was overwritten, after its retention or its last signature. */
  readonly isDestroyed: boolean;
  readonly isExhausted: boolean;
  /** In the order in which they were made. */
  readonly signatures: readonly Signed[];
}

/** A signature of a sign-only pool, as it is kept. */
export interface Signed {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The name of the token that asked for it; null for none. */
  readonly token: string | null;
  /** SHA-256. */
  readonly messageHash: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** What somebody took, reservations that were made included. */
export interface Taken {
  /** The name of the token; undefined for requests without one, and of the command line. */
  readonly token: string | undefined;
  readonly addresses: number;
}

/** What a store says of itself. */
export interface AuditedStore {
  readonly storeId: string;
  readonly epoch: number;
  /** Removed ones included. */
  readonly pools: readonly string[];
  /** Of all nodes. */
  readonly leased: number;
  /** Dispensed, reserved and burned: as many are in a list of all pools. */
  readonly listed: number;
}

/** Of all its pools, removed ones included. */
export function auditedStore(
  of: Pick<AuditedStore, 'storeId' | 'epoch'>,
  pools: readonly (Omit<PoolCounts, 'leasedHere'> & { readonly name: string })[],
): AuditedStore {
  const sum = (...states: readonly ('leased' | 'dispensed' | 'reserved' | 'burned')[]) =>
    pools.reduce((total, pool) => states.reduce((inPool, state) => inPool + pool[state], total), 0);
  return {
    ...of,
    pools: pools.map(({ name }) => name),
    leased: sum('leased'),
    listed: sum('dispensed', 'reserved', 'burned'),
  };
}

/**
 * Reads a store beside those that serve it, on a connection of its own, and changes nothing. Errors of all calls:
 * STORE_LOCKED, STORE_CORRUPT, STORE_UNAVAILABLE.
 */
export interface StoreReader extends AsyncDisposable {
  /** Why addresses that its pages lack may have left, or leave later; undefined if none can. */
  gap(): Promise<string | undefined>;
  /** As it is at this moment. */
  store(): Promise<AuditedStore>;
  page(query: AuditQuery): Promise<AuditPage>;
  /** Every one that was ever made, but for rows that somebody else wrote. */
  tokens(): Promise<AuditedToken[]>;
  /** By its public key, 32 bytes. */
  find(publicKey: Uint8Array): Promise<FoundAddress | undefined>;
  /** As of `ReadingCalls`; of a forged token the number stands for the name. */
  taken(since: number): Promise<Taken[]>;
  nodes(): Promise<StoreNodes>;
  /** Whether the sealing key is still the one that this reader has: it does not follow a rotation. */
  isCurrent(): Promise<boolean>;
}

export interface AskedBackup {
  /** 32 hex digits of the caller's. */
  readonly id: string;
  /** By its id, who asks. */
  readonly token: number;
}

/** What may be asked of the reader of a running server (store-thread/served-reader.ts). */
export type ReadingCalls = {
  auditPage(query: AuditQuery): Promise<AuditPage>;
  /** By its public key, 32 bytes. */
  findAddress(publicKey: Uint8Array): Promise<FoundAddress | undefined>;
  /** Who took how many since then (ms since 1970), most first, as far as turns recorded it. */
  taken(since: number): Promise<Taken[]>;
  nodes(): Promise<StoreNodes>;
  /** The path of a new backup; one of the same token is ended. Errors: BACKUP_RUNNING, BACKUP_REPLACED. */
  makeBackup(asked: AskedBackup): Promise<string>;
  /** Resolves when that backup is ended, by whomever: its file is gone, and no more of it is to be sent. */
  backupEnded(id: string): Promise<void>;
  /** Removes that backup, made or not. */
  endBackup(id: string): void;
};
