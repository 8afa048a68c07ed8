/**
 * What left a store or was given up: every address that is dispensed, reserved or burned, with when,
 * to whom and why. Runs in the thread that calls it, on a connection that may be one that only
 * reads, beside a server. Its pages never show an address that is available or leased: its row is
 * not even unsealed. Who knows an address can look for what became of it.
 *
 * From an address to who got it: its segment names the epoch, the newest lease of that epoch that
 * covers it gives the position that it had in the ready queue, and the hand-out that covers the
 * position is the reply in which it left. Without one (burned, listed by a restore, or taken by a
 * thread that died before it could say for whom) the segment has the time, and the rest is unknown.
 *
 * Costs 20 us an address and no memory but that of a page. The lease is looked for from the newest
 * on: an epoch has one for each gap in what it leased. Most have one; with 1,000 it takes twice as long.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { addressOf } from '../../keypair/address.ts';
import { publicKeyHash, type Unsealer } from '../../keypair/seal.ts';
import type { KeyType } from '../../keypair/signing-key.ts';
import type { Origin } from '../address.ts';
import type {
  AuditedAddress,
  AuditPage,
  AuditQuery,
  FoundAddress,
  Signed,
} from '../audit-store.ts';
import { publicKeyLeft } from './addresses.ts';
import { DATA_KEY } from './resealing.ts';
import type { BurnCause } from './segments.ts';

const STATE = `pools.name AS pool, state, is_destroyed, nullif(cause, '') AS cause,
  coalesce(hand_outs.at, nullif(changed_at, 0)) AS at, tokens.name AS token, hand_outs.key_hash`;
/** CROSS JOIN keeps their order: each is looked up by its key. */
const TABLES = `FROM addresses
    CROSS JOIN pools ON pools.id = addresses.pool_id
    CROSS JOIN segments ON segments.pool_id = pools.id AND segments.first = (
      SELECT max(first) FROM segments WHERE pool_id = pools.id AND first <= seq)
      AND segments.last >= seq
    LEFT JOIN leases ON leases.pool_id = pools.id AND leases.epoch = segments.epoch
      AND leases.position = (
        SELECT max(position) FROM leases
        WHERE pool_id = pools.id AND epoch = segments.epoch AND seq BETWEEN first AND last)
    LEFT JOIN hand_outs ON hand_outs.pool_id = pools.id AND hand_outs.epoch = segments.epoch
      AND hand_outs.position = (
        SELECT max(position) FROM hand_outs
        WHERE pool_id = pools.id AND epoch = segments.epoch
          AND position <= leases.position + seq - leases.first)
      AND hand_outs.position + hand_outs.count > leases.position + seq - leases.first
    LEFT JOIN tokens ON tokens.id = hand_outs.token_id`;

export const SQL = {
  /** The last of the page, and one more if there is one. */
  end: `SELECT id FROM addresses WHERE id > :after ORDER BY id LIMIT 2 OFFSET :limit - 1`,
  page: `SELECT addresses.id, addresses.key_hash AS public_key_hash, sealed, keys, ${STATE},
    ${DATA_KEY} AS data_key,
    iif(handout = 'sign-only',
      (SELECT count(*) FROM signatures WHERE address_id = addresses.id)
        + coalesce(lost.count, 0), 0) AS signatures,
    lost.address_id IS NOT NULL AND lost.count IS NULL AS is_exhausted
    ${TABLES}
    LEFT JOIN lost_signatures AS lost ON lost.address_id = addresses.id
    WHERE addresses.id > :after AND addresses.id <= :end
      AND state IN ('dispensed', 'reserved', 'burned')
      AND (:pool IS NULL OR pools.name = :pool)
      AND (:since IS NULL OR coalesce(hand_outs.at, changed_at) >= :since)
    ORDER BY addresses.id`,
  find: `SELECT addresses.id, origin, addresses.created_at, ${STATE},
      (SELECT count(*) > 0 FROM lost_signatures
        WHERE address_id = addresses.id AND count IS NULL) AS is_exhausted
    ${TABLES} WHERE addresses.key_hash = ?`,
  tokens: 'SELECT * FROM tokens ORDER BY id',
  signatures: `SELECT at, tokens.name AS token, message_hash AS messageHash, signature
    FROM signatures LEFT JOIN tokens ON tokens.id = token_id
    WHERE address_id = ? ORDER BY signatures.id`,
} as const;

