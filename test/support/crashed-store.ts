/**
 * A real store with real journals, that ends without a stop and starts again, on a machine of which
 * the test says what it is.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import type { Durability, JournalSetting } from '../../src/config/config.ts';
import { GrowingJournal, JournalWriter } from '../../src/pool/journal-parts.ts';
import type { Machine } from '../../src/pool/journal-places.ts';
import { Journals } from '../../src/pool/journals.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { collectedLog } from './collected-log.ts';
import { testMachine } from './journal-machine.ts';
import { temporaryDirectory } from './sqlite-stores.ts';
import { hitsFor } from './store-subject.ts';
import { turn } from './turns.ts';

const IDENTITY = { name: 'pet', prefix: '', suffix: '[a-z]Pet', ignoreCase: false, keys: 'seed' };

export class Crashed implements AsyncDisposable {
  readonly log = collectedLog();
  directory = temporaryDirectory();
  store!: Store;
  journals!: Journals;

  readonly durability: Durability;
  setting: JournalSetting = 'auto';
  machine: Machine;
  readonly #ownMachine = testMachine();

  constructor(durability: Durability = 'leased') {
    this.durability = durability;
    this.machine = this.#ownMachine;
  }

  async open(): Promise<void> {
    const { directory, durability } = this;
    const sealingKey = `file:${directory}/sealing.key`;
    const make = { setting: this.setting, log: this.log } as const;
    this.journals = new Journals({ dataDirectory: directory, make, machine: this.machine });
    const { recover } = this.journals;
    this.store = await openSqliteStore({ directory, sealingKey, recover, durability });
    this.journals.begin(this.store);
    this.#next = 1;
  }

  /** Without a stop, as by a kill. */
  async close(): Promise<void> {
    await this.store.close();
    this.journals[Symbol.dispose]();
  }

  async insert(count: number): Promise<void> {
    await this.store.insert(hitsFor('pet', count));
  }

  /** `leased` addresses in the queue, of which the store has recorded `recorded` as dispensed. */
  async lease(leased: number, recorded: number): Promise<void> {
    await this.open();
    await this.store.definePool({ ...IDENTITY, keys: 'seed', handout: 'secret' });
    await this.insert(leased);
    await turn(this.store, 'pet', 0, leased);
    await turn(this.store, 'pet', recorded, 0);
  }

  /** A journal of one more thread, with these pops in it: its path. */
  async journal(
    ...pops: readonly (readonly [position: number, count: number, key?: Uint8Array])[]
  ): Promise<string> {
    const { path, number, directory } = this.journals.create(this.#next++, 100);
    const journal = new GrowingJournal(this.store.epoch, this.journals.directories);
    journal.publish(journal.next(number, path), directory, 100);
    await this.store.addJournals([{ pool: 'pet', number }]);
    const writer = new JournalWriter(journal.shared);
    for (const [position, count, key] of pops) {
      const receiver = key === undefined ? { token: 0 } : { token: 0, key, body: key };
      writer.write({ position, count, at: Date.now(), ...receiver });
    }
    writer.close();
    return path;
  }
  /** Of the next part; they start again with each epoch. */
  #next = 1;

  /** The store has heard of `popped` more, and of the first `records` of the first journal. */
  async record(popped: number, records: number, ...handOuts: HandOut[]): Promise<void> {
    const journals = new Map([[1, records]]);
    await turn(this.store, 'pet', popped, 0, { records: handOuts, journals });
  }

  /** Ends without a stop and starts again: what became of the leases. */
  async restart() {
    await this.close();
    await this.open();
    const { dispensed, available, burned } = await this.store.counts('pet');
    assert.equal((await this.store.counts('pet')).leased, 0);
    return { ...this.store.recovered.pet, counts: [dispensed, available, burned] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    this.#ownMachine[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
