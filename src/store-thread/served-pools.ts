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
import { assertReadyFits, POOLS_MAX, type PoolConfig } from '../config/pool-config.ts';
import { VanityError } from '../errors.ts';
import { parsePattern } from '../keypair/pattern.ts';
import type { PoolNotice, ServedPool } from '../pool/calls.ts';
import { JournalWriter } from '../pool/journal-parts.ts';
import type { MadePart } from '../pool/journals.ts';
import { configOf, parts, poolConfigured, poolExists, poolLimit } from '../pool/pool-definition.ts';
import {
  changeableOf,
  GATE,
  type PoolChange,
  type SharedPool,
  settingsBoard,
  sharePool,
} from '../pool/shared-pool.ts';
import type { HandOut } from '../store/hand-out.ts';
import type { Store } from '../store/store.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import { type Exclusively, inTurn } from './in-turn.ts';
import type { FollowedJournal, PoolJournals } from './pool-journals.ts';
import type { Refiller } from './refiller.ts';
import type { ThreadNotices } from './thread-notices.ts';
import type { UnrecordedHandOuts } from './unrecorded-hand-outs.ts';

/** What hands out of pools in this thread. */
interface Part {
  add(shared: SharedPool): void;
  remove(pool: string): void;
}

export interface ServedPoolsOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly journals: PoolJournals;
  readonly refiller: Refiller;
  readonly parts: readonly Part[];
  /** After a pool came or went. */
  readonly onChange: (pools: readonly SharedPool[]) => void;
}

interface Entry {
  readonly shared: SharedPool;
  /** Undefined for one that stands in the configuration. */
  config: PoolConfig | undefined;
  readonly handOuts: UnrecordedHandOuts;
  /** Of this thread. */
  journal: FollowedJournal | undefined;
  writer: JournalWriter | undefined;
}

export class ServedPools {
  readonly #options: ServedPoolsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #threads = new Set<HttpThread>();
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
   * Those of the configuration, then those that the store remembers. Errors: POOL_MISMATCH,
   * SYSTEM_LIMIT_REACHED, as of `create`.
   */
  async open(configured: readonly SharedPool[]): Promise<void> {
    const { store } = this.#options;
    const stored = new Map<string, StoredPool>();
    for (const { name, keys, handout, pattern } of configured) {
      const { prefix, suffix, ignoreCase } = pattern;
      stored.set(name, await store.definePool({ name, prefix, suffix, ignoreCase, keys, handout }));
    }
    const known = (await store.pools()).flatMap((pool) => {
      const config = pool.isForged ? undefined : configOf(pool);
      return config === undefined ? [] : [{ pool, config }];
    });
    this.#options.journals.assertFit(configured.length + known.length);
    for (const shared of configured) await this.#serve(shared, stored.get(shared.name)!);
    for (const { pool, config } of known) await this.#serve(sharePool(config), pool, config);
  }

  /** Before this thread pops. Errors: JOURNAL_UNAVAILABLE, STORE_UNAVAILABLE. */
  prepare(pool: string): void {
    const { writer } = this.#entries.get(pool)!;
    if (writer === undefined) this.#options.refiller.assertWorks();
    else writer.prepare();
  }

  /** Of what this thread popped, where a turn does not know it by itself. */
  record(pool: string, handOut: HandOut): void {
    const { writer, handOuts } = this.#entries.get(pool)!;
    writer?.write(handOut);
    if (writer === undefined || handOut.reservation !== undefined) handOuts.note(handOut);
  }

  /** For one more HTTP thread. Error: JOURNAL_UNAVAILABLE. */
  connect(port: MessagePort, notices: ThreadNotices): Promise<ServedPool[]> {
    const thread = new HttpThread(notices);
    const pools = this.#oneAtATime(async () => {
      const served: ServedPool[] = [];
      for (const entry of this.#entries.values()) served.push(await this.#give(thread, entry));
      if (!notices.isGone) this.#threads.add(thread);
      return served;
    });
    // The thread has ended, or closes its journals in the same breath.
    port.once('close', () => {
      this.#threads.delete(thread);
      const dropped = this.#oneAtATime(async () => [...thread.journals.values()]);
      void dropped.then((journals) => this.#options.journals.drop(journals));
    });
    return pools;
  }

  create(config: PoolConfig): Promise<void> {
    return this.#oneAtATime(async () => {
      const { store, exclusively, journals } = this.#options;
      const { name } = config;
      if (this.has(name)) throw poolExists(name);
      if (this.#entries.size >= POOLS_MAX) throw poolLimit(name);
      parsePattern(config);
      const { identity, settings } = parts(config);
      journals.assertFit(1);
      const made = journals.make(1 + this.#threads.size);
      try {
        const stored = await exclusively(() => store.definePool(identity, settings));
        // From here on it comes with the next start; asked again, this goes on.
        await this.#serve(sharePool(config, stored.position), stored, config, made);
      } finally {
        // Those that were not needed: it failed, or a thread has ended meanwhile.
        journals.discard(made);
      }
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
    });
  }

