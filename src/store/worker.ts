/**
 * Entry of the store thread, and the composition root of what runs in it: the store and the
 * refiller of the ready queues. The only thread that touches the database.
 *
 * Calls come by message, from the main thread and from each HTTP thread, and are made one after
 * the other. An error without a code ends the thread and with it the server: what the store and
 * the queues then hold cannot be trusted, and the next start burns what may have left.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Durability } from '../config.ts';
import { type ErrorCode, VanityError } from '../errors.ts';
import { createLog, type Log, type LogLevel } from '../log.ts';
import { Dispenser } from '../pool/dispenser.ts';
import { UnrecordedHandOuts } from '../pool/hand-outs.ts';
import { StoreHealth } from '../pool/health.ts';
import { type JournalFile, JournalWriter } from '../pool/journal.ts';
import { Journals, recoverIn } from '../pool/journals.ts';
import type { Connection, SharedPool, StoreThreadCalls } from '../pool/pool.ts';
import { ReadyQueue } from '../pool/ready-queue.ts';
import { type Exclusively, Refiller } from '../pool/refill.ts';
import { ServedReservations } from '../pool/served-reservations.ts';
import { ServedTokens } from '../pool/served-tokens.ts';
import { Tallies } from '../pool/tallies.ts';
import { answer } from '../port.ts';
import { type Check, startCheck } from './check.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Counters, HandOut, Hit, InsertReport, Origin, Store } from './store.ts';

const DESTROY_EVERY_MS = 10_000;
const DROP_EVERY_MS = 200;

export interface StoreWorkerData {
  readonly directory: string;
  readonly sealingKey: string;
  readonly retentionHours: number;
  readonly durability: Durability;
  readonly pools: readonly SharedPool[];
  readonly health: SharedArrayBuffer;
  readonly tallies: SharedArrayBuffer;
  readonly port: MessagePort;
  readonly logLevel: LogLevel;
  readonly isPretty: boolean;
}

export interface OpenReport {
  readonly id: string;
  readonly epoch: number;
  readonly counters: Counters;
}

/** What the main thread may ask. */
export type StoreCalls = {
  /** Errors: those of opening a store, POOL_MISMATCH. */
  open(): Promise<OpenReport>;
  insert(hits: readonly Hit[]): Promise<InsertReport>;
  saveCounters(counters: Counters): Promise<void>;
  /** Serves an HTTP thread's `StoreThreadCalls` on a port of its own. Error: JOURNAL_UNAVAILABLE. */
  connect(port: MessagePort): Promise<Connection>;
  /** After the last request is answered. */
  stop(counters: Counters): Promise<void>;
};

if (parentPort !== null) {
  const data = workerData as StoreWorkerData;
  let served: ServedStore | undefined;
  const opened = (): ServedStore => {
    if (served === undefined) throw new VanityError('STORE_UNAVAILABLE', 'the store is not open');
    return served;
  };
  const calls: StoreCalls = {
    async open() {
      served = await ServedStore.open(data);
      return served.report();
    },
    insert: (hits) => opened().insert(hits),
    saveCounters: (counters) => opened().saveCounters(counters),
    async connect(port) {
      const { refiller, dispenser, reservations, tokens } = opened();
      const threadCalls: StoreThreadCalls = {
        refill: ({ pool, count }) => refiller.refill(pool, count),
        dispense: (order) => dispenser.dispense(order).catch(refuse),
        reserve: (order) => dispenser.reserve(order).catch(refuse),
        reservation: (which) => reservations.get(which).catch(refuse),
        dispenseReservation: (which) => reservations.dispense(which).catch(refuse),
        releaseReservation: (which) => reservations.release(which).catch(refuse),
        sign: (order) => reservations.sign(order).catch(refuse),
        tokens: () => tokens.all().catch(refuse),
        createToken: (token) => tokens.create(token).catch(refuse),
        revokeToken: (name) => tokens.revoke(name).catch(refuse),
        import: ({ pool, keypairs }) =>
          opened()
            .insert(
              keypairs.map((keypair) => ({ pool, keypair })),
              'imported',
            )
            .catch(refuse),
        noteTokens: (ids) => tokens.noteUse(ids).catch(refuse),
      };
      answer(port, threadCalls, die);
      const journals = await opened().addJournals();
      // The thread has ended, or closes its journals in the same breath.
      port.once('close', () => void opened().dropJournals(journals).catch(die));
      return { journals, tokens: await tokens.follow(port) };
    },
    stop: async (counters) => served?.stop(counters),
  };
  answer(data.port, calls, die);
}

