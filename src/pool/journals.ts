/**
 * The dispense journals of one store: what those of the last run say, and the files of this one.
 * Runs in the thread that opens the store.
 *
 * They lie in memory or on disk (journal-places.ts). A run makes its own where `store.journal` says;
 * what does not fit into memory goes to the disk. Those of the last run are looked for in both, for
 * the setting may have changed since. Those of one pool are trusted together or not at all: every
 * one that the store knows of has to be there, of this store and this epoch, with every record that
 * the store has not; and those on disk of this start of the machine, where it says which that is.
 *
 * The directories are locked from the moment at which something in them is read or made until this
 * is disposed of. If another has them, the run that wrote them is alive, and the store is not opened.
 * A lock whose file is removed meanwhile is no lock: it is taken anew. A directory in memory that is
 * not of this user alone, or a link, is never entered.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { JournalSetting } from '../config/config.ts';
import { makeDirectory } from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { LastJournal, Recover } from '../store/recovery.ts';
import type { Store } from '../store/store.ts';
import { type Room, roomOn } from '../system/memory-room.ts';
import { createPart, readPart, unavailable } from './journal.ts';
import type { PartIdentity } from './journal-layout.ts';
import { OWNER, removeOrphans } from './journal-orphans.ts';
import { partPath } from './journal-parts.ts';
import {
  type Choice,
  choosePlace,
  hasMemory,
  JournalDirectory,
  type Machine,
  makePrivate,
  memoryBase,
  memoryPath,
  THIS_MACHINE,
} from './journal-places.ts';

const MEMORY = 0;
const DISK = 1;

export interface JournalsOptions {
  readonly dataDirectory: string;
  /** Of a run that makes journals; without it they are read and removed alone. */
  readonly make?: { readonly setting: JournalSetting; readonly log: Pick<Log, 'info' | 'warn'> };
  readonly machine?: Machine;
}

/** A file that was made for a part. */
export interface MadePart {
  readonly number: number;
  readonly path: string;
  /** Its place in `Journals.directories`. */
  readonly directory: number;
  readonly records: number;
}

export class Journals implements Disposable {
  readonly #dataDirectory: string;
  readonly #machine: Machine;
  readonly #bootId: string | undefined;
  readonly #log: Pick<Log, 'info' | 'warn'> | undefined;
  readonly #setting: JournalSetting | undefined;
  #choice: Choice | undefined;
  readonly #disk: JournalDirectory;
  /** Those in memory that were looked into, by path: of this store, and of the place it had before. */
  readonly #memories = new Map<string, JournalDirectory>();
  #run: Pick<Store, 'id' | 'place' | 'epoch'> | undefined;
  #hasWarned = false;
  #hasToldOfRest = false;

  /** Error: CONFIG_INVALID. */
  constructor({ dataDirectory, make, machine = THIS_MACHINE }: JournalsOptions) {
    this.#dataDirectory = resolve(dataDirectory);
    this.#machine = machine;
    this.#bootId = machine.bootId();
    this.#log = make?.log;
    this.#setting = make?.setting;
    this.#choice = make && choosePlace(make.setting, machine);
    this.#disk = new JournalDirectory(join(this.#dataDirectory, 'journal'));
  }

