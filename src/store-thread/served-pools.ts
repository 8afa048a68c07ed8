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
 *
 * Of a store that others share a pool is closed before all that: it is removed for all of them. So what fails
 * then is done by the next look at the store, behind a gate that stays closed: the queue may have ended.
 */
import {
  assertReadyFits,
  POOLS_MAX,
  type PoolChange,
  type PoolConfig,
} from '../config/pool-config.ts';
import { parsePattern } from '../keypair/pattern.ts';
import { parseSignPolicy } from '../keypair/sign-policy.ts';
import type { Log } from '../log.ts';
import type { ChangedPools } from '../pool/changed-pools.ts';
import type { Deadline } from '../pool/deadline.ts';
import { configOf, poolConfigured, poolExists, poolLimit } from '../pool/pool-definition.ts';
import {
  changeableOf,
  GATE,
  type SharedPool,
  settingsBoard,
  sharePool,
} from '../pool/shared-pool.ts';
import { untilRemoved } from '../store/pool-removal.ts';
import type { Store } from '../store/store.ts';
import { type ConfiguredPool, parts } from '../store/stored-pool.ts';
import type { Exclusively } from './in-turn.ts';
import type { ServedEntry } from './journal-owners.ts';
import type { PoolJournals } from './pool-journals.ts';
import type { ReadyFigures } from './ready-memory.ts';
import type { Refiller } from './refiller.ts';
import type { NewPool, ServedEntries } from './served-entries.ts';

export interface ServedPoolsOptions {
  readonly entries: ServedEntries;
  readonly store: Store;
  readonly exclusively: Exclusively;
  /** Runs work while no insert is under way. */
  readonly withoutInserts: Exclusively;
  readonly journals: PoolJournals;
  readonly refiller: Refiller;
  /** Those of the configured pools, too. */
  readonly changes: ChangedPools;
  readonly deadline: Deadline;
  readonly log: Pick<Log, 'info'>;
}

export class ServedPools {
  readonly #options: ServedPoolsOptions;
  readonly #entries: ServedEntries;

  constructor(options: ServedPoolsOptions) {
    this.#options = options;
    this.#entries = options.entries;
  }

  /**
   * Those of the configuration, then those that the store remembers, for `threads` HTTP threads that
   * connect later: two commits, however many there are. Errors: POOL_MISMATCH, SYSTEM_LIMIT_REACHED,
   * as of `create`.
   */
  async open(configured: readonly SharedPool[], threads = 0): Promise<void> {
    const { store, journals, changes, deadline, log } = this.#options;
    const stored = await store.definePools(configured.map(configuredOf));
    const pools: NewPool[] = configured.map((shared, index) => ({
      shared,
      stored: stored[index]!,
    }));
    for (const pool of await store.pools()) {
      const config = pool.isForged ? undefined : configOf(pool);
      if (config === undefined) continue;
      const shared = sharePool(config, { changes, deadline, place: pools.length });
      pools.push({ shared, stored: pool, config });
    }
    this.#entries.expect(threads);
    journals.assertFit(pools.map(figuresOf), 1 + threads);
    const count = journals.areNeeded ? pools.length * (1 + threads) : 0;
    log.info({ pools: pools.length, journals: count }, 'making ready queues and dispense journals');
    await this.#entries.serve(pools);
  }

