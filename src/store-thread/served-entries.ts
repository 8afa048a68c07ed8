/**
 * The pools that are served now, who hands them out, and how all of those get to know of a change. Runs in
 * the store thread. Changes are made one at a time, by `oneAtATime`.
 */
import type { MessagePort } from 'node:worker_threads';
import type { PoolConfig } from '../config/pool-config.ts';
import { VanityError } from '../errors.ts';
import type { PoolNotice, ServedPool } from '../pool/calls.ts';
import type { ChangedPools } from '../pool/changed-pools.ts';
import type { MadePart } from '../pool/journals.ts';
import { GATE, type SharedPool, settingsBoard } from '../pool/shared-pool.ts';
import type { PoolCounts } from '../store/address.ts';
import type { Store } from '../store/store.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import { type Exclusively, inTurn } from './in-turn.ts';
import { HttpThread, orderOf, ServedEntry } from './journal-owners.ts';
import type { OwnRecords } from './own-records.ts';
import type { FollowedJournal, PoolJournals } from './pool-journals.ts';
import type { Refiller } from './refiller.ts';
import type { ThreadNotices } from './thread-notices.ts';

/** What hands out of pools in this thread. */
interface Part {
  add(shared: SharedPool): void;
  remove(pool: string): void;
}

export interface ServedEntriesOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly journals: PoolJournals;
  readonly refiller: Refiller;
  readonly own: OwnRecords;
  /** Those of the configured pools, too. */
  readonly changes: ChangedPools;
  readonly parts: readonly Part[];
  /** After a pool came or went. */
  readonly onChange: (pools: readonly SharedPool[]) => void;
}

/** A pool that the store knows, and that is to be served. */
export interface NewPool {
  readonly shared: SharedPool;
  readonly stored: StoredPool;
  /** Undefined for one that stands in the configuration. */
  readonly config?: PoolConfig;
}

/** A pool as one of those who hand it out has it. */
interface Owned {
  readonly entry: ServedEntry;
  readonly owner: ServedEntry | HttpThread;
  readonly journal: FollowedJournal | undefined;
}

export class ServedEntries {
  readonly oneAtATime = inTurn();
  readonly #options: ServedEntriesOptions;
  readonly #entries = new Map<string, ServedEntry>();
  readonly #threads = new Set<HttpThread>();
  /** Threads that are to come: what they need is made with the pools. */
  readonly #expected: HttpThread[] = [];

  constructor(options: ServedEntriesOptions) {
    this.#options = options;
  }

  get all(): SharedPool[] {
    return this.entries.map(({ shared }) => shared);
  }

