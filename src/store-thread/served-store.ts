/**
 * The composition root of the store thread: opens the store, and wires together all that works on it,
 * the refiller of the ready queues first of all.
 */
import { VanityError } from '../errors.ts';
import type { Hit } from '../keypair/signing-key.ts';
import { LastWarnings } from '../last-warnings.ts';
import { createLog, type Log } from '../log.ts';
import type { ImportOrder } from '../pool/calls.ts';
import { ChangedPools } from '../pool/changed-pools.ts';
import { Deadline } from '../pool/deadline.ts';
import { FileBudget } from '../pool/file-budget.ts';
import { StoreHealth } from '../pool/health.ts';
import { Journals } from '../pool/journals.ts';
import { NodeFigures } from '../pool/node-figures.ts';
import { Tallies } from '../pool/tallies.ts';
import { notify } from '../port.ts';
import { openStore } from '../store/open-store.ts';
import { isDoubtful } from '../store/sqlite/error.ts';
import type { Counters, InsertReport, Store } from '../store/store.ts';
import { ClockWatch } from './clock-watch.ts';
import { Destroyer } from './destroyer.ts';
import { Dispenser } from './dispenser.ts';
import type { Exclusively } from './in-turn.ts';
import { Inserts } from './inserts.ts';
import { JournalWatch } from './journal-watch.ts';
import { OwnRecords } from './own-records.ts';
import { PoolJournals } from './pool-journals.ts';
import { Refiller } from './refiller.ts';
import { Rejoiner } from './rejoiner.ts';
import { RenewedPools } from './renewed-pools.ts';
import { Resealer } from './resealer.ts';
import { ServedCheck } from './served-check.ts';
import { ServedEntries } from './served-entries.ts';
import { ServedKeys } from './served-keys.ts';
import { ServedPools } from './served-pools.ts';
import { ServedReader } from './served-reader.ts';
import { ServedReservations } from './served-reservations.ts';
import { ServedSignatures } from './served-signatures.ts';
import { ServedTokens } from './served-tokens.ts';
import type { MainNotices, OpenReport, StoreWorkerData } from './store-calls.ts';
import { StoreFailures, type StoreWork } from './store-failures.ts';
import { WorkQueue } from './work-queue.ts';

export interface OpenedStore {
  readonly store: Store;
  readonly journals: Journals;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly health: StoreHealth;
  readonly data: StoreWorkerData;
}

/** The open store of this thread, its refiller, and what is reported of their health. */
export class ServedStore {
  readonly refiller: Refiller;
  readonly dispenser: Dispenser;
  readonly tokens: ServedTokens;
  readonly reservations: ServedReservations;
  readonly signatures: ServedSignatures;
  readonly keys: ServedKeys;
  readonly entries: ServedEntries;
  readonly pools: ServedPools;
  readonly reader: ServedReader;
  readonly #store: Store;
  readonly #inserts: Inserts;
  /** The store and its journals. */
  #resources = new AsyncDisposableStack();
  readonly #exclusively: Exclusively;
  readonly #log: OpenedStore['log'];
  readonly #journalWatch: JournalWatch;
  readonly #clockWatch: ClockWatch;
  readonly #rejoiner: Rejoiner;
  readonly #events: Disposable;
  readonly #tallies: Tallies;
  readonly #destroyer: Destroyer;
  readonly #resealer: Resealer;
  #check: ServedCheck | undefined;
  readonly #failures: StoreFailures;

  static async open(data: StoreWorkerData): Promise<ServedStore> {
    const { directory, data: own, journal: setting, durability } = data.store;
    const lastWarnings = new LastWarnings(data.lastWarnings);
    const log = createLog('store', data.logLevel, data.isPretty, lastWarnings);
    const { commitTimes } = new Tallies(data.tallies);
    const health = new StoreHealth(data.health);
    log.info({ directory, data: own }, 'opening the store');
    const make = { setting, log };
    await using resources = new AsyncDisposableStack();
    const journals = resources.use(
      new Journals({ dataDirectory: own, ...(durability !== 'committed' && { make }) }),
    );
    const store = resources.use(
      await openStore(data.store, {
        recover: journals.recover,
        role: data.role,
        onNoWitness: (reason) =>
          log.warn({ reason }, 'no second witness: a data directory rolled back is not recognised'),
        onForged: (row) => {
          health.countForgedRow();
          log.error({ row }, 'a row of the store was written by somebody else and is refused');
        },
        onBound: (rows) =>
          log.warn({ rows }, 'rows of an older version were bound to the sealing key unchecked'),
        onCommit: (ms) => commitTimes.add(ms),
      }),
    );
    const served = await ServedStore.serve({ store, journals, log, health, data });
    served.#resources = resources.move();
    return served;
  }

