/**
 * An open store of one node, as open.ts opens it. Each call is one transaction (run.ts); its
 * parts are in files of their own. Runs in the thread that opened it.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Durability } from '../../config/config.ts';
import { VanityError } from '../../errors.ts';
import { Sealer, Unsealer } from '../../keypair/seal.ts';
import { type SealingKey, sealingKeyId } from '../../keypair/sealing-key.ts';
import type { Hit } from '../../keypair/signing-key.ts';
import type { Origin, PoolCounts } from '../address.ts';
import { type EarlierHandOut, type HandOuts, NO_HAND_OUTS } from '../hand-out.ts';
import type { KeyRotation, RotationOptions, SealingKeyState } from '../key-rotation.ts';
import type { OwnClock } from '../own-clock.ts';
import type { Removal } from '../pool-removal.ts';
import type { NewJournal, Recover, Recovered } from '../recovery.ts';
import type { ReservationStore } from '../reservation-store.ts';
import type { SignatureStore } from '../signature-store.ts';
import type {
  Counters,
  EndedQueue,
  EndReport,
  InsertReport,
  Store,
  TurnOrder,
  TurnReport,
} from '../store.ts';
import type { PoolIdentity, PoolSettings, StoredPool } from '../stored-pool.ts';
import type { TokenStore } from '../token-store.ts';
import { Addresses } from './addresses.ts';
import type { BoundRows } from './bound-rows.ts';
import { Changes } from './changes.ts';
import { CountedJournals } from './counted-journals.ts';
import type { Effects } from './effects.ts';
import { type Epoch, startEpoch } from './epoch.ts';
import type { HandOutBook } from './hand-out-book.ts';
import { Resealing, SealedDataKeys } from './resealing.ts';
import { SqliteReservations } from './reservations.ts';
import { countDue, destroy, nextPiece } from './retention.ts';
import { beginRotation, type RotatedStore } from './rotation.ts';
import { Run } from './run.ts';
import type { Segments } from './segments.ts';
import { SqliteSignatures } from './signatures.ts';
import {
  changePool,
  countersOf,
  countsOf,
  definePool,
  moveLeft,
  type PoolRow,
  poolRows,
  type Statements,
  saveTime,
  storedPool,
} from './statements.ts';
import { SqliteTokens } from './tokens.ts';
import { WaitingLeases } from './waiting-leases.ts';

export interface Opened {
  readonly db: DatabaseSync;
  readonly storeFile: string;
  readonly statements: Statements;
  readonly segments: Segments;
  readonly handOuts: HandOutBook;
  readonly key: SealingKey;
  /** Where that comes from. */
  readonly sealingKey: string;
  readonly rows: BoundRows;
  /** Of the rows. */
  readonly binding: string;
  readonly clock: OwnClock;
  readonly epoch: Epoch;
  readonly durability: Durability | undefined;
  readonly effects: Effects;
  /** Hears of each write transaction how many milliseconds it took until it is on disk. */
  readonly onCommit: ((ms: number) => void) | undefined;
}

export class SqliteStore implements Store {
  readonly id: string;
  readonly place: string;
  readonly isShared = false;
  readonly runs = 1;
  readonly recovered: Readonly<Record<string, Recovered>>;
  readonly clock: OwnClock;
  readonly tokens: TokenStore;
  readonly reservations: ReservationStore;
  readonly signatures: SignatureStore;
  readonly #statements: Statements;
  readonly #rows: BoundRows;
  readonly #segments: Segments;
  readonly #handOuts: HandOutBook;
  readonly #addresses: Addresses;
  readonly #changes: Changes;
  readonly #effects: Effects;
  readonly #run: Run;
  readonly #begin: (recover: Recover) => Epoch;
  readonly #resealing: Resealing;
  #rotated: RotatedStore;
  readonly #waiting = new WaitingLeases();
  readonly #journals: CountedJournals;
  readonly #resources: DisposableStack;
  /** Destroyed secrets may still stand in the log, if only those of an epoch that was killed. */
  #isLogStale = true;

