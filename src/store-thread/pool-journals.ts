/**
 * The dispense journals of the running epoch: one for each thread that hands out, and each pool.
 * Runs in the store thread. A part of a journal exists before the store counts on it, the store
 * counts on it before anybody writes into it, and it is counted out before it is removed.
 *
 * A journal begins small and grows before a turn leases more addresses than it has slots for; so a
 * record never finds it full while the store works. Where no more can be had, less is leased.
 *
 * A journal whose file was removed can be written and read on, but no start would find it: then a kill
 * burns what the pool has leased, since the store counts on that file. Its thread gets another one
 * (`add`), and when it writes there, the lost one is dropped: it is read to its end, all that it says
 * is recorded, and only then does the store no longer count on it. So at each moment every pop is in
 * the store or in a journal that the store counts on, and a start believes a pool again from the
 * moment on at which the last lost journal of it is counted out, not before.
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { FileBudget } from '../pool/file-budget.ts';
import { type JournalPart, unavailable } from '../pool/journal.ts';
import { GrowingJournal, SLOTS_MIN, slotsFor, slotsOfNext } from '../pool/journal-parts.ts';
import type { Journals, MadePart } from '../pool/journals.ts';
import type { Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';
import { assertReadyMemory, journalBytes, type ReadyFigures, tooLittle } from './ready-memory.ts';
import { UnrecordedHandOuts } from './unrecorded-hand-outs.ts';

const DROP_EVERY_MS = 200;
/** A disk that is full is not filled to its last byte again with each turn. */
const GROW_AGAIN_MS = 30_000;

export interface PoolJournalsOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly journals: Journals;
  /** Not if all replies wait for the disk. */
  readonly areNeeded: boolean;
  readonly files: FileBudget;
  readonly log: Pick<Log, 'warn'>;
}

/** A journal that one more thread is to hand out of a pool with. */
export interface JournalOrder {
  readonly pool: string;
  /** Read it from the moment on at which it is there, and have room in it for all that is leased. */
  readonly handOuts: UnrecordedHandOuts;
  /** Its first part, if that was made before; if its file is gone by now, it is recreated. */
  readonly made?: MadePart | undefined;
}

/** A file that is to be the next part of a journal. */
interface NewPart extends JournalOrder {
  readonly journal: GrowingJournal;
  readonly made: MadePart;
}

/** A journal, and who reads it. */
export interface FollowedJournal {
  readonly pool: string;
  readonly journal: GrowingJournal;
  readonly handOuts: UnrecordedHandOuts;
}

export class PoolJournals {
  readonly #options: PoolJournalsOptions;
  /** Of each pool that is served, those of the threads that live. */
  readonly #growing = new WeakMap<UnrecordedHandOuts, Set<GrowingJournal>>();
  /** The store counts on them, though nobody writes them. */
  readonly #dropping = new Set<FollowedJournal>();
  #count = 0;
  /** That the store counts on. */
  #parts = 0;
  #isStopping = false;
  #hasWarned = false;
  #growNotBefore = 0;

  constructor(options: PoolJournalsOptions) {
    this.#options = options;
  }

  /** Not if all replies wait for the disk. */
  get areNeeded(): boolean {
    return this.#options.areNeeded;
  }

