/**
 * All rows of a store that nobody changes, for who takes them elsewhere: one after the other, each in memory for a
 * moment. Runs in the thread that has the store open.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Origin } from '../address.ts';
import type { BurnCause, State } from './segments.ts';
import {
  countersOf,
  type MetaRow,
  metaOf,
  type PoolRow,
  poolRows,
  prepareStatements,
} from './statements.ts';

/** The segment of an address; CROSS JOIN keeps their order. */
const SEGMENT = `CROSS JOIN segments AS s ON s.pool_id = a.pool_id AND s.first = (
    SELECT max(first) FROM segments WHERE pool_id = a.pool_id AND first <= a.seq)
    AND s.last >= a.seq`;

const ADDRESS = `a.id, a.pool_id, a.key_hash, a.data_key_id, a.sealed, a.origin, a.created_at`;

const SQL = {
  meta: 'SELECT token_id, had_tokens, mac FROM meta',
  sizes: `SELECT (SELECT coalesce(sum(ground + imported), 0) FROM pools)
    + (SELECT count(*) FROM hand_outs) + (SELECT count(*) FROM reservations)
    + (SELECT count(*) FROM signatures) AS size`,
  tokens: 'SELECT * FROM tokens ORDER BY id',
  dataKeys: 'SELECT id, sealed, created_at FROM data_keys ORDER BY id',
  leaseEnds: `SELECT pool_id, epoch, max(position + last - first + 1) AS "end" FROM leases
    GROUP BY pool_id, epoch`,
  handOutEnds: `SELECT pool_id, epoch, max(position + count) AS "end" FROM hand_outs
    GROUP BY pool_id, epoch`,
  dispensedIn: `SELECT DISTINCT pool_id, epoch, 0 AS "end" FROM segments WHERE state = 'dispensed'`,
  /** The position is that of the newest lease in the epoch of the state, as an audit finds it. */
  gone: `SELECT ${ADDRESS}, s.state, s.epoch, s.changed_at, s.cause, s.is_destroyed,
      l.position + a.seq - l.first AS position, h.id IS NOT NULL AS is_recorded,
      h.id IN (SELECT hand_out_id FROM reservations) AS is_reservation
    FROM addresses AS a ${SEGMENT}
      LEFT JOIN leases AS l ON l.pool_id = a.pool_id AND l.epoch = s.epoch AND l.position = (
        SELECT max(position) FROM leases
        WHERE pool_id = a.pool_id AND epoch = s.epoch AND a.seq BETWEEN first AND last)
      LEFT JOIN hand_outs AS h ON h.pool_id = a.pool_id AND h.epoch = s.epoch AND h.position = (
        SELECT max(position) FROM hand_outs
        WHERE pool_id = a.pool_id AND epoch = s.epoch AND position <= l.position + a.seq - l.first)
        AND h.position + h.count > l.position + a.seq - l.first
    WHERE s.state <> 'available' ORDER BY a.id`,
  waiting: `SELECT first, last FROM segments WHERE pool_id = ? AND state = 'available'
    ORDER BY first`,
  addresses: `SELECT ${ADDRESS} FROM addresses AS a WHERE pool_id = ? AND seq BETWEEN ? AND ?
    ORDER BY seq`,
  handOuts: `SELECT position, count, at, token_id, key_hash, body_hash FROM hand_outs
    WHERE pool_id = ? AND epoch = ? ORDER BY position`,
  reservations: `SELECT r.id, h.epoch, r.pool_id, h.position, r.seq, a.id AS address_id, s.state,
      s.is_destroyed, h.token_id, r.expires_at, r.ended_at, r.outcome
    FROM reservations AS r CROSS JOIN hand_outs AS h ON h.id = r.hand_out_id
      CROSS JOIN addresses AS a ON a.pool_id = r.pool_id AND a.seq = r.seq ${SEGMENT}
    ORDER BY r.id`,
  signatures: `SELECT address_id, token_id, at, message_hash, signature FROM signatures
    ORDER BY address_id, id`,
  lostSignatures: 'SELECT address_id, count FROM lost_signatures ORDER BY address_id',
} as const;

export interface MovingMeta extends MetaRow {
  readonly token_id: number;
  readonly had_tokens: 0 | 1;
  readonly mac: Uint8Array;
}

export interface MovingPool extends PoolRow {
  readonly mac: Uint8Array;
}

export interface MovingToken extends Readonly<Record<string, unknown>> {
  readonly id: number;
  readonly scopes: string;
  readonly pools: string | null;
}

export interface MovingDataKey {
  readonly id: number;
  readonly sealed: Uint8Array;
  readonly created_at: number;
}

