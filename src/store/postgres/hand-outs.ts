/**
 * What left, with whom, and for which idempotency key. Runs in the store thread, inside a transaction of the
 * caller. A hand-out is known by the positions that its addresses had in the queue of their run; the leases
 * say which addresses those were.
 */
import { VanityError } from '../../errors.ts';
import type { HandOut } from '../hand-out.ts';
import { joined, uncut } from '../positions.ts';
import type { Range } from '../ranges.ts';
import type { Refusal } from '../store.ts';
import { DAY_MS } from '../token-store.ts';
import type { Answer } from './session.ts';
import { answers, type Query } from './transaction.ts';

const SQL = {
  served: 'SELECT key_hash FROM vanitypool.hand_outs WHERE key_hash = ANY($1::bytea[])',
  /** From the one that covers $3, in order. */
  leases: `SELECT position, first, last FROM vanitypool.leases
    WHERE epoch = $1 AND pool_id = $2 AND position < $4 AND position >= coalesce((
      SELECT max(position) FROM vanitypool.leases
      WHERE epoch = $1 AND pool_id = $2 AND position <= $3), 0)
    ORDER BY position`,
  lease: `INSERT INTO vanitypool.leases (epoch, pool_id, position, first, last)
    SELECT $1, $2, * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[])`,
  unlease:
    'DELETE FROM vanitypool.leases WHERE epoch = $1 AND pool_id = $2 AND position = ANY($3::bigint[])',
  covering: `SELECT token_id, position + count AS "end" FROM vanitypool.hand_outs
    WHERE epoch = $1 AND pool_id = $2 AND position <= $3 ORDER BY position DESC LIMIT 1`,
  /** Keys in one order in all nodes: two that have the same ones do not wait for each other. */
  add: `INSERT INTO vanitypool.hand_outs
      (epoch, pool_id, position, count, at, token_id, key_hash, body_hash)
    SELECT $1, $2, * FROM unnest($3::bigint[], $4::int[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[])
      AS h (position, count, at, token_id, key_hash, body_hash) ORDER BY key_hash, position
    ON CONFLICT (key_hash) WHERE key_hash IS NOT NULL DO NOTHING RETURNING position`,
  remove: 'DELETE FROM vanitypool.hand_outs WHERE epoch = $1 AND pool_id = $2 AND position = $3',
  /** Nothing where it would be more than $4. */
  take: `INSERT INTO vanitypool.quotas AS q (token_id, day, used)
    SELECT $1, $2, $3 WHERE $4::bigint IS NULL OR $3 <= $4
    ON CONFLICT (token_id, day) DO UPDATE SET used = q.used + EXCLUDED.used
      WHERE $4::bigint IS NULL OR q.used + EXCLUDED.used <= $4
    RETURNING used`,
  used: 'SELECT used FROM vanitypool.quotas WHERE token_id = $1 AND day = $2',
  reserve: `INSERT INTO vanitypool.reservations
      (id, epoch, pool_id, position, address_id, token_id, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)`,
  find: `SELECT h.epoch, h.pool_id, h.position, h.count, h.at, h.body_hash, p.name
    FROM vanitypool.hand_outs AS h JOIN vanitypool.pools AS p ON p.id = h.pool_id
    WHERE h.key_hash = $1`,
  leaseOf: `SELECT epoch, pool_id, position + $1 - first AS position FROM vanitypool.leases
    WHERE first <= $1 AND last >= $1 ORDER BY first DESC LIMIT 1`,
} as const;

/** The ready queue of a pool in one run. */
export interface Queue {
  readonly epoch: number;
  readonly pool: number;
}

/** What became of the addresses of records, beside leaving: by id. */
export interface Recorded {
  readonly held: number[];
  readonly freed: Range[];
  readonly refused: Refusal[];
}

export interface HandOutRow {
  readonly epoch: number;
  readonly pool_id: number;
  readonly position: number;
  readonly count: number;
  readonly at: number;
  readonly body_hash: Uint8Array;
  readonly name: string;
}

interface LeaseRow {
  readonly position: number;
  readonly first: number;
  readonly last: number;
}

interface Placed extends HandOut {
  /** Whole. */
  readonly from: number;
}

