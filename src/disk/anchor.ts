/**
 * The anchor of a store: an empty file beside the database whose name changes. Runs in the thread
 * that has the store open.
 *
 *   store.db-anchor-<32 hex digits>
 *
 * The database records the name of its anchor and the one before. After each commit that lets
 * something leave, the anchor is renamed to a new random name and the directory is synced; only
 * then does anything leave. An older state of the database that is put back, by any tool and with any inode,
 * records names that the anchor no longer has.
 *
 * A rename moves no data and needs no room on most disks. It is atomic: there is one anchor at
 * every moment, under one of the two names that the database records.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { syncDirectory } from './synced-writes.ts';

const INFIX = '-anchor-';
const NAME = /^[0-9a-f]{32}$/;

/** Of a store that was never opened: the first commit of its first start gives it another. */
export const FIRST_ANCHOR = '0'.repeat(32);
const RETIRED = 'f'.repeat(16);

/** Of a store that was moved to that place. No database records such a name. */
export function retiredAnchor(place: string): string {
  return `${RETIRED}${place}`;
}

export function isRetired(name: string): boolean {
  return name.startsWith(RETIRED);
}

export function newAnchorName(): string {
  return randomBytes(16).toString('hex');
}

export function anchorPath(storeFile: string, name: string): string {
  return `${storeFile}${INFIX}${name}`;
}

/** The names of all anchors that lie beside the database. Errors are the system's. */
export function anchorNames(storeFile: string): string[] {
  const prefix = `${basename(storeFile)}${INFIX}`;
  return readdirSync(dirname(storeFile))
    .filter((file) => file.startsWith(prefix))
    .map((file) => file.slice(prefix.length))
    .filter((name) => NAME.test(name));
}

/** Makes a new anchor. It is on disk when this returns. Errors are the system's. */
export function makeAnchor(storeFile: string, name: string): void {
  closeSync(openSync(anchorPath(storeFile, name), 'wx', 0o600));
  syncDirectory(dirname(storeFile));
}

/** Removes all anchors, and makes a new one in their place. Errors are the system's. */
export function replaceAnchors(storeFile: string, name: string): void {
  for (const old of anchorNames(storeFile)) rmSync(anchorPath(storeFile, old));
  makeAnchor(storeFile, name);
}

/** Gives the anchor the name of a store that was moved to `place`; on disk when this returns. Errors are the system's. */
export function retireAnchor(storeFile: string, place: string): void {
  const [name, ...more] = anchorNames(storeFile);
  const retired = retiredAnchor(place);
  if (more.length > 0 || name === retired) return; // it is refused as it is
  if (name === undefined) makeAnchor(storeFile, retired);
  else {
    renameSync(anchorPath(storeFile, name), anchorPath(storeFile, retired));
    syncDirectory(dirname(storeFile));
  }
}

/** The anchor of a store that is open. */
export class Anchor implements Disposable {
  readonly #storeFile: string;
  readonly #directory: number | undefined;
  #name: string;
  #isSynced = true;

  /** One that exists. Errors are the system's. */
  constructor(storeFile: string, name: string) {
    this.#storeFile = storeFile;
    this.#name = name;
    const flags = constants.O_RDONLY;
    // Windows cannot sync a directory, and need not.
    this.#directory =
      process.platform === 'win32' ? undefined : openSync(dirname(storeFile), flags);
  }

  /** As it is now, whatever the database records. */
  get name(): string {
    return this.#name;
  }

  /** Whether it is certain to have that name after a power loss. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Gives it this name; on disk when this returns. May be tried again. Errors are the system's. */
  rename(name: string): void {
    if (name !== this.#name) {
      renameSync(anchorPath(this.#storeFile, this.#name), anchorPath(this.#storeFile, name));
      this.#name = name;
      this.#isSynced = false;
    }
    if (this.#isSynced) return;
    if (this.#directory !== undefined) fsyncSync(this.#directory);
    this.#isSynced = true;
  }

  [Symbol.dispose](): void {
    if (this.#directory !== undefined) closeSync(this.#directory);
  }
}
