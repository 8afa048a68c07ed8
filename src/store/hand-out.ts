/** What left, and for whom; also what the store has not recorded of that. */
import type { LeasedAddress } from './address.ts';
import type { NewReservation } from './reservation-store.ts';

/** Addresses that left together, in one reply. */
export interface HandOut {
  /** Of the first of them in the ready queue, its lowest 32 bits; the others follow. */
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
  /** Nothing of it leaves before the store has taken it, which may refuse it. Any other is recorded in any case. */
  readonly mayBeRefused?: true;
  /** With a token, of a record that may be refused: how many addresses it may have in one UTC day. */
  readonly quota?: number;
  /** One address that is held for a client, not handed out yet. */
  readonly reservation?: NewReservation;
  /** Read from a journal: it was to be held, and nobody has heard of that before the store had it. */
  readonly isUnseen?: true;
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
