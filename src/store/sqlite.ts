/**
 * The store of one node: one SQLite file. Runs in the thread that calls it. The contract, with the
 * words and the states, is store.ts; the schema is migrations/sqlite; the states are segments.ts.
 *
 * Each call is one transaction, rolled back whole when anything in it fails. A commit is on disk
 * when it returns: the journal is a write-ahead log with synchronous=FULL. NORMAL could forget the
 * last commits in a power loss, and so hand one key out twice.
 *
 * What needs an await (making or opening a data key) comes before the transaction. Nothing else
 * happens between the two: calls are made one after the other, and the data directory is held.
 */
import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { Durability } from '../config.ts';
import { VanityError } from '../errors.ts';
import type { KeyType } from '../keypair/keypair.ts';
import { publicKeyHash, Sealer, Unsealer } from '../keypair/seal.ts';
import { createSealingKey, loadSealingKey, type SealingKey } from '../keypair/sealing-key.ts';
import { holdDataDirectory } from './data-directory.ts';
import { type Range, Segments, sizeOf } from './segments.ts';
import { openDatabase, transaction } from './sqlite-database.ts';
import { type Epoch, startEpoch } from './sqlite-epoch.ts';
import { storeError } from './sqlite-error.ts';
import { assertInPlace } from './sqlite-place.ts';
import {
  type AddressRow,
  countsOf,
  metaOf,
  type PoolRow,
  poolRows,
  prepareStatements,
  type Statements,
  storedPool,
} from './sqlite-statements.ts';
import type {
  Counters,
  Hit,
  InsertReport,
  LastEpoch,
  LeasedAddress,
  LeaseReport,
  PoolCounts,
  PoolIdentity,
  Recovered,
  Recovery,
  Store,
  StoredPool,
} from './store.ts';

/** Secrets destroyed by one call: some tens of milliseconds. */
const DESTROY_MAX = 16_384;

export interface SqliteStoreOptions {
  readonly directory: string;
  /** 'file:PATH' (made with a new store) or 'env:NAME'. */
  readonly sealingKey: string;
  /** Without it a directory that holds no store is STORE_NOT_FOUND, and stays as it is. */
  readonly create?: boolean;
  /** Reads the journals of the last epoch; without it what was leased then is burned. */
  readonly recover?: (last: LastEpoch) => Recovery;
  /** What leases are taken for: 'leased' if not given. */
  readonly durability?: Durability;
}

/**
 * Opens the store in `directory` for service: a new epoch begins, and what the last one had leased
 * and did not return is burned. Errors: DATA_NOT_WRITABLE, DATA_IN_USE, DISK_FULL,
 * DATA_MOVED, SEALING_KEY_INVALID, STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_LOCKED,
 * STORE_CORRUPT.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { directory, sealingKey, create = true } = options;
  using resources = new DisposableStack();
  const { storeFile } = resources.use(holdDataDirectory(directory, create));
  try {
    const db = resources.use(openDatabase(storeFile));
    const statements = prepareStatements(db);
    const key = await sealingKeyOf(statements, sealingKey);
    const segments = new Segments(db);
    const epoch = transaction(db, () => {
      assertInPlace(statements, storeFile);
      return startEpoch(statements, segments, key, options);
    });
    return new SqliteStore({ db, storeFile, statements, segments, key, epoch }, resources.move());
  } catch (cause) {
    throw storeError(cause, storeFile, 'opening');
  }
}

/** A store without data keys takes any key: nothing is sealed yet. */
async function sealingKeyOf(statements: Statements, source: string): Promise<SealingKey> {
  const isUsed = statements.anyDataKey.get() !== undefined;
  const key = await loadSealingKey(source);
  if (!isUsed) return key ?? createSealingKey(source);
  if (key === undefined) {
    throw new VanityError(
      'SEALING_KEY_INVALID',
      `${source}: missing, and the store is sealed with it; restore it from a backup`,
    );
  }
  const { sealing_key } = metaOf(statements);
  if (sealing_key === null || Buffer.compare(sealing_key, key.publicKey) !== 0) {
    throw new VanityError(
      'SEALING_KEY_INVALID',
      `${source}: not the key that the store is sealed with; restore that one from a backup`,
    );
  }
  return key;
}

interface Opened {
  readonly db: DatabaseSync;
  readonly storeFile: string;
  readonly statements: Statements;
  readonly segments: Segments;
  readonly key: SealingKey;
  readonly epoch: Epoch;
}

