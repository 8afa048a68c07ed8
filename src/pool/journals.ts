/**
 * Where the dispense journals of an epoch lie, and what they say after a crash. Runs in the thread
 * that opens the store.
 *
 * They lie in memory: /dev/shm/vanitypool-<uid>/<store id>/, for this user alone; where there is
 * no such place, in the data directory. Those of one pool are trusted together or not at all: every
 * one that the store knows of has to be there, of this store, this epoch, and this start of the
 * machine, with every record that the store has not.
 *
 * Those of a killed server stay in memory until its next start. So that they do not stay for good
 * when its data directory is removed, a file beside them names it: `owner`.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeDirectory } from '../files.ts';
import type { HandOut, LastJournal, Recover } from '../store/store.ts';
import { createJournal, type JournalFile, type JournalIdentity, readJournal } from './journal.ts';

const MEMORY = '/dev/shm';
/** The type of tmpfs, of statfs(2). */
const TMPFS = 0x01021994;
const SUFFIX = '.journal';
/** An absolute path and a line feed, without which it was cut off. */
const OWNER = 'owner';
const ORPHAN_AGE_MS = 24 * 3_600_000;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export class Journals {
  readonly directory: string;
  readonly #storeId: string;
  readonly #dataDirectory: string;
  readonly #isInMemory: boolean;

  constructor(storeId: string, dataDirectory: string) {
    this.#storeId = storeId;
    this.#dataDirectory = resolve(dataDirectory);
    const memory = privateMemory(storeId);
    this.#isInMemory = memory !== undefined;
    this.directory = memory ?? join(dataDirectory, 'journal');
    makeDirectory(this.directory);
  }

  /** Makes a journal with room for `records`. Errors are the system's. */
  create(epoch: number, number: number, records: number): JournalFile {
    const path = this.#path(epoch, number);
    rmSync(path, { force: true });
    if (this.#isInMemory) {
      writeFileSync(join(this.directory, OWNER), `${this.#dataDirectory}\n`, { mode: 0o600 });
    }
    return createJournal(path, this.#identity(epoch, number), records);
  }

  /** What the store has not heard of; undefined if the journal cannot be trusted. */
  recover({ epoch, number, recorded }: LastJournal): readonly HandOut[] | undefined {
    return readJournal(this.#path(epoch, number), this.#identity(epoch, number), recorded);
  }

  /** When what it says is in the store. */
  removeOne(epoch: number, number: number): void {
    rmSync(this.#path(epoch, number), { force: true });
  }

  /** When what they say is in the store. */
  removeAll(): void {
    removeJournalsIn(this.directory);
  }

  /** With their directory: after a clean stop nothing is left in memory. */
  remove(): void {
    this.removeAll();
    rmSync(join(this.directory, OWNER), { force: true });
    rmdirSync(this.directory);
  }

  /** Those in memory that no store will ask for any more. */
  removeOrphans(): void {
    if (!this.#isInMemory) return;
    const base = dirname(this.directory);
    for (const name of readdirSync(base)) {
      const directory = join(base, name);
      try {
        if (directory === this.directory || !isOrphan(directory)) continue;
        // The owner last: what is left of a sweep that is cut off can be swept again.
        removeJournalsIn(directory);
        rmSync(join(directory, OWNER));
        rmdirSync(directory);
      } catch {
        // Another server sweeps too, or something is in there that is not ours.
      }
    }
  }

  #path(epoch: number, number: number): string {
    return join(this.directory, `${epoch}-${number}${SUFFIX}`);
  }

  #identity(epoch: number, number: number): JournalIdentity {
    return { storeId: this.#storeId, epoch, number, bootId: bootId() };
  }
}

/** For opening the store in `dataDirectory`. */
export function recoverIn(dataDirectory: string): Recover {
  return (last) => new Journals(last.storeId, dataDirectory).recover(last);
}

function removeJournalsIn(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.endsWith(SUFFIX)) rmSync(join(directory, name), { force: true });
  }
}

/**
 * Whether the data directory is gone and nothing was written for a day. One whose parent is gone
 * too may come back with its disk. Errors are the system's, as for a place that may not be looked at.
 */
function isOrphan(directory: string): boolean {
  const owner = readFileSync(join(directory, OWNER), 'utf8');
  const dataDirectory = owner.slice(0, -1);
  if (!owner.startsWith('/') || !owner.endsWith('\n') || isThere(dataDirectory)) return false;
  if (!isThere(dirname(dataDirectory))) return false;
  const times = readdirSync(directory).map((name) => lstatSync(join(directory, name)).mtimeMs);
  return Math.max(...times) < Date.now() - ORPHAN_AGE_MS;
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The store's own directory in memory, if it can be had for this user alone. */
function privateMemory(storeId: string): string | undefined {
  try {
    if (statfsSync(MEMORY).type !== TMPFS) return undefined;
    const base = join(MEMORY, `vanitypool-${process.getuid!()}`);
    const directory = join(base, storeId);
    for (const path of [base, directory]) {
      try {
        mkdirSync(path, { mode: 0o700 });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const stats = lstatSync(path);
      const isOurs = stats.isDirectory() && stats.uid === process.getuid!();
      if (!isOurs || (stats.mode & 0o077) !== 0) return undefined;
    }
    return directory;
  } catch {
    return undefined;
  }
}

/** '' where the system has none: then a journal is trusted by its store and epoch alone. */
function bootId(): string {
  try {
    return readFileSync(BOOT_ID, 'latin1').trim();
  } catch {
    return '';
  }
}
