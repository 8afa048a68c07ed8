/** Pools with journals, for tests: a real store, its refiller, real files, and threads that pop. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JournalSetting } from '../../src/config/config.ts';
import { readPool } from '../../src/config/pool-config.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { JournalWriter } from '../../src/pool/journal-parts.ts';
import type { Machine } from '../../src/pool/journal-places.ts';
import { Journals } from '../../src/pool/journals.ts';
import { Pool } from '../../src/pool/pool.ts';
import { type SharedPool, sharePool } from '../../src/pool/shared-pool.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { parts } from '../../src/store/stored-pool.ts';
import type { FollowedJournal } from '../../src/store-thread/pool-journals.ts';
import { collectedLog } from './collected-log.ts';
import { testMachine } from './journal-machine.ts';
import { ServedParts } from './served-parts.ts';
import { checkStore, removeDirectory, temporaryDirectory } from './sqlite-stores.ts';
import { hitsFor } from './store-subject.ts';
import { unlimitedFiles } from './unlimited-files.ts';

export const FIRST_PART = 1152 * 96;
export const config = (name: string, more: object = {}) =>
  readPool({ name, suffix: 'x', ...more }, (key) => `pools.${name}.${key}`);

export class Bench implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly log = collectedLog();
  readonly machine: Machine;
  readonly changes = new ChangedPools();
  places = 0;
  budget = unlimitedFiles();
  setting: JournalSetting = 'auto';
  store!: Store;
  journals!: Journals;
  parts!: ServedParts;
  readonly #ownMachine = testMachine();

  constructor(machine?: Machine) {
    this.machine = machine ?? this.#ownMachine;
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

  async open(): Promise<this> {
    const { directory, machine, log } = this;
    const make = { setting: this.setting, log } as const;
    this.journals = new Journals({ dataDirectory: directory, make, machine });
    const sealingKey = `file:${directory}/sealing.key`;
    const { recover } = this.journals;
    this.store = await openSqliteStore({ directory, sealingKey, recover });
    this.journals.begin(this.store);
    const { store, journals, changes, budget: files } = this;
    this.parts = new ServedParts({ store, journals, log, changes, files });
    return this;
  }

  /** A pool with `stored` addresses, out of which as many threads hand out as are asked for. */
  async serve(name: string, stored: number, threads: number, more: object = {}): Promise<Handing> {
    const pool = config(name, { ready_max: 65_536, ...more });
    const { identity, settings } = parts(pool);
    const { counts, position } = await this.store.definePool(identity, settings);
    const shared = sharePool(pool, { position, changes: this.changes, place: this.places++ });
    const handOuts = this.poolJournals.handOutsOf(name);
    const followed: FollowedJournal[] = [];
    for (let thread = 0; thread < threads; thread++) {
      followed.push(...(await this.poolJournals.add([{ pool: name, handOuts }])));
    }
    this.refiller.add(shared, { counts, position: 0 }, handOuts);
    for (let left = stored; left > 0; left -= 4096) {
      await this.store.insert(hitsFor(name, Math.min(left, 4096)));
    }
    this.refiller.publish(name, await this.store.counts(name));
    return new Handing(this, shared, followed);
  }

  /** As a process that is killed, and its next start. */
  async restart(): Promise<void> {
    await this.crash();
    await this.open();
  }

  async crash(): Promise<void> {
    await this.store.close();
    this.journals[Symbol.dispose]();
  }

  /** Names of parts that would be the next ones in memory are taken. */
  block(from: number, count: number): void {
    const [memory] = this.journals.directories;
    for (let number = from; number < from + count; number++) {
      writeFileSync(join(memory, `${this.store.epoch}-${number}.journal`), '');
    }
  }

  files(directory: 0 | 1): { name: string; size: number }[] {
    const path = this.journals.directories[directory]!;
    if (!existsSync(path)) return [];
    const names = readdirSync(path).filter((name) => name.endsWith('.journal'));
    return names.map((name) => ({ name, size: statSync(join(path, name)).size }));
  }

  warnings(): string[] {
    return this.log.lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash();
    checkStore(this.directory);
    this.#ownMachine[Symbol.dispose]();
    removeDirectory(this.directory);
  }
}

/** Threads that hand out of one pool. */
export class Handing {
  readonly name: string;
  readonly journals: FollowedJournal['journal'][];
  readonly threads: Pool[];
  readonly #bench: Bench;

  constructor(bench: Bench, shared: SharedPool, followed: readonly FollowedJournal[]) {
    this.#bench = bench;
    this.name = shared.name;
    this.journals = followed.map(({ journal }) => journal);
    this.threads = this.journals.map((journal) => {
      const writer = new JournalWriter(journal.shared);
      return new Pool(shared, {
        refill: (pool, count) => bench.refiller.refill(pool, count),
        prepare: () => writer.prepare(),
        record: (_, handOut) => writer.write(handOut),
      });
    });
  }

  get ready(): number {
    return this.threads[0]!.status().ready;
  }

  /** Turns until so many are ready, with room for each of them in each journal at each moment. */
  async fill(count: number): Promise<void> {
    while (this.ready < count) {
      await this.#bench.refiller.refill(this.name, Math.min(this.ready + 2000, count));
      for (const { capacity } of this.journals) assert.ok(capacity >= this.ready);
    }
  }

  /** One by one, by one thread, while the store records nothing. */
  pop(thread: number, count: number): void {
    for (let left = count; left > 0; left--) assert.equal(this.threads[thread]!.pop(1)!.length, 1);
  }

  async counts(): Promise<number[]> {
    const { dispensed, available, burned } = await this.#bench.store.counts(this.name);
    return [dispensed, available, burned];
  }
}