  get entries(): ServedEntry[] {
    return [...this.#entries.values()];
  }

  /** How many hand each pool out: this thread, and those that are connected or to come. */
  get owners(): number {
    return 1 + this.#allThreads.length;
  }

  /** Every pool with each of those who hand it out. */
  get owned(): Owned[] {
    return this.entries.flatMap((entry) =>
      [entry, ...this.#allThreads].map((owner) => ({
        ...{ entry, owner },
        journal: owner.journalOf(entry.shared.name),
      })),
    );
  }

  get freePlace(): number {
    const taken = new Set(this.all.map(({ place }) => place));
    let place = 0;
    while (taken.has(place)) place++;
    return place;
  }

  find(name: string): ServedEntry | undefined {
    return this.#entries.get(name);
  }

  /** Error: POOL_NOT_FOUND. */
  get(name: string): ServedEntry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool`);
  }

  /** So many HTTP threads connect later. */
  expect(threads: number): void {
    while (this.#expected.length < threads) this.#expected.push(new HttpThread());
  }

  /** For one more HTTP thread. Error: JOURNAL_UNAVAILABLE. */
  connect(port: MessagePort, notices: ThreadNotices): Promise<ServedPool[]> {
    let thread = new HttpThread();
    const pools = this.oneAtATime(async () => {
      if (this.#expected[0] !== undefined) thread = this.#expected[0];
      const lacking = this.entries.filter(
        ({ shared }) => thread.journalOf(shared.name) === undefined,
      );
      for (const journal of await this.#options.journals.add(lacking.map(orderOf))) {
        thread.take(journal);
      }
      this.#expected.shift();
      thread.notices = notices;
      if (!notices.isGone) this.#threads.add(thread);
      return this.all.map((shared) => thread.served(shared));
    });
    // The thread has ended, or closes its journals in the same breath.
    port.once('close', () => {
      this.#threads.delete(thread);
      // It may have ended between a pop and its mark.
      for (const { place } of this.all) this.#options.changes.mark(place);
      const dropped = this.oneAtATime(async () => thread.journals);
      void dropped.then((journals) => this.#options.journals.drop(journals));
    });
    return pools;
  }

  /**
   * Takes what it needs of `made`, the first parts of journals. The threads still have to be
   * notified.
   */
  async serve(pools: readonly NewPool[], made: MadePart[] = []): Promise<void> {
    const { store, exclusively, journals, refiller, own, parts } = this.#options;
    const served = pools.map(({ shared, stored, config }) => ({
      entry: new ServedEntry(shared, config, journals.handOutsOf(shared.name)),
      stored,
    }));
    const owners = served.flatMap(({ entry }) =>
      [entry, ...this.#allThreads].map((owner) => ({ entry, owner })),
    );
    const orders = owners.map(({ entry }) => ({ ...orderOf(entry), made: made.shift() }));
    const added = await journals.add(orders);
    let counts: PoolCounts[];
    try {
      counts = await exclusively(() =>
        Promise.all(pools.map(({ shared }) => store.counts(shared.name))),
      );
    } catch (error) {
      void journals.drop(added);
      throw error;
    }
    for (const [index, journal] of added.entries()) owners[index]!.owner.take(journal);
    for (const [index, { entry, stored }] of served.entries()) {
      const { shared, handOuts } = entry;
      settingsBoard(shared).write({ gate: stored.isPaused ? GATE.paused : GATE.open });
      refiller.add(shared, { counts: counts[index]!, position: stored.position }, handOuts);
      // Not before: those who ask meanwhile are to come again, for the pool is there.
      if (this.#entries.has(shared.name)) this.#withdraw(shared.name);
      this.#entries.set(shared.name, entry);
      own.add(entry);
      for (const part of parts) part.add(shared);
    }
  }

  /** All threads hand out of them from the moment on at which this resolves. */
  async announce(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const { shared } = this.get(name);
      await this.tell((thread) => ({ added: thread.served(shared) }));
    }
    this.#options.onChange(this.all);
  }

  /** Nobody pops from the pool any more: this thread forgets it, and then all others. */
  async forget(entry: ServedEntry): Promise<void> {
    const { journals, onChange } = this.#options;
    const { name } = entry.shared;
    this.#withdraw(name);
    onChange(this.all);
    await this.tell(() => ({ removed: name }));
    const gone = [entry, ...this.#allThreads].map((owner) => owner.leave(name));
    void journals.drop(gone.filter((journal) => journal !== undefined));
  }

  /** The parts of this thread begin anew with it when it is served again. */
  #withdraw(name: string): void {
    for (const part of this.#options.parts) part.remove(name);
  }

  /** From now on nothing comes in for it. */
  delete(name: string): void {
    this.#entries.delete(name);
    this.#options.own.remove(name);
  }

  /** Resolves when each HTTP thread has acted on it. */
  async tell(say: (thread: HttpThread) => Omit<PoolNotice, 'notice'>): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.tell(say(thread))));
  }

  /** After the last turn. */
  close(): void {
    for (const entry of this.entries) {
      entry.leave(entry.shared.name);
      entry.handOuts.close();
    }
  }

  get #allThreads(): HttpThread[] {
    return [...this.#expected, ...this.#threads];
  }
}
