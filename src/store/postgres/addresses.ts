/**
 * Sealed rows of addresses, and what is in them. Runs in the thread of its connection. A row counts only if the
 * table of all keys has it under the same id, and if an enrolled node has sealed its data key: any other is taken for
 * damaged.
 */
import { publicKeyHash, type Sealer, type Unsealer } from '../../keypair/seal.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import type { Hit, KeyType, SigningKey } from '../../keypair/signing-key.ts';
import type { LeasedAddress } from '../address.ts';
import { type Range, sizeOf } from '../ranges.ts';
import type { PoolIdentity } from '../stored-pool.ts';
import type { DataKeys } from './data-keys.ts';
import { columns } from './ids.ts';
import type { StoreKeys } from './store-keys.ts';
import type { Query } from './transaction.ts';

const SQL = {
  /**
   * The data key stands in the first row of each that follow each other with the same one. $3, how many they are, and
   * the look at the table of all keys for each row keep the planner from reading that whole table.
   */
  rows: `SELECT s.id, s.data_key_id, s.origin, s.created_at, s.key_hash, s.sealed,
      CASE WHEN s.data_key_id IS DISTINCT FROM lag(s.data_key_id) OVER (ORDER BY r.n, s.id)
        THEN coalesce((SELECT sealed FROM vanitypool.data_keys WHERE id = s.data_key_id), '') END AS data_key
    FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS r (first, last, n)
    CROSS JOIN LATERAL (SELECT * FROM vanitypool.secrets
      WHERE id BETWEEN r.first AND r.last ORDER BY id LIMIT $3) AS s
    WHERE s.id = (SELECT id FROM vanitypool.keys WHERE key_hash = s.key_hash)
    ORDER BY r.n, s.id`,
  remains: `SELECT m.id, m.origin, m.created_at, m.public_key
    FROM unnest($1::bigint[], $2::bigint[]) AS r (first, last)
    CROSS JOIN LATERAL (SELECT * FROM vanitypool.remains WHERE id BETWEEN r.first AND r.last OFFSET 0) AS m
    WHERE m.id = (SELECT id FROM vanitypool.keys WHERE key_hash = sha256(m.public_key))`,
  bury: `WITH gone AS (DELETE FROM vanitypool.secrets WHERE id = ANY($1::bigint[])
      RETURNING id, origin, created_at)
    INSERT INTO vanitypool.remains (id, origin, created_at, public_key)
    SELECT gone.id, gone.origin, gone.created_at, kept.public_key
    FROM gone JOIN unnest($1::bigint[], $2::bytea[]) AS kept (id, public_key) ON kept.id = gone.id`,
} as const;

/** As the rows of a pool are sealed. */
export type PoolOfRows = Pick<PoolIdentity, 'name' | 'handout'> & { readonly keys: KeyType };

interface SealedRow {
  readonly id: number;
  readonly data_key_id: number;
  readonly origin: 'g' | 'i';
  readonly created_at: number;
  readonly key_hash: Uint8Array;
  readonly sealed: Uint8Array;
  /** Null: as of the row before; empty: there is none. */
  readonly data_key: Uint8Array | null;
}

interface Remains {
  readonly id: number;
  readonly origin: 'g' | 'i';
  readonly created_at: number;
  readonly public_key: Uint8Array;
}

export interface SealedAddress {
  readonly keyHash: Buffer;
  readonly dataKeyId: number;
  readonly sealed: Uint8Array;
}

/** What a node can do that has the public half of the sealing key alone. */
export class AddressSealer {
  readonly #sealer: Sealer;

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  /** From now on under new data keys. */
  renew(publicKey: Uint8Array): void {
    this.#sealer.sealTo(publicKey);
  }

  /** In their order. RangeError for a key that is not of its pool's type. */
  async seal(pool: PoolOfRows, hits: readonly Hit[]): Promise<SealedAddress[]> {
    const rows = hits.map((key) => ({ key, place: placeOf(pool, publicKeyHash(key.publicKey)) }));
    const sealed = await this.#sealer.seal(rows);
    return rows.map(({ place }, index) => ({ keyHash: place.keyHash, ...sealed[index]! }));
  }
}

export class Addresses {
  readonly #unsealer: Unsealer;
  readonly #dataKeys: DataKeys;
  readonly #keys: Pick<StoreKeys, 'assertKey'>;

  constructor(unsealer: Unsealer, dataKeys: DataKeys, keys: Pick<StoreKeys, 'assertKey'>) {
    this.#unsealer = unsealer;
    this.#dataKeys = dataKeys;
    this.#keys = keys;
  }

  /** Data keys are sealed to this one from now on. */
  openWith(key: SealingKey): void {
    this.#unsealer.openWith(key);
  }

