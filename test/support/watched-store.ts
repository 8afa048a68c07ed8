/**
 * A store that is served with real journals in memory of its own, threads that hand out of one pool,
 * and the watch over the journals, of which the test says when it looks. Everything that left is
 * remembered, over all its lives: nothing may leave twice.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JournalSetting } from '../../src/config/config.ts';
import { readPool } from '../../src/config/pool-config.ts';
import type { VanityError } from '../../src/errors.ts';
import { StoreHealth } from '../../src/pool/health.ts';
import { Journals } from '../../src/pool/journals.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { JournalWatch } from '../../src/store-thread/journal-watch.ts';
import { collectedLog } from './collected-log.ts';
import { Thread } from './handing-thread.ts';
import { testMachine } from './journal-machine.ts';
import { ServedParts } from './served-parts.ts';
import { checkStore, removeDirectory, temporaryDirectory } from './sqlite-stores.ts';
import { hitsFor } from './store-subject.ts';

const STORED = 500;
const NAME = 'pet';
const POLL_MS = 20;

export class WatchedStore implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly machine = testMachine();
  readonly log = collectedLog();
  readonly health = new StoreHealth();
  readonly handed = new Set<string>();
  readonly setting: JournalSetting;
  threads: Thread[] = [];
  store!: Store;
  journals!: Journals;
  parts!: ServedParts;
  watch!: JournalWatch;
  #looking: Promise<void> = Promise.resolve();

  /** With `STORED` addresses in its pool, of which some are ready, and two threads. */
  static async create(setting: JournalSetting = 'auto'): Promise<WatchedStore> {
    const watched = new WatchedStore(setting);
    await watched.open();
    await watched.pools.create(readPool({ name: NAME, suffix: 'x', ready: 50 }, String));
    await watched.insert(STORED);
    await watched.refiller.refill(NAME, 50);
    return watched;
  }

  private constructor(setting: JournalSetting) {
    this.setting = setting;
  }

  get refiller(): ServedParts['refiller'] {
    return this.parts.refiller;
  }

  get own(): ServedParts['own'] {
    return this.parts.own;
  }

  get poolJournals(): ServedParts['poolJournals'] {
    return this.parts.poolJournals;
  }

  get pools(): ServedParts['pools'] {
    return this.parts.pools;
  }

  get entries(): ServedParts['entries'] {
    return this.parts.entries;
  }

  get renewed(): ServedParts['renewed'] {
    return this.parts.renewed;
  }

  async open(): Promise<void> {
    const { directory, machine, log, health } = this;
    const make = { setting: this.setting, log } as const;
    const journals = new Journals({ dataDirectory: directory, make, machine });
    const sealingKey = `file:${directory}/sealing.key`;
    const { recover } = journals;
    const store = await openSqliteStore({ directory, sealingKey, recover });
    journals.begin(store);
    this.parts = new ServedParts({ store, journals, log });
    this.store = store;
    this.journals = journals;
    this.watch = new JournalWatch({ journals, pools: this.renewed, health, log });
    await this.pools.open([]);
    this.threads = [await Thread.connect(this.entries), await Thread.connect(this.entries)];
  }

  async insert(count: number): Promise<void> {
    await this.store.insert(hitsFor(NAME, count));
    this.refiller.publish(NAME, await this.store.counts(NAME));
  }

  /** Hands some out, by one of the threads; how many that were. */
  pop(thread: number, count: number): number {
    const addresses = this.threads[thread]!.pools.get(NAME)!.pop(count) ?? [];
    for (const { address } of addresses) {
      assert.ok(!this.handed.has(address), 'an address left twice');
      this.handed.add(address);
    }
    return addresses.length;
  }

  /** The same, unless the thread has no journal that it could write. */
  popIfCan(thread: number, count: number): void {
    try {
      this.pop(thread, count);
    } catch (error) {
      assert.equal((error as VanityError).code, 'JOURNAL_UNAVAILABLE');
    }
  }

  /** Of the pool, what has left and is not recorded yet included. */
  get dispensed(): number {
    return this.threads[0]!.pools.get(NAME)!.status().dispensed;
  }

  /** A look that goes on behind what comes next, as in a server. */
  lookBehind(): void {
    this.#looking = this.#looking.then(() => this.watch.look());
  }

  /** One turn, which records what was popped. */
  turn(): Promise<void> {
    return this.refiller.record(NAME);
  }

  /** Looks until all that was lost is made anew and counted out. */
  async repair(): Promise<void> {
    await this.#looking;
    do {
      await this.watch.look();
      await this.turn();
      await sleep(POLL_MS);
    } while (this.health.journalFault !== undefined);
  }

  /** As a process that is killed, and its next start: what became of what was leased. */
  async restart() {
    await this.crash();
    await this.open();
    const { available, dispensed, burned } = await this.store.counts(NAME);
    return { ...this.store.recovered[NAME]!, counts: { available, dispensed, burned } };
  }

  /** Hands all out that is left. */
  async exhaust(): Promise<void> {
    const { threads, refiller } = this;
    const ready = () => threads[0]!.pools.get(NAME)!.status().ready;
    for (;;) {
      await refiller.refill(NAME, ready() + 1);
      if (ready() === 0) break;
      this.pop(0, ready());
      await this.turn();
    }
    const { available, leased, dispensed, burned } = await this.store.counts(NAME);
    assert.deepEqual([available, leased, dispensed + burned], [0, 0, STORED]);
  }

  /** Where the journals lie that are in memory. */
  get memory(): string {
    return this.journals.directories[0];
  }

  /** Of all stores of the user. */
  get base(): string {
    return dirname(this.memory);
  }

  /** Names of the files of parts that are there. */
  partsIn(directory = this.memory): string[] {
    return readdirSync(directory).filter((name) => name.endsWith('.journal'));
  }

  said(): string[] {
    return this.log.lines
      .filter(({ msg }) => /^(the lock of )?(the )?dispense journals/.test(msg))
      .map(({ msg }) => msg);
  }

  /** At whatever step a look is: the store closes under it. */
  async crash(): Promise<void> {
    this.watch.stop();
    this.poolJournals.stop();
    await this.store.close();
    await this.#looking.catch(() => undefined);
    this.#looking = Promise.resolve();
    for (const thread of this.threads) thread.die();
    this.journals[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash();
    checkStore(this.directory);
    this.machine[Symbol.dispose]();
    removeDirectory(this.directory);
  }
}
