/**
 * An open store of many nodes on one database, as open.ts opens it: this is one run of one of them. Each call is
 * one transaction, but where its file says otherwise. Runs in the thread that opened it.
 */
import { VanityError } from '../../errors.ts';
import { type SealingKey, sealingKeyId } from '../../keypair/sealing-key.ts';
import type { Hit } from '../../keypair/signing-key.ts';
import type { Origin, PoolCounts } from '../address.ts';
import { type EarlierHandOut, type HandOuts, NO_HAND_OUTS } from '../hand-out.ts';
import type { KeyRotation, SealingKeyState } from '../key-rotation.ts';
import type { OwnClock } from '../own-clock.ts';
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
import type { PoolIdentity, PoolSettings, StoredPool } from '../stored-pool.ts';
import type { TokenStore } from '../token-store.ts';
import type { Addresses } from './addresses.ts';
import type { Beats } from './beats.ts';
import type { BoundRows } from './bound-rows.ts';
import { Directory } from './directory.ts';
import { type Begin, type Begun, beginEpoch } from './epochs.ts';
import { countsOf, moveFigures } from './figures.ts';
import { findByKey, leased } from './hand-outs.ts';
import { burn, Lanes, sum, takeAvailable } from './lanes.ts';
import { PoolRows } from './pool-rows.ts';
import { Queues } from './queues.ts';
import { PostgresReservations } from './reservations.ts';
import { countDue, destroyPiece } from './retention.ts';
import type { Run } from './run.ts';
import { PostgresSignatures } from './signatures.ts';
import { PostgresTokens } from './tokens.ts';
import { Turns } from './turns.ts';

const SQL = {
  counters: 'SELECT name, value FROM vanitypool.counters WHERE node_id = $1 ORDER BY name',
  saveCounters: `INSERT INTO vanitypool.counters (node_id, name, value)
    SELECT $1, * FROM unnest($2::text[], $3::bigint[])
    ON CONFLICT (node_id, name) DO UPDATE SET value = EXCLUDED.value`,
  othersIn: `SELECT 1 FROM vanitypool.queues AS q JOIN vanitypool.epochs AS e ON e.epoch = q.epoch
    WHERE q.pool_id = $1 AND NOT q.is_ended AND q.epoch <> $2 AND e.state = 'open' LIMIT 1`,
  endQueue: `UPDATE vanitypool.queues SET is_ended = true WHERE epoch = $1 AND pool_id = $2`,
  held: `UPDATE vanitypool.reservations SET ended_at = $2, outcome = 'released'
    WHERE pool_id = $1 AND ended_at IS NULL RETURNING address_id`,
} as const;

/** Of a deletion, for the queues of other runs. */
const OTHERS_MS = 10_000;
const LOOK_MS = 100;
const ALL = 2 ** 31;

export interface OpenedStore {
  readonly run: Run;
  readonly begin: Begin;
  readonly begun: Begun;
  readonly rows: BoundRows;
  readonly addresses: Addresses;
  readonly beats: Beats;
  readonly key: SealingKey;
  /** Where that comes from. */
  readonly sealingKey: string;
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
  readonly #directory: Directory;
  readonly #resources: AsyncDisposableStack;

  /** Disposes of `resources` when it is closed. */
  constructor(opened: OpenedStore, resources: AsyncDisposableStack) {
    const { run, begun, rows, addresses } = opened;
    this.#opened = opened;
    this.#run = run;
    this.#queues = new Queues(run);
    this.#lanes = new Lanes(run, addresses);
    this.#pools = new PoolRows(rows, this.#queues);
    this.#turns = new Turns({ run, queues: this.#queues, addresses, pools: this.#pools });
    this.#directory = new Directory(run);
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

  get epoch(): number {
    return this.#run.epoch;
  }

  get clock(): OwnClock {
    return this.#run.clock;
  }

  async rejoin(recover: Recover): Promise<Readonly<Record<string, Recovered>>> {
    const begin = { ...this.#opened.begin, recover };
    const begun = await this.#run.repeated((query) => beginEpoch(query, this.#run, begin));
    Object.assign(this.#run, { epoch: begun.epoch, id: begun.id });
    this.#queues.clear();
    this.#lanes.clear();
    return begun.recovered;
  }

  watch(events: StoreEvents): Disposable {
    const watches = new DisposableStack();
    watches.use(this.#opened.beats.start(events));
    watches.use(this.#directory.watch(events));
    return watches;
  }

  everywhere(): Promise<void> {
    return this.#directory.everywhere();
  }

  pools(): ReturnType<Store['pools']> {
    return this.#run.transaction((query) => this.#pools.all(query));
  }

  definePool(identity: PoolIdentity, settings?: PoolSettings): Promise<StoredPool> {
    return this.#run.repeated((query) => this.#pools.define(query, identity, settings));
  }

  definePools(identities: readonly PoolIdentity[]): Promise<StoredPool[]> {
    return this.#run.repeated(async (query) => {
      const stored: StoredPool[] = [];
      for (const identity of identities) stored.push(await this.#pools.define(query, identity));
      return stored;
    });
  }

  changePool(name: string, change: Parameters<Store['changePool']>[1]): Promise<void> {
    const { settings, isPaused } = change;
    return this.#run.repeated(async (query) => {
      const pool = await this.#pools.row(query, name);
      await this.#pools.set(query, pool, {
        ...(settings !== undefined && { settings: JSON.stringify(settings) }),
        ...(isPaused !== undefined && { is_paused: isPaused }),
      });
    });
  }