  create(config: PoolConfig): Promise<void> {
    return this.#change(async () => {
      const { store, exclusively } = this.#options;
      const { name } = config;
      if (this.#entries.find(name) !== undefined) throw poolExists(name);
      const { identity, settings } = parts(config);
      await this.#serve(config, () => exclusively(() => store.definePool(identity, settings)));
    });
  }

  change(name: string, change: PoolChange): Promise<void> {
    return this.#change(async () => {
      const { store, exclusively } = this.#options;
      const entry = this.#entries.get(name);
      if (entry.config === undefined) throw poolConfigured(name);
      const config = { ...entry.config, ...change };
      assertReadyFits(config, `pool ${name}: ready`);
      const { settings } = parts(config);
      await exclusively(() => store.changePool(name, { settings }));
      this.#apply(entry, config);
    });
  }

  pause(name: string, isPaused: boolean): Promise<void> {
    return this.#change(async () => {
      const { store, exclusively } = this.#options;
      const { shared } = this.#entries.get(name);
      await exclusively(() => store.changePool(name, { isPaused }));
      await this.#setPaused(shared, isPaused);
    });
  }

  /** How many addresses were burned. */
  async remove(name: string): Promise<number> {
    const { store, exclusively, refiller } = this.#options;
    const remove = () => exclusively(() => store.removePool(name));
    const begun = await this.#entries.oneAtATime(async () => {
      const entry = this.#entries.find(name);
      if (entry !== undefined && entry.config === undefined) throw poolConfigured(name);
      await exclusively(() => store.closePool(name));
      // One that stood in the configuration once, or that could not be served.
      if (entry === undefined) return remove();
      return this.#withdraw(entry, () => refiller.remove(name));
    });
    // Not in its turn: the others may wait until this run acts on a change of theirs.
    const burned = await untilRemoved(name, begun, remove);
    await store.everywhere();
    return burned;
  }

  /** After others changed pools of the store: serves what it has now. Errors: those of the store, and of `create`. */
  refresh(): Promise<void> {
    return this.#entries.oneAtATime(async () => {
      const { store, exclusively, refiller } = this.#options;
      const leave = (entry: ServedEntry) =>
        this.#withdraw(entry, () => refiller.leave(entry.shared.name, 'burn'));
      // What one before this could not end, whatever became of the pool since.
      for (const entry of this.#entries.entries) {
        if (settingsBoard(entry.shared).get('gate') === GATE.closed) await leave(entry);
      }
      for (const pool of await exclusively(() => store.pools())) {
        const entry = this.#entries.find(pool.name);
        const config = pool.isForged ? undefined : configOf(pool);
        if (entry === undefined) {
          if (config !== undefined) await this.#serve(config, async () => pool);
        } else if (pool.isRemoved) {
          await leave(entry);
        } else {
          if (config !== undefined) this.#apply(entry, config);
          else if (pool.target !== undefined) this.#setTarget(entry.shared, pool.target);
          await this.#setPaused(entry.shared, pool.isPaused);
        }
      }
    });
  }

  /** After the last change. */
  async stop(): Promise<void> {
    this.#options.journals.stop();
    await this.#entries.oneAtATime(async () => undefined);
  }

  /** After the last turn. */
  close(): void {
    this.#entries.close();
    this.#options.journals.remove();
  }

  /** A change that is answered when all who share the store act on it. */
  async #change<T>(work: () => Promise<T>): Promise<T> {
    const result = await this.#entries.oneAtATime(work);
    // Not in its turn: the others may wait until this run acts on a change of theirs.
    await this.#options.store.everywhere();
    return result;
  }

  /** `define` is what the store knows of it then. */
  async #serve(config: PoolConfig, define: () => Promise<NewPool['stored']>): Promise<void> {
    const { journals, changes, deadline } = this.#options;
    const { name } = config;
    if (this.#entries.entries.length >= POOLS_MAX) throw poolLimit(name);
    parsePattern(config);
    parseSignPolicy(config);
    const { owners, freePlace: place } = this.#entries;
    journals.assertFit([config], owners);
    const made = journals.make(owners);
    try {
      const stored = await define();
      // From here on it comes with the next start; asked again, this goes on.
      const shared = sharePool(config, { changes, deadline, place, position: stored.position });
      await this.#entries.serve([{ shared, stored, config }], made);
    } finally {
      // Those that were not needed: it failed, or a thread has ended meanwhile.
      journals.discard(made);
    }
    await this.#entries.announce([name]);
  }

  #apply(entry: ServedEntry, config: PoolConfig): void {
    entry.config = config;
    settingsBoard(entry.shared).write(changeableOf(config));
    this.#options.changes.mark(entry.shared.place);
  }

  /** Of a configured pool: the node that started last has another one. */
  #setTarget(shared: SharedPool, target: number): void {
    const settings = settingsBoard(shared);
    const before = settings.get('target');
    if (before === target) return;
    const { log, changes } = this.#options;
    log.info({ pool: shared.name, before, target }, 'another node has started with another target');
    settings.write({ target });
    changes.mark(shared.place);
  }

  async #setPaused(shared: SharedPool, isPaused: boolean): Promise<void> {
    const settings = settingsBoard(shared);
    // The queue that comes in its place begins with what the store says.
    if (settings.get('gate') === GATE.replaced) return;
    settings.write({ gate: isPaused ? GATE.paused : GATE.open });
    this.#options.changes.mark(shared.place);
    await this.#entries.tell(() => ({}));
  }

  /** `end` ends its queue, when no pop is under way; where it fails, a pool that nobody else has goes on. */
  async #withdraw<T>(entry: ServedEntry, end: () => Promise<T>): Promise<T> {
    const settings = settingsBoard(entry.shared);
    const gate = settings.get('gate');
    settings.write({ gate: GATE.closed });
    await this.#entries.tell(() => ({}));
    const result = await this.#options.withoutInserts(async () => {
      try {
        const ended = await end();
        this.#entries.delete(entry.shared.name);
        return ended;
      } catch (error) {
        if (!this.#options.store.isShared) settings.write({ gate });
        throw error;
      }
    });
    await this.#entries.forget(entry);
    return result;
  }
}

function figuresOf({ shared, config }: NewPool): ReadyFigures {
  return config ?? { ready: settingsBoard(shared).get('ready'), readyMax: shared.readyMax };
}

/** As the store makes it. */
export function configuredOf(shared: SharedPool): ConfiguredPool {
  const { name, keys, handout, pattern } = shared;
  const { prefix, suffix, ignoreCase } = pattern;
  const target = settingsBoard(shared).get('target');
  return { name, prefix, suffix, ignoreCase, keys, handout, target };
}
