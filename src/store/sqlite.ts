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
import { Sealer, Unsealer } from '../keypair/seal.ts';
import type { SealingKey } from '../keypair/sealing-key.ts';
import { holdDataDirectory } from './data-directory.ts';
import { type Range, Segments, sizeOf, without } from './segments.ts';
import { Addresses } from './sqlite-addresses.ts';
import { checkAtOpen } from './sqlite-check.ts';
import { openDatabase, transaction, truncateLog } from './sqlite-database.ts';
import { type Epoch, startEpoch } from './sqlite-epoch.ts';
import { storeError } from './sqlite-error.ts';
import { HandOutBook } from './sqlite-hand-outs.ts';
import { assertInPlace } from './sqlite-place.ts';
import { SqliteReservations } from './sqlite-reservations.ts';
import { destroy, dueSecrets } from './sqlite-retention.ts';
import { sealingKeyOf } from './sqlite-sealing.ts';
import { SqliteSignatures } from './sqlite-signatures.ts';
import {
  countsOf,
  definePool,
  metaOf,
  type PoolRow,
  poolRows,
  prepareStatements,
  type Statements,
  storedPool,
} from './sqlite-statements.ts';
import { type Runner, SqliteTokens } from './sqlite-tokens.ts';
import {
  type Counters,
  type EarlierHandOut,
  type HandOuts,
  type Hit,
  type InsertReport,
  type LeaseReport,
  NO_HAND_OUTS,
  type Origin,
  type PoolCounts,
  type PoolIdentity,
  type PoolSettings,
  type Recover,
  type Recovered,
  type ReservationStore,
  type SignatureStore,
  type Store,
  type StoredPool,
  type TokenStore,
} from './store.ts';

export interface SqliteStoreOptions {
  readonly directory: string;
  /** 'file:PATH' (made with a new store) or 'env:NAME'. */
  readonly sealingKey: string;
  /** Without it a directory that holds no store is STORE_NOT_FOUND, and stays as it is. */
  readonly create?: boolean;
  /** Reads the journals of the last epoch; without it what was leased then is burned. */
  readonly recover?: Recover;
  /** What leases are taken for: 'leased' if not given. */
  readonly durability?: Durability;
  /** Hears of each write transaction how many milliseconds it took until it is on disk. */
  readonly onCommit?: (ms: number) => void;
}