  /**
   * What the store has not heard of; undefined if it cannot be trusted. Errors: DATA_IN_USE,
   * JOURNAL_UNAVAILABLE.
   */
  readonly recover: Recover = ({ storeId, place, epoch, number, ...known }: LastJournal) => {
    for (const directory of [this.#memoryOf(storeId, place), this.#disk]) {
      if (!isThere(directory)) continue;
      take(directory);
      // Pages that the machine wrote before a power loss may be those of any moment.
      if (directory === this.#disk && this.#bootId === undefined) continue;
      const identity = this.#identity(storeId, epoch, number);
      const found = readPart(partPath(directory.path, epoch, number), identity, known);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  /**
   * Of the run that begins: what those before it said is in the store, and their journals are
   * removed. Errors: DATA_IN_USE, JOURNAL_UNAVAILABLE.
   */
  begin({ id, place, epoch, clock }: Pick<Store, 'id' | 'place' | 'epoch' | 'clock'>): void {
    this.#run = { id, place, epoch };
    for (const directory of [this.#memoryOf(id, place), this.#disk]) {
      if (isThere(directory)) take(directory);
    }
    this.remove();
    if (hasMemory(this.#machine)) {
      removeOrphans(memoryBase(this.#machine), this.#dataDirectory, clock.now);
    }
    if (this.#choice === undefined) return;
    const { isMemory, reason } = this.#choice;
    const directory = this.directories[isMemory ? MEMORY : DISK];
    const log = this.#log!;
    log.info({ place: isMemory ? 'memory' : 'data', directory, reason }, 'journals');
  }

  /** Where parts of this run may lie: in memory, and on disk. */
  get directories(): readonly [string, string] {
    const { id, place } = this.#run!;
    return [memoryPath(this.#machine, id, place), this.#disk.path];
  }

  /** Whether those that are made now lie in memory. */
  get areInMemory(): boolean {
    return this.#choice?.isMemory === true;
  }

  /**
   * Before journals of so many bytes are made: where memory has no room for all of them, they go to the
   * disk. With `store.journal = "memory"` that is an error: what is missing, for people.
   */
  place(bytes: number): Room | undefined {
    const { memory: of } = this.#machine;
    const room = { bytes: roomOn(of), of };
    if (!this.areInMemory || bytes <= room.bytes) return undefined;
    if (this.#setting === 'memory') return room;
    const [needed, left] = [bytes, room.bytes].map((size) => Math.ceil(size / 2 ** 20));
    const reason = `${needed} MiB are needed, and ${of} leaves ${left} MiB`;
    this.#choice = { isMemory: false, reason };
    this.#warn(reason);
    return undefined;
  }

  /**
   * Makes the file of a part with room for `records`. What does not fit into memory is made on disk,
   * with one warning for all that a run makes there. Error: JOURNAL_UNAVAILABLE; then no file is left.
   */
  create(number: number, records: number): MadePart {
    if (this.#choice!.isMemory) {
      try {
        return this.#createIn(MEMORY, number, records);
      } catch (error) {
        this.#warn((error as Error).message);
      }
    }
    try {
      return this.#createIn(DISK, number, records);
    } catch (cause) {
      throw unavailable(`${this.#disk.path}: ${(cause as Error).message}`, cause);
    }
  }

  /** Whether a start would look for this part where it lies. */
  reaches({ path }: { readonly path: string }): boolean {
    return [...this.#memories.values(), this.#disk].some(
      (directory) => directory.path === dirname(path) && directory.exists,
    );
  }

  /** Another one than before if a part was removed or replaced: see `JournalDirectory.stamp`. */
  get stamp(): string {
    return [...this.#memories.values(), this.#disk].map(({ stamp }) => stamp).join(' ');
  }

  /**
   * Takes directories anew whose locks were removed: their paths. One that is gone itself is made with
   * the next part. Errors: DATA_IN_USE, JOURNAL_UNAVAILABLE.
   */
  holdAgain(): string[] {
    const open = [...this.#memories.values(), this.#disk].filter(
      (directory) => directory.isLockLost && directory.exists,
    );
    for (const directory of open) take(directory);
    return open.map(({ path }) => path);
  }

  /** When what it says is in the store, or nothing was ever written into it. */
  removePart({ path }: { readonly path: string }): void {
    this.#tidy(() => rmSync(path, { force: true }));
  }

  /**
   * All that were looked into, of whatever run: after a clean stop nothing is left in memory. What
   * another owner has stays.
   */
  remove(): void {
    for (const memory of this.#memories.values()) {
      this.#tidy(() => {
        if (memory.exists && memory.hold()) memory.removeAll(OWNER);
      });
    }
    // Its lock stays: see lock-file.ts.
    this.#tidy(() => {
      if (this.#disk.exists && this.#disk.hold()) this.#disk.removeParts();
    });
  }

  /** What fails here is no fault of a run: none takes what is over for its own, and the next removes it. */
  #tidy(removal: () => void): void {
    try {
      removal();
    } catch (error) {
      if (!this.#hasToldOfRest) {
        const { message: reason } = error as Error;
        this.#log?.warn(
          { reason },
          'journals of ended runs cannot be removed: they only take space',
        );
      }
      this.#hasToldOfRest = true;
    }
  }

  [Symbol.dispose](): void {
    for (const memory of this.#memories.values()) memory[Symbol.dispose]();
    this.#disk[Symbol.dispose]();
  }

  #createIn(directory: typeof MEMORY | typeof DISK, number: number, records: number): MadePart {
    const { id, epoch } = this.#run!;
    this.#prepare(directory);
    const path = partPath(this.directories[directory], epoch, number);
    createPart(path, this.#identity(id, epoch, number), records);
    return { number, path, directory, records };
  }

  /** Makes the directory and takes it, if it is not there and taken. */
  #prepare(directory: typeof MEMORY | typeof DISK): void {
    const path = this.directories[directory];
    if (directory === DISK) {
      makeDirectory(path);
      take(this.#disk);
      return;
    }
    const known = this.#memories.get(path);
    if (isThere(known) && known.isHeld) return;
    makePrivate(memoryBase(this.#machine));
    makePrivate(path);
    const memory = known ?? new JournalDirectory(path, memoryBase(this.#machine));
    this.#memories.set(path, memory);
    take(memory);
    // Those of a killed server stay until its next start: this file says whose they are.
    writeFileSync(join(path, OWNER), `${this.#dataDirectory}\n`, { mode: 0o600 });
  }

  /** That of a store in memory, if this user has one. */
  #memoryOf(storeId: string, place: string): JournalDirectory | undefined {
    const path = memoryPath(this.#machine, storeId, place);
    const known = this.#memories.get(path);
    if (known !== undefined || !hasMemory(this.#machine)) return known;
    const memory = new JournalDirectory(path, memoryBase(this.#machine));
    if (!memory.exists) return undefined;
    this.#memories.set(path, memory);
    return memory;
  }

  #identity(storeId: string, epoch: number, number: number): PartIdentity {
    return { storeId, epoch, number, bootId: this.#bootId ?? '' };
  }

  #warn(reason: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    const directory = this.#disk.path;
    const log = this.#log!;
    log.warn(
      { reason, directory },
      'journals cannot be made in memory: the data directory takes them; where memory is full: smaller with a lower ready_max, more with --shm-size, none with durability = "committed"',
    );
  }
}

function isThere(directory: JournalDirectory | undefined): directory is JournalDirectory {
  return directory?.exists === true;
}

/** Until it is disposed of. Errors: DATA_IN_USE, JOURNAL_UNAVAILABLE. */
function take(directory: JournalDirectory): void {
  try {
    if (directory.hold()) return;
  } catch (cause) {
    throw unavailable(`${directory.path}: cannot be locked: ${(cause as Error).message}`, cause);
  }
  const message = `${directory.path}: another server writes the dispense journals of this store; stop it first`;
  throw new VanityError('DATA_IN_USE', message);
}
