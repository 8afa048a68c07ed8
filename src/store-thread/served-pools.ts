/**
 * The pools of a running server: those of the configuration, and those that are made, changed,
 * paused and deleted while it runs. Runs in the store thread; one change at a time.
 *
 * Every HTTP thread acts on a change before the call that made it is answered. So a pool that was
 * made is found by whatever request comes next, on any thread, and nothing leaves a paused or a
 * deleted one after the answer. Where the order matters:
 *
 *   make     1 a journal for each thread is made   2 the store knows the pool   3 and its journals
 *            4 the threads know it
 *   delete   1 the gate is closed in shared memory   2 the threads have seen it: no pop is under way
 *            3 one transaction records what was popped and burns the rest   4 the threads forget it
 *
 * A crash before step 3 of a deletion leaves the pool, one after it does not; a pool is there from
 * its step 2 on. When step 3 fails, the gate is opened again. A pool that cannot have journals is
 * not made: it could not be served, neither now nor after a start.
 */
import type { MessagePort } from 'node:worker_threads';
import {
  assertReadyFits,
  POOLS_MAX,
  type PoolChange,
  type PoolConfig,
} from '../config/pool-config.ts';
import { VanityError } from '../errors.ts';
import { parsePattern } from '../keypair/pattern.ts';
import { parseSignPolicy } from '../keypair/sign-policy.ts';
import type { Log } from '../log.ts';
import type { PoolNotice, ServedPool } from '../pool/calls.ts';
import type { ChangedPools } from '../pool/changed-pools.ts';
import type { MadePart } from '../pool/journals.ts';
import { configOf, poolConfigured, poolExists, poolLimit } from '../pool/pool-definition.ts';
import {
  changeableOf,
  GATE,
  type SharedPool,
  settingsBoard,
  shareAnew,
  sharePool,
} from '../pool/shared-pool.ts';
import type { PoolCounts } from '../store/address.ts';
import type { Store } from '../store/store.ts';
import { type PoolIdentity, parts, type StoredPool } from '../store/stored-pool.ts';
import { type Exclusively, inTurn } from './in-turn.ts';
import { HttpThread, orderOf, ServedEntry } from './journal-owners.ts';
import type { OwnRecords } from './own-records.ts';
import type { PoolJournals } from './pool-journals.ts';
import type { ReadyFigures } from './ready-memory.ts';
import type { Refiller } from './refiller.ts';
import type { ThreadNotices } from './thread-notices.ts';

/** What hands out of pools in this thread. */
interface Part {
  add(shared: SharedPool): void;
  remove(pool: string): void;
}

export interface ServedPoolsOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  /** Runs work while no insert is under way. */
  readonly withoutInserts: Exclusively;
  readonly journals: PoolJournals;
  readonly refiller: Refiller;
  readonly own: OwnRecords;
  /** Those of the configured pools, too. */
  readonly changes: ChangedPools;
  readonly parts: readonly Part[];
  readonly log: Pick<Log, 'info'>;
  /** After a pool came or went. */
  readonly onChange: (pools: readonly SharedPool[]) => void;
}

/** A pool that the store knows, and that is to be served. */
interface NewPool {
  readonly shared: SharedPool;
  readonly stored: StoredPool;
  /** Undefined for one that stands in the configuration. */
  readonly config?: PoolConfig;
}

export class ServedPools {
  readonly #options: ServedPoolsOptions;
  readonly #entries = new Map<string, ServedEntry>();
  readonly #threads = new Set<HttpThread>();
  /** Threads that are to come: what they need is made with the pools. */
  readonly #expected: HttpThread[] = [];
  readonly #oneAtATime = inTurn();

  constructor(options: ServedPoolsOptions) {
    this.#options = options;
  }