/**
 * Opens the store in `directory` for service: a new epoch begins, and what the last one had leased
 * and did not return is burned. Errors: DATA_NOT_WRITABLE, DATA_IN_USE, DISK_FULL,
 * DATA_MOVED, SEALING_KEY_INVALID, STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_LOCKED,
 * STORE_CORRUPT.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { directory, sealingKey, create = true, onCommit } = options;
  using resources = new DisposableStack();
  const { storeFile } = resources.use(holdDataDirectory(directory, create));
  try {
    const db = resources.use(openDatabase(storeFile));
    checkAtOpen(db, storeFile);
    const statements = prepareStatements(db);
    const key = await sealingKeyOf(statements, sealingKey);
    const books = { statements, segments: new Segments(db), handOuts: new HandOutBook(db) };
    const epoch = transaction(db, () => {
      assertInPlace(statements, storeFile);
      return startEpoch(books, key, options);
    });
    return new SqliteStore({ db, storeFile, ...books, key, epoch, onCommit }, resources.move());
  } catch (cause) {
    throw storeError(cause, storeFile, 'opening');
  }
}

interface Opened {
  readonly db: DatabaseSync;
  readonly storeFile: string;
  readonly statements: Statements;
  readonly segments: Segments;
  readonly handOuts: HandOutBook;
  readonly key: SealingKey;
  readonly epoch: Epoch;
  readonly onCommit: SqliteStoreOptions['onCommit'];
}

class SqliteStore implements Store {
  readonly id: string;
  readonly place: string;
  readonly epoch: number;
  readonly recovered: Readonly<Record<string, Recovered>>;
  readonly tokens: TokenStore;
  readonly reservations: ReservationStore;
  readonly signatures: SignatureStore;
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #inode: number;
  readonly #statements: Statements;
  readonly #segments: Segments;
  readonly #handOuts: HandOutBook;
  readonly #addresses: Addresses;
  readonly #resources: DisposableStack;
  readonly #onCommit: SqliteStoreOptions['onCommit'];
  /** Destroyed secrets may still stand in the log, if only those of an epoch that was killed. */
  #isLogStale = true;

  /** Disposes of `resources` when it is closed. */
  constructor(opened: Opened, resources: DisposableStack) {
    const { db, storeFile, statements, segments, handOuts, key, epoch } = opened;
    this.id = epoch.storeId;
    this.place = epoch.place;
    this.epoch = epoch.number;
    this.recovered = epoch.recovered;
    this.#db = db;
    this.#path = storeFile;
    this.#inode = statSync(storeFile).ino;
    this.#statements = statements;
    this.#segments = segments;
    this.#handOuts = handOuts;
    this.#resources = resources;
    this.#onCommit = opened.onCommit;
    const sealer = new Sealer({
      storeId: this.id,
      publicKey: key.publicKey,
      save: (sealed) =>
        this.#transaction(() =>
          Number(statements.addDataKey.run(sealed, Date.now()).lastInsertRowid),
        ),
    });
    this.#addresses = new Addresses(statements, sealer, new Unsealer(this.id, key));
    const run: Runner = {
      call: (work) => this.#call(work),
      transaction: (work) => this.#transaction(work),
    };
    const books = { segments, handOuts, addresses: this.#addresses };
    this.tokens = new SqliteTokens(db, run);
    this.reservations = new SqliteReservations(db, run, books);
    this.signatures = new SqliteSignatures(db, run, books);
  }

  pools(): Promise<StoredPool[]> {
    return this.#call(() => poolRows(this.#statements).map(storedPool));
  }

  definePool(identity: PoolIdentity, settings?: PoolSettings): Promise<StoredPool> {
    return this.#write(() => definePool(this.#statements, identity, settings));
  }

  changePool(name: string, change: Parameters<Store['changePool']>[1]): Promise<void> {
    return this.#write(() => {
      const { id, settings, is_paused } = this.#poolRow(name);
      const changed = change.settings && JSON.stringify(change.settings);
      this.#statements.setPool.run(id, changed ?? settings, Number(change.isPaused ?? is_paused));
    });
  }

  removePool(name: string, popped = 0, handOuts = NO_HAND_OUTS): Promise<number> {
    return this.#write(() => {
      const { epoch } = this;
      const pool = this.#poolRow(name);
      this.#record(pool, popped, handOuts);
      const at = Date.now();
      this.#handOuts.takeBack(pool.id, epoch, pool.position + popped);
      const burned = { to: 'burned', epoch, at, cause: 'deleted' } as const;
      const count = this.#segments.burnAll(pool.id, burned);
      this.#statements.endReservations.run(at, pool.id);
      this.#statements.removePool.run(at, pool.id);
      return count;
    });
  }

  insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    return this.#call(async () => {
      if (hits.length === 0) return { inserted: 0, duplicates: 0 };
      await this.#addresses.prepare(hits.length);
      return this.#transaction(() => this.#insert(hits, origin));
    });
  }

  turn(
    name: string,
    dispensed: number,
    wanted: number,
    handOuts: HandOuts = NO_HAND_OUTS,
  ): Promise<LeaseReport> {
    return this.#call(async () => {
      const pool = this.#poolRow(name);
      const ranges = this.#segments.oldest(pool.id, 'available', wanted);
      const { addresses: leased, unsealable } = await this.#addresses.unseal(pool, ranges);
      try {
        return this.#transaction(() => {
          this.#record(pool, dispensed, handOuts);
          this.#lease(pool, ranges, unsealable);
          return { leased, burned: unsealable.length, counts: countsOf(this.#poolRow(name)) };
        });
      } catch (error) {
        for (const { keypair } of leased) keypair.fill(0);
        throw error;
      }
    });
  }

  handOut(key: Uint8Array): Promise<EarlierHandOut | undefined> {
    return this.#call(async () => {
      const found = this.#handOuts.find(key);
      if (found === undefined) return undefined;
      const { at, body_hash: body } = found;
      const ranges = this.#handOuts.rangesOf(found);
      const addresses = await this.#addresses.again(this.#poolRow(found.name), ranges);
      return { at, body, addresses };
    });
  }

  addJournal(pool: string, number: number): Promise<void> {
    return this.#write(() => {
      this.#statements.addJournal.run(number, this.#poolRow(pool).id);
    });
  }

  removeJournals(numbers: readonly number[]): Promise<void> {
    return this.#write(() => {
      for (const number of numbers) this.#statements.removeJournal.run(number);
    });
  }

  returnLease(name: string): Promise<number> {
    return this.#write(() => {
      const { id, position } = this.#poolRow(name);
      this.#handOuts.takeBack(id, this.epoch, position);
      return this.#segments.changeAll(id, 'leased', { to: 'available' });
    });
  }

  counts(pool: string): Promise<PoolCounts> {
    return this.#call(() => countsOf(this.#poolRow(pool)));
  }

  destroySecrets(before: number): Promise<number> {
    return this.#call(async () => {
      const due = await dueSecrets(this.#statements, this.#addresses, before);
      if (due.length > 0) this.#transaction(() => destroy(due, this.#addresses, this.#segments));
      if (due.length > 0 || this.#isLogStale) this.#isLogStale = !truncateLog(this.#db);
      return due.reduce((sum, { range }) => sum + sizeOf(range), 0);
    });
  }

  counters(): Promise<Counters> {
    return this.#call(() => {
      const rows = this.#statements.counters.all();
      return Object.fromEntries(rows.map(({ name, value }) => [String(name), Number(value)]));
    });
  }

  saveCounters(counters: Counters): Promise<void> {
    return this.#write(() => {
      for (const [name, value] of Object.entries(counters)) {
        this.#statements.saveCounter.run(name, value);
      }
    });
  }

  async close(): Promise<void> {
    this.#resources.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #insert(hits: readonly Hit[], origin: Origin): InsertReport {
    const { saveNextId, countGround, countImported } = this.#statements;
    const count = origin === 'ground' ? countGround : countImported;
    const createdAt = Date.now();
    const ends = new Map<string, { pool: PoolRow; first: number; next: number }>();
    const firstId = metaOf(this.#statements).next_id;
    let id = firstId;
    for (const { pool: name, keypair } of hits) {
      let end = ends.get(name);
      if (end === undefined) {
        const pool = this.#poolRow(name);
        const first = pool.ground + pool.imported + 1;
        end = { pool, first, next: first };
        ends.set(name, end);
      }
      const row = { id, seq: end.next, origin, createdAt };
      if (!this.#addresses.insert(end.pool, row, keypair)) continue;
      id++;
      end.next++;
    }
    for (const { pool, first, next } of ends.values()) {
      if (next === first) continue;
      this.#segments.append(pool.id, { first, last: next - 1 });
      count.run(next - first, pool.id);
    }
    saveNextId.run(id);
    const inserted = id - firstId;
    return { inserted, duplicates: hits.length - inserted };
  }

  /** The oldest leased addresses left; and who got some of them, or of those before. */
  #record({ id, position }: PoolRow, dispensed: number, handOuts: HandOuts): void {
    const at = Date.now();
    const held = this.#handOuts.heldBy(id, this.epoch, position, handOuts.records);
    for (const seq of held) {
      const reserved = { to: 'reserved', epoch: this.epoch, at } as const;
      this.#segments.change(id, { first: seq, last: seq }, 'leased', reserved);
    }
    const recorded =
      held.length + this.#segments.dispense(id, dispensed - held.length, this.epoch, at);
    if (recorded !== dispensed) {
      throw new RangeError(`${dispensed} dispensed, but ${recorded} are leased`);
    }
    if (dispensed > 0) this.#statements.advance.run(dispensed, id);
    this.#handOuts.record(id, this.epoch, position, handOuts);
  }

  /** What cannot be unsealed never comes into the queue. */
  #lease({ id, position, leased }: PoolRow, ranges: readonly Range[], unsealable: number[]): void {
    const at = Date.now();
    this.#segments.lease(id, ranges, this.epoch, at);
    for (const seq of unsealable) {
      const burned = { to: 'burned', epoch: this.epoch, at, cause: 'unsealable' } as const;
      this.#segments.change(id, { first: seq, last: seq }, 'leased', burned);
    }
    // Behind those that were leased before this turn, however many of them it records.
    this.#handOuts.lease(id, this.epoch, position + leased, without(ranges, unsealable));
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

  #write<T>(work: () => T): Promise<T> {
    return this.#call(() => this.#transaction(work));
  }

  /** Only while this is the store that was opened, and no other epoch has begun in it. */
  #transaction<T>(work: () => T): T {
    const fenced = () => {
      this.#fence();
      return work();
    };
    return transaction(this.#db, fenced, this.#onCommit);
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