/** These addresses take the positions from `position` on. */
export async function lease(
  query: Query,
  { epoch, pool }: Queue,
  position: number,
  ranges: readonly Range[],
): Promise<void> {
  if (ranges.length === 0) return;
  const positions: number[] = [];
  let next = position;
  for (const { first, last } of ranges) {
    positions.push(next);
    next += last - first + 1;
  }
  const [first, last] = [ranges.map((range) => range.first), ranges.map((range) => range.last)];
  await query(SQL.lease, [epoch, pool, positions, first, last]);
}

/** The addresses of `count` positions from `from` on, in their order. */
export async function leased(
  query: Query,
  { epoch, pool }: Queue,
  from: number,
  count: number,
): Promise<Range[]> {
  if (count === 0) return [];
  const end = from + count;
  const { rows } = await query<LeaseRow>(SQL.leases, [epoch, pool, from, end]);
  return within(rows, from, end);
}

function within(rows: readonly LeaseRow[], from: number, end: number): Range[] {
  return rows.flatMap(({ position, first, last }) => {
    const range = {
      first: first + Math.max(0, from - position),
      last: Math.min(last, first + end - position - 1),
    };
    return range.last >= range.first ? [range] : [];
  });
}

/** These positions have no address any more: the addresses that they had. */
export async function cutOut(
  query: Query,
  queue: Queue,
  from: number,
  count: number,
): Promise<Range[]> {
  const { epoch, pool } = queue;
  const end = from + count;
  const { rows } = await query<LeaseRow>(SQL.leases, [epoch, pool, from, end]);
  const touched = rows.filter(({ position, first, last }) => position + last - first >= from);
  if (touched.length === 0) return [];
  await query(SQL.unlease, [epoch, pool, touched.map(({ position }) => position)]);
  for (const { position, first, last } of touched) {
    if (position < from)
      await lease(query, queue, position, [{ first, last: first + from - position - 1 }]);
    if (position + last - first >= end)
      await lease(query, queue, end, [{ first: first + end - position, last }]);
  }
  return within(touched, from, end);
}

/**
 * What is not recorded yet of what left of the queue, whose pops before `recorded` are. A record from before
 * that may come a second time; if it was refused then, it is again.
 */
export async function record(
  query: Query,
  queue: Queue,
  recorded: number,
  records: readonly HandOut[],
): Promise<Recorded> {
  const result: Recorded = { held: [], freed: [], refused: [] };
  const isLate = ({ position }: HandOut) => uncut(position, recorded) < recorded;
  const place = (one: HandOut): Placed => ({ ...one, from: uncut(one.position, recorded) });
  // One by one: of two that are neighbours the store may have the first.
  for (const one of records.filter(isLate)) await recordLate(query, queue, place(one), result);
  const fresh = [...joined(records.filter((one) => !isLate(one)))].map(place);
  const added = await add(query, queue, fresh);
  const refused = new Map<Placed, Refusal['why']>();
  for (const one of fresh) if (!added.has(one.from)) refused.set(one, 'key');
  for (const one of await count(
    query,
    fresh.filter(({ from }) => added.has(from)),
  )) {
    await query(SQL.remove, [queue.epoch, queue.pool, one.from]);
    refused.set(one, 'quota');
  }
  for (const one of fresh) {
    const why = refused.get(one);
    if (why !== undefined) {
      result.refused.push({ position: one.position, why });
      result.freed.push(...(await cutOut(query, queue, one.from, one.count)));
    } else if (one.reservation !== undefined) {
      result.held.push(await reserve(query, queue, one));
    }
  }
  return result;
}

/** Of a pop that a turn before has recorded. */
async function recordLate(
  query: Query,
  queue: Queue,
  one: Placed,
  { refused }: Recorded,
): Promise<void> {
  if ((await tokenAt(query, queue, one.from)) !== undefined) return;
  const { position, key, quota, reservation } = one;
  // Such a record comes with the turn of its pop: that turn has refused it, and its answer was lost.
  if (key !== undefined && (await findByKey(query, key)) !== undefined) {
    refused.push({ position, why: 'key' });
  } else if ((key ?? quota ?? reservation) !== undefined) {
    refused.push({ position, why: 'quota' });
  } else {
    await add(query, queue, [one]);
    await count(query, [one]);
  }
}