  get all(): SharedPool[] {
    return [...this.#entries.values()].map(({ shared }) => shared);
  }

  has(pool: string): boolean {
    return this.#entries.has(pool);
  }

  /**
   * Those of the configuration, then those that the store remembers, for `threads` HTTP threads that
   * connect later: two commits, however many there are. Errors: POOL_MISMATCH, SYSTEM_LIMIT_REACHED,
   * as of `create`.
   */
  async open(configured: readonly SharedPool[], threads = 0): Promise<void> {
    const { store, journals, changes, log } = this.#options;
    const stored = await store.definePools(configured.map(identityOf));
    const pools: NewPool[] = configured.map((shared, index) => ({
      shared,
      stored: stored[index]!,
    }));
    for (const pool of await store.pools()) {
      const config = pool.isForged ? undefined : configOf(pool);
      if (config === undefined) continue;
      pools.push({
        shared: sharePool(config, { changes, place: pools.length }),
        stored: pool,
        config,
      });
    }
    while (this.#expected.length < threads) this.#expected.push(new HttpThread());
    journals.assertFit(pools.map(figuresOf), 1 + threads);
    const count = this.#options.journals.areNeeded ? pools.length * (1 + threads) : 0;
    log.info({ pools: pools.length, journals: count }, 'making ready queues and dispense journals');
    await this.#serve(pools);
  }

  /** For one more HTTP thread. Error: JOURNAL_UNAVAILABLE. */
  connect(port: MessagePort, notices: ThreadNotices): Promise<ServedPool[]> {
    let thread = new HttpThread();
    const pools = this.#oneAtATime(async () => {
      if (this.#expected[0] !== undefined) thread = this.#expected[0];
      const lacking = [...this.#entries.values()].filter(
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
      const dropped = this.#oneAtATime(async () => thread.journals);
      void dropped.then((journals) => this.#options.journals.drop(journals));
    });
    return pools;
  }

  create(config: PoolConfig): Promise<void> {
    return this.#oneAtATime(async () => {
      const { store, exclusively, journals, changes } = this.#options;
      const { name } = config;
      if (this.has(name)) throw poolExists(name);
      if (this.#entries.size >= POOLS_MAX) throw poolLimit(name);
      parsePattern(config);
      parseSignPolicy(config);
      const { identity, settings } = parts(config);
      journals.assertFit([config], 1 + this.#allThreads.length);
      const made = journals.make(1 + this.#allThreads.length);
      try {
        const stored = await exclusively(() => store.definePool(identity, settings));
        // From here on it comes with the next start; asked again, this goes on.
        const { position } = stored;
        const shared = sharePool(config, { changes, place: this.#freePlace, position });
        await this.#serve([{ shared, stored, config }], made);
      } finally {
        // Those that were not needed: it failed, or a thread has ended meanwhile.
        journals.discard(made);
      }
      const shared = this.#entryOf(name).shared;
      await this.#tell((thread) => ({ added: thread.served(shared) }));
      this.#options.onChange(this.all);
    });
  }

  change(name: string, change: PoolChange): Promise<void> {
    return this.#oneAtATime(async () => {
      const { store, exclusively } = this.#options;
      const entry = this.#entryOf(name);
      if (entry.config === undefined) throw poolConfigured(name);
      const config = { ...entry.config, ...change };
      assertReadyFits(config, `pool ${name}: ready`);
      const { settings } = parts(config);
      await exclusively(() => store.changePool(name, { settings }));
      entry.config = config;
      settingsBoard(entry.shared).write(changeableOf(change));
      this.#options.changes.mark(entry.shared.place);
    });
  }

  pause(name: string, isPaused: boolean): Promise<void> {
    return this.#oneAtATime(async () => {
      const { store, exclusively } = this.#options;
      const { shared } = this.#entryOf(name);
      await exclusively(() => store.changePool(name, { isPaused }));
      settingsBoard(shared).write({ gate: isPaused ? GATE.paused : GATE.open });
      this.#options.changes.mark(shared.place);
      await this.#tell(() => ({}));
    });
  }

  /** How many addresses were burned. */
  remove(name: string): Promise<number> {
    return this.#oneAtATime(async () => {
      const { store, exclusively, withoutInserts, refiller, own } = this.#options;
      const { parts: others, journals } = this.#options;
      const entry = this.#entries.get(name);
      // One that stood in the configuration once, or that could not be served.
      if (entry === undefined) return exclusively(() => store.removePool(name));
      if (entry.config === undefined) throw poolConfigured(name);
      const settings = settingsBoard(entry.shared);
      const gate = settings.get('gate');
      settings.write({ gate: GATE.closed });
      await this.#tell(() => ({}));
      const burned = await withoutInserts(async () => {
        try {
          const count = await refiller.remove(name);
          this.#entries.delete(name);
          own.remove(name);
          return count;
        } catch (error) {
          settings.write({ gate });
          throw error;
        }
      });
      for (const part of others) part.remove(name);
      this.#options.onChange(this.all);
      await this.#tell(() => ({ removed: name }));
      const gone = [entry, ...this.#allThreads].map((owner) => owner.leave(name));
      void journals.drop(gone.filter((journal) => journal !== undefined));
      return burned;
    });
  }

  /** Journals of which the store counts on a file that no start would find: one path of each. */
  get lostJournals(): string[] {
    const { journals } = this.#options;
    const ofPools = [...this.#entries].flatMap(([name, entry]) =>
      [entry, ...this.#allThreads].map((owner) => owner.journalOf(name)),
    );
    const paths = ofPools.map((journal) => journal && journals.lostPath(journal));
    return [...paths.filter((path) => path !== undefined), ...journals.lostDropping];
  }

  /**
   * Gives each thread another journal for one that is lost, which is dropped when nobody writes it any
   * more. How many there were. Errors: JOURNAL_UNAVAILABLE, those of the store; then none was given.
   */
  renewJournals(): Promise<number> {
    return this.#oneAtATime(async () => {
      const { journals } = this.#options;
      const lost = [...this.#entries.values()].flatMap((entry) =>
        [entry, ...this.#allThreads].flatMap((owner) => {
          const journal = owner.journalOf(entry.shared.name);
          const isLost = journal !== undefined && journals.lostPath(journal) !== undefined;
          return isLost ? [{ entry, owner, journal }] : [];
        }),
      );
      const added = await journals.add(lost.map(({ entry }) => orderOf(entry)));
      await Promise.all(
        lost.map(async ({ entry, owner, journal }, index) => {
          owner.take(added[index]!);
          if (owner instanceof HttpThread) await owner.tell({ added: owner.served(entry.shared) });
          void journals.drop([journal]);
        }),
      );
      return lost.length;
    });
  }

  /**
   * Serves each pool with a ready queue and journals that are new, as a start would: what was ready goes
   * back and is wiped. Requests that come meanwhile are asked to come again. Errors: those of the store
   * and of `create`; then the pools hand nothing out until this was called again.
   */
  serveAnew(): Promise<void> {
    return this.#oneAtATime(async () => {
      const { store, exclusively, refiller, journals } = this.#options;
      const old = [...this.#entries.values()];
      for (const { shared } of old) settingsBoard(shared).write({ gate: GATE.replaced });
      // No pop is under way after that.
      await this.#tell(() => ({}));
      for (const { shared } of old) await refiller.leave(shared.name);
      const stored = new Map(
        (await exclusively(() => store.pools())).map((pool) => [pool.name, pool]),
      );
      const pools = old.map(({ shared, config }): NewPool => {
        const pool = stored.get(shared.name)!;
        return {
          shared: shareAnew(shared, pool.position),
          stored: pool,
          ...(config && { config }),
        };
      });
      const owners = [...this.#allThreads];
      const gone = old.flatMap((entry) =>
        [entry, ...owners].flatMap((owner) => owner.journalOf(entry.shared.name) ?? []),
      );
      await this.#serve(pools);
      for (const { shared } of pools)
        await this.#tell((thread) => ({ added: thread.served(shared) }));
      for (const { writer } of old) writer?.close();
      void journals.drop(gone);
      this.#options.onChange(this.all);
    });
  }

  /** After the last change. */
  async stop(): Promise<void> {
    this.#options.journals.stop();
    await this.#oneAtATime(async () => undefined);
  }

  /** After the last turn. */
  close(): void {
    for (const [name, entry] of this.#entries) {
      entry.leave(name);
      entry.handOuts.close();
    }
    this.#options.journals.remove();
  }

  /**
   * Takes what it needs of `made`, the first parts of journals. The threads still have to be
   * notified.
   */
  async #serve(pools: readonly NewPool[], made: MadePart[] = []): Promise<void> {
    const { store, exclusively, journals, refiller, own, parts: others } = this.#options;
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
      this.#entries.set(shared.name, entry);
      own.add(entry);
      for (const part of others) part.add(shared);
    }
  }

  get #freePlace(): number {
    const taken = new Set(this.all.map(({ place }) => place));
    let place = 0;
    while (taken.has(place)) place++;
    return place;
  }

  get #allThreads(): HttpThread[] {
    return [...this.#expected, ...this.#threads];
  }

  /** Resolves when each HTTP thread has acted on it. */
  async #tell(say: (thread: HttpThread) => Omit<PoolNotice, 'notice'>): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => thread.tell(say(thread))));
  }

  #entryOf(name: string): ServedEntry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool`);
  }
}

function figuresOf({ shared, config }: NewPool): ReadyFigures {
  return config ?? { ready: settingsBoard(shared).get('ready'), readyMax: shared.readyMax };
}

function identityOf({ name, keys, handout, pattern }: SharedPool): PoolIdentity {
  const { prefix, suffix, ignoreCase } = pattern;
  return { name, prefix, suffix, ignoreCase, keys, handout };
}
