/**
 * Lanes: what one run adds to one pool, with ids without a gap. Runs in the store thread. Inserts go beside all
 * other calls; leases take from the oldest lane that no other run has locked.
 */
import type { Hit } from '../../keypair/signing-key.ts';
import type { Origin } from '../address.ts';
import type { Range } from '../ranges.ts';
import type { AddressSealer, SealedAddress } from './addresses.ts';
import { SIGHT, type Sight } from './database-sight.ts';
import { CommitUnknown } from './error.ts';
import { moveFigures } from './figures.ts';
import { columns, firstOf, LANE_IDS } from './ids.ts';
import { notFound, type PoolRow } from './pool-rows.ts';
import type { Run, RunName } from './run.ts';
import { answers, type Query } from './transaction.ts';

/** So many ranges that were given back are looked at together. */
const RETURNED = 64;

const SQL = {
  next: 'UPDATE vanitypool.cluster SET lane = lane + 1 RETURNING lane',
  begin: `INSERT INTO vanitypool.lane_ends (lane, pool_id, writer, filled) VALUES ($1, $2, $3, $4)`,
  beginHead: `INSERT INTO vanitypool.lane_heads (lane, pool_id, taken) VALUES ($1, $2, $3)`,
  /** Until the transaction ends: who deletes the pool waits for it. */
  isOpen: `SELECT FROM vanitypool.pools WHERE id = $1 AND state = 'open' FOR SHARE`,
  fill: `UPDATE vanitypool.lane_ends SET filled = filled + $3
    WHERE lane = $1 AND filled = $2 AND writer = $4 AND EXISTS (
      SELECT FROM vanitypool.epochs WHERE epoch = $4 AND run = $5 AND state = 'open')
      AND EXISTS (SELECT FROM vanitypool.cluster WHERE state = 'sound')
    RETURNING ${SIGHT}`,
  filled: 'SELECT filled, writer FROM vanitypool.lane_ends WHERE lane = $1 FOR UPDATE',
  known: 'SELECT key_hash FROM vanitypool.keys WHERE key_hash = ANY($1::bytea[])',
  /** In the order of the hashes in all nodes: two that add the same keys do not wait for each other. */
  addKeys: `INSERT INTO vanitypool.keys (key_hash, id)
    SELECT * FROM unnest($1::bytea[], $2::bigint[]) AS k (key_hash, id) ORDER BY key_hash
    ON CONFLICT DO NOTHING`,
  addSecrets: `INSERT INTO vanitypool.secrets (id, data_key_id, origin, created_at, key_hash, sealed)
    SELECT id, data_key_id, $1, $2, key_hash, sealed
    FROM unnest($3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[])
      AS s (id, data_key_id, key_hash, sealed)`,
  returned: `SELECT first, last FROM vanitypool.returned WHERE pool_id = $1 ORDER BY first
    LIMIT ${RETURNED} FOR UPDATE`,
  takeReturned: 'DELETE FROM vanitypool.returned WHERE first = ANY($1::bigint[])',
  giveBack: `INSERT INTO vanitypool.returned (first, last, pool_id)
    SELECT *, $3 FROM unnest($1::bigint[], $2::bigint[])`,
  head: `SELECT h.lane, h.taken, e.filled, e.writer IS NULL AS "isLeft" FROM vanitypool.lane_heads AS h
    JOIN vanitypool.lane_ends AS e ON e.lane = h.lane
    WHERE h.pool_id = $1 AND NOT h.is_empty AND h.taken < e.filled
    ORDER BY h.lane LIMIT 1 FOR UPDATE OF h`,
  taken: 'SELECT lane, taken FROM vanitypool.lane_heads WHERE lane = ANY($1::bigint[])',
  takeHead: 'UPDATE vanitypool.lane_heads SET taken = $2, is_empty = $3 WHERE lane = $1',
  /** What is empty by then stays that: nobody looks at it any more. */
  leave: `WITH gone AS (UPDATE vanitypool.lane_ends SET writer = NULL WHERE writer = $1
      RETURNING lane, filled)
    UPDATE vanitypool.lane_heads AS h SET is_empty = true
    FROM gone WHERE h.lane = gone.lane AND h.taken = gone.filled`,
  burn: `INSERT INTO vanitypool.burns (first, last, pool_id, at, cause)
    SELECT *, $3::int, $4::bigint, $5::text FROM unnest($1::bigint[], $2::bigint[])`,
} as const;

interface Lane {
  readonly run: RunName;
  readonly lane: number;
  /** As of the last insert that is known to be in. */
  filled: number;
}

