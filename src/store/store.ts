/**
 * What a database must do for the pools, in the words of the product and not of SQL. The store
 * runs in one thread of its own; the calls of one store are made one after the other, never two
 * at once.
 *
 * States of an address: available -> leased -> dispensed, and -> burned. `dispensed` means "may
 * have left", not "was received". At every moment, per pool:
 *
 *     available + leased + reserved + dispensed + burned = ground + imported
 *
 * Each figure is updated in the transaction of its own transition, and every transition is one
 * conditional statement: it happens to exactly the addresses that are in the state it starts
 * from, or not at all. When a call returns, what it did is durable: it survives a power loss, and
 * an older state of the store that is put back after it is refused, if something may have left for
 * it. When a call fails nothing of it happened, or nothing may leave for it yet (the disk keeps the
 * store from making older states of itself invalid); it may be tried again in either case.
 *
 * Addresses of one pool are leased oldest first, and `leased` ones become `dispensed` in the order
 * in which they were leased: the lease of an epoch is therefore a range, whatever its size.
 */
import type { PoolConfig } from '../config.ts';
import type { VanityError } from '../errors.ts';
import type { KeyType } from '../keypair/keypair.ts';
import type { KnownToken } from '../token.ts';
import type { OwnClock } from './own-clock.ts';

export type Origin = 'ground' | 'imported';

/** What makes a pool this pool. It never changes after the pool is made. */
export interface PoolIdentity {
  readonly name: string;
  /** As configured; '' when there is none. */
  readonly prefix: string;
  readonly suffix: string;
  readonly ignoreCase: boolean;
  readonly keys: KeyType;
  /** 'sign-only': its secrets never leave. */
  readonly handout: 'secret' | 'sign-only';
}

/** What a pool that was made at run time comes back with. */
export type PoolSettings = Omit<PoolConfig, keyof PoolIdentity>;

/** A key that a grinder found or somebody brought, proved by `node:crypto` before it comes here. */
export interface Hit {
  readonly pool: string;
  /** 64 bytes: seed, then public key. */
  readonly keypair: Uint8Array;
}

export interface LeasedAddress {
  /** Positive, below 2^53, never given twice, growing in the order of insertion. */
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly origin: Origin;
  readonly keyType: KeyType;
  /** 64 bytes: seed, then public key. The receiver wipes it after use. */
  readonly keypair: Uint8Array;
}

export interface PoolCounts {
  readonly available: number;
  readonly leased: number;
  readonly reserved: number;
  readonly dispensed: number;
  readonly burned: number;
  readonly ground: number;
  readonly imported: number;
}

export interface StoredPool extends PoolIdentity {
  readonly counts: PoolCounts;
  /** Undefined for one that stands in the configuration, or did. */
  readonly settings: PoolSettings | undefined;
  readonly isPaused: boolean;
  /** Deleted: its name and its history are kept. */
  readonly isRemoved: boolean;
  /** Recorded by turns of this epoch: where the counters of its ready queue start. */
  readonly position: number;
}

export interface InsertReport {
  readonly inserted: number;
  /** Hits whose public key the store has seen before, in whatever state: they are dropped. */
  readonly duplicates: number;
}

export interface LeaseReport {
  readonly leased: readonly LeasedAddress[];
  /** Addresses that could not be unsealed: burned instead of leased, in the same transaction. */
  readonly burned: number;
  /** As the transaction left them. */
  readonly counts: PoolCounts;
  /**
   * Why nothing may leave for what this turn did, though it is durable: a later turn of the pool, or
   * `handOut`, tries again. What the turn leased is in the report of the one that succeeds.
   */
  readonly failure: VanityError | undefined;
}

/** Addresses that left together, in one reply. */
export interface HandOut {
  /** Of the first of them in the ready queue, 0..2^32-1; the others follow. */
  readonly position: number;
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The number of the token that they were handed out to; 0 for none. */
  readonly token: number;
  /** Of a request with an idempotency key: SHA-256 of the key and its scope. */
  readonly key?: Uint8Array;
  /** With `key`: SHA-256 of what was asked for. */
  readonly body?: Uint8Array;
  /** One address that is held for a client, not handed out yet. */
  readonly reservation?: NewReservation;
  /** Read from a journal: it was to be held, and nobody has heard of that before the store had it. */
  readonly isUnseen?: true;
}

