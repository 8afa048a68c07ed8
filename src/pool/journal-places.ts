/**
 * Where dispense journals may lie, and what outlives what there. Runs in the thread that opens the
 * store.
 *
 *   in memory   /dev/shm/vanitypool-<uid>/<store id>-<place>/, for this user alone. tmpfs: it ends
 *               with the machine, or with the container that it was made for
 *   on disk     <data>/journal/. Written pages outlive the process and its container in the page
 *               cache, and a power loss at random: they are believed only if the boot id says that
 *               the machine did not restart
 *
 * `place` names the database file, wherever it is moved: the journals of a store are found by
 * nobody but the owner of that file. The server that writes journals locks their directory for its
 * life, and who reads, overwrites or removes them locks it first.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import type { JournalSetting } from '../config/config.ts';
import { type LockFile, takeLockFile } from '../disk/lock-file.ts';
import { VanityError } from '../errors.ts';
import { bootId } from '../system/boot-id.ts';
import { isPartName } from './journal-parts.ts';

/** The type of tmpfs, of statfs(2). */
const TMPFS = 0x01021994;
/** Inode numbers that Linux gives the namespaces of its start, and no others (proc_ns.h). */
const HOST_NAMESPACES = { pid: 4026531836, ipc: 4026531839 } as const;
/** The lock of a directory, which is no part and says nothing of its age. */
export const LOCK = 'lock';
type Namespace = keyof typeof HOST_NAMESPACES;

/** What this machine says of itself. */
export interface Machine {
  /** Where memory-backed storage is, if there is any. */
  readonly memory: string;
  /** Of the machine's start; undefined where the system has none. */
  bootId(): string | undefined;
  /** Inode number of a namespace of this process; undefined where the system has none. */
  namespace(kind: Namespace): number | undefined;
}

export const THIS_MACHINE: Machine = {
  memory: '/dev/shm',
  bootId,
  namespace(kind) {
    try {
      return statSync(`/proc/self/ns/${kind}`).ino;
    } catch {
      return undefined;
    }
  },
};

export interface Choice {
  readonly isMemory: boolean;
  /** For people. */
  readonly reason: string;
}

/** Where the journals of a run go. Error: CONFIG_INVALID. */
export function choosePlace(setting: JournalSetting, machine: Machine): Choice {
  if (setting === 'data') return { isMemory: false, reason: 'store.journal is "data"' };
  const fault = faultOfMemory(machine);
  if (setting === 'memory') {
    if (fault === undefined) return { isMemory: true, reason: 'store.journal is "memory"' };
    const message = `store.journal: "memory" cannot be had: ${fault}; allowed here: "auto" or "data"`;
    throw new VanityError('CONFIG_INVALID', message);
  }
  if (fault !== undefined) return { isMemory: false, reason: fault };
  for (const [kind, inode] of Object.entries(HOST_NAMESPACES)) {
    if (machine.namespace(kind as Namespace) === inode) continue;
    const reason = `not in the ${kind.toUpperCase()} namespace of the host: ${machine.memory} may end with a container`;
    return { isMemory: false, reason };
  }
  return { isMemory: true, reason: `${machine.memory} outlives this process` };
}

/** Of all stores of this user. */
export function memoryBase({ memory }: Machine): string {
  return join(memory, `vanitypool-${process.getuid!()}`);
}

/** The directory of one store in memory, which need not exist. */
export function memoryPath(machine: Machine, storeId: string, place: string): string {
  return join(memoryBase(machine), `${storeId}-${place}`);
}

/** Whether it is a directory of this user alone, and no link to one. */
export function isPrivate(path: string): boolean {
  try {
    const stats = lstatSync(path);
    return stats.isDirectory() && stats.uid === process.getuid!() && (stats.mode & 0o077) === 0;
  } catch {
    return false; // it is not there, or may not be looked at
  }
}

/** Whether there is memory-backed storage at all. */
export function hasMemory({ memory }: Machine): boolean {
  try {
    return statfsSync(memory).type === TMPFS;
  } catch {
    return false;
  }
}

/** Makes a directory in memory, for this user alone. Errors are the system's, and one of ours. */
export function makePrivate(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (!isPrivate(path)) throw new Error(`${path} is not of this user alone`);
}

function stampOf(path: string, withTime: boolean): string {
  try {
    const { dev, ino, mode, uid, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
    return [dev, ino, mode, uid, ...(withTime ? [mtimeNs, ctimeNs] : [])].join('-');
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** Why this user can have no directory in memory; undefined if he can. */
function faultOfMemory(machine: Machine): string | undefined {
  if (!hasMemory(machine)) return `${machine.memory} is no memory-backed storage (tmpfs)`;
  try {
    makePrivate(memoryBase(machine));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A directory with the journals of one store, and the lock of their owner. */
export class JournalDirectory implements Disposable {
  readonly path: string;
  readonly #base: string | undefined;
  #lock: LockFile | undefined;

  /** One in memory is below a `base`: anybody could have made what is there. */
  constructor(path: string, base?: string) {
    this.path = path;
    this.#base = base;
  }

  /** Whether it is there; one in memory that is not of this user alone, or a link, is not. */
  get exists(): boolean {
    if (this.#base !== undefined) return isPrivate(this.#base) && isPrivate(this.path);
    return statSync(this.path, { throwIfNoEntry: false })?.isDirectory() === true;
  }

  /** Another one than before if a file in it was removed or replaced, or the directory was. */
  get stamp(): string {
    // Other stores come and go in the base: its time says nothing of this one.
    const base = this.#base === undefined ? '' : stampOf(this.#base, false);
    return `${base} ${stampOf(this.path, true)}`;
  }

  /**
   * Takes the directory, which exists, until it is disposed of; false if another process, or
   * another owner in this one, has it. Errors are the system's.
   */
  hold(): boolean {
    if (this.isHeld) return true;
    const lock = takeLockFile(join(this.path, LOCK));
    if (lock === undefined) return false;
    this[Symbol.dispose]();
    this.#lock = lock;
    return true;
  }

  /** Whether nobody else can take it: not any more when its lock was removed. */
  get isHeld(): boolean {
    return this.#lock?.isNamed === true;
  }

  /** Whether it was taken, and its lock removed since. */
  get isLockLost(): boolean {
    return this.#lock?.isNamed === false;
  }

  /** Of all runs. Only while it is held. */
  removeParts(): void {
    for (const name of readdirSync(this.path)) {
      if (isPartName(name)) rmSync(join(this.path, name), { force: true });
    }
  }

  /**
   * With `others`, its lock and itself, unless there is something in it that is not ours; then it
   * is held no longer. For memory alone: see lock-file.ts. Errors are the system's.
   */
  removeAll(...others: readonly string[]): void {
    try {
      this.removeParts();
      for (const name of others) rmSync(join(this.path, name), { force: true });
      rmSync(join(this.path, LOCK), { force: true });
      rmdirSync(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    } finally {
      this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }
}