  pause(name: string, isPaused: boolean): Promise<void> {
    return this.#oneAtATime(async () => {
      const { store, exclusively } = this.#options;
      const { shared } = this.#entryOf(name);
      await exclusively(() => store.changePool(name, { isPaused }));
      settingsBoard(shared).write({ gate: isPaused ? GATE.paused : GATE.open });
      await this.#tell(() => ({}));
    });
  }

  /** How many addresses were burned. */
  remove(name: string): Promise<number> {
    return this.#oneAtATime(async () => {
      const { store, exclusively, refiller, parts: others, journals } = this.#options;
      const entry = this.#entries.get(name);
      // One that stood in the configuration once, or that could not be served.
      if (entry === undefined) return exclusively(() => store.removePool(name));
      if (entry.config === undefined) throw poolConfigured(name);
      const settings = settingsBoard(entry.shared);
      const gate = settings.get('gate');
      settings.write({ gate: GATE.closed });
      await this.#tell(() => ({}));
      let burned: number;
      try {
        burned = await refiller.remove(name);
      } catch (error) {
        settings.write({ gate });
        throw error;
      }
      this.#entries.delete(name);
      for (const part of others) part.remove(name);
      this.#options.onChange(this.all);
      await this.#tell(() => ({ removed: name }));
      entry.writer?.close();
      const gone = [entry.journal, ...[...this.#threads].map((thread) => thread.take(name))];
      void journals.drop(gone.filter((journal) => journal !== undefined));
      return burned;
    });
  }

  /** Journals of which the store counts on a file that no start would find: one path of each. */
  get lostJournals(): string[] {
    const { journals } = this.#options;
    const ofPools = [...this.#entries].flatMap(([name, { journal }]) => [
      journal,
      ...[...this.#threads].map((thread) => thread.journals.get(name)),
    ]);
    const paths = ofPools.map((journal) => journal && journals.lostPath(journal));
    return [...paths.filter((path) => path !== undefined), ...journals.lostDropping];
  }

  /**
   * Gives each thread another journal for one that is lost, which is dropped when nobody writes it any
   * more. How many there were. Errors: JOURNAL_UNAVAILABLE, those of the store; those that were
   * given by then stay.
   */
  renewJournals(): Promise<number> {
    return this.#oneAtATime(async () => {
      const { journals } = this.#options;
      let renewed = 0;
      for (const [name, entry] of this.#entries) {
        const { journal, writer, shared, handOuts } = entry;
        if (journal !== undefined && journals.lostPath(journal) !== undefined) {
          entry.journal = await journals.add(name, handOuts);
          entry.writer = entry.journal && new JournalWriter(entry.journal.journal.shared);
          writer?.close();
          void journals.drop([journal]);
          renewed++;
        }
        for (const thread of this.#threads) {
          const lost = thread.journals.get(name);
          if (lost === undefined || journals.lostPath(lost) === undefined) continue;
          const renewal = await this.#give(thread, { shared, handOuts });
          await thread.notices.tell('pools', { added: renewal });
          void journals.drop([lost]);
          renewed++;
        }
      }
      return renewed;
    });
  }

  /** After the last change. */
  async stop(): Promise<void> {
    this.#options.journals.stop();
    await this.#oneAtATime(async () => undefined);
  }

  /** After the last turn. */
  close(): void {
    for (const { writer, handOuts } of this.#entries.values()) {
      writer?.close();
      handOuts.close();
    }
    this.#options.journals.remove();
  }

  /** Takes what it needs of `made`, the first parts of journals. */
  async #serve(
    shared: SharedPool,
    { isPaused }: StoredPool,
    config?: PoolConfig,
    made: MadePart[] = [],
  ): Promise<void> {
    const { store, exclusively, journals, refiller, parts: others } = this.#options;
    const { name } = shared;
    const handOuts = journals.handOutsOf(name);
    const given = new Map<HttpThread, ServedPool>();
    let journal: FollowedJournal | undefined;
    try {
      journal = await journals.add(name, handOuts, made.shift());
      for (const thread of this.#threads) {
        given.set(thread, await this.#give(thread, { shared, handOuts }, made.shift()));
      }
      const counts = await exclusively(() => store.counts(name));
      settingsBoard(shared).write({ gate: isPaused ? GATE.paused : GATE.open });
      const writer = journal && new JournalWriter(journal.journal.shared);
      refiller.add(shared, counts, handOuts);
      this.#entries.set(name, { shared, config, handOuts, journal, writer });
    } catch (error) {
      const made = [journal, ...[...given.keys()].map((thread) => thread.take(name))];
      void journals.drop(made.filter((one) => one !== undefined));
      throw error;
    }
    for (const part of others) part.add(shared);
    await this.#tell((thread) => {
      const added = given.get(thread);
      return added === undefined ? {} : { added };
    });
  }

  async #give(
    thread: HttpThread,
    { shared, handOuts }: Pick<Entry, 'shared' | 'handOuts'>,
    made?: MadePart,
  ): Promise<ServedPool> {
    const followed = await this.#options.journals.add(shared.name, handOuts, made);
    if (followed !== undefined) thread.journals.set(shared.name, followed);
    return { shared, journal: followed?.journal.shared };
  }

  async #tell(say: (thread: HttpThread) => Omit<PoolNotice, 'notice'>): Promise<void> {
    await Promise.all(
      [...this.#threads].map((thread) => thread.notices.tell('pools', say(thread))),
    );
  }

  #entryOf(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool`);
  }
}

/** As far as this thread knows it. */
class HttpThread {
  /** By pool. */
  readonly journals = new Map<string, FollowedJournal>();
  readonly notices: ThreadNotices;

  constructor(notices: ThreadNotices) {
    this.notices = notices;
  }

  /** Its journal of a pool, which it writes no more. */
  take(pool: string): FollowedJournal | undefined {
    const journal = this.journals.get(pool);
    this.journals.delete(pool);
    return journal;
  }
}