export interface NewReservation {
  /** 32 hex digits. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What became of a reservation: it holds as long as it is 'reserved'. */
export type ReservationState = 'reserved' | 'dispensed' | 'released' | 'expired';

export interface Reservation extends NewReservation {
  readonly pool: string;
  /** Base58. */
  readonly address: string;
  /** Whom it is for; 0 for no token. */
  readonly token: number;
  readonly state: ReservationState;
}

/** What an idempotency key reserved. */
export interface EarlierReservation {
  readonly at: number;
  readonly body: Uint8Array;
  readonly reservation: Reservation;
}

export interface ReservationStore {
  /** Error: RESERVATION_NOT_FOUND, also for one of another token. */
  get(id: string, token: number): Promise<Reservation>;
  /** By the hash of the idempotency key that it was made with. */
  madeWith(key: Uint8Array): Promise<EarlierReservation | undefined>;
  /**
   * Hands the held address out, once: a second call gets the same until its secret is destroyed.
   * `pool` is the one that it is taken to be of, which says whether secrets leave. The caller wipes the
   * keypair. Errors: RESERVATION_NOT_FOUND, also for one of another pool, RESERVATION_OVER.
   */
  dispense(id: string, token: number, pool: string): Promise<LeasedAddress>;
  /** Gives it back; what a client has seen is burned unless `reuse`. Errors as of `dispense`. */
  release(id: string, token: number, reuse: boolean): Promise<void>;
  /** Ends those whose time is over; by pool, how many. `reuse` says which pools take them back. */
  expire(now: number, reuse: (pool: string) => boolean): Promise<ReadonlyMap<string, number>>;
}

/** A signature with the key of a dispensed address. */
export interface SignatureOrder {
  readonly pool: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly token: number;
  /** SHA-256. */
  readonly messageHash: Uint8Array;
  readonly limit: number;
  /** Called with the key, in the store thread; may throw. */
  readonly sign: (keyType: KeyType, key: Uint8Array) => Uint8Array;
}

export interface SignatureStore {
  /**
   * Signs and counts it durably before it returns; after the last one the secret is destroyed. The
   * same message again gets the same signature. Errors: ADDRESS_NOT_FOUND, SIGN_LIMIT_REACHED, those
   * of `sign`.
   */
  sign(order: SignatureOrder): Promise<Uint8Array>;
}

/** What the store has not heard of yet. */
export interface HandOuts {
  readonly records: readonly HandOut[];
  /** By number of the dispense journal, the sequence behind the last of its records in `records`. */
  readonly journals: ReadonlyMap<number, number>;
  /** The journals of the pool have counted the lease of this turn: those without it are old copies. */
  readonly countsLease?: boolean;
}

export const NO_HAND_OUTS: HandOuts = { records: [], journals: new Map() };

/** What was handed out for an idempotency key. */
export interface EarlierHandOut {
  readonly at: number;
  readonly body: Uint8Array;
  /** In the order in which they left; undefined when their secrets are destroyed. */
  readonly addresses: readonly LeasedAddress[] | undefined;
}

/** A dispense journal that the store is to count on. */
export interface NewJournal {
  readonly pool: string;
  /** Of the journal in its epoch, from 1. */
  readonly number: number;
}

/** A dispense journal of an epoch that has ended, cleanly or not. */
export interface LastJournal {
  readonly storeId: string;
  /** Of the store, as `Store.place`. */
  readonly place: string;
  readonly epoch: number;
  /** Of the journal in its epoch, from 1. */
  readonly number: number;
  /** Its records before this one are in the store. */
  readonly recorded: number;
  /** So many leases of its pool it has counted at least. */
  readonly leases: number;
}

/** Reads what a journal says that the store has not; undefined if it cannot be trusted. */
export type Recover = (journal: LastJournal) => readonly HandOut[] | undefined;

/** What became of the leases of a run that did not stop cleanly, of one pool. */
export interface Recovered {
  readonly dispensed: number;
  readonly returned: number;
  readonly burned: number;
}

export type NewToken = Omit<KnownToken, 'id'>;

export interface StoredToken extends KnownToken {
  /** Milliseconds since 1970, as the others. */
  readonly createdAt: number;
  readonly revokedAt: number | undefined;
  /** Off until `restore`: the store was made out of a backup then, and may lack a revocation. */
  readonly offAt: number | undefined;
  /** Somebody else wrote the row: it is no token, whatever it says. */
  readonly isForged: boolean;
  /** Exact to some seconds. */
  readonly lastUsedAt: number | undefined;
}

export interface TokenStore {
  /** Revoked, expired and forged ones, too. */
  all(): Promise<StoredToken[]>;
  /** The one of this name, whatever became of it. */
  find(name: string): Promise<StoredToken | undefined>;
  /** Whether any was ever made, also if its row is gone. Error: STORE_FORGED. */
  wereMade(): Promise<boolean>;
  /** Errors: TOKEN_EXISTS, STORE_FORGED. */
  create(token: NewToken): Promise<StoredToken>;
  /** Once revoked it stays that. Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  revoke(name: string): Promise<StoredToken>;
  /** Switches one on that is off since a restore. Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  restore(name: string): Promise<StoredToken>;
  noteUse(ids: readonly number[]): Promise<void>;
  /** Addresses handed out to the token in that time, as far as turns recorded it. */
  used(id: number, from: number, before: number): Promise<number>;
}

/** Figures that outlive a run: totals since the store was made, by name. */
export type Counters = Readonly<Record<string, number>>;

export interface Store extends AsyncDisposable {
  /** Made with the store, 32 hex digits. */
  readonly id: string;
  /** Names the database file that this store is, 16 hex digits: no copy of it has the same. */
  readonly place: string;
  /** Grows by one with every opening for service. */
  readonly epoch: number;
  /**
   * What became of what the last run had leased, by pool name. Empty after a clean stop. What its
   * journals name is dispensed; the rest is returned if they are trusted, and burned if not.
   */
  readonly recovered: Readonly<Record<string, Recovered>>;
  /** What time it is for all that is stored here. */
  readonly clock: OwnClock;

