/**
 * An open store of many nodes on one database, as open.ts opens it: this is one run of one of them. Each call is
 * one transaction, but where its file says otherwise. Runs in the thread that opened it.
 */
import { type SealingKey, sealingKeyId } from '../../keypair/sealing-key.ts';
import type { Hit } from '../../keypair/signing-key.ts';
import type { Origin, PoolCounts } from '../address.ts';
import type { EarlierHandOut, HandOuts } from '../hand-out.ts';
import type { KeyRotation, RotationOptions, SealingKeyState } from '../key-rotation.ts';
import type { OwnClock } from '../own-clock.ts';
import type { Removal } from '../pool-removal.ts';
import type { NewJournal, Recover, Recovered } from '../recovery.ts';
import type { ReservationStore } from '../reservation-store.ts';
import { forged } from '../row-macs.ts';
import type { SignatureStore } from '../signature-store.ts';
import type {
  Counters,
  EndedQueue,
  EndReport,
  InsertReport,
  Store,
  StoreEvents,
  TurnOrder,
  TurnReport,
} from '../store.ts';
import type { ConfiguredPool, PoolIdentity, PoolSettings, StoredPool } from '../stored-pool.ts';
import type { TokenStore } from '../token-store.ts';
import type { Addresses, AddressSealer } from './addresses.ts';
import type { Beats } from './beats.ts';
import type { BoundRows } from './bound-rows.ts';
import { NodeCounters } from './counters.ts';
import type { DataKeys } from './data-keys.ts';
import { Directory } from './directory.ts';
import { type Begin, type Begun, beginEpoch, endRun } from './epochs.ts';
import { countsOf } from './figures.ts';
import { areServed, findByKey, leased } from './hand-outs.ts';
import { insertHits } from './inserts.ts';
import { Lanes } from './lanes.ts';
import { PoolRows } from './pool-rows.ts';
import { type CountedJournals, Queues } from './queues.ts';
import { closePool, type RemovalOptions, removePool } from './removal.ts';
import { PostgresReservations } from './reservations.ts';
import { countDue, destroyPiece } from './retention.ts';
import type { RollCall } from './roll-call.ts';
import { beginRotation } from './rotation.ts';
import type { Run } from './run.ts';
import { PostgresSignatures } from './signatures.ts';
import type { HeldKey } from './store-keys.ts';
import { PostgresTokens } from './tokens.ts';
import { Turns } from './turns.ts';

export interface OpenedStore {
  readonly run: Run;
  readonly begin: Begin;
  readonly begun: Begun;
  readonly rows: BoundRows;
  readonly rollCall: RollCall;
  readonly sealer: AddressSealer;
  readonly addresses: Addresses;
  readonly dataKeys: DataKeys;
  readonly beats: Beats;
  readonly held: HeldKey;
}

export class PostgresStore implements Store {
  readonly isShared = true;
  readonly isLogLong = false;
  readonly recovered: Readonly<Record<string, Recovered>>;
  readonly tokens: TokenStore;
  readonly reservations: ReservationStore;
  readonly signatures: SignatureStore;
  readonly #opened: OpenedStore;
  readonly #run: Run;
  readonly #queues: Queues;
  readonly #lanes: Lanes;
  readonly #pools: PoolRows;
  readonly #turns: Turns;
  readonly #removal: RemovalOptions;
  readonly #directory: Directory;
  readonly #counters: NodeCounters;
  readonly #watches = new DisposableStack();
  /** Since the last run, while other nodes are missed. */
  #settled: Record<string, Recovered> = {};
  readonly #resources: AsyncDisposableStack;

