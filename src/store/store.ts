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
 * Addresses of one pool are leased oldest first, each at the next position of the queue of this run,
 * and `leased` ones become `dispensed` in the order of their positions: the lease of an epoch is
 * therefore a range, whatever its size. Positions count from 0 in each epoch and are whole numbers
 * below 2^53; where a record or a ready queue has 32 bits of one, those are its lowest.
 */
import { type ErrorCode, VanityError } from '../errors.ts';
import type { Hit } from '../keypair/signing-key.ts';
import type { LeasedAddress, Origin, PoolCounts } from './address.ts';
import type { EarlierHandOut, HandOuts } from './hand-out.ts';
import type { KeyRotation, RotationOptions, SealingKeyState } from './key-rotation.ts';
import type { NodeCounts, NodeName, StoreState } from './node-store.ts';
import type { OwnClock } from './own-clock.ts';
import type { Removal } from './pool-removal.ts';
import type { NewJournal, Recover, Recovered } from './recovery.ts';
import type { ReservationStore } from './reservation-store.ts';
import type { SignatureStore } from './signature-store.ts';
import type { ConfiguredPool, PoolIdentity, PoolSettings, StoredPool } from './stored-pool.ts';
import type { TokenStore } from './token-store.ts';

export interface InsertReport {
  readonly inserted: number;
  /** Hits whose public key the store has seen before, in whatever state: they are dropped. */
  readonly duplicates: number;
}

/** What one turn is to do. */
export interface TurnOrder {
  readonly pool: string;
  /** Everything before this position of the queue was popped. */
  readonly head: number;
  /** So many addresses are to be leased, if there are as many: with those that no report had before. */
  readonly wanted: number;
  /** Who got what was popped, by this turn or by one before: each record once, or again if that turn failed. */
  readonly handOuts?: HandOuts;
}

/** A hand-out that the store does not take: nothing of it may leave. */
export interface Refusal {
  /** Of its record, as there. */
  readonly position: number;
  /** Its idempotency key was served before, or the day's quota of its token would be exceeded. */
  readonly why: 'key' | 'quota';
}

export interface TurnReport {
  /** Every address that this queue was leased and that no report had before, in the order of positions. */
  readonly leased: readonly LeasedAddress[];
  /** Of the first of them. */
  readonly position: number;
  /** Of records that may be. What was popped for them is available again, if this turn recorded the pop. */
  readonly refused: readonly Refusal[];
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

/** A queue of which nothing leaves any more: its pool, its last head, and who got what no turn has recorded. */
export type EndedQueue = Omit<TurnOrder, 'wanted'>;

export interface EndReport {
  /** How many addresses were leased behind the heads. */
  readonly rest: number;
  readonly refused: readonly (Refusal & { readonly pool: string })[];
  /** As of a turn: it is done, and to be tried again. */
  readonly failure: VanityError | undefined;
}

/** Figures that outlive a run: totals since the store was made, by name. */
export type Counters = Readonly<Record<string, number>>;

/**
 * Thrown by any call of a store that others share, when another run has ended this one: nothing of the
 * call happened, and nothing does before `rejoin`.
 */
export class EpochOver extends VanityError {
  constructor() {
    const detail = 'another node has ended this run, and the next begins; ask again';
    super('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
  }
}

/**
 * The same when the database has less than it had, after a failover or a restore: nothing is leased or inserted
 * until every node has said what it did, which this one does by `rejoin`.
 */
export class StoreRewound extends VanityError {
  constructor(
    detail = 'the database went back in time; nothing is leased until every node has said what it did',
  ) {
    super('STORE_REWOUND', detail, { retryAfterSeconds: 5 });
  }
}

/**
 * Another process goes on with this run: the machine was cloned. No VanityError, for the process has to end, and
 * to change nothing: to go on, or to join again, would hand out what the other has.
 */
export class NodeCloned extends Error {
  readonly code: ErrorCode = 'NODE_CLONED';

  constructor(epoch: number) {
    super(
      `NODE_CLONED: epoch ${epoch}: another process goes on with the same run; this machine was cloned`,
    );
    this.name = 'NodeCloned';
  }
}

/**
 * The sealing key was rotated, and this node has the public half of the old one alone: what it seals, nobody would
 * open. No VanityError, for the process has to end: an operator gives it the new one.
 */
export class SealingKeyReplaced extends Error {
  readonly code: ErrorCode = 'SEALING_KEY_INVALID';

  constructor(detail: string) {
    super(`SEALING_KEY_INVALID: ${detail}`);
    this.name = 'SealingKeyReplaced';
  }
}

/** What a store reports by itself that others share. */
export interface StoreEvents {
  /** Others changed pools or tokens. When it resolves, this run acts on what the store has of them. */
  readonly directory: () => Promise<void>;
  /** Others changed the figures of the pool. */
  readonly stock: (pool: string) => void;
  /** Nothing may leave after this moment of `process.hrtime`, in ms, unless a later one is reported before. */
  readonly deadline: (untilMs: number) => void;
  /** The sealing key gave way to another one, which is there by now: as of `SealingKeyState`. */
  readonly moved?: (source: string) => void;
  /** Another run has ended this one, or the database went back: as the next call would say. */
  readonly over: (error: EpochOver | StoreRewound) => void;
  /** How its nodes are doing, also while nothing may leave; each second. */
  readonly nodes: (counts: NodeCounts) => void;
  /** This run has given another one up, which was not heard of. */
  readonly lost: (node: NodeName) => void;
  /** This run was the first to see that the database may have gone back, or has. */
  readonly rewound: (state: Exclude<StoreState, 'sound'>) => void;
}

/**
 * Calls are made one at a time, each when the one before has ended; but `insert`, of which one may run
 * beside another call.
 */
export interface Store extends AsyncDisposable {
  /** Made with the store, 32 hex digits. */
  readonly id: string;
  /** Names the database file that this store is, 16 hex digits: no copy of it has the same. */
  readonly place: string;
  /** Of this run: grows with every opening for service, and with `rejoin`. */
  readonly epoch: number;
  /**
   * Whether other runs hand out of this store at the same time: then what a turn has not recorded is not
   * known to all, and a turn may refuse what this one believes.
   */
  readonly isShared: boolean;
  /** How many hand out of this store, this one included, as far as it knows. */
  readonly runs: number;
  /**
   * What became of what the last run had leased, by pool name. Empty after a clean stop. What its
   * journals name is dispensed; the rest is returned if they are trusted, and burned if not.
   */
  readonly recovered: Readonly<Record<string, Recovered>>;