  readonly tokens: TokenStore;
  readonly reservations: ReservationStore;
  readonly signatures: SignatureStore;

  /** Every pool that the store knows, configured or not, deleted ones and forged ones too. */
  pools(): Promise<(StoredPool & { readonly isForged: boolean })[]>;

  /**
   * Makes the pool, or brings back the one of that name; with `settings` if it does not stand in
   * the configuration. POOL_MISMATCH if it has another identity. As every call that names a pool:
   * STORE_FORGED if somebody else wrote its row.
   */
  definePool(identity: PoolIdentity, settings?: PoolSettings): Promise<StoredPool>;

  /** Those of the configuration, as by `definePool`, in one transaction: all of them or none. */
  definePools(identities: readonly PoolIdentity[]): Promise<StoredPool[]>;

  /** What is given changes. Error: POOL_NOT_FOUND. */
  changePool(
    name: string,
    change: { readonly settings?: PoolSettings; readonly isPaused?: boolean },
  ): Promise<void>;

  /**
   * Deletes the pool, in one transaction: the `popped` oldest leased addresses are recorded with
   * `handOuts` as by a turn, then all that could still leave is burned, what is held for clients
   * too. Returns how many that were. Errors: POOL_NOT_FOUND, RangeError as of `turn`.
   */
  removePool(name: string, popped?: number, handOuts?: HandOuts): Promise<number>;

  /**
   * Seals and inserts all hits, at most 65,536, in one transaction. POOL_NOT_FOUND if one names
   * no pool. The caller wipes the keypairs. They count as `origin`: 'ground' if not given.
   */
  insert(hits: readonly Hit[], origin?: Origin): Promise<InsertReport>;

  /**
   * One turn of a pool's lease, in one transaction: the `dispensed` oldest leased addresses are
   * recorded as dispensed, then up to `wanted` available ones are leased, oldest first. They are
   * unsealed before it commits, so that a call that fails has leased nothing: an address that is
   * leased and was never told of would be recorded as dispensed in place of one that did leave.
   * `handOuts` say with whom addresses went that are dispensed by this turn or were by one before.
   * RangeError if fewer than `dispensed` are leased.
   */
  turn(pool: string, dispensed: number, wanted: number, handOuts?: HandOuts): Promise<LeaseReport>;

  /** What left for an idempotency key, by its `HandOut.key`, as far as turns recorded it. */
  handOut(key: Uint8Array, pool: string): Promise<EarlierHandOut | undefined>;

  /**
   * Counts more dispense journals in, which exist by now under their numbers, in one transaction. From
   * then on a start without one of them trusts none of its pool.
   */
  addJournals(journals: readonly NewJournal[]): Promise<void>;

  /**
   * Counts journals out whose threads are gone, and of which turns have recorded every record; all
   * of them after the last lease is returned, which ends a run cleanly.
   */
  removeJournals(numbers: readonly number[] | 'all'): Promise<void>;

  /** Gives every leased address of the pool back to `available`: none of them was handed out. */
  returnLease(pool: string): Promise<number>;

  counts(pool: string): Promise<PoolCounts>;

  /**
   * Overwrites the sealed secrets of what was dispensed or burned before `before` (milliseconds),
   * the oldest first; what stays is the public key. One call takes a bounded number of them, so
   * that others need not wait long; how many. The call that leaves none also takes what they were
   * out of the log: it is done when a call returns 0.
   */
  destroySecrets(before: number): Promise<number>;

  /** How many there are; where they are scattered widely, at least so many. */
  dueSecrets(before: number): Promise<number>;

  /** Whether `checkpointLog` has something to do. */
  readonly isLogLong: boolean;

  /**
   * Takes the log into the database, for the secrets' sake not out of the file: a step of some
   * hundred pages if it is called between the calls of `destroySecrets`.
   */
  checkpointLog(): Promise<void>;

  counters(): Promise<Counters>;
  /** With them the time of `clock`, by which the next start knows whether its own may be wrong. */
  saveCounters(counters: Counters): Promise<void>;

  /** Takes a step of `clock`, and moves the ends of open reservations by as much. */
  takeStep(stepMs: number): Promise<void>;

  /** Does not touch leases: `returnLease` first is what makes a stop a clean one. */
  close(): Promise<void>;
}