  /** Disposes of `resources` when it is closed. */
  constructor(opened: OpenedStore, resources: AsyncDisposableStack) {
    const { run, begun, rows, addresses } = opened;
    this.#opened = opened;
    this.#run = run;
    this.#queues = new Queues(run);
    this.#lanes = new Lanes(run, opened.sealer);
    this.#pools = new PoolRows(rows, this.#queues);
    this.#turns = new Turns({ run, queues: this.#queues, addresses, pools: this.#pools });
    this.#removal = { run, queues: this.#queues, pools: this.#pools, turns: this.#turns };
    this.#directory = new Directory(run, opened.held);
    this.#counters = new NodeCounters(run);
    this.recovered = begun.recovered;
    this.tokens = new PostgresTokens(run, rows);
    this.reservations = new PostgresReservations(run, addresses);
    this.signatures = new PostgresSignatures(run, addresses);
    this.#resources = resources;
  }

  get id(): string {
    return this.#run.storeId;
  }

  get place(): string {
    return this.#run.node.place;
  }

  get runs(): number {
    return this.#directory.runs;
  }

  get epoch(): number {
    return this.#run.epoch;
  }

  get clock(): OwnClock {
    return this.#run.clock;
  }

  async rejoin(recover: Recover): Promise<Readonly<Record<string, Recovered>>> {
    const run = this.#run;
    const { rollCall, sealer, beats, held } = this.#opened;
    const begin = { ...this.#opened.begin, recover };
    await rollCall.answer(recover, this.#settled);
    const recovered = { ...this.#settled };
    const begunAt = beats.now;
    const begun = await run.repeated((query) => beginEpoch(query, run, begin, recovered));
    run.marks.begin(begun, run.sight.last);
    this.#settled = {};
    Object.assign(run, { epoch: begun.epoch, id: begun.id });
    this.#queues.clear();
    this.#turns.clear();
    this.#directory.clear();
    beats.begun(begunAt);
    // The database may have lost the data key.
    sealer.renew(held.publicKey);
    return begun.recovered;
  }

  watch(events: StoreEvents): Disposable {
    const watches = this.#watches.use(new DisposableStack());
    watches.use(this.#opened.beats.start(events));
    watches.use(this.#opened.rollCall.watch(events));
    watches.use(this.#directory.watch(events));
    const { users } = this.#opened.held;
    const moved = (_key: SealingKey, source: string) => events.moved?.(source);
    users.add(moved);
    watches.defer(() => users.delete(moved));
    return watches;
  }

  everywhere(): Promise<void> {
    return this.#directory.everywhere();
  }

  pools(): ReturnType<Store['pools']> {
    return this.#run.transaction((query) => this.#pools.all(query));
  }

  definePool(identity: PoolIdentity, settings?: PoolSettings): Promise<StoredPool> {
    return this.#run.repeated(async (query) => {
      await this.#pools.lock(query);
      return this.#pools.define(query, identity, settings);
    });
  }

  definePools(pools: readonly ConfiguredPool[]): Promise<StoredPool[]> {
    return this.#run.repeated(async (query) => {
      await this.#pools.lock(query);
      const stored: StoredPool[] = [];
      for (const pool of pools) stored.push(await this.#pools.define(query, pool));
      return stored;
    });
  }

  changePool(name: string, change: Parameters<Store['changePool']>[1]): Promise<void> {
    const { settings, isPaused } = change;
    return this.#run.repeated(async (query) => {
      await this.#pools.lock(query);
      const pool = await this.#pools.row(query, name);
      await this.#pools.set(query, pool, {
        ...(settings !== undefined && { settings: JSON.stringify(settings) }),
        ...(isPaused !== undefined && { is_paused: isPaused }),
      });
    });
  }

  closePool(name: string): Promise<void> {
    return closePool(this.#removal, name);
  }

  removePool(pool: string, head?: number, handOuts?: HandOuts): Promise<Removal> {
    const own = head === undefined ? undefined : { head, ...(handOuts && { handOuts }) };
    return removePool(this.#removal, pool, own);
  }

  insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    return insertHits(this.#run, this.#pools, this.#lanes, hits, origin);
  }

  turn(order: TurnOrder): Promise<TurnReport> {
    return this.#turns.turn(order);
  }

  endQueues(queues: readonly EndedQueue[], rest: 'return' | 'burn'): Promise<EndReport> {
    return this.#turns.end(queues, rest);
  }

  areServed(keys: readonly Uint8Array[]): Promise<readonly boolean[]> {
    return this.#run.transaction((query) => areServed(query, keys));
  }

  handOut(key: Uint8Array, pool: string): Promise<EarlierHandOut | undefined> {
    return this.#run.transaction(async (query) => {
      const found = await findByKey(query, key);
      if (found === undefined) return undefined;
      // A key is one of its pool's. How that one hands out says nothing of another.
      if (found.name !== pool) throw forged(`the hand-out of an idempotency key of pool ${pool}`);
      const { at, body_hash: body, epoch, pool_id, position, count } = found;
      const row = await this.#pools.row(query, pool);
      const ranges = await leased(query, { epoch, pool: pool_id }, position, count);
      return { at, body, addresses: await this.#opened.addresses.again(query, row, ranges) };
    });
  }

  async addJournals(journals: readonly NewJournal[]): Promise<void> {
    const byPool = new Map<number, readonly NewJournal[]>();
    for (const [name, added] of Map.groupBy(journals, ({ pool }) => pool)) {
      byPool.set(await this.#turns.idOf(name), added);
    }
    await this.#changeJournals([...byPool.keys()].sort(byNumber), (pool, known) => {
      const added = byPool.get(pool)!.map(({ number }) => [number, { recorded: 0, leases: 0 }]);
      return { ...Object.fromEntries(added), ...known };
    });
  }

  async removeJournals(numbers: readonly number[] | 'all'): Promise<void> {
    const gone = numbers === 'all' ? numbers : new Set(numbers.map(String));
    await this.#changeJournals(this.#queues.counting(gone), (_pool, known) => {
      const left = Object.entries(known).filter(([number]) => gone !== 'all' && !gone.has(number));
      return Object.fromEntries(left);
    });
  }

  async #changeJournals(
    pools: readonly number[],
    change: (pool: number, known: CountedJournals) => CountedJournals,
  ): Promise<void> {
    if (pools.length === 0) return;
    await this.#run.untilKnown(() =>
      this.#queues.change(pools, async (fence) => {
        for (const pool of pools) {
          await fence.pass(pool, this.#queues.positionOf(pool), (known) => change(pool, known));
        }
      }),
    );
  }

  counts(pool: string): Promise<PoolCounts> {
    return this.#run.transaction(async (query) => {
      const { id } = await this.#pools.known(query, pool);
      return countsOf(query, id, this.#queues.leasedHere(id));
    });
  }

  beginRotation(options: RotationOptions = {}): Promise<KeyRotation> {
    const { held, dataKeys, rows } = this.#opened;
    return beginRotation({ run: this.#run, held, dataKeys, rows }, options);
  }

  async sealingKey(): Promise<SealingKeyState> {
    const { publicKey, source } = this.#opened.held;
    return { id: sealingKeyId(publicKey), source, toReseal: 0 };
  }

  async reseal(): Promise<number> {
    return 0;
  }

  destroySecrets(ageMs: number): Promise<number> {
    const { addresses } = this.#opened;
    return this.#run.repeated((query) => destroyPiece(query, addresses, this.clock.now - ageMs));
  }

  dueSecrets(ageMs: number): Promise<number> {
    return this.#run.transaction((query) => countDue(query, this.clock.now - ageMs));
  }

  async checkpointLog(): Promise<void> {}

  counters(): Promise<Counters> {
    return this.#counters.read();
  }

  saveCounters(counters: Counters): Promise<void> {
    return this.#counters.save(counters);
  }

  async takeStep(stepMs: number): Promise<void> {
    this.clock.take(stepMs);
  }

  close(): Promise<void> {
    return endRun({ run: this.#run, watches: this.#watches, resources: this.#resources });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const byNumber = (a: number, b: number) => a - b;
