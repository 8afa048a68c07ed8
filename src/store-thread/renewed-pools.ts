/**
 * What is made anew while pools are served: journals that were lost, and all ready queues with their
 * journals. Runs in the store thread, each in its turn with the other changes of pools.
 */
import { GATE, settingsBoard, shareAnew } from '../pool/shared-pool.ts';
import type { Store } from '../store/store.ts';
import type { StoredPool } from '../store/stored-pool.ts';
import type { Exclusively } from './in-turn.ts';
import { HttpThread, orderOf, type ServedEntry } from './journal-owners.ts';
import type { PoolJournals } from './pool-journals.ts';
import type { Refiller } from './refiller.ts';
import type { NewPool, ServedEntries } from './served-entries.ts';
import { configuredOf } from './served-pools.ts';

export interface RenewedPoolsOptions {
  readonly entries: ServedEntries;
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly journals: PoolJournals;
  readonly refiller: Refiller;
}

export class RenewedPools {
  readonly #options: RenewedPoolsOptions;
  /** The journals of the epoch that is over are removed. */
  #isRejoining = false;

  constructor(options: RenewedPoolsOptions) {
    this.#options = options;
  }

  /** Journals of which the store counts on a file that no start would find: one path of each. */
  get lostJournals(): string[] {
    if (this.#isRejoining) return [];
    const { entries, journals } = this.#options;
    const paths = entries.owned.map(({ journal }) => journal && journals.lostPath(journal));
    return [...paths.filter((path) => path !== undefined), ...journals.lostDropping];
  }

  /**
   * Gives each thread another journal for one that is lost, which is dropped when nobody writes it any
   * more. How many there were. Errors: JOURNAL_UNAVAILABLE, those of the store; then none was given.
   */
  renewJournals(): Promise<number> {
    const { entries, journals } = this.#options;
    return entries.oneAtATime(async () => {
      const lost = entries.owned.flatMap(({ entry, owner, journal }) => {
        const isLost = journal !== undefined && journals.lostPath(journal) !== undefined;
        return isLost ? [{ entry, owner, journal }] : [];
      });
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
   * and of `ServedPools.create`; then the pools hand nothing out until this was called again.
   */
  serveAnew(): Promise<void> {
    const { entries, refiller, journals } = this.#options;
    return entries.oneAtATime(async () => {
      const old = await this.#shut();
      for (const { shared } of old) await refiller.leave(shared.name);
      const gone = entries.owned.flatMap(({ journal }) => journal ?? []);
      await this.#serve(old);
      void journals.drop(gone);
    });
  }

  /**
   * The same after another run has ended this epoch: `begin` settles it by its journals, which nobody writes
   * any more, and begins another. Errors: those of `begin`, too.
   */
  rejoin(begin: () => Promise<void>): Promise<void> {
    const { entries, refiller, journals } = this.#options;
    return entries.oneAtATime(async () => {
      const old = await this.#shut();
      this.#isRejoining = true;
      try {
        for (const { shared } of old) refiller.abandon(shared.name);
        await begin();
        journals.forget(old.map(({ handOuts }) => handOuts));
        for (const { entry, owner } of entries.owned) owner.leave(entry.shared.name);
        await this.#serve(old);
      } finally {
        this.#isRejoining = false;
      }
    });
  }

  /** When it resolves no pop is under way. */
  async #shut(): Promise<readonly ServedEntry[]> {
    const { entries } = this.#options;
    const old = entries.entries;
    for (const { shared } of old) settingsBoard(shared).write({ gate: GATE.replaced });
    await entries.tell(() => ({}));
    return old;
  }

  /** What the store has of them, by name. It may have lost pools: those of the configuration are made again. */
  async #stored(old: readonly ServedEntry[]): Promise<ReadonlyMap<string, StoredPool>> {
    const { store, exclusively } = this.#options;
    const read = async () =>
      new Map((await exclusively(() => store.pools())).map((pool) => [pool.name, pool]));
    const stored = await read();
    const lost = old.filter(({ shared, config }) => !config && !stored.has(shared.name));
    if (lost.length === 0) return stored;
    await exclusively(() => store.definePools(lost.map(({ shared }) => configuredOf(shared))));
    return read();
  }

  async #serve(old: readonly ServedEntry[]): Promise<void> {
    const { entries } = this.#options;
    const stored = await this.#stored(old);
    const pools: NewPool[] = [];
    for (const entry of old) {
      const { shared, config } = entry;
      const pool = stored.get(shared.name);
      if (pool === undefined || pool.isRemoved) {
        // By another run, while this one was over; or the database lost it.
        entries.delete(shared.name);
        await entries.forget(entry);
        continue;
      }
      pools.push({
        shared: shareAnew(shared, pool.position),
        stored: pool,
        ...(config && { config }),
      });
    }
    await entries.serve(pools);
    await entries.announce(pools.map(({ shared }) => shared.name));
    for (const { writer } of old) writer?.close();
  }
}