interface End {
  readonly filled: number;
  readonly writer: number | null;
}

interface Head {
  readonly lane: number;
  readonly taken: number;
  readonly filled: number;
  /** By its writer. */
  readonly isLeft: boolean;
}

/** Others insert the same keys at this moment. */
class KeysTaken extends Error {}

export class Lanes {
  readonly #run: Run;
  readonly #sealer: AddressSealer;
  /** By the id of the pool: the one that this run fills. */
  readonly #filling = new Map<number, Lane>();

  constructor(run: Run, sealer: AddressSealer) {
    this.#run = run;
    this.#sealer = sealer;
  }

  /** Those that the store has not seen before, in their order: how many. */
  async insert(pool: PoolRow, hits: readonly Hit[], origin: Origin): Promise<number> {
    const sealed = await this.#sealer.seal(pool, hits);
    let inserted = 0;
    for (let left = sealed; left.length > 0; ) {
      const lane = await this.#laneOf(pool.id);
      const part = left.slice(0, (lane.lane + 1) * LANE_IDS - 1 - lane.filled);
      inserted += await this.#insert(pool, lane, part, origin);
      left = left.slice(part.length);
      if (lane.filled === (lane.lane + 1) * LANE_IDS - 1) this.#filling.delete(pool.id);
    }
    return inserted;
  }

  async #insert(
    pool: PoolRow,
    lane: Lane,
    addresses: readonly SealedAddress[],
    origin: Origin,
  ): Promise<number> {
    for (;;) {
      let fresh = 0;
      try {
        fresh = await this.#run.aside((query) => this.#add(query, pool, lane, addresses, origin));
      } catch (error) {
        if (error instanceof KeysTaken) continue;
        if (!(error instanceof CommitUnknown)) throw error;
        // One of which nobody knows how full it is stays as it is.
        this.#filling.delete(pool.id);
        const filled = await this.#filled(lane);
        this.#filling.set(pool.id, lane);
        // It is not in, and nothing of it is.
        if (filled === lane.filled) continue;
        fresh = filled - lane.filled;
      }
      lane.filled += fresh;
      return fresh;
    }
  }

  async #add(
    query: Query,
    pool: PoolRow,
    { lane, filled, run }: Lane,
    addresses: readonly SealedAddress[],
    origin: Origin,
  ): Promise<number> {
    const { node, now } = this.#run;
    const [fresh, open] = await answers([
      unknownOf(query, addresses),
      query(SQL.isOpen, [pool.id]),
    ]);
    if (fresh.length === 0) return 0;
    if (open.rows.length === 0) throw notFound(pool.name);
    const fill = [lane, filled, fresh.length, run.epoch, run.id];
    const since = this.#run.sight.last;
    const [seen] = (await query<Sight>(SQL.fill, fill)).rows;
    if (seen === undefined) throw await this.#fenced(query, { run, lane, filled });
    this.#run.sight.assertSame(seen, since);
    const ids = fresh.map((_, index) => filled + 1 + index);
    const hashes = fresh.map(({ keyHash }) => keyHash);
    const sealed = fresh.map((address) => address.sealed);
    const dataKeys = fresh.map(({ dataKeyId }) => dataKeyId);
    const letter = origin === 'ground' ? 'g' : 'i';
    const figures = { available: fresh.length, [origin]: fresh.length };
    const [added] = await answers([
      query(SQL.addKeys, [hashes, ids]),
      query(SQL.addSecrets, [letter, now, ids, dataKeys, hashes, sealed]),
      moveFigures(query, pool.id, node.id, figures),
    ]);
    if (added.count !== fresh.length) throw new KeysTaken();
    return fresh.length;
  }

  /** Waits until a commit without an answer is in, or is not. Errors: EpochOver, StoreRewound. */
  #filled(lane: Lane): Promise<number> {
    return this.#run.aside(async (query) => {
      const [row] = (await query<End>(SQL.filled, [lane.lane])).rows;
      const isOwn = row?.writer === lane.run.epoch && row.filled >= lane.filled;
      if (!isOwn) throw await this.#fenced(query, lane);
      return row.filled;
    });
  }

  async #fenced(query: Query, { run, lane, filled }: Lane): Promise<Error> {
    const [row] = (await query<End>(SQL.filled, [lane])).rows;
    return this.#run.fenced(query, run, (row?.filled ?? -1) < filled);
  }

  async #laneOf(pool: number): Promise<Lane> {
    const known = this.#filling.get(pool);
    if (known?.run.epoch === this.#run.epoch) return known;
    // One of which nobody knows whether it was made stays empty.
    const { epoch, id } = this.#run;
    const lane = await this.#run.aside(async (query) => {
      await this.#run.assertSound(query);
      const number = (await query<{ lane: number }>(SQL.next)).rows[0]!.lane;
      const none = number * LANE_IDS;
      await query(SQL.begin, [number, pool, epoch, none]);
      await query(SQL.beginHead, [number, pool, none]);
      return { run: { epoch, id }, lane: number, filled: none };
    });
    this.#filling.set(pool, lane);
    return lane;
  }
}