  /**
   * Ends this run and begins another, of which nothing is leased: as an opening does, `recovered`. Its journals
   * are read to their ends; so nothing may leave any more, and nobody may write them. Error: STORE_REWOUND as
   * long as other nodes are missed, who have to say what they did.
   */
  rejoin(recover: Recover): Promise<Readonly<Record<string, Recovered>>>;

  /** A store of one run reports nothing. */
  watch(events: StoreEvents): Disposable;

  /**
   * Resolves when each other run acts on what this one has changed of pools and tokens, or is over; this one
   * acts on it already. Error: STORE_UNAVAILABLE after some seconds; the change stands, and may be waited
   * for again.
   */
  everywhere(): Promise<void>;
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
  definePools(pools: readonly ConfiguredPool[]): Promise<StoredPool[]>;

  /** What is given changes. Error: POOL_NOT_FOUND. */
  changePool(
    name: string,
    change: { readonly settings?: PoolSettings; readonly isPaused?: boolean },
  ): Promise<void>;

  /**
   * Where others hand out of the store, too, a deletion begins with this: for all of them the pool is removed,
   * nobody leases of it any more, and each ends its queue when it acts on that. A store of one run does nothing.
   * Error: POOL_NOT_FOUND.
   */
  closePool(name: string): Promise<void>;

  /**
   * Deletes the pool, in one transaction: its queue is ended at `head` with `handOuts`, then all that could
   * still leave is burned, what is held for clients too. Without `head` nothing was popped in this run, or its
   * queue is ended. It is not over while another run has something leased: then the queue of this one is ended,
   * and the rest is done when it is asked for again. One that was made anew meanwhile stays. Errors:
   * POOL_NOT_FOUND, RangeError as of `turn`.
   */
  removePool(name: string, head?: number, handOuts?: HandOuts): Promise<Removal>;

  /**
   * Seals and inserts all hits, at most 65,536, in one transaction. POOL_NOT_FOUND if one names
   * no pool. RangeError if one is not of the type of its pool. The caller wipes the keys. They count as `origin`: 'ground' if not given.
   */
  insert(hits: readonly Hit[], origin?: Origin): Promise<InsertReport>;

  /**
   * One turn of a pool's queue, in one transaction: what lies before `head` and is not recorded becomes
   * dispensed, or reserved where its record says so, then up to `wanted` available addresses are
   * leased, oldest first. They are unsealed before the commit, so a failed call leaves nothing leased: an
   * address that is leased but never returned would be recorded as dispensed in place of one that did
   * leave. The same head and the same records again change nothing. RangeError if less is leased than
   * lies before `head`.
   */
  turn(order: TurnOrder): Promise<TurnReport>;

  /** For which of these idempotency keys turns recorded something, reservations too: in their order. */
  areServed(keys: readonly Uint8Array[]): Promise<readonly boolean[]>;

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

  /**
   * Ends queues in one transaction: what lies before each head is recorded as by a turn, and all else that
   * was leased returns to `available` or is burned. The same again changes nothing. RangeError as of `turn`.
   */
  endQueues(queues: readonly EndedQueue[], rest: 'return' | 'burn'): Promise<EndReport>;

  counts(pool: string): Promise<PoolCounts>;

  /** The sealing key gives way to another, one rotation at a time. Errors: KEY_ROTATION_REFUSED. */
  beginRotation(options?: RotationOptions): Promise<KeyRotation>;

  sealingKey(): Promise<SealingKeyState>;

  /**
   * After a rotation with `reseal`: reseals some more rows, so that others need not wait long; how many
   * are left then, at most. Rows of every state that still have a secret. Also of one that was cut off, in
   * any run. When it returns 0, what was sealed under the data keys from before is neither in the database
   * nor in the log. While another program reads the log, it returns 1 and does nothing.
   */
  reseal(): Promise<number>;

  /**
   * Overwrites the sealed secrets of what was dispensed or burned at least `ageMs` ago, by `clock`,
   * the oldest first; what stays is the public key. One call takes a bounded number of them, so
   * that others need not wait long; how many. The call that leaves none also takes what they were
   * out of the log: it is done when a call returns 0.
   */
  destroySecrets(ageMs: number): Promise<number>;

  /** How many there are; where they are scattered widely, at least so many. */
  dueSecrets(ageMs: number): Promise<number>;

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

  /** Does not touch leases: `endQueues` first is what makes a stop a clean one. */
  close(): Promise<void>;
}

/** What a node needs of a store that others hand out, and that it only grinds for: it has no secret of it. */
export type GrindingStore = AsyncDisposable &
  Pick<
    Store,
    | 'id'
    | 'epoch'
    | 'clock'
    | 'rejoin'
    | 'watch'
    | 'pools'
    | 'insert'
    | 'counts'
    | 'counters'
    | 'saveCounters'
    | 'close'
  >;