interface StateRow {
  readonly is_exhausted: 0 | 1;
  readonly id: number;
  readonly pool: string;
  readonly is_destroyed: 0 | 1;
  readonly cause: BurnCause | null;
  readonly token: string | null;
  readonly key_hash: Uint8Array | null;
}

interface Row extends StateRow {
  readonly public_key_hash: Uint8Array;
  /** Sealed. */
  readonly data_key: Uint8Array;
  readonly sealed: Uint8Array;
  readonly keys: KeyType;
  readonly state: AuditedAddress['state'];
  readonly at: number;
  readonly signatures: number;
}

interface FoundRow extends StateRow {
  readonly origin: Origin;
  readonly created_at: number;
  readonly state: FoundAddress['state'];
  readonly at: number | null;
}

/** The pages of an open store. */
export class AuditBook {
  readonly #end: StatementSync;
  readonly #page: StatementSync;
  readonly #find: StatementSync;
  readonly #signatures: StatementSync;
  readonly #unsealer: Unsealer;

  constructor(db: DatabaseSync, unsealer: Unsealer) {
    this.#end = db.prepare(SQL.end);
    this.#page = db.prepare(SQL.page);
    this.#find = db.prepare(SQL.find);
    this.#signatures = db.prepare(SQL.signatures);
    this.#unsealer = unsealer;
  }

  /** Errors are those of SQLite. */
  async page({ after, limit, pool = null!, since = null! }: AuditQuery): Promise<AuditPage> {
    const [last, following] = this.#end.all({ after, limit });
    const end = Number(last?.id ?? Number.MAX_SAFE_INTEGER);
    const rows = this.#page.all({ after, end, pool, since }) as unknown as Row[];
    const addresses = await this.#addresses(rows);
    return {
      addresses: rows.map((row, index) => ({
        id: row.id,
        address: addresses[index],
        pool: row.pool,
        state: row.state,
        at: row.at,
        token: row.token ?? undefined,
        keyHash: row.key_hash ?? undefined,
        cause: row.cause ?? undefined,
        signatures: row.signatures,
        isExhausted: row.is_exhausted === 1,
      })),
      next: following === undefined ? undefined : end,
    };
  }

  /** By the hash of its public key: its row is not unsealed. */
  find(keyHash: Uint8Array): FoundAddress | undefined {
    const row = this.#find.get(keyHash) as FoundRow | undefined;
    if (row === undefined) return undefined;
    const { id, pool, state, origin, created_at, at, token, key_hash, cause, is_destroyed } = row;
    return {
      id,
      pool,
      state,
      origin,
      createdAt: created_at,
      at: at ?? undefined,
      token: token ?? undefined,
      keyHash: key_hash ?? undefined,
      cause: cause ?? undefined,
      isDestroyed: is_destroyed === 1,
      isExhausted: row.is_exhausted === 1,
      signatures: this.#signatures.all(id) as unknown as Signed[],
    };
  }

  /**
   * Undefined if an address does not match the hash of its row: a search for it would find
   * another row.
   */
  async #addresses(rows: readonly Row[]): Promise<(string | undefined)[]> {
    const sealed = rows.filter(({ is_destroyed }) => is_destroyed === 0);
    const keys = await this.#unsealer.unseal(
      sealed.map(({ pool, keys: keyType, public_key_hash: keyHash, data_key: dataKey, sealed }) => {
        return { dataKey, sealed, place: { pool, keyType, keyHash } };
      }),
    );
    const openedOf = new Map(sealed.map((row, index) => [row, keys[index]]));
    return rows.map((row) => {
      if (row.is_destroyed === 1) {
        const left = publicKeyLeft(row.sealed);
        const isIts = left !== undefined && publicKeyHash(left).equals(row.public_key_hash);
        return isIts ? addressOf(left) : undefined;
      }
      const opened = openedOf.get(row);
      if (opened === undefined) return undefined;
      const address = addressOf(opened.publicKey);
      opened.key.fill(0);
      return address;
    });
  }
}
