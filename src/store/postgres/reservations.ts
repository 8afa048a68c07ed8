/**
 * Reservations: addresses that clients hold and see, and have not been given the secret of. Runs in the store
 * thread. One is made by the turn that records its pop, and any node may end it.
 */
import { VanityError } from '../../errors.ts';
import { encodeBase58 } from '../../keypair/address.ts';
import type { LeasedAddress } from '../address.ts';
import type {
  EarlierReservation,
  Reservation,
  ReservationState,
  ReservationStore,
} from '../reservation-store.ts';
import type { Addresses, PoolOfRows } from './addresses.ts';
import { moveFigures } from './figures.ts';
import { cutOut } from './hand-outs.ts';
import { burn, giveBack } from './lanes.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

const COLUMNS = `r.id, r.epoch, r.pool_id, r.position, r.address_id, r.expires_at, r.ended_at, r.outcome,
    coalesce(r.token_id, 0) AS token, p.name, p.keys, p.handout, h.at, h.body_hash
  FROM vanitypool.reservations AS r
    JOIN vanitypool.pools AS p ON p.id = r.pool_id
    JOIN vanitypool.hand_outs AS h
      ON (h.epoch, h.pool_id, h.position) = (r.epoch, r.pool_id, r.position)`;

const SQL = {
  get: `SELECT ${COLUMNS} WHERE r.id = $1`,
  lock: `SELECT ${COLUMNS} WHERE r.id = $1 FOR UPDATE OF r`,
  /** Of the run that made it: its leases are cut. */
  lockQueue: `SELECT FROM vanitypool.queues WHERE (epoch, pool_id) = (
    SELECT epoch, pool_id FROM vanitypool.reservations WHERE id = $1) FOR UPDATE`,
  madeWith: `SELECT ${COLUMNS} WHERE h.key_hash = $1`,
  /** What another has locked comes later, a queue too. */
  due: `SELECT ${COLUMNS} JOIN vanitypool.queues AS q ON (q.epoch, q.pool_id) = (r.epoch, r.pool_id)
    WHERE r.ended_at IS NULL AND r.expires_at <= $1
    ORDER BY r.expires_at LIMIT 1000 FOR UPDATE OF q, r SKIP LOCKED`,
  end: `UPDATE vanitypool.reservations SET ended_at = $2, outcome = $3
    WHERE id = $1 AND ended_at IS NULL`,
  /** What was burned with its pool, or because the database went back, stays that. */
  isBurned: `SELECT 1 FROM vanitypool.burns WHERE first <= $1 AND last >= $1`,
} as const;

interface Row extends PoolOfRows {
  readonly id: string;
  readonly epoch: number;
  readonly pool_id: number;
  readonly position: number;
  readonly address_id: number;
  readonly expires_at: number;
  readonly ended_at: number | null;
  readonly outcome: Exclude<ReservationState, 'reserved'> | null;
  readonly token: number;
  readonly at: number;
  readonly body_hash: Uint8Array | null;
}

export class PostgresReservations implements ReservationStore {
  readonly #run: Run;
  readonly #addresses: Addresses;

  constructor(run: Run, addresses: Addresses) {
    this.#run = run;
    this.#addresses = addresses;
  }