class SqliteStore implements Store {
  readonly id: string;
  readonly epoch: number;
  readonly recovered: Readonly<Record<string, Recovered>>;
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #inode: number;
  readonly #statements: Statements;
  readonly #segments: Segments;
  readonly #sealer: Sealer;
  readonly #unsealer: Unsealer;
  readonly #resources: DisposableStack;
  /** Destroyed secrets may still stand in the log, if only those of an epoch that was killed. */
  #isLogStale = true;

  /** Disposes of `resources` when it is closed. */
  constructor(opened: Opened, resources: DisposableStack) {
    const { db, storeFile, statements, segments, key, epoch } = opened;
    this.id = epoch.storeId;
    this.epoch = epoch.number;
    this.recovered = epoch.recovered;
    this.#db = db;
    this.#path = storeFile;
    this.#inode = statSync(storeFile).ino;
    this.#statements = statements;
    this.#segments = segments;
    this.#resources = resources;
    this.#unsealer = new Unsealer(this.id, key);
    this.#sealer = new Sealer({
      storeId: this.id,
      publicKey: key.publicKey,
      save: (sealed) =>
        this.#transaction(() =>
          Number(statements.addDataKey.run(sealed, Date.now()).lastInsertRowid),
        ),
    });
  }

  pools(): Promise<StoredPool[]> {
    return this.#call(() => poolRows(this.#statements).map(storedPool));
  }

  definePool(identity: PoolIdentity): Promise<StoredPool> {
    const { name, prefix, suffix, ignoreCase, keys } = identity;
    return this.#call(() =>
      this.#transaction(() => {
        const { pool, addPool } = this.#statements;
        if (pool.get(name) === undefined) {
          addPool.run(name, prefix, suffix, Number(ignoreCase), keys);
        }
        const stored = storedPool(this.#poolRow(name));
        for (const field of ['prefix', 'suffix', 'ignoreCase', 'keys'] as const) {
          if (stored[field] === identity[field]) continue;
          const [was, is] = [stored[field], identity[field]].map((value) => JSON.stringify(value));
          const message = `pool ${name}: made with ${field} ${was}, not ${is}; give the other its own name`;
          throw new VanityError('POOL_MISMATCH', message);
        }
        return stored;
      }),
    );
  }

  insert(hits: readonly Hit[]): Promise<InsertReport> {
    return this.#call(async () => {
      if (hits.length === 0) return { inserted: 0, duplicates: 0 };
      await this.#sealer.prepare(hits.length);
      return this.#transaction(() => this.#insert(hits));
    });
  }

  turn(pool: string, dispensed: number, wanted: number): Promise<LeaseReport> {
    return this.#call(async () => {
      const { id, keys } = this.#poolRow(pool);
      const ranges = this.#segments.oldest(id, 'available', wanted);
      const { leased, unsealable } = await this.#unseal(id, pool, keys, ranges);
      try {
        return this.#transaction(() => {
          const at = Date.now();
          const recorded = this.#segments.dispense(id, dispensed, this.epoch, at);
          if (recorded !== dispensed) {
            throw new RangeError(`${dispensed} dispensed, but ${recorded} are leased`);
          }
          if (dispensed > 0) this.#statements.advance.run(dispensed, id);
          this.#segments.lease(id, ranges, this.epoch, at);
          for (const seq of unsealable) {
            const burned = { to: 'burned', epoch: this.epoch, at, cause: 'unsealable' } as const;
            this.#segments.change(id, { first: seq, last: seq }, 'leased', burned);
          }
          return { leased, burned: unsealable.length, counts: countsOf(this.#poolRow(pool)) };
        });
      } catch (error) {
        for (const { keypair } of leased) keypair.fill(0);
        throw error;
      }
    });
  }

  addJournal(): Promise<number> {
    return this.#call(() =>
      this.#transaction(() => Number(this.#statements.addJournal.get()!.journals)),
    );
  }

  returnLease(pool: string): Promise<number> {
    return this.#call(() =>
      this.#transaction(() =>
        this.#segments.changeAll(this.#poolRow(pool).id, 'leased', { to: 'available' }),
      ),
    );
  }

  counts(pool: string): Promise<PoolCounts> {
    return this.#call(() => countsOf(this.#poolRow(pool)));
  }

  destroyDispensed(before: number): Promise<number> {
    return this.#call(() => {
      const destroyed = this.#transaction(() => this.#destroy(before));
      if (destroyed > 0 || this.#isLogStale) this.#isLogStale = !this.#checkpoint();
      return destroyed;
    });
  }

  counters(): Promise<Counters> {
    return this.#call(() => {
      const rows = this.#statements.counters.all();
      return Object.fromEntries(rows.map(({ name, value }) => [String(name), Number(value)]));
    });
  }

  saveCounters(counters: Counters): Promise<void> {
    return this.#call(() =>
      this.#transaction(() => {
        for (const [name, value] of Object.entries(counters)) {
          this.#statements.saveCounter.run(name, value);
        }
      }),
    );
  }

  async close(): Promise<void> {
    this.#resources.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #insert(hits: readonly Hit[]): InsertReport {
    const { addAddress, saveNextId, countGround } = this.#statements;
    const createdAt = Date.now();
    const ends = new Map<string, { id: number; first: number; next: number }>();
    const firstId = metaOf(this.#statements).next_id;
    let id = firstId;
    for (const { pool, keypair } of hits) {
      let end = ends.get(pool);
      if (end === undefined) {
        const row = this.#poolRow(pool);
        const first = row.ground + row.imported + 1;
        end = { id: row.id, first, next: first };
        ends.set(pool, end);
      }
      const keyHash = publicKeyHash(keypair);
      const { dataKeyId, sealed } = this.#sealer.seal({ pool, keyHash }, keypair);
      const { changes } = addAddress.run(
        id,
        end.id,
        end.next,
        keyHash,
        dataKeyId,
        sealed,
        createdAt,
      );
      if (changes === 0) continue;
      id++;
      end.next++;
    }
    for (const { id: pool, first, next } of ends.values()) {
      if (next === first) continue;
      this.#segments.append(pool, { first, last: next - 1 });
      countGround.run(next - first, pool);
    }
    saveNextId.run(id);
    const inserted = id - firstId;
    return { inserted, duplicates: hits.length - inserted };
  }

  /** The addresses of available ranges, and the seqs of those that cannot be unsealed. */
  async #unseal(
    poolId: number,
    pool: string,
    keyType: KeyType,
    ranges: readonly Range[],
  ): Promise<{ leased: LeasedAddress[]; unsealable: number[] }> {
    const { addresses, dataKey } = this.#statements;
    const rows = ranges.flatMap(
      ({ first, last }) => addresses.all(poolId, first, last) as unknown as AddressRow[],
    );
    const dataKeys = await this.#unsealer.dataKeys(
      new Set(rows.map((row) => row.data_key_id)),
      (id) => dataKey.get(id)?.sealed as Uint8Array | undefined,
    );
    const leased: LeasedAddress[] = [];
    const unsealable = new Set(ranges.flatMap(seqsOf));
    for (const row of rows) {
      const place = { pool, keyHash: row.key_hash };
      const key = dataKeys.get(row.data_key_id);
      const keypair = key && this.#unsealer.unseal(key, place, row.sealed);
      if (keypair === undefined) continue;
      unsealable.delete(row.seq);
      const { id, origin, created_at: createdAt } = row;
      leased.push({ id, createdAt, origin, keyType, keypair });
    }
    return { leased, unsealable: [...unsealable] };
  }

  #destroy(before: number): number {
    const { oldestSecrets, overwrite } = this.#statements;
    let left = DESTROY_MAX;
    while (left > 0) {
      const row = oldestSecrets.get(before);
      if (row === undefined) break;
      const [pool, first, last] = [row.pool_id, row.first, row.last].map(Number);
      const range = { first: first!, last: Math.min(last!, first! + left - 1) };
      overwrite.run(pool!, range.first, range.last);
      this.#segments.markDestroyed(pool!, range);
      left -= sizeOf(range);
    }
    return DESTROY_MAX - left;
  }

  /**
   * Takes changed pages into the database, and what they were before out of it and of the log.
   * False when another program still reads that: what is committed is durable all the same.
   */
  #checkpoint(): boolean {
    try {
      return this.#db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.busy === 0;
    } catch {
      return false;
    }
  }

  #poolRow(name: string): PoolRow {
    const row = this.#statements.pool.get(name);
    if (row !== undefined) return row as unknown as PoolRow;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: the store has no such pool`);
  }

  async #call<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw storeError(cause, this.#path, 'running');
    }
  }

  /** Only while this is the store that was opened, and no other epoch has begun in it. */
  #transaction<T>(work: () => T): T {
    return transaction(this.#db, () => {
      this.#fence();
      return work();
    });
  }

  #fence(): void {
    if (statSync(this.#path, { throwIfNoEntry: false })?.ino !== this.#inode) {
      const message = `${this.#path}: removed or replaced under the running server`;
      throw new VanityError('STORE_UNAVAILABLE', message);
    }
    const { epoch } = metaOf(this.#statements);
    // No code: whoever leases on after another took over would hand its addresses out again.
    if (epoch !== this.epoch) throw new Error(`epoch ${this.epoch} is over: ${epoch} has begun`);
  }
}

function seqsOf({ first, last }: Range): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