async function add(
  query: Query,
  { epoch, pool }: Queue,
  records: readonly Placed[],
): Promise<Set<number>> {
  if (records.length === 0) return new Set();
  const adding = query<{ position: number }>(SQL.add, [
    ...[epoch, pool],
    records.map(({ from }) => from),
    records.map((one) => one.count),
    records.map(({ at }) => at),
    records.map(({ token }) => (token === 0 ? null : token)),
    records.map(({ key = null }) => key && Buffer.from(key)),
    records.map(({ body = null }) => body && Buffer.from(body)),
  ]);
  // Any other is in if the transaction is.
  const mayLack = records.some(({ key }) => key !== undefined);
  const added = mayLack ? (await adding).rows.map(({ position }) => position) : undefined;
  return new Set(added ?? records.map(({ from }) => from));
}

/** What tokens took; those that would exceed the quota of their day did not. */
async function count(query: Query, records: readonly Placed[]): Promise<Placed[]> {
  const ofTokens = Map.groupBy(
    records.filter(({ token }) => token !== 0),
    ({ token, at }) => `${token} ${dayOf(at)}`,
  );
  const limits: [Placed, taking: Promise<Answer<object>>][] = [];
  // In one order in all nodes: two that count the same tokens do not wait for each other.
  for (const name of [...ofTokens.keys()].sort()) {
    const [unlimited, limited] = parted(ofTokens.get(name)!, ({ quota }) => quota === undefined);
    const take = (count: number, quota: number | null) =>
      query(SQL.take, [...name.split(' ').map(Number), count, quota]);
    const sum = unlimited.reduce((total, one) => total + one.count, 0);
    if (sum > 0) void take(sum, null);
    for (const one of limited) limits.push([one, take(one.count, one.quota!)]);
  }
  const taken = await answers(limits.map(([, taking]) => taking));
  return limits.flatMap(([one], index) => (taken[index]!.rows.length > 0 ? [] : [one]));
}

function parted<T>(all: readonly T[], isFirst: (one: T) => boolean): [first: T[], rest: T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}

async function reserve(query: Query, queue: Queue, one: Placed): Promise<number> {
  const id = await addressAt(query, queue, one.from);
  const { reservation, at, token } = one;
  const expiresAt = at + reservation!.ttlMs;
  const holder = token === 0 ? null : token;
  const row = [reservation!.id, queue.epoch, queue.pool, one.from, id, holder, expiresAt];
  await query(SQL.reserve, row);
  return id;
}

/** The address that had this position. Error: STORE_CORRUPT. */
export async function addressAt(query: Query, queue: Queue, position: number): Promise<number> {
  const [range] = await leased(query, queue, position, 1);
  if (range !== undefined) return range.first;
  const detail = `leases: none has position ${position} of epoch ${queue.epoch}, and it was popped`;
  throw new VanityError('STORE_CORRUPT', detail);
}

/** The token of the hand-out at this position, 0 for none; undefined if none is recorded. */
async function tokenAt(
  query: Query,
  { epoch, pool }: Queue,
  position: number,
): Promise<number | undefined> {
  const [row] = (
    await query<{ token_id: number | null; end: number }>(SQL.covering, [epoch, pool, position])
  ).rows;
  return row !== undefined && row.end > position ? (row.token_id ?? 0) : undefined;
}

/** The token that an address went to, 0 for none; undefined if nobody knows. */
export async function tokenOf(query: Query, id: number): Promise<number | undefined> {
  const [row] = (
    await query<{ epoch: number; pool_id: number; position: number }>(SQL.leaseOf, [id])
  ).rows;
  return row && tokenAt(query, { epoch: row.epoch, pool: row.pool_id }, row.position);
}

export async function usedOn(query: Query, token: number, day: number): Promise<number> {
  return (await query<{ used: number }>(SQL.used, [token, day])).rows[0]?.used ?? 0;
}

/** Which of these keys have a hand-out, in their order. */
export async function areServed(
  query: Query,
  keys: readonly Uint8Array[],
): Promise<readonly boolean[]> {
  const { rows } = await query<{ key_hash: Buffer }>(SQL.served, [
    keys.map((key) => Buffer.from(key)),
  ]);
  const served = new Set(rows.map(({ key_hash }) => key_hash.toString('base64')));
  return keys.map((key) => served.has(Buffer.from(key).toString('base64')));
}

export async function findByKey(query: Query, key: Uint8Array): Promise<HandOutRow | undefined> {
  return (await query<HandOutRow>(SQL.find, [Buffer.from(key)])).rows[0];
}

function dayOf(at: number): number {
  return Math.floor(at / DAY_MS);
}
