/**
 * What left the store or was given up, and to whom: its pages, and single addresses. Runs in the thread of its
 * connection, inside a transaction of the caller that reads one moment. Its pages never show an address that is
 * available or leased: its row is not even unsealed.
 *
 * From an address to who got it: its lease gives the position that it had in the queue of a run, and the hand-out
 * that covers the position is the reply in which it left. Where there is none (burned, or taken by a thread that died
 * before it could say for whom) the time is that of its burning, or by when the queue had recorded it.
 */
import { addressOf } from '../../keypair/address.ts';
import { publicKeyHash } from '../../keypair/seal.ts';
import type {
  AuditedAddress,
  AuditPage,
  AuditQuery,
  FoundAddress,
  Signed,
} from '../audit-store.ts';
import { rangesOf } from '../ranges.ts';
import { type Addresses, originOf, type PoolOfRows } from './addresses.ts';
import type { Query } from './transaction.ts';

const AT = `coalesce(h.at, s.burned_at,
    CASE WHEN s.state IN ('dispensed', 'reserved') THEN s.recorded_at END)`;
const STATE = `s.id, p.name, s.state, s.cause, ${AT} AS at, t.name AS token, h.key_hash`;
const IS_EXHAUSTED = `EXISTS (SELECT FROM vanitypool.lost_signatures
    WHERE address_id = s.id AND count IS NULL) AS is_exhausted`;
/** Of `s`, who has it. */
const AND_WHOSE = `
    JOIN vanitypool.pools AS p ON p.id = s.pool_id
    LEFT JOIN LATERAL (SELECT * FROM vanitypool.hand_outs
      WHERE epoch = s.epoch AND pool_id = s.pool_id AND position <= s.position
      ORDER BY position DESC LIMIT 1) AS h ON h.position + h.count > s.position
    LEFT JOIN vanitypool.tokens AS t ON t.id = h.token_id`;

const SQL = {
  /** The last of the page, and one more if there is one. */
  end: `SELECT id FROM (SELECT id FROM vanitypool.secrets UNION ALL SELECT id FROM vanitypool.remains)
      AS a WHERE id > $1 ORDER BY id LIMIT 2 OFFSET $2::int - 1`,
  page: `SELECT ${STATE}, p.keys, p.handout, CASE WHEN p.handout = 'sign-only' THEN
      (SELECT count(*) FROM vanitypool.signatures WHERE address_id = s.id) + coalesce(
        (SELECT count FROM vanitypool.lost_signatures WHERE address_id = s.id), 0) ELSE 0 END AS signatures,
      ${IS_EXHAUSTED}
    FROM vanitypool.address_states AS s ${AND_WHOSE}
    WHERE s.id > $1 AND s.id <= $2 AND s.state IN ('dispensed', 'reserved', 'burned')
      AND ($3::text IS NULL OR p.name = $3) AND ($4::bigint IS NULL OR ${AT} >= $4)
    ORDER BY s.id`,
  /** Looked up one after the other: a join would read all addresses. */
  find: `SELECT ${STATE}, a.*, ${IS_EXHAUSTED} FROM vanitypool.keys AS k
    CROSS JOIN LATERAL (SELECT * FROM vanitypool.address_states WHERE id = k.id OFFSET 0) AS s
    CROSS JOIN LATERAL (
      SELECT origin, created_at, false AS is_destroyed FROM vanitypool.secrets WHERE id = k.id
      UNION ALL SELECT origin, created_at, true FROM vanitypool.remains WHERE id = k.id) AS a
    ${AND_WHOSE}
    WHERE k.key_hash = $1 AND s.state IS NOT NULL`,
  signatures: `SELECT g.at, t.name AS token, g.message_hash AS "messageHash", g.signature
    FROM vanitypool.signatures AS g LEFT JOIN vanitypool.tokens AS t ON t.id = g.token_id
    WHERE g.address_id = $1 ORDER BY g.number`,
  taken: `SELECT coalesce(token_id, 0) AS id, sum(count)::bigint AS addresses
    FROM vanitypool.hand_outs WHERE at >= $1 GROUP BY 1`,
} as const;

interface StateRow {
  readonly id: number;
  /** Of the pool. */
  readonly name: string;
  readonly cause: string | null;
  readonly token: string | null;
  readonly key_hash: Uint8Array | null;
  readonly is_exhausted: boolean;
}

interface PageRow extends StateRow, PoolOfRows {
  readonly state: AuditedAddress['state'];
  readonly at: number;
  readonly signatures: number;
}

interface FoundRow extends StateRow {
  readonly state: FoundAddress['state'];
  readonly at: number | null;
  readonly origin: 'g' | 'i';
  readonly created_at: number;
  readonly is_destroyed: boolean;
}

export async function pageOf(
  query: Query,
  addresses: Addresses,
  { after, limit, pool, since }: AuditQuery,
): Promise<AuditPage> {
  const ends = (await query<{ id: number }>(SQL.end, [after, limit])).rows;
  const end = ends[0]?.id ?? Number.MAX_SAFE_INTEGER;
  const { rows } = await query<PageRow>(SQL.page, [after, end, pool, since]);
  const shown = new Map<number, string>();
  for (const ofPool of Map.groupBy(rows, ({ name }) => name).values()) {
    const ranges = rangesOf(ofPool.map(({ id }) => id));
    const keys = await addresses.publicKeysOf(query, ofPool[0]!, ranges);
    for (const [id, publicKey] of keys) shown.set(id, addressOf(publicKey));
  }
  return {
    addresses: rows.map((row) => ({
      ...said(row),
      state: row.state,
      at: row.at,
      address: shown.get(row.id),
      signatures: row.signatures,
      isExhausted: row.is_exhausted,
    })),
    next: ends.length < 2 ? undefined : end,
  };
}

/** By its public key. */
export async function find(query: Query, publicKey: Uint8Array): Promise<FoundAddress | undefined> {
  const [row] = (await query<FoundRow>(SQL.find, [publicKeyHash(publicKey)])).rows;
  if (row === undefined) return undefined;
  return {
    ...said(row),
    state: row.state,
    at: row.at ?? undefined,
    origin: originOf(row.origin),
    createdAt: row.created_at,
    isDestroyed: row.is_destroyed,
    isExhausted: row.is_exhausted,
    signatures: (await query<Signed>(SQL.signatures, [row.id])).rows,
  };
}

/** By the id of a token, 0 for none, how many it took. */
export async function takenSince(query: Query, since: number): Promise<[number, number][]> {
  const { rows } = await query<{ id: number; addresses: number }>(SQL.taken, [since]);
  return rows.map(({ id, addresses }) => [id, addresses]);
}

function said({ id, name, token, key_hash, cause }: StateRow) {
  return {
    ...{ id, pool: name, token: token ?? undefined },
    keyHash: key_hash ?? undefined,
    cause: cause ?? undefined,
  };
}
