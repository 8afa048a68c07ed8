/**
 * The messages between the HTTP threads and the store thread. Types, except for one time limit.
 */
import type { PoolChange, PoolConfig } from '../config/pool-config.ts';
import type { SigningKey } from '../keypair/signing-key.ts';
import type { ReadingCalls } from '../store/audit-store.ts';
import type { RotatedKey, RotationOptions, SealingKeyState } from '../store/key-rotation.ts';
import type { Reservation } from '../store/reservation-store.ts';
import type { InsertReport } from '../store/store.ts';
import type { NewToken, StoredToken } from '../store/token-store.ts';
import type { KnownToken } from '../token.ts';
import type { SharedJournal } from './journal-parts.ts';
import { monotonicMs } from './monotonic.ts';
import type { Receiver } from './pool.ts';
import type { ReadyAddress } from './ready-address.ts';
import type { SharedPool } from './shared-pool.ts';

/** What an HTTP thread may ask of the store thread. */
export type StoreThreadCalls = ReadingCalls & {
  /** Resolves when `count` are ready or the store has no more. Errors: STORE_UNAVAILABLE. */
  refill(what: { pool: string; count: number }): Promise<void>;
  /** A dispense that has to wait for the store. Errors: see store-thread/dispenser.ts. */
  dispense(order: Order): Promise<ReadyAddress[]>;
  reserve(order: ReservationOrder): Promise<Reservation>;
  /** Errors: RESERVATION_NOT_FOUND. */
  reservation(which: ReservationOf): Promise<Reservation>;
  /** Errors: RESERVATION_NOT_FOUND, RESERVATION_OVER. */
  dispenseReservation(which: ReservationOf & { readonly pool: string }): Promise<ReadyAddress>;
  releaseReservation(which: ReservationOf): Promise<void>;
  /** The signature, 64 bytes. Errors: see store/sqlite/signatures.ts and keypair/sign.ts. */
  sign(what: SigningOrder): Promise<Uint8Array>;
  /** Error: ADDRESS_NOT_FOUND, unless it was dispensed to the token by one of the pools that sign. */
  assertSigner(what: Signer): Promise<void>;
  /** Proved by the caller. Durable when it resolves. */
  import(order: ImportOrder): Promise<InsertReport>;
  /**
   * Errors: POOL_EXISTS, POOL_MISMATCH, POOL_LIMIT_REACHED, JOURNAL_UNAVAILABLE, SYSTEM_LIMIT_REACHED, of
   * the pattern.
   */
  createPool(config: PoolConfig): Promise<void>;
  /** Errors: POOL_NOT_FOUND, POOL_CONFIGURED, CONFIG_INVALID. */
  changePool(what: { pool: string; change: PoolChange }): Promise<void>;
  /** Error: POOL_NOT_FOUND. */
  pausePool(what: { pool: string; isPaused: boolean }): Promise<void>;
  /** How many addresses were burned. Errors: POOL_NOT_FOUND, POOL_CONFIGURED. */
  removePool(pool: string): Promise<number>;
  /** The notice of this number has been acted on. */
  heard(notice: number): void;
  tokens(): Promise<StoredToken[]>;
  createToken(token: NewToken): Promise<StoredToken>;
  /** Errors: TOKEN_NOT_FOUND, STORE_FORGED. */
  revokeToken(name: string): Promise<StoredToken>;
  /** Errors as of `revokeToken`. */
  restoreToken(name: string): Promise<StoredToken>;
  sealingKey(): Promise<SealingKeyState>;
  /** Errors: KEY_ROTATION_REFUSED, STORE_FORGED. */
  rotateKey(order: KeyOrder): Promise<RotatedKey>;
  /** Tokens that were used since the last call, by id. */
  noteTokens(ids: readonly number[]): Promise<void>;
};

/** To the key in 'env:NAME', or to a new one; with the stock resealed, or without that. */
export type KeyOrder = Omit<RotationOptions, 'onStep'>;

/** For an order to be answered, on a disk that is slow but alive. */
export const ORDER_TIMEOUT_MS = 10_000;

/** `until` of an order that is made now. */
export function orderUntil(): number {
  return monotonicMs() + ORDER_TIMEOUT_MS;
}

/** A request to hold one address. */
export interface ReservationOrder {
  readonly pool: string;
  readonly ttlMs: number;
  readonly receiver: Receiver;
  readonly quota: number | undefined;
  /** As of `Order`. */
  readonly until: number;
}

/** A reservation is one of its token's. */
export interface ReservationOf {
  readonly id: string;
  readonly token: number;
}

/** A dispensed address of one of these pools, as far as they are sign-only. */
export interface Signer {
  readonly pools: readonly string[];
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly token: number;
}

/** A request to sign with it. */
export interface SigningOrder extends Signer {
  readonly message: Uint8Array;
}

/** Keys to be taken into a pool. */
export interface ImportOrder {
  readonly pool: string;
  readonly keys: readonly SigningKey[];
}

/** What the store thread sends to an HTTP thread unasked. */
export type StoreNotices = { token(change: TokenNotice): void; pools(change: PoolNotice): void };

/** Of a change that the store thread waits for every HTTP thread to act on, and to say `heard`. */
interface Notice {
  readonly notice: number;
}

/** One token as it is now, whatever was known of it. */
export interface TokenNotice extends Notice {
  readonly token: KnownToken;
  /** False once it is revoked. */
  readonly isValid: boolean;
}

export interface PoolNotice extends Notice {
  /** One that is new, or one for which this thread is to write another journal from now on. */
  readonly added?: ServedPool;
  /** The name of a pool that is gone. */
  readonly removed?: string;
}

/** What a thread needs to hand a pool out. */
export interface ServedPool {
  readonly shared: SharedPool;
  /** Made for this thread; undefined where all replies wait for the disk. */
  readonly journal: SharedJournal | undefined;
}

/** What tokens are to be checked by: those that are not revoked. */
export interface TokenList {
  readonly tokens: readonly KnownToken[];
  /** Whether one was ever made. */
  readonly areAny: boolean;
}

/** What an HTTP thread begins with; changes come as notices. */
export interface Connection {
  readonly pools: readonly ServedPool[];
  readonly tokens: TokenList;
}

/** A request for addresses that has to wait for the store. */
export interface Order {
  readonly pool: string;
  readonly count: number;
  readonly receiver: Receiver;
  /** Of the receiver's token, in addresses a UTC day. */
  readonly quota: number | undefined;
  /** By `monotonicMs`. Nobody waits for it any longer: nothing is popped for it then. */
  readonly until: number;
}