  /** An open store, which the caller closes, like its journals, after a stop. */
  static async serve(opened: OpenedStore): Promise<ServedStore> {
    const { store, journals, data } = opened;
    journals.begin(store);
    const served = new ServedStore(opened);
    await served.pools.open(data.pools, data.httpThreads);
    served.#start(data.store.directory);
    return served;
  }

  private constructor({ store, journals, log, health, data }: OpenedStore) {
    this.#store = store;
    const { durability, retentionHours } = data.store;
    const retentionMs = retentionHours * 3_600_000;
    this.#log = log;
    this.#failures = new StoreFailures(health, log);
    const queue = new WorkQueue();
    const watched =
      <T>(work: () => Promise<T>) =>
      () =>
        health.watch(work).catch((error: unknown) => {
          this.#rejoiner.notice(error);
          throw error;
        });
    this.#exclusively = (work) => queue.exclusively(watched(work));
    this.#tallies = new Tallies(data.tallies);
    const changes = new ChangedPools(data.changes);
    this.refiller = new Refiller({
      store,
      changes,
      exclusively: this.#exclusively,
      onTurn: (pool, error, burned) => {
        this.#failures.count('turns');
        this.dispenser.sweep(pool);
        this.#note('turn', error);
        if (burned > 0) this.#log.error({ pool, burned }, 'burned: cannot be unsealed');
      },
    });
    const onUnstarted = (): void => this.#tallies.countUnstarted('reader');
    this.reader = new ServedReader({ ...data, log: this.#log, onUnstarted });
    this.tokens = new ServedTokens(store, this.#exclusively);
    this.reservations = new ServedReservations({
      store,
      exclusively: this.#exclusively,
      onChange: (pool) => this.#publish(pool),
      onExpired: (error) => this.#note('expire', error),
    });
    this.signatures = new ServedSignatures({
      store,
      exclusively: this.#exclusively,
      record: (pool) => this.refiller.record(pool),
    });
    const own = new OwnRecords(() => this.refiller.assertWorks());
    this.dispenser = new Dispenser({
      store,
      exclusively: this.#exclusively,
      refiller: this.refiller,
      durability,
      windowMs: retentionMs,
      prepare: own.prepare,
      record: own.record,
      onRepeat: () => this.#tallies.countRepeat(),
    });
    const common = { store, exclusively: this.#exclusively };
    const areNeeded = durability !== 'committed';
    const files = new FileBudget(data.files);
    this.#inserts = new Inserts({
      ...common,
      watch: (work) => health.watchInsert(work),
      has: (pool) => this.entries.find(pool) !== undefined,
      publish: (pool, counts) => this.refiller.publish(pool, counts),
      onEnd: (error) => {
        if (error === undefined) this.#failures.count('inserts');
        this.#note('insert', error);
      },
    });
    const poolJournals = new PoolJournals({ ...common, journals, areNeeded, files, log });
    const queues = { ...common, journals: poolJournals, refiller: this.refiller };
    this.entries = new ServedEntries({
      ...queues,
      own,
      changes,
      parts: [this.dispenser, this.reservations, this.signatures],
      onChange: (pools) => notify<MainNotices, 'pools'>(data.port, 'pools', pools),
    });
    const { entries } = this;
    const withoutInserts = this.#inserts.without;
    const deadline = new Deadline(data.deadline);
    this.pools = new ServedPools({ ...queues, entries, withoutInserts, changes, deadline, log });
    const renewed = new RenewedPools({ ...queues, entries });
    const { recover } = journals;
    this.#rejoiner = new Rejoiner({
      ...{ ...common, withoutInserts, recover, renewed, log },
      onBegun: async () => {
        // It has journals of its own.
        journals.begin(store);
        // Nobody waited until the one before acts on what others revoked.
        await this.tokens.refresh();
      },
      onEnd: (error) => this.#note('rejoin', error),
    });
    this.keys = new ServedKeys({
      ...{ ...common, log },
      withoutInserts,
      onMoved: (source) => this.reader.useKey(source),
      onReseal: () => void this.#resealer.reseal(),
    });
    this.#journalWatch = new JournalWatch({ journals, pools: renewed, health, log });
    this.#clockWatch = new ClockWatch({ ...common, health, log });
    const nodes = new NodeFigures(data.nodes);
    this.#events = store.watch({
      deadline: (untilMs) => deadline.set(untilMs),
      moved: (source) => {
        this.reader.useKey(source);
        log.info({ source }, 'the store goes by another sealing key');
        if (source.startsWith('env:')) {
          log.warn({ source }, 'put the new sealing key into the variable before the next start');
        }
      },
      over: (error) => this.#rejoiner.notice(error),
      directory: () => Promise.all([this.pools.refresh(), this.tokens.refresh()]).then(() => {}),
      stock: (pool) => void this.#exclusively(() => this.#publish(pool)).catch(() => undefined),
      nodes: (counts) => nodes.write(counts),
      lost: (node) => {
        log.warn(
          { ...node },
          'a node was not heard of for its lease: what it had ready is given up',
        );
        notify<MainNotices, 'lost'>(data.port, 'lost', node);
      },
      rewound: (state) => {
        log.error({ state }, 'the database may have gone back in time: all nodes are asked');
        notify<MainNotices, 'rewound'>(data.port, 'rewound', state);
      },
    });
    const behind: Exclusively = (work) => queue.behind(watched(work));
    this.#destroyer = new Destroyer({
      ...{ store, health, retentionMs, behind },
      onEnd: (error) => this.#note('destroy', error),
    });
    this.#resealer = new Resealer({
      ...{ store, log, behind },
      onEnd: (error) => this.#note('reseal', error),
    });
    for (const [pool, recovered] of Object.entries(store.recovered)) {
      this.#log.warn({ pool, ...recovered }, 'the last run did not stop cleanly');
    }
  }

  #start(directory: string | undefined): void {
    this.refiller.start();
    this.reservations.start();
    this.#journalWatch.start();
    this.#clockWatch.start();
    // What a start cannot wait for. A database checks its pages itself.
    if (directory !== undefined) {
      this.#check = new ServedCheck({
        directory,
        onFound: (error) => this.#note('check', error),
        onUnstarted: () => this.#tallies.countUnstarted('check'),
        log: this.#log,
      });
    }
    this.#destroyer.start();
    void this.#resealer.reseal();
  }

  async report(): Promise<OpenReport> {
    const { id, epoch } = this.#store;
    const counters = await this.#exclusively(() => this.#store.counters());
    return { id, epoch, counters, pools: this.entries.all };
  }

  async #publish(pool: string): Promise<void> {
    this.refiller.publish(pool, await this.#store.counts(pool));
  }

  /** As `Inserts.insert`. */
  insert(hits: readonly Hit[]): Promise<InsertReport> {
    return this.#inserts.insert(hits);
  }

  /** Of proved keys. */
  import({ pool, keys }: ImportOrder): Promise<InsertReport> {
    const hits = keys.map((key) => ({ pool, ...key }));
    return this.#inserts.insert(hits, 'imported');
  }

  /** Every 10 s: a store that nothing else is asked of is found to fail, or to work again, too. */
  saveCounters(counters: Counters): Promise<void> {
    return this.#exclusively(async () => {
      try {
        await this.#store.saveCounters(counters);
        this.#note('counters', undefined);
      } catch (error) {
        if (error instanceof VanityError) this.#note('counters', error);
        throw error;
      }
    });
  }

  async stop(counters: Counters): Promise<void> {
    this.#journalWatch.stop();
    this.#clockWatch.stop();
    this.#events[Symbol.dispose]();
    await this.#rejoiner.stop();
    this.reservations.stop();
    this.#check?.stop();
    await this.reader.stop();
    await this.#destroyer.stop();
    await this.#resealer.stop();
    try {
      await this.pools.stop();
      await this.refiller.stop();
      await this.saveCounters(counters);
      await this.#exclusively(() => this.#store.removeJournals('all'));
      this.pools.close();
    } finally {
      await this.#inserts.without(() => this.#exclusively(() => this.#resources.disposeAsync()));
    }
  }

  #note(work: StoreWork, error: VanityError | undefined): void {
    this.#rejoiner.notice(error);
    if (isDoubtful(error)) this.#check?.doubt();
    this.#failures.note(work, error);
  }
}