  /** Disposes of `resources` when it is closed. */
  constructor(opened: Opened, resources: DisposableStack) {
    const { db, statements, segments, handOuts, key, rows, binding, epoch, effects } = opened;
    this.id = epoch.storeId;
    this.place = epoch.place;
    this.recovered = epoch.recovered;
    this.clock = opened.clock;
    this.#statements = statements;
    this.#rows = rows;
    this.#segments = segments;
    this.#handOuts = handOuts;
    this.#effects = effects;
    this.#run = new Run({ ...opened, epoch: epoch.number });
    this.#begin = (recover) => {
      const { durability } = opened;
      const begin = { recover, ...(durability && { durability }) };
      return startEpoch(opened, this.#rotated.key, this.clock, begin);
    };
    this.#journals = new CountedJournals(statements, this.#run);
    this.#resources = resources;
    const sealer = new Sealer({
      storeId: this.id,
      binding,
      publicKey: key.publicKey,
      save: (sealed) =>
        this.#run.transaction(() =>
          Number(statements.addDataKey.run(sealed, this.clock.now).lastInsertRowid),
        ),
    });
    const unsealer = new Unsealer(this.id, binding, key);
    const dataKeys = new SealedDataKeys(db);
    this.#addresses = new Addresses(statements, dataKeys, sealer, unsealer);
    this.#resealing = new Resealing(dataKeys, { run: this.#run, unsealer, effects });
    const { id: storeId } = this;
    this.#rotated = {
      ...{ db, run: this.#run, storeId, binding, rows, key, source: opened.sealingKey },
      resealing: this.#resealing,
      onMoved: (key, source) => {
        sealer.sealTo(key.publicKey);
        unsealer.openWith(key);
        this.#rotated = { ...this.#rotated, key, source };
        // The data keys in it are sealed to the old one.
        this.#isLogStale = true;
      },
    };
    const poolRow = (name: string) => this.#poolRow(name);
    const books = { segments, handOuts, addresses: this.#addresses };
    const { clock } = this;
    this.#changes = new Changes({ ...books, statements, rows, run: this.#run, clock, poolRow });
    this.tokens = new SqliteTokens(db, this.#run, rows, handOuts);
    this.reservations = new SqliteReservations(db, this.#run, books);
    this.signatures = new SqliteSignatures(db, this.#run, books);
  }

  get epoch(): number {
    return this.#run.epoch;
  }

  rejoin(recover: Recover): Promise<Readonly<Record<string, Recovered>>> {
    return this.#run.call(() => {
      const { number, recovered } = this.#run.transaction(() => this.#begin(recover), true);
      this.#run.epoch = number;
      this.#waiting.clear();
      this.#journals.forget();
      this.#run.take();
      return recovered;
    });
  }

  watch(): Disposable {
    return { [Symbol.dispose]: () => undefined };
  }

  async everywhere(): Promise<void> {}

  pools(): ReturnType<Store['pools']> {
    return this.#run.call(() =>
      poolRows(this.#statements).map((row) => ({
        ...storedPool(row),
        isForged: !this.#rows.isRight('pool', { ...row }),
      })),
    );
  }

  definePool(identity: PoolIdentity, settings?: PoolSettings): Promise<StoredPool> {
    return this.#run.write(() => definePool(this.#statements, this.#rows, identity, settings));
  }

  definePools(identities: readonly PoolIdentity[]): Promise<StoredPool[]> {
    return this.#run.write(() =>
      identities.map((identity) => definePool(this.#statements, this.#rows, identity, undefined)),
    );
  }

  changePool(name: string, change: Parameters<Store['changePool']>[1]): Promise<void> {
    return this.#run.write(() =>
      changePool(this.#statements, this.#rows, this.#poolRow(name), change),
    );
  }

  async closePool(): Promise<void> {}

  removePool(name: string, head = 0, handOuts = NO_HAND_OUTS): Promise<Removal> {
    return this.#run.call(() => {
      const pool = this.#poolRow(name);
      const burned = this.#run.transaction(
        () => this.#changes.removePool(pool, head, handOuts),
        this.#lets(pool, head, handOuts),
      );
      this.#waiting.drop(name);
      // What left waits for it by itself; the pool is gone in any case.
      this.#run.notTaken();
      return { burned, isOver: true };
    });
  }

  insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    return this.#run.call(async () => {
      if (hits.length === 0) return { inserted: 0, duplicates: 0 };
      const sealed = await this.#addresses.seal(hits, (name) => this.#poolRow(name));
      return this.#run.transaction(() => this.#changes.insert(sealed, origin));
    });
  }

  turn({ pool: name, head, wanted, handOuts = NO_HAND_OUTS }: TurnOrder): Promise<TurnReport> {
    return this.#run.call(async () => {
      const pool = this.#poolRow(name);
      const canLease = this.#waiting.isEmpty(name) && this.#run.notTaken() === undefined;
      const ranges = this.#segments.oldest(pool.id, 'available', canLease ? wanted : 0);
      const { addresses: leased, unsealable } = await this.#addresses.unseal(pool, ranges);
      const turn = () => {
        const refused = this.#changes.record(pool, head, handOuts);
        this.#changes.lease(pool, ranges, unsealable);
        if (handOuts.countsLease) this.#statements.countLease.run(pool.id);
        return { refused, row: this.#poolRow(name) };
      };
      const hasEffect = ranges.length > 0 || this.#lets(pool, head, handOuts);
      let done: ReturnType<typeof turn>;
      try {
        done = this.#run.transaction(turn, hasEffect);
      } catch (error) {
        for (const { key } of leased) key.fill(0);
        throw error;
      }
      this.#waiting.add(name, leased);
      const failure = this.#run.notTaken();
      const { refused, row } = done;
      const told = failure ? [] : this.#waiting.take(name);
      return {
        leased: told,
        position: row.position + row.leased - told.length,
        refused,
        burned: unsealable.length,
        counts: countsOf(row),
        failure,
      };
    });
  }

  /** Whether something leaves for this record alone: no journal says it to the next start. */
  #lets({ id, position }: PoolRow, head: number, { records }: HandOuts): boolean {
    const isReserved = records.some(({ reservation }) => reservation !== undefined);
    return isReserved || (head > position && !this.#journals.areOf(id));
  }

  areServed(keys: readonly Uint8Array[]): Promise<readonly boolean[]> {
    const isServed = (key: Uint8Array) => this.#handOuts.find(key) !== undefined;
    return this.#run.afterEffects(() => keys.map(isServed));
  }

  handOut(key: Uint8Array, pool: string): Promise<EarlierHandOut | undefined> {
    return this.#run.afterEffects(async () => {
      const found = this.#handOuts.findIn(pool, key);
      if (found === undefined) return undefined;
      const { at, body_hash: body } = found;
      const ranges = this.#handOuts.rangesOf(found);
      const addresses = await this.#addresses.again(this.#poolRow(found.name), ranges);
      return { at, body, addresses };
    });
  }

  addJournals(journals: readonly NewJournal[]): Promise<void> {
    return this.#run.call(() => this.#journals.add(journals, (name) => this.#poolRow(name).id));
  }

  removeJournals(numbers: readonly number[] | 'all'): Promise<void> {
    return this.#run.call(() => this.#journals.remove(numbers));
  }

  endQueues(queues: readonly EndedQueue[], rest: 'return' | 'burn'): Promise<EndReport> {
    return this.#run.call(() => {
      const ended = this.#run.transaction(
        () =>
          queues.map(({ pool, head, handOuts = NO_HAND_OUTS }) => {
            const refused = this.#changes.record(this.#poolRow(pool), head, handOuts);
            // Its position is another one now.
            const count = this.#changes.endQueue(this.#poolRow(pool), rest);
            return { refused: refused.map((one) => ({ ...one, pool })), count };
          }),
        true,
      );
      for (const { pool } of queues) this.#waiting.drop(pool);
      return {
        rest: ended.reduce((sum, { count }) => sum + count, 0),
        refused: ended.flatMap(({ refused }) => refused),
        failure: this.#run.notTaken(),
      };
    });
  }

  beginRotation(options: RotationOptions = {}): Promise<KeyRotation> {
    return this.#run.call(() => beginRotation(this.#rotated, options));
  }

  sealingKey(): Promise<SealingKeyState> {
    const { key, source } = this.#rotated;
    const id = sealingKeyId(key.publicKey);
    return this.#run.call(() => ({ id, source, toReseal: this.#resealing.left }));
  }

  reseal(): Promise<number> {
    return this.#run.call(() => this.#resealing.step());
  }

  counts(pool: string): Promise<PoolCounts> {
    return this.#run.call(() => countsOf(this.#poolRow(pool)));
  }

  destroySecrets(ageMs: number): Promise<number> {
    return this.#run.call(async () => {
      const before = this.clock.now - ageMs;
      const { due, count, isLast } = await nextPiece(this.#statements, this.#addresses, before);
      if (count > 0) {
        this.#run.transaction(() => destroy(due, this.#addresses, this.#segments));
        this.#isLogStale = true;
      }
      if (isLast && this.#isLogStale) this.#isLogStale = !this.#effects.truncateLog();
      return count;
    });
  }

  dueSecrets(ageMs: number): Promise<number> {
    return this.#run.call(() => countDue(this.#statements, this.clock.now - ageMs));
  }

  get isLogLong(): boolean {
    return this.#effects.isLogLong;
  }

  checkpointLog(): Promise<void> {
    return this.#run.call(() => this.#effects.checkpointLog());
  }

  counters(): Promise<Counters> {
    return this.#run.call(() => countersOf(this.#statements));
  }

  saveCounters(counters: Counters): Promise<void> {
    return this.#run.write(() => {
      for (const [name, value] of Object.entries(counters)) {
        this.#statements.saveCounter.run(name, value);
      }
      saveTime(this.#statements, this.clock);
    });
  }

  takeStep(stepMs: number): Promise<void> {
    return this.#run.call(() => {
      this.#run.transaction(() => {
        const { now, isInDoubt } = this.clock;
        this.#statements.moveReservations.run(stepMs);
        if (isInDoubt) moveLeft(this.#statements, this.clock, this.epoch, stepMs);
        saveTime(this.#statements, { now: now + stepMs, isInDoubt });
      });
      this.clock.take(stepMs);
    });
  }

  async close(): Promise<void> {
    this.#waiting.clear();
    this.#resources.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #poolRow(name: string): PoolRow {
    const row = this.#statements.pool.get(name);
    if (row !== undefined) this.#rows.assertRight('pool', row);
    if (row !== undefined) return row as unknown as PoolRow;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: the store has no such pool`);
  }
}