  /** What has left the pool and is not recorded yet; its journals grow with what is leased. */
  handOutsOf(pool: string): UnrecordedHandOuts {
    if (!this.#options.areNeeded) return new UnrecordedHandOuts();
    const handOuts: UnrecordedHandOuts = new UnrecordedHandOuts((records) =>
      this.#makeRoom(pool, handOuts, records),
    );
    this.#growing.set(handOuts, new Set());
    return handOuts;
  }

  /** Before more pools are served, each with so many journals. Error: SYSTEM_LIMIT_REACHED. */
  assertFit(pools: readonly ReadyFigures[], count: number): void {
    const { files, areNeeded, journals, log } = this.#options;
    files.assertPools(pools.length, areNeeded);
    if (areNeeded) {
      const bytes = journalBytes(pools, count);
      const room = journals.place(bytes);
      if (room !== undefined) throw tooLittle(pools.length, bytes, room);
    }
    assertReadyMemory(pools, journals.areInMemory ? count : 0, log);
  }

  /**
   * The first parts of `count` journals of a pool that the store need not know yet; none if none
   * is needed. Error: JOURNAL_UNAVAILABLE; then there is no file of them.
   */
  make(count: number): MadePart[] {
    const made: MadePart[] = [];
    if (!this.#options.areNeeded) return made;
    try {
      while (made.length < count) made.push(this.#makePart(SLOTS_MIN));
    } catch (error) {
      this.discard(made);
      throw error;
    }
    return made;
  }

  /** Parts that were not added. */
  discard(made: readonly MadePart[]): void {
    for (const part of made) this.#options.journals.removePart(part);
  }

  /**
   * All that are ordered, in their order, with one commit for all of them; none if none is needed. If
   * this fails, no journal and no file is left. Errors: JOURNAL_UNAVAILABLE, those of the store.
   */
  async add(orders: readonly JournalOrder[]): Promise<FollowedJournal[]> {
    const { exclusively, areNeeded } = this.#options;
    if (!areNeeded || orders.length === 0) return [];
    try {
      return await exclusively(() => this.#add(orders));
    } catch (error) {
      this.discard(orders.flatMap(({ made }) => made ?? []));
      throw error;
    }
  }

  async #add(orders: readonly JournalOrder[]): Promise<FollowedJournal[]> {
    const { store, journals } = this.#options;
    const parts: NewPart[] = [];
    try {
      for (const { made, ...order } of orders) {
        const isThere = made !== undefined && existsSync(made.path);
        const journal = new GrowingJournal(store.epoch, journals.directories);
        const first = isThere ? made : this.#makePart(this.#slotsFor(order.handOuts));
        parts.push({ ...order, journal, made: first });
      }
    } catch (error) {
      this.discard(parts.map(({ made }) => made));
      throw error;
    }
    await this.#append(parts);
    for (const { journal, handOuts } of parts) this.#growing.get(handOuts)!.add(journal);
    return parts.map(({ pool, journal, handOuts }) => ({ pool, journal, handOuts }));
  }

  /** Of the first part of one more journal. */
  #slotsFor(handOuts: UnrecordedHandOuts): number {
    const growing = this.#growing.get(handOuts)!;
    return slotsFor(Math.max(...growing.values().map(({ capacity }) => capacity), 0));
  }

  /** The path of a part of it that no start would find; undefined if there is none. */
  lostPath({ journal, handOuts }: FollowedJournal): string | undefined {
    const { journals } = this.#options;
    return journal.parts.find((part) => handOuts.isLost(part) || !journals.reaches(part))?.path;
  }

  /** Those that are dropped and lost: one path of each. */
  get lostDropping(): string[] {
    const paths = this.#dropping.values().map((followed) => this.lostPath(followed));
    return paths.filter((path) => path !== undefined).toArray();
  }

  /** Of a thread or a pool that is gone, when all that they say is recorded. */
  async drop(gone: readonly FollowedJournal[]): Promise<void> {
    if (gone.length === 0) return;
    for (const followed of gone) {
      this.#growing.get(followed.handOuts)!.delete(followed.journal);
      this.#dropping.add(followed);
    }
    while (!(await this.#options.exclusively(() => this.#dropped(gone)))) {
      await sleep(DROP_EVERY_MS, undefined, { ref: false });
    }
  }

  async #dropped(gone: readonly FollowedJournal[]): Promise<boolean> {
    const { store, journals } = this.#options;
    // All of them are removed in the end.
    if (this.#isStopping || !gone.every((followed) => this.#dropping.has(followed))) return true;
    const parts = gone.flatMap(({ journal, handOuts }) =>
      journal.parts.map((part) => ({ part, handOuts })),
    );
    if (parts.some(({ part, handOuts }) => handOuts.isPendingIn(part))) return false;
    try {
      await store.removeJournals(parts.map(({ part }) => part.number));
    } catch (error) {
      if (error instanceof VanityError) return false;
      throw error;
    }
    for (const { part, handOuts } of parts) {
      handOuts.unfollow(part);
      journals.removePart(part);
    }
    this.#countParts(-parts.length);
    for (const followed of gone) this.#dropping.delete(followed);
    return true;
  }

  /** Those of an epoch that is over, of which the store knows none any more: of these, and what is dropped. */
  forget(served: readonly UnrecordedHandOuts[]): void {
    const dropping = [...this.#dropping].map(({ handOuts }) => handOuts);
    for (const handOuts of [...served, ...dropping]) handOuts.close();
    this.#dropping.clear();
    this.#countParts(-this.#parts);
  }

  /** From now on none is dropped: `remove` takes all. */
  stop(): void {
    this.#isStopping = true;
  }

  /** After a clean stop: nothing is left in memory. */
  remove(): void {
    this.#options.journals.remove();
  }

  /** Inside a turn. */
  async #makeRoom(pool: string, handOuts: UnrecordedHandOuts, records: number): Promise<number> {
    const growing = this.#growing.get(handOuts)!;
    for (const journal of growing) {
      if (journal.capacity < records) await this.#grow(pool, journal, handOuts, records);
    }
    return Math.min(...growing.values().map(({ capacity }) => capacity));
  }

  /** If more can be had. */
  async #grow(
    pool: string,
    journal: GrowingJournal,
    handOuts: UnrecordedHandOuts,
    records: number,
  ): Promise<void> {
    if (!journal.canGrow || performance.now() < this.#growNotBefore) return;
    const { capacity } = journal;
    const slots = slotsOfNext(capacity, records);
    try {
      if (!this.#options.files.fits(1)) throw unavailable('no file descriptors are left for it');
      await this.#append([{ pool, journal, handOuts, made: this.#makePart(slots) }]);
    } catch (error) {
      if (!(error instanceof VanityError)) throw error;
      // A store that fails says so itself, and has its own times to be tried again.
      if (error.code !== 'JOURNAL_UNAVAILABLE') return;
      this.#growNotBefore = performance.now() + GROW_AGAIN_MS;
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      const { log } = this.#options;
      log.warn(
        { pool, room: capacity, reason: error.message },
        'journals cannot grow: fewer addresses are kept ready',
      );
    }
  }

  /**
   * Makes each file the next part of its journal, or removes all of them. Errors: JOURNAL_UNAVAILABLE,
   * those of the store.
   */
  async #append(parts: readonly NewPart[]): Promise<void> {
    const followed: { readonly part: JournalPart; readonly to: NewPart }[] = [];
    try {
      for (const to of parts) {
        const { journal, made, handOuts } = to;
        const part = journal.next(made.number, made.path);
        try {
          handOuts.follow(part);
        } catch (cause) {
          throw unavailable(`${made.path}: ${(cause as Error).message}`, cause);
        }
        followed.push({ part, to });
      }
      await this.#options.store.addJournals(
        parts.map(({ pool, made: { number } }) => ({ pool, number })),
      );
    } catch (error) {
      for (const { part, to } of followed) to.handOuts.unfollow(part);
      this.discard(parts.map(({ made }) => made));
      throw error;
    }
    for (const { part, to } of followed) {
      to.journal.publish(part, to.made.directory, to.made.records);
    }
    this.#countParts(parts.length);
  }

  #countParts(more: number): void {
    this.#parts += more;
    this.#options.files.setParts(this.#parts);
  }

  #makePart(slots: number): MadePart {
    return this.#options.journals.create(++this.#count, slots - 1);
  }
}
