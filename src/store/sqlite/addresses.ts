/**
 * The rows of addresses: sealed when they come in, unsealed when they leave, overwritten when their
 * time is over. Runs in the store thread. Sealing and unsealing take
 * an await, and are apart from what belongs in a transaction of the caller.
 */
import { PUBLIC_KEY_BYTES } from '../../keypair/keypair.ts';
import {
  type Place,
  publicKeyHash,
  type SealedRow,
  type Sealer,
  sealedBytes,
  type Unsealer,
} from '../../keypair/seal.ts';
import type { Hit, KeyType, SigningKey } from '../../keypair/signing-key.ts';
import type { LeasedAddress, Origin } from '../address.ts';
import { type Range, sizeOf } from '../ranges.ts';
import type { PoolIdentity } from '../stored-pool.ts';
import type { SealedDataKeys } from './resealing.ts';
import type { Statements } from './statements.ts';

/** An array: as objects, which node:sqlite makes without a prototype, rows cost 3 us more each. */
type AddressRow = readonly [
  id: number,
  seq: number,
  keyHash: Uint8Array,
  dataKeyId: number,
  sealed: Uint8Array,
  origin: Origin,
  createdAt: number,
];

interface OpenedRow {
  readonly row: AddressRow;
  readonly opened: SigningKey;
}

/** What a row says beside its key. */
export interface NewRow {
  readonly id: number;
  readonly seq: number;
  readonly origin: Origin;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** An address that is to come in. */
export interface SealedAddress extends SealedRow {
  readonly pool: string;
  readonly keyHash: Uint8Array;
}

/** The pool that rows are of. */
export interface PoolOfRows {
  readonly id: number;
  readonly name: string;
  readonly keys: KeyType;
  readonly handout: PoolIdentity['handout'];
}

export class Addresses {
  readonly #statements: Statements;
  readonly #dataKeys: SealedDataKeys;
  readonly #sealer: Sealer;
  readonly #unsealer: Unsealer;

  constructor(
    statements: Statements,
    dataKeys: SealedDataKeys,
    sealer: Sealer,
    unsealer: Unsealer,
  ) {
    this.#statements = statements;
    this.#dataKeys = dataKeys;
    statements.addresses.setReturnArrays(true);
    this.#sealer = sealer;
    this.#unsealer = unsealer;
  }

  /** Before they are inserted; `poolOf` finds a pool by its name. RangeError for a key not of its pool's type. */
  async seal(hits: readonly Hit[], poolOf: (name: string) => PoolOfRows): Promise<SealedAddress[]> {
    const names = new Set(hits.map(({ pool }) => pool));
    const pools = new Map([...names].map((name) => [name, poolOf(name)]));
    const rows = hits.map((key) => {
      const place = placeOf(pools.get(key.pool)!, publicKeyHash(key.publicKey));
      return { place, key };
    });
    const sealed = await this.#sealer.seal(rows);
    return rows.map(({ place: { pool, keyHash } }, index) => ({
      pool,
      keyHash,
      ...sealed[index]!,
    }));
  }

  /** False if the store has seen the public key before, in whatever state. */
  insert(
    pool: PoolOfRows,
    { id, seq, origin, createdAt }: NewRow,
    address: SealedAddress,
  ): boolean {
    const { keyHash, dataKeyId, sealed } = address;
    const { addAddress } = this.#statements;
    const row = [id, pool.id, seq, keyHash, dataKeyId, sealed, origin, createdAt];
    return addAddress.run(...row).changes > 0;
  }

  /** The addresses of the ranges in their order, and the seqs of those that cannot be unsealed. */
  async unseal(
    pool: PoolOfRows,
    ranges: readonly Range[],
  ): Promise<{ addresses: LeasedAddress[]; unsealable: number[] }> {
    const addresses: LeasedAddress[] = [];
    const unsealable = new Set(ranges.flatMap(seqsOf));
    for (const { row, opened } of await this.#open(pool, ranges)) {
      const [id, seq, , , , origin, createdAt] = row;
      const { keyType, key, publicKey } = opened;
      unsealable.delete(seq);
      addresses.push({ id, createdAt, origin, keyType, key, publicKey });
    }
    return { addresses, unsealable: [...unsealable] };
  }

  /** What is to stay in place of each sealed secret of the range, by seq. */
  async remains(pool: PoolOfRows, range: Range): Promise<Map<number, Uint8Array>> {
    const remains = new Map<number, Uint8Array>();
    for (const seq of seqsOf(range)) remains.set(seq, new Uint8Array(sealedBytes(pool.keys)));
    for (const { row, opened } of await this.#open(pool, [range])) {
      remains.get(row[1])!.set(opened.publicKey);
      opened.key.fill(0);
    }
    return remains;
  }

  overwrite(pool: PoolOfRows, remains: ReadonlyMap<number, Uint8Array>): void {
    for (const [seq, sealed] of remains) this.#statements.overwrite.run(sealed, pool.id, seq);
  }

  /**
   * The addresses of the ranges as they were handed out, or undefined if one of them cannot be returned
   * again because its secret is destroyed. A sign-only pool gave none: there `key` is then
   * empty.
   */
  async again(
    pool: PoolOfRows,
    ranges: readonly Range[],
  ): Promise<readonly LeasedAddress[] | undefined> {
    const { addresses, unsealable } = await this.unseal(pool, ranges);
    if (unsealable.length === 0) return addresses;
    const told = new Map(addresses.map((address) => [address.id, address]));
    const again = this.#rowsOf(pool, ranges).map((row) => {
      const [id, , keyHash, , sealed, origin, createdAt] = row;
      const publicKey = publicKeyLeft(sealed);
      const isLeft = publicKey !== undefined && publicKeyHash(publicKey).equals(keyHash);
      if (told.has(id) || !isLeft || pool.handout !== 'sign-only') return told.get(id);
      return { id, createdAt, origin, keyType: pool.keys, key: new Uint8Array(), publicKey };
    });
    if (again.every((address) => address !== undefined)) return again;
    for (const { key } of addresses) key.fill(0);
    return undefined;
  }

  #rowsOf(pool: PoolOfRows, ranges: readonly Range[]): AddressRow[] {
    return ranges.flatMap(
      ({ first, last }) =>
        this.#statements.addresses.all(pool.id, first, last) as unknown as AddressRow[],
    );
  }

  async #open(pool: PoolOfRows, ranges: readonly Range[]): Promise<OpenedRow[]> {
    const rows = this.#rowsOf(pool, ranges);
    const dataKeyOf = this.#dataKeys.find();
    const keys = await this.#unsealer.unseal(
      rows.map(([id, , keyHash, dataKeyId, sealed]) => {
        return { dataKey: dataKeyOf(id, dataKeyId), sealed, place: placeOf(pool, keyHash) };
      }),
    );
    const opened: OpenedRow[] = [];
    for (const [index, key] of keys.entries()) {
      if (key !== undefined) opened.push({ row: rows[index]!, opened: key });
    }
    return opened;
  }
}

function placeOf({ name: pool, keys: keyType }: PoolOfRows, keyHash: Uint8Array): Place {
  return { pool, keyType, keyHash };
}

/** The public key that is left of a destroyed secret; undefined if it could not be read then. */
export function publicKeyLeft(sealed: Uint8Array): Uint8Array | undefined {
  const publicKey = sealed.subarray(0, PUBLIC_KEY_BYTES);
  return publicKey.some((byte) => byte !== 0) ? publicKey : undefined;
}

function seqsOf(range: Range): number[] {
  return Array.from({ length: sizeOf(range) }, (_, index) => range.first + index);
}
