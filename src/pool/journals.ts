/**
 * Where the dispense journals of an epoch lie, and what they say after a crash. Runs in the thread
 * that opens the store.
 *
 * They lie in memory: /dev/shm/vanitypool-<uid>/<store id>/, for this user alone; where there is
 * no such place, in the data directory. Those of one pool are trusted together or not at all: every
 * one that the store knows of has to be there, of this store, this epoch, and this start of the
 * machine.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../files.ts';
import type { HandOut, LastJournal, Recover } from '../store/store.ts';
import { createJournal, type JournalFile, type JournalIdentity, readJournal } from './journal.ts';

const MEMORY = '/dev/shm';
/** The type of tmpfs, of statfs(2). */
const TMPFS = 0x01021994;
const SUFFIX = '.journal';
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export class Journals {
  readonly directory: string;
  readonly #storeId: string;

  constructor(storeId: string, dataDirectory: string) {
    this.#storeId = storeId;
    this.directory = privateMemory(storeId) ?? join(dataDirectory, 'journal');
    makeDirectory(this.directory);
  }

  /** Makes a journal with room for `records`. Errors are the system's. */
  create(epoch: number, number: number, records: number): JournalFile {
    const path = this.#path(epoch, number);
    rmSync(path, { force: true });
    return createJournal(path, this.#identity(epoch, number), records);
  }

  /** What the store has not heard of; undefined if the journal cannot be trusted. */
  recover({ epoch, number, recorded }: LastJournal): readonly HandOut[] | undefined {
    const records = readJournal(this.#path(epoch, number), this.#identity(epoch, number));
    return records?.filter(({ sequence }) => sequence >= recorded);
  }

  /** When what they say is in the store. */
  removeAll(): void {
    for (const name of readdirSync(this.directory)) {
      if (name.endsWith(SUFFIX)) rmSync(join(this.directory, name), { force: true });
    }
  }

  /** With their directory: after a clean stop nothing is left in memory. */
  remove(): void {
    this.removeAll();
    rmdirSync(this.directory);
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
