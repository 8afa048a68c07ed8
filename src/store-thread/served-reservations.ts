/**
 * What becomes of reserved addresses in a running server. Runs in the store thread.
 * Each call is one transaction, durable before it is answered; the live counts follow it.
 *
 * An address that its client gives back, or lets expire, is burned: the client has seen it, and
 * anyone who knows an address can make it unusable for a new mint by funding it. A pool with
 * `reuse_released` takes it back anyway.
 */
import { VanityError } from '../errors.ts';
import type { ReservationOf } from '../pool/calls.ts';
import { type ReadyAddress, readyAddress } from '../pool/ready-address.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { Reservation } from '../store/reservation-store.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';

const EXPIRE_EVERY_MS = 1000;

export interface ServedReservationsOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  /** After the figures of a pool have changed. Called inside `exclusively`. */
  readonly onChange: (pool: string) => Promise<void>;
  /** After each look for what expired, with what made it fail. */
  readonly onExpired: (error: VanityError | undefined) => void;
}

export class ServedReservations {
  readonly #options: ServedReservationsOptions;
  readonly #pools = new Map<string, SharedPool>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServedReservationsOptions) {
    this.#options = options;
  }

  add(shared: SharedPool): void {
    this.#pools.set(shared.name, shared);
  }

  remove(pool: string): void {
    this.#pools.delete(pool);
  }

  start(): void {
    this.#timer = setInterval(() => void this.#expire(), EXPIRE_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get({ id, token }: ReservationOf): Promise<Reservation> {
    const { store, exclusively } = this.#options;
    return exclusively(() => store.reservations.get(id, token));
  }

  /** `pool` is the one by which the caller knows whether its secret may leave. */
  dispense({ id, token, pool }: ReservationOf & { readonly pool: string }): Promise<ReadyAddress> {
    const { store, exclusively, onChange } = this.#options;
    return exclusively(async () => {
      const leased = await store.reservations.dispense(id, token, pool);
      const ready = readyAddress(leased);
      leased.key.fill(0);
      await onChange(pool);
      return ready;
    });
  }

  release({ id, token }: ReservationOf): Promise<void> {
    const { store, exclusively, onChange } = this.#options;
    return exclusively(async () => {
      const { pool } = await store.reservations.get(id, token);
      await store.reservations.release(id, token, this.#reuses(pool));
      await onChange(pool);
    });
  }

  async #expire(): Promise<void> {
    const { store, exclusively, onChange, onExpired } = this.#options;
    try {
      await exclusively(async () => {
        const reuses = (pool: string) => this.#reuses(pool);
        const ended = await store.reservations.expire(reuses);
        for (const pool of ended.keys()) await onChange(pool);
      });
      onExpired(undefined);
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      onExpired(error);
    }
  }

  #reuses(pool: string): boolean {
    return this.#pools.get(pool)?.reuseReleased ?? false;
  }
}