/** What may fail while the rest works: a turn may still fit on a disk that has no room for hits. */
type StoreWork = 'turn' | 'insert' | 'counters' | 'destroy' | 'expire' | 'check';

/** The open store of this thread, its refiller, and what is told of their health. */
class ServedStore {
  readonly refiller: Refiller;
  readonly dispenser: Dispenser;
  readonly tokens: ServedTokens;
  readonly reservations: ServedReservations;
  readonly #store: Store;
  readonly #durability: Durability;
  readonly #journals: Journals;
  #journalCount = 0;
  #isStopping = false;
  readonly #pools: SharedPool[] = [];
  readonly #handOuts = new Map<string, UnrecordedHandOuts>();
  /** Of this thread, by pool. */
  readonly #writers = new Map<string, JournalWriter>();
  readonly #retentionMs: number;
  readonly #exclusively = inTurn();
  readonly #log: Log;
  readonly #health: StoreHealth;
  readonly #tally = { turns: 0, inserts: 0 };
  #destroyer: NodeJS.Timeout | undefined;
  #check: Check | undefined;
  readonly #failures = new Map<StoreWork, VanityError>();
  #failure: ErrorCode | undefined;

  static async open(data: StoreWorkerData): Promise<ServedStore> {
    const { directory } = data;
    const { commitTimes } = new Tallies(data.tallies);
    const store = await openSqliteStore({
      ...data,
      recover: recoverIn(directory),
      onCommit: (ms) => commitTimes.add(ms),
    });
    try {
      const served = new ServedStore(store, data);
      for (const shared of data.pools) {
        const { name, pattern, keys } = shared;
        const { prefix, suffix, ignoreCase } = pattern;
        const { counts } = await store.definePool({ name, prefix, suffix, ignoreCase, keys });
        const handOuts = new UnrecordedHandOuts();
        served.#pools.push(shared);
        served.#handOuts.set(name, handOuts);
        served.refiller.add(shared, counts, handOuts);
        served.dispenser.add(shared);
        served.reservations.add(shared);
      }
      await served.#start(directory);
      return served;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  private constructor(store: Store, data: StoreWorkerData) {
    this.#store = store;
    this.#journals = new Journals(store.id, data.directory);
    // What they said is in the store.
    this.#journals.removeAll();
    this.#journals.removeOrphans();
    this.#durability = data.durability;
    this.#retentionMs = data.retentionHours * 3_600_000;
    this.#log = createLog('store', data.logLevel, data.isPretty);
    this.#health = new StoreHealth(data.health);
    const tallies = new Tallies(data.tallies);
    this.refiller = new Refiller({
      store,
      exclusively: this.#exclusively,
      onTurn: (pool, error, burned) => {
        this.#tally.turns++;
        this.dispenser.sweep(pool);
        this.#note('turn', error);
        if (burned > 0) this.#log.error({ pool, burned }, 'burned: cannot be unsealed');
      },
    });
    this.tokens = new ServedTokens(store.tokens, this.#exclusively);
    this.reservations = new ServedReservations({
      store,
      exclusively: this.#exclusively,
      onChange: async (pool) => this.refiller.publish(pool, await store.counts(pool)),
      onExpired: (error) => this.#note('expire', error),
    });
    this.dispenser = new Dispenser({
      store,
      exclusively: this.#exclusively,
      refiller: this.refiller,
      durability: data.durability,
      windowMs: this.#retentionMs,
      prepare: (pool) => {
        if (data.durability === 'committed') this.refiller.assertWorks();
        else this.#writers.get(pool)!.prepare();
      },
      record: (pool, handOut) => this.#record(pool, handOut),
      onRepeat: () => tallies.countRepeat(),
    });
    for (const [pool, recovered] of Object.entries(store.recovered)) {
      this.#log.warn({ pool, ...recovered }, 'the last run did not stop cleanly');
    }
  }

  async #start(directory: string): Promise<void> {
    for (const [pool, journal] of await this.addJournals()) {
      this.#writers.set(pool, new JournalWriter(journal));
    }
    this.refiller.start();
    this.reservations.start();
    // What a start cannot wait for; damage that it finds stays until the next one.
    this.#check = startCheck(directory);
    this.#check.result.catch((error: VanityError) => this.#note('check', error));
    this.#destroyer = setInterval(() => void this.#destroy(), DESTROY_EVERY_MS);
  }

  async report(): Promise<OpenReport> {
    const { id, epoch } = this.#store;
    return { id, epoch, counters: await this.#exclusively(() => this.#store.counters()) };
  }

  insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    return this.#exclusively(async () => {
      try {
        const report = await this.#store.insert(hits, origin);
        for (const pool of new Set(hits.map((hit) => hit.pool))) {
          this.refiller.publish(pool, await this.#store.counts(pool));
        }
        this.#tally.inserts++;
        this.#note('insert', undefined);
        return report;
      } catch (error) {
        if (error instanceof VanityError) this.#note('insert', error);
        throw error;
      } finally {
        for (const { keypair } of hits) keypair.fill(0);
      }
    });
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

  /** For one more thread that hands out, a journal of each pool; none if all replies wait for the disk. */
  async addJournals(): Promise<ReadonlyMap<string, JournalFile>> {
    const files = new Map<string, JournalFile>();
    if (this.#durability === 'committed') return files;
    for (const shared of this.#pools) {
      files.set(shared.name, await this.#exclusively(() => this.#addJournal(shared)));
    }
    return files;
  }

  /** A journal exists before the store counts on it. */
  async #addJournal({ name, queue }: SharedPool): Promise<JournalFile> {
    const number = this.#journalCount + 1;
    let journal: JournalFile;
    try {
      const records = new ReadyQueue(queue).capacity;
      journal = this.#journals.create(this.#store.epoch, number, records);
    } catch (cause) {
      const detail = `${this.#journals.directory}: ${(cause as Error).message}`;
      throw new VanityError('JOURNAL_UNAVAILABLE', detail, { cause });
    }
    await this.#store.addJournal(name, number);
    this.#journalCount = number;
    this.#handOuts.get(name)!.follow(journal);
    return journal;
  }

  /** Of a thread that is gone, when all that they say is recorded. */
  async dropJournals(journals: ReadonlyMap<string, JournalFile>): Promise<void> {
    while (!(await this.#exclusively(() => this.#dropped([...journals])))) {
      await sleep(DROP_EVERY_MS, undefined, { ref: false });
    }
  }

  /** A journal is counted out before it is removed. */
  async #dropped(journals: readonly [pool: string, JournalFile][]): Promise<boolean> {
    // All of them are removed in the end.
    if (this.#isStopping) return true;
    const isPending = journals.some(([pool, file]) => this.#handOuts.get(pool)!.isPendingIn(file));
    if (isPending) return false;
    try {
      await this.#store.removeJournals(journals.map(([, { number }]) => number));
    } catch (error) {
      if (error instanceof VanityError) return false;
      throw error;
    }
    for (const [pool, file] of journals) {
      this.#handOuts.get(pool)!.unfollow(file);
      this.#journals.removeOne(this.#store.epoch, file.number);
    }
    return true;
  }

  /** Of what this thread popped. */
  #record(pool: string, handOut: HandOut): void {
    const isAwaited = this.#durability === 'committed' || handOut.reservation !== undefined;
    if (isAwaited) this.#handOuts.get(pool)!.note(handOut);
    else this.#writers.get(pool)!.write(handOut);
  }

  async stop(counters: Counters): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#destroyer);
    this.reservations.stop();
    this.#check?.stop();
    try {
      await this.refiller.stop();
      await this.saveCounters(counters);
      for (const writer of this.#writers.values()) writer.close();
      for (const handOuts of this.#handOuts.values()) handOuts.close();
      this.#journals.remove();
    } finally {
      await this.#exclusively(() => this.#store.close());
    }
  }

  async #destroy(): Promise<void> {
    try {
      const before = Date.now() - this.#retentionMs;
      // A bounded number each, with the turns of the pools in between.
      while ((await this.#exclusively(() => this.#store.destroySecrets(before))) > 0);
      this.#note('destroy', undefined);
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      this.#note('destroy', error);
    }
  }

  /**
   * One line of log per change of state, however many calls fail in between: the store works again
   * when all that failed does.
   */
  #note(work: StoreWork, error: VanityError | undefined): void {
    if (error === undefined) this.#failures.delete(work);
    else this.#failures.set(work, error);
    const [first] = this.#failures.values();
    if (first?.code !== this.#failure) {
      if (first === undefined) this.#log.info('the store works again');
      else this.#log.error({ code: first.code, reason: first.message }, 'the store fails');
      this.#failure = first?.code;
    }
    this.#health.write(this.#failure, this.#tally);
  }
}

/** Runs each piece of work after the one before it has ended, whatever came of that one. */
function inTurn(): Exclusively {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
}

/** To a request a store that is full, locked or damaged is one that is not to be had now. */
function refuse(error: unknown): never {
  if (!(error instanceof VanityError) || error.status !== 500) throw error;
  const extras = { cause: error, retryAfterSeconds: 1 };
  throw new VanityError('STORE_UNAVAILABLE', 'the store cannot be read or written now', extras);
}

function die(error: unknown): never {
  throw error;
}