export interface MovingAddress {
  readonly id: number;
  readonly pool_id: number;
  readonly key_hash: Uint8Array;
  readonly data_key_id: number;
  readonly sealed: Uint8Array;
  readonly origin: Origin;
  readonly created_at: number;
}

/** One that is not available. */
export interface GoneAddress extends MovingAddress {
  readonly state: Exclude<State, 'available' | 'leased'>;
  readonly epoch: number;
  readonly changed_at: number;
  readonly cause: BurnCause | '';
  readonly is_destroyed: 0 | 1;
  /** In the queue of its pool and epoch; null for one that a list of a restore named. */
  readonly position: number | null;
  /** Whether a hand-out has that position, and one that is a reservation. */
  readonly is_recorded: 0 | 1;
  readonly is_reservation: 0 | 1 | null;
}

/** The queue of a pool in an epoch. */
export interface MovingQueue {
  readonly pool_id: number;
  readonly epoch: number;
  /** Behind the last position that was ever leased in it. */
  readonly end: number;
}

export interface MovingHandOut {
  readonly position: number;
  readonly count: number;
  readonly at: number;
  readonly token_id: number | null;
  readonly key_hash: Uint8Array | null;
  readonly body_hash: Uint8Array | null;
}

export interface MovingReservation {
  readonly id: string;
  readonly epoch: number;
  readonly pool_id: number;
  readonly position: number;
  readonly seq: number;
  readonly address_id: number;
  /** Of the address. */
  readonly state: State;
  readonly is_destroyed: 0 | 1;
  readonly token_id: number | null;
  readonly expires_at: number;
  readonly ended_at: number | null;
  readonly outcome: string | null;
}

export interface MovingSignature {
  readonly address_id: number;
  readonly token_id: number | null;
  readonly at: number;
  readonly message_hash: Uint8Array;
  readonly signature: Uint8Array;
}

export class MovingRows {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  get meta(): MovingMeta {
    const row = this.#db.prepare(SQL.meta).get();
    return { ...metaOf(prepareStatements(this.#db)), ...row } as unknown as MovingMeta;
  }

  /** How many rows of addresses, hand-outs, reservations and signatures there are. */
  get size(): number {
    return Number(this.#db.prepare(SQL.sizes).get()!.size);
  }

  get counters(): Readonly<Record<string, number>> {
    return countersOf(prepareStatements(this.#db));
  }

  get pools(): readonly MovingPool[] {
    return poolRows(prepareStatements(this.#db)) as MovingPool[];
  }

  get tokens(): Iterable<MovingToken> {
    return this.#each(SQL.tokens);
  }

  get dataKeys(): Iterable<MovingDataKey> {
    return this.#each(SQL.dataKeys);
  }

  /** In the order of epochs and pools. */
  get queues(): MovingQueue[] {
    const queues = new Map<string, MovingQueue>();
    for (const sql of [SQL.leaseEnds, SQL.handOutEnds, SQL.dispensedIn]) {
      for (const queue of this.#each<MovingQueue>(sql)) {
        const name = `${queue.epoch} ${queue.pool_id}`;
        const end = Math.max(queue.end, queues.get(name)?.end ?? 0);
        queues.set(name, { ...queue, end });
      }
    }
    return [...queues.values()].sort((a, b) => a.epoch - b.epoch || a.pool_id - b.pool_id);
  }

  /** All that are not available, by id. */
  get gone(): Iterable<GoneAddress> {
    return this.#each(SQL.gone);
  }

  /** Of a pool, those that wait, oldest first: ranges of their places in it. */
  waiting(pool: number): Iterable<{ readonly first: number; readonly last: number }> {
    return this.#each(SQL.waiting, pool);
  }

  addresses(pool: number, first: number, last: number): Iterable<MovingAddress> {
    return this.#each(SQL.addresses, pool, first, last);
  }

  /** In the order of their positions. */
  handOuts({ pool_id, epoch }: MovingQueue): Iterable<MovingHandOut> {
    return this.#each(SQL.handOuts, pool_id, epoch);
  }

  get reservations(): Iterable<MovingReservation> {
    return this.#each(SQL.reservations);
  }

  /** By address, each in the order in which they were made. */
  get signatures(): Iterable<MovingSignature> {
    return this.#each(SQL.signatures);
  }

  get lostSignatures(): Iterable<{ readonly address_id: number; readonly count: number | null }> {
    return this.#each(SQL.lostSignatures);
  }

  #each<T>(sql: string, ...values: number[]): Iterable<T> {
    return this.#db.prepare(sql).iterate(...values) as unknown as Iterable<T>;
  }
}