  get(id: string, token: number): Promise<Reservation> {
    return this.#run.transaction(async (query) =>
      this.#shown(query, await rowOf(query, SQL.get, id, token)),
    );
  }

  madeWith(key: Uint8Array): Promise<EarlierReservation | undefined> {
    return this.#run.transaction(async (query) => {
      const [row] = (await query<Row>(SQL.madeWith, [Buffer.from(key)])).rows;
      if (row === undefined) return undefined;
      return { at: row.at, body: row.body_hash!, reservation: await this.#shown(query, row) };
    });
  }

  async dispense(id: string, token: number, pool: string): Promise<LeasedAddress> {
    let opened: LeasedAddress | undefined;
    try {
      return await this.#run.repeated(async (query) => {
        opened?.key.fill(0);
        await this.#run.assertSound(query);
        const row = await rowOf(query, SQL.lock, id, token);
        if (row.name !== pool) throw notFound(id);
        if (row.outcome !== null && row.outcome !== 'dispensed') throw over(row.outcome);
        opened = await this.#open(query, row);
        if (row.outcome === 'dispensed') {
          if (opened !== undefined) return opened;
          throw over('dispensed, and its secret is destroyed by now');
        }
        const at = this.#run.now;
        if (opened === undefined) throw over('its address cannot be unsealed');
        if (row.expires_at <= at) throw over('expired');
        if (await isBurned(query, row)) throw over('its address was burned');
        await query(SQL.end, [id, at, 'dispensed']);
        const { node } = this.#run;
        await moveFigures(query, row.pool_id, node.id, { reserved: -1, dispensed: 1 });
        return opened;
      });
    } catch (error) {
      opened?.key.fill(0);
      throw error;
    }
  }

  release(id: string, token: number, reuse: boolean): Promise<void> {
    return this.#run.repeated(async (query) => {
      await query(SQL.lockQueue, [id]);
      const row = await rowOf(query, SQL.lock, id, token);
      if (row.outcome === 'released') return;
      if (row.outcome !== null) throw over(row.outcome);
      await this.#giveBack(query, row, 'released', reuse);
    });
  }

  expire(reuse: (pool: string) => boolean): Promise<ReadonlyMap<string, number>> {
    return this.#run.transaction(async (query) => {
      const ended = new Map<string, number>();
      for (const row of (await query<Row>(SQL.due, [this.#run.now])).rows) {
        await this.#giveBack(query, row, 'expired', reuse(row.name));
        ended.set(row.name, (ended.get(row.name) ?? 0) + 1);
      }
      return ended;
    });
  }

  async #giveBack(
    query: Query,
    row: Row,
    outcome: 'released' | 'expired',
    reuse: boolean,
  ): Promise<void> {
    const at = this.#run.now;
    await query(SQL.end, [row.id, at, outcome]);
    if (await isBurned(query, row)) return;
    const { epoch, pool_id: pool, position, address_id: id } = row;
    if (reuse) await giveBack(query, pool, await cutOut(query, { epoch, pool }, position, 1));
    else await burn(query, pool, [{ first: id, last: id }], at, outcome);
    const to = reuse ? 'available' : 'burned';
    await moveFigures(query, pool, this.#run.node.id, { reserved: -1, [to]: 1 });
  }

  async #open(query: Query, row: Row): Promise<LeasedAddress | undefined> {
    const range = { first: row.address_id, last: row.address_id };
    return (await this.#addresses.again(query, row, [range]))?.[0];
  }

  /** With the address, without its secret. */
  async #shown(query: Query, row: Row): Promise<Reservation> {
    const range = { first: row.address_id, last: row.address_id };
    const publicKey = (await this.#addresses.publicKeysOf(query, row, [range])).get(range.first);
    const address = publicKey === undefined ? '' : encodeBase58(publicKey);
    const { id, name: pool, token, expires_at: expiresAt, outcome } = row;
    return { id, pool, address, token, expiresAt, state: outcome ?? 'reserved' };
  }
}

async function rowOf(query: Query, text: string, id: string, token: number): Promise<Row> {
  const [row] = (await query<Row>(text, [id])).rows;
  if (row !== undefined && row.token === token) return row;
  throw notFound(id);
}

async function isBurned(query: Query, { address_id }: Row): Promise<boolean> {
  return (await query(SQL.isBurned, [address_id])).rows.length > 0;
}

function notFound(id: string): VanityError {
  return new VanityError('RESERVATION_NOT_FOUND', `reservation ${id}: there is none`);
}

function over(why: string): VanityError {
  return new VanityError('RESERVATION_OVER', `the reservation does not hold: ${why}`);
}