  /** The addresses of the ranges in their order, and the ids of those that cannot be unsealed. */
  async unseal(
    query: Query,
    pool: PoolOfRows,
    ranges: readonly Range[],
  ): Promise<{ addresses: LeasedAddress[]; unsealable: number[] }> {
    if (ranges.length === 0) return { addresses: [], unsealable: [] };
    const count = ranges.reduce((sum, range) => sum + sizeOf(range), 0);
    const { rows } = await query<SealedRow>(SQL.rows, [...columns(ranges), count]);
    const genuine = await this.#dataKeys.genuine(query, rows);
    let last: Uint8Array | undefined;
    const opened = await this.#unsealer.unseal(
      rows.map(({ key_hash, sealed, data_key_id, data_key }) => {
        last = data_key ?? last;
        const dataKey = genuine.has(data_key_id) ? last : undefined;
        return { dataKey, sealed, place: placeOf(pool, key_hash) };
      }),
    );
    const unsealable = new Set(ranges.flatMap(idsOf));
    const addresses: LeasedAddress[] = [];
    for (const [index, key] of opened.entries()) {
      if (key === undefined) continue;
      const { id, origin, created_at: createdAt } = rows[index]!;
      unsealable.delete(id);
      addresses.push({ id, createdAt, origin: originOf(origin), ...partsOf(key) });
    }
    if (unsealable.size > 0) await this.#assertKey(query, addresses);
    return { addresses, unsealable: [...unsealable].sort((a, b) => a - b) };
  }

  /** Under another one than that of the store they would all be taken for damaged. */
  async #assertKey(query: Query, opened: readonly LeasedAddress[]): Promise<void> {
    try {
      await this.#keys.assertKey(query);
    } catch (error) {
      for (const { key } of opened) key.fill(0);
      throw error;
    }
  }

  /**
   * The addresses of the ranges as they were handed out, or undefined if one of them cannot be returned
   * again because its secret is destroyed. A sign-only pool gave none: there `key` is then empty.
   */
  async again(
    query: Query,
    pool: PoolOfRows,
    ranges: readonly Range[],
  ): Promise<readonly LeasedAddress[] | undefined> {
    const { addresses, unsealable } = await this.unseal(query, pool, ranges);
    if (unsealable.length === 0) return addresses;
    const left = new Map<number, LeasedAddress>(addresses.map((one) => [one.id, one]));
    if (pool.handout === 'sign-only') {
      for (const row of (await query<Remains>(SQL.remains, columns(ranges))).rows) {
        const { id, created_at: createdAt, public_key: publicKey } = row;
        const told = { id, createdAt, origin: originOf(row.origin), publicKey };
        left.set(id, { ...told, keyType: pool.keys, key: new Uint8Array() });
      }
    }
    const again = ranges.flatMap(idsOf).map((id) => left.get(id));
    if (again.every((address) => address !== undefined)) return again;
    for (const { key } of addresses) key.fill(0);
    return undefined;
  }

  /** By id, of each address whose public key can be read, whether its secret is destroyed or not. */
  async publicKeysOf(
    query: Query,
    pool: PoolOfRows,
    ranges: readonly Range[],
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const { addresses, unsealable } = await this.unseal(query, pool, ranges);
    const found = new Map<number, Uint8Array>(addresses.map(wiped));
    if (unsealable.length > 0) {
      const { rows } = await query<Remains>(SQL.remains, columns(ranges));
      for (const { id, public_key } of rows) found.set(id, public_key);
    }
    return found;
  }

  /** What is to stay of them. A public key that cannot be read any more is zeros. */
  async remainsOf(
    query: Query,
    pool: PoolOfRows,
    ranges: readonly Range[],
  ): Promise<Map<number, Buffer>> {
    const { addresses, unsealable } = await this.unseal(query, pool, ranges);
    const unread = unsealable.map((id): [number, Buffer] => [id, Buffer.alloc(32)]);
    return new Map([...unread, ...addresses.map(wiped)]);
  }

  /** Secrets that are gone already stay gone. */
  async destroy(query: Query, remains: ReadonlyMap<number, Buffer>): Promise<void> {
    await query(SQL.bury, [[...remains.keys()], [...remains.values()]]);
  }
}

export function idsOf(range: Range): number[] {
  return Array.from({ length: sizeOf(range) }, (_, index) => range.first + index);
}

/** What is public of an address, which a seed's bytes end with. */
function wiped({ id, key, publicKey }: LeasedAddress): [id: number, publicKey: Buffer] {
  const copy = Buffer.from(publicKey);
  key.fill(0);
  return [id, copy];
}

function placeOf({ name, keys }: PoolOfRows, keyHash: Uint8Array) {
  return { pool: name, keyType: keys, keyHash: Buffer.from(keyHash) };
}

function partsOf({ keyType, key, publicKey }: SigningKey): SigningKey {
  return { keyType, key, publicKey };
}

export function originOf(origin: 'g' | 'i'): 'ground' | 'imported' {
  return origin === 'g' ? 'ground' : 'imported';
}