/** Those of which the store has no key, each once. */
async function unknownOf(
  query: Query,
  addresses: readonly SealedAddress[],
): Promise<SealedAddress[]> {
  const hashes = addresses.map(({ keyHash }) => keyHash);
  const { rows } = await query<{ key_hash: Buffer }>(SQL.known, [hashes]);
  const seen = new Set(rows.map(({ key_hash }) => key_hash.toString('hex')));
  return addresses.filter(({ keyHash }) => {
    const hash = keyHash.toString('hex');
    const isNew = !seen.has(hash);
    seen.add(hash);
    return isNew;
  });
}

/** By lane: the last id that was leased. */
export async function takenOf(
  query: Query,
  lanes: Iterable<number>,
): Promise<ReadonlyMap<number, number>> {
  const { rows } = await query<{ lane: number; taken: number }>(SQL.taken, [[...lanes]]);
  return new Map(rows.map(({ lane, taken }) => [lane, taken]));
}

/** The run is over: nobody fills its lanes any more. */
export async function leaveLanes(query: Query, epoch: number): Promise<void> {
  await query(SQL.leave, [epoch]);
}

/** At most `wanted` available addresses, oldest first: they are nobody else's from now on. */
export async function takeAvailable(query: Query, pool: number, wanted: number): Promise<Range[]> {
  const free = await take(query, pool, wanted, ' SKIP LOCKED');
  // What others have locked may be all that there is.
  return free.length > 0 || wanted <= 0 ? free : take(query, pool, wanted, '');
}

/** Waits for what others have locked. */
export function takeAll(query: Query, pool: number): Promise<Range[]> {
  return take(query, pool, Number.MAX_SAFE_INTEGER, '');
}

async function take(
  query: Query,
  pool: number,
  wanted: number,
  others: '' | ' SKIP LOCKED',
): Promise<Range[]> {
  const taken: Range[] = [];
  for (let left = wanted; left > 0; left = wanted - sum(taken)) {
    const [{ rows: returned }, { rows: heads }] = await answers([
      query<Range>(SQL.returned + others, [pool]),
      query<Head>(SQL.head + others, [pool]),
    ]);
    const part = takeReturned(query, pool, left, returned);
    // Behind so many there may be more, which are older.
    if (returned.length < RETURNED) part.push(...takeHead(query, left - sum(part), heads[0]));
    if (part.length === 0) break;
    taken.push(...part);
  }
  return taken;
}

/** Awaits no answer: none can be but right, or the commit fails. */
function takeReturned(
  query: Query,
  pool: number,
  wanted: number,
  returned: readonly Range[],
): Range[] {
  const part = firstOf(returned, wanted);
  if (part.length === 0) return part;
  const touched = returned.slice(0, part.length);
  void query(SQL.takeReturned, [touched.map(({ first }) => first)]);
  const [end, whole] = [part.at(-1)!, touched.at(-1)!];
  if (end.last < whole.last) void query(SQL.giveBack, [[end.last + 1], [whole.last], pool]);
  return part;
}

/** The same. */
function takeHead(query: Query, wanted: number, head: Head | undefined): Range[] {
  if (head === undefined || wanted === 0) return [];
  const last = Math.min(head.filled, head.taken + wanted);
  void query(SQL.takeHead, [head.lane, last, head.isLeft && last === head.filled]);
  return [{ first: head.taken + 1, last }];
}

export async function giveBack(
  query: Query,
  pool: number,
  ranges: readonly Range[],
): Promise<void> {
  if (ranges.length > 0) await query(SQL.giveBack, [...columns(ranges), pool]);
}

export async function burn(
  query: Query,
  pool: number,
  ranges: readonly Range[],
  at: number,
  cause: string,
): Promise<void> {
  if (ranges.length > 0) await query(SQL.burn, [...columns(ranges), pool, at, cause]);
}

export function sum(ranges: readonly Range[]): number {
  return ranges.reduce((total, { first, last }) => total + last - first + 1, 0);
}
