/** What the store does for addresses that are held for a client before they leave. */
import type { LeasedAddress } from './address.ts';

export interface NewReservation {
  /** 32 hex digits. */
  readonly id: string;
  /** How long it holds from the time of its record. */
  readonly ttlMs: number;
}

/** What became of a reservation: it holds as long as it is 'reserved'. */
export type ReservationState = 'reserved' | 'dispensed' | 'released' | 'expired';

export interface Reservation {
  /** 32 hex digits. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
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
  /**
   * Ends those whose time is over by the store's clock; by pool, how many. `reuse` says which pools take
   * them back.
   */
  expire(reuse: (pool: string) => boolean): Promise<ReadonlyMap<string, number>>;
}