  /**
   * In steps, each of which a run that comes later goes on with: nobody leases of it any more; each run ends its
   * queue; when none is open, the rest is burned. Error beside those of the contract: STORE_UNAVAILABLE while
   * another run has not ended its queue.
   */
  async removePool(name: string, head = 0, handOuts: HandOuts = NO_HAND_OUTS): Promise<number> {
    const pool = await this.#run.repeated(async (query) => {
      const row = await this.#pools.row(query, name);
      if (row.state === 'open') await this.#pools.set(query, row, { state: 'closing' });
      return row;
    });
    const own = await this.#queues.change([pool.id], async (query, fence) => {
      const { rest } = await this.#turns.endOne(query, fence, pool, { head, handOuts }, 'burn');
      await query(SQL.endQueue, [this.epoch, pool.id]);
      return rest;
    });
    for (let waitedMs = 0; ; waitedMs += LOOK_MS) {
      const burned = await this.#run.repeated(async (query) => {
        const row = await this.#pools.row(query, name);
        const others = await query(SQL.othersIn, [row.id, this.epoch]);
        if (others.rows.length > 0) return undefined;
        const at = this.clock.now;
        const left = await takeAvailable(query, row.id, ALL);
        await burn(query, row.id, left, at, 'deleted');
        const held = (await query<{ address_id: number }>(SQL.held, [row.id, at])).rows;
        const ranges = held.map(({ address_id: id }) => ({ first: id, last: id }));
        await burn(query, row.id, ranges, at, 'deleted');
        const [available, reserved] = [sum(left), held.length];
        const moved = { available: -available, reserved: -reserved, burned: available + reserved };
        await moveFigures(query, row.id, this.#run.node.id, moved);
        const removed = {
          settings: null,
          is_paused: false,
          state: 'removed',
          removed_at: at,
        } as const;
        await this.#pools.set(query, row, removed);
        return available + reserved;
      });
      if (burned !== undefined) return own + burned;
      if (waitedMs >= OTHERS_MS) {
        const detail = `pool ${name}: is being deleted; another node has not ended its queue yet`;
        throw new VanityError('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    const byPool = Map.groupBy(hits, ({ pool }) => pool);
    const rows = await this.#run.aside(async (query) => {
      const found = [];
      for (const name of byPool.keys()) found.push(await this.#pools.row(query, name));
      return found;
    });
    let inserted = 0;
    for (const row of rows) {
      inserted += await this.#lanes.insert(row, byPool.get(row.name)!, origin);
    }
    return { inserted, duplicates: hits.length - inserted };
  }

  turn(order: TurnOrder): Promise<TurnReport> {
    return this.#turns.turn(order);
  }

  endQueues(queues: readonly EndedQueue[], rest: 'return' | 'burn'): Promise<EndReport> {
    return this.#turns.end(queues, rest);
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
    const byPool = Map.groupBy(journals, ({ pool }) => pool);
    const ids = await this.#idsOf([...byPool.keys()]);
    await this.#queues.change([...ids.values()].sort(byNumber), async (query, fence) => {
      for (const [name, id] of inOrder(ids)) {
        const added = byPool.get(name)!.map(({ number }) => [number, { recorded: 0, leases: 0 }]);
        const position = this.#queues.positionOf(id);
        await fence.pass(id, position, (known) => ({ ...known, ...Object.fromEntries(added) }));
      }
      void query;
    });
  }

  async removeJournals(numbers: readonly number[] | 'all'): Promise<void> {
    const gone = numbers === 'all' ? undefined : new Set(numbers.map(String));
    const touched = this.#queues.known.filter((pool) =>
      Object.keys(this.#queues.journalsOf(pool)).some((number) => gone?.has(number) ?? true),
    );
    if (touched.length === 0) return;
    await this.#queues.change(touched.sort(byNumber), async (_query, fence) => {
      for (const id of touched) {
        await fence.pass(id, this.#queues.positionOf(id), (known) =>
          Object.fromEntries(
            Object.entries(known).filter(([number]) => gone !== undefined && !gone.has(number)),
          ),
        );
      }
    });
  }

  counts(pool: string): Promise<PoolCounts> {
    return this.#run.transaction(async (query) => {
      const { id } = await this.#pools.row(query, pool);
      return countsOf(query, id, this.#queues.leasedHere(id));
    });
  }

  async beginRotation(): Promise<KeyRotation> {
    throw new VanityError(
      'KEY_ROTATION_REFUSED',
      'a store of many nodes cannot change its key yet',
    );
  }

  async sealingKey(): Promise<SealingKeyState> {
    const { key, sealingKey: source } = this.#opened;
    return { id: sealingKeyId(key.publicKey), source, toReseal: 0 };
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
    return this.#run.transaction(async (query) => {
      const { rows } = await query<{ name: string; value: number }>(SQL.counters, [
        this.#run.node.id,
      ]);
      return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
    });
  }

  async saveCounters(counters: Counters): Promise<void> {
    const saved = [Object.keys(counters), Object.values(counters)];
    await this.#run.repeated((query) => query(SQL.saveCounters, [this.#run.node.id, ...saved]));
  }

  async takeStep(stepMs: number): Promise<void> {
    this.clock.take(stepMs);
  }

  close(): Promise<void> {
    return this.#resources.disposeAsync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #idsOf(names: readonly string[]): Promise<Map<string, number>> {
    return this.#run.transaction(async (query) => {
      const ids = new Map<string, number>();
      for (const name of names) ids.set(name, (await this.#pools.row(query, name)).id);
      return ids;
    });
  }
}

const byNumber = (a: number, b: number) => a - b;

function inOrder(ids: ReadonlyMap<string, number>): [string, number][] {
  return [...ids].sort(([, a], [, b]) => a - b);
}
