/**
 * Reservations: addresses that clients hold and see, and have not been given the secret of. Runs in
 * the store thread. One is made by the turn that records its pop; here is what becomes of it. It
 * belongs to the token that made it: for any other there is none of that id.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { VanityError } from '../../errors.ts';
import { encodeBase58 } from '../../keypair/address.ts';
import type { LeasedAddress } from '../address.ts';
import type {
  EarlierReservation,
  Reservation,
  ReservationState,
  ReservationStore,
} from '../reservation-store.ts';
import { type Addresses, type PoolOfRows, publicKeyLeft } from './addresses.ts';
import { prepareAll } from './database.ts';
import type { HandOutBook } from './hand-out-book.ts';
import type { Segments } from './segments.ts';
import type { Runner } from './tokens.ts';

const COLUMNS = `r.id, r.pool_id, r.seq, r.expires_at, r.ended_at, r.outcome, p.name, p.keys, p.handout,
    coalesce(h.token_id, 0) AS token, h.at, h.body_hash, a.sealed
  FROM reservations AS r JOIN pools AS p ON p.id = r.pool_id
    JOIN hand_outs AS h ON h.id = r.hand_out_id
    JOIN addresses AS a ON a.pool_id = r.pool_id AND a.seq = r.seq`;

const SQL = {
  get: `SELECT ${COLUMNS} WHERE r.id = ?`,
  madeWith: `SELECT ${COLUMNS} WHERE h.key_hash = ?`,
  due: `SELECT ${COLUMNS} WHERE r.ended_at IS NULL AND r.expires_at <= ?
    ORDER BY r.expires_at LIMIT 1000`,
  end: 'UPDATE reservations SET ended_at = ?, outcome = ? WHERE id = ? AND ended_at IS NULL',
} as const;

interface Row {
  readonly id: string;
  readonly pool_id: number;
  readonly seq: number;
  readonly expires_at: number;
  readonly ended_at: number | null;
  readonly outcome: Exclude<ReservationState, 'reserved'> | null;
  readonly name: string;
  readonly keys: PoolOfRows['keys'];
  readonly handout: PoolOfRows['handout'];
  readonly token: number;
  readonly at: number;
  readonly body_hash: Uint8Array | null;
  readonly sealed: Uint8Array;
}

/** What becomes of a reserved address. */
type End =
  | { readonly to: 'available' }
  | { readonly to: 'dispensed'; readonly at: number }
  | { readonly to: 'burned'; readonly at: number; readonly cause: 'released' | 'expired' };

/** What the parts of one store share. */
export interface Books {
  readonly segments: Segments;
  readonly handOuts: HandOutBook;
  readonly addresses: Addresses;
}

export class SqliteReservations implements ReservationStore {
  readonly #statements: { readonly [name in keyof typeof SQL]: StatementSync };
  readonly #run: Runner;
  readonly #books: Books;

  constructor(db: DatabaseSync, run: Runner, books: Books) {
    this.#statements = prepareAll(db, SQL);
    this.#run = run;
    this.#books = books;
  }

  get(id: string, token: number): Promise<Reservation> {
    return this.#run.call(() => this.#shown(this.#rowOf(id, token)));
  }

  madeWith(key: Uint8Array): Promise<EarlierReservation | undefined> {
    return this.#run.afterEffects(async () => {
      const row = this.#statements.madeWith.get(key) as unknown as Row | undefined;
      if (row === undefined) return undefined;
      return { at: row.at, body: row.body_hash!, reservation: await this.#shown(row) };
    });
  }

  dispense(id: string, token: number, pool: string): Promise<LeasedAddress> {
    return this.#run.afterEffects(async () => {
      const row = this.#rowOf(id, token);
      if (row.name !== pool) throw notFound(id);
      if (row.outcome !== null && row.outcome !== 'dispensed') throw over(row.outcome);
      const address = await this.#open(row);
      if (row.outcome === 'dispensed') {
        if (address !== undefined) return address;
        throw over('dispensed, and its secret is destroyed by now');
      }
      const at = this.#run.now;
      if (address === undefined) throw over('its address cannot be unsealed');
      if (row.expires_at <= at) throw over('expired');
      try {
        this.#run.effect(() => {
          if (!this.#change(row, { to: 'dispensed', at })) throw over('its address was burned');
          this.#statements.end.run(at, 'dispensed', row.id);
        });
        return address;
      } catch (error) {
        address.key.fill(0);
        throw error;
      }
    });
  }

  release(id: string, token: number, reuse: boolean): Promise<void> {
    return this.#run.call(() => {
      const row = this.#rowOf(id, token);
      if (row.outcome === 'released') return;
      if (row.outcome !== null) throw over(row.outcome);
      this.#run.transaction(() => this.#giveBack(row, 'released', reuse));
    });
  }

  expire(reuse: (pool: string) => boolean): Promise<ReadonlyMap<string, number>> {
    return this.#run.call(() => {
      const ended = new Map<string, number>();
      const due = this.#statements.due.all(this.#run.now) as unknown as Row[];
      if (due.length === 0) return ended;
      this.#run.transaction(() => {
        for (const row of due) {
          this.#giveBack(row, 'expired', reuse(row.name));
          ended.set(row.name, (ended.get(row.name) ?? 0) + 1);
        }
      });
      return ended;
    });
  }

  /** What was burned with its pool or by a restore stays that. */
  #giveBack(row: Row, outcome: 'released' | 'expired', reuse: boolean): void {
    const at = this.#run.now;
    const burned = { to: 'burned', at, cause: outcome } as const;
    this.#change(row, reuse ? { to: 'available' } : burned);
    this.#statements.end.run(at, outcome, row.id);
  }

  /**
   * False if the address is not reserved any more. It keeps the epoch in which it was popped, by which
   * its hand-out, and so its token, is found.
   */
  #change({ pool_id: pool, seq }: Row, end: End): boolean {
    const { state, epoch } = this.#books.segments.stateOf(pool, seq);
    if (state !== 'reserved') return false;
    const change = end.to === 'available' ? end : { ...end, epoch };
    this.#books.segments.change(pool, { first: seq, last: seq }, 'reserved', change);
    return true;
  }

  #rowOf(id: string, token: number): Row {
    const row = this.#statements.get.get(id) as unknown as Row | undefined;
    if (row !== undefined && row.token === token) return row;
    throw notFound(id);
  }

  async #open({ pool_id, name, keys, handout, seq }: Row): Promise<LeasedAddress | undefined> {
    const range = { first: seq, last: seq };
    const pool = { id: pool_id, name, keys, handout };
    return (await this.#books.addresses.again(pool, [range]))?.[0];
  }

  /** With the address, without its secret. */
  async #shown(row: Row): Promise<Reservation> {
    const opened = await this.#open(row);
    const publicKey = opened?.publicKey ?? publicKeyLeft(row.sealed);
    const address = publicKey === undefined ? '' : encodeBase58(publicKey);
    opened?.key.fill(0);
    const { id, name: pool, token, expires_at: expiresAt, outcome } = row;
    return { id, pool, address, token, expiresAt, state: outcome ?? 'reserved' };
  }
}

function notFound(id: string): VanityError {
  return new VanityError('RESERVATION_NOT_FOUND', `reservation ${id}: there is none`);
}

function over(why: string): VanityError {
  return new VanityError('RESERVATION_OVER', `the reservation does not hold: ${why}`);
}
