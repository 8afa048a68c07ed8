/**
 * Whether a store is the one that it was when something last left it: an older state of its files,
 * a copy, a backup, and mixes of them are refused, for addresses may have left since. Runs in the
 * thread that opens the store, before it is opened for writing: a start that refuses changes no
 * byte. On overlayfs it first copies a file of a lower layer up, with the same bytes; the identity
 * that is compared is that of the new file.
 *
 * What each check detects (SECURITY.md, "What a store detects"):
 *
 *   database and anchor, by inode, time of birth, generation   a copy of the directory, or of a file
 *   name of the anchor                         an older state in the same file, the log included
 *   file not behind what its log builds on     an old database under a newer log
 *   log not behind the file                    an old log over a newer database
 *   witness outside the directory not ahead    the whole directory rolled back in its place; moved away
 *
 * Not recognised: a volume or machine that is rolled back or cloned with its witness.
 */
import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import type { Config } from '../../config/config.ts';
import { anchorNames, anchorPath, FIRST_ANCHOR, isRetired } from '../../disk/anchor.ts';
import { assertOwnFile } from '../../disk/file-guard.ts';
import {
  canTellCopies,
  comparable,
  type FileIdentity,
  formatIdentity,
  isSameFile,
  ownIdentityOf,
  parseIdentity,
} from '../../disk/identity.ts';
import { placeName } from '../../disk/place.ts';
import { readWitness, witnessPath } from '../../disk/witness.ts';
import { VanityError } from '../../errors.ts';
import { isHalfMade, versionOf } from './database.ts';
import { changeError, decided } from './error.ts';
import { assertHere } from './moved.ts';
import { readAlone, readWithoutLog } from './read-alone.ts';

/** What a backup has for the name of its anchor, and for its place. */
export const BACKUP = 'backup';

/** What a database records of itself. */
export interface Recorded {
  readonly storeId: string;
  /** Null until the first start, as the three below. */
  readonly place: string | null;
  /** Of one that was moved to PostgreSQL where it went (moved.ts). */
  readonly anchor: string | null;
  readonly before: string | null;
  readonly anchorFile: string | null;
  readonly number: number;
  readonly logged: number;
}

export interface StandingOptions {
  /** 'guarded' if not given. */
  readonly copies?: Config['store']['copies'] | undefined;
  /** The directory of witnesses, if there is one. */
  readonly witness?: string | undefined;
  /** Of the database file, open for reading and writing; without it the file is opened for a moment. */
  readonly descriptor?: number | undefined;
}

/** What the files of a store are found to be. */
export interface Standing {
  /** What distinguishes the database file, for the store to record. */
  readonly place: string;
  /** The name of the anchor; undefined if there is none yet. */
  readonly anchor: string | undefined;
  /** What is in the log is in the database, too: the log may begin anew with the next transaction. */
  readonly isInFile: boolean;
}

/**
 * Finds out whether the store may be opened. Nobody may have it open, this process included.
 * Errors: DATA_MOVED, CONFIG_INVALID where copies cannot be recognised, those of opening to read;
 * DATA_NOT_WRITABLE and DISK_FULL where a file cannot be opened for writing.
 */
export function assertStanding(
  storeFile: string,
  { copies = 'guarded', witness, descriptor }: StandingOptions,
): Standing {
  const isGuarded = copies === 'guarded';
  const found = identityFound(storeFile, descriptor);
  const here = formatIdentity(found);
  if (isGuarded && !canTellCopies(found)) throw cannotTell(storeFile);
  const names = anchorNames(storeFile);
  const whole = recordedIn(storeFile, 'with-log');
  if (whole === undefined) {
    // What is left of a store whose database is gone keeps no new one from being made.
    const anchor = names.find((name) => name === FIRST_ANCHOR);
    return { place: here, anchor, isInFile: false };
  }
  if (whole.anchor === BACKUP) throw isBackup(storeFile);
  assertHere(storeFile, whole.anchor);
  if (whole.place !== null && !isOriginal(whole.place, found, isGuarded)) {
    throw moved(storeFile, 'this store was copied or moved');
  }
  const anchor = assertAnchor(storeFile, whole, names, isGuarded);
  const file = numberInFile(storeFile);
  const mixed = mixOf(whole, file);
  if (mixed !== undefined) throw moved(storeFile, `${mixed}: one of them was put back`);
  // One that was not opened yet may be what was put back over a store that was.
  const place = whole.place ?? here;
  if (witness !== undefined) assertWitness(storeFile, { ...whole, place }, witness);
  const isInFile = file === whole.number;
  // A run that was killed has left pages to the system that a power loss would take back.
  if (isInFile) syncFile(storeFile, descriptor);
  return { place: here, anchor, isInFile };
}

function syncFile(path: string, descriptor: number | undefined): void {
  const file = descriptor ?? openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    if (descriptor === undefined) closeSync(file);
  }
}

/** Errors: DATA_NOT_WRITABLE, DISK_FULL, STORE_UNAVAILABLE. */
function identityFound(path: string, descriptor?: number): FileIdentity {
  try {
    return ownIdentityOf(path, descriptor);
  } catch (cause) {
    throw changeError(cause, path);
  }
}

/** `isGuarded`: what is known of both has to distinguish a copy. */
function isOriginal(recorded: string, found: FileIdentity, isGuarded: boolean): boolean {
  const known = parseIdentity(recorded);
  if (known === undefined || !isSameFile(known, found)) return false;
  return !isGuarded || canTellCopies(comparable(known, found));
}

function cannotTell(storeFile: string): VanityError {
  const why =
    'this file system gives a file no time of birth and no generation, by which a copy of the ' +
    'store could be distinguished from it';
  const remedy =
    'name a directory on another one, or, if you take care that no copy is ever served: ' +
    'store.copies = "unguarded"';
  return new VanityError('CONFIG_INVALID', `store.copies: ${storeFile}: ${why}; ${remedy}`);
}

/**
 * Undefined for a file that is no store yet. Nobody may have it open. Errors: those of opening to read,
 * STORE_CORRUPT, STORE_UNAVAILABLE.
 */
export function recordedIn(
  storeFile: string,
  view: 'with-log' | 'without-log',
): Recorded | undefined {
  const open = view === 'with-log' ? readAlone : readWithoutLog;
  return decided(storeFile, 'opening', () => {
    if (statSync(storeFile).size === 0 || isHalfMade(storeFile)) return undefined;
    return open(storeFile, (db) => recordedOf(db, storeFile));
  });
}

/** `db` as of any schema. Errors: STORE_FOREIGN, STORE_NEWER. */
export function recordedOf(db: DatabaseSync, storeFile: string): Recorded | undefined {
  const version = versionOf(db, storeFile);
  if (version === 0) return undefined;
  const added =
    version === 1
      ? 'NULL AS anchor, NULL AS before, NULL AS anchorFile, 0 AS number, 0 AS logged'
      : 'anchor, anchor_before AS before, anchor_file AS anchorFile, number, logged';
  const row = db.prepare(`SELECT store_id AS storeId, place, ${added} FROM meta`).get();
  return row as unknown as Recorded;
}

/** The number that the file shows without its log. Errors: those of opening to read. */
export function numberInFile(storeFile: string): number {
  return recordedIn(storeFile, 'without-log')?.number ?? 0;
}

/**
 * Why a database and its log are not of one store at one moment; undefined if they are. `file` is
 * the number that the database shows without the log.
 */
export function mixOf({ number, logged }: Recorded, file: number): string | undefined {
  if (file < logged) return 'the database is older than what its log (store.db-wal) continues';
  if (number < file) return 'the log (store.db-wal) is older than its database';
  return undefined;
}

function assertAnchor(
  storeFile: string,
  { anchor, before, anchorFile }: Recorded,
  names: readonly string[],
  isGuarded: boolean,
): string | undefined {
  const accepted = anchor === null ? [FIRST_ANCHOR] : [anchor, before];
  const [name, ...more] = names;
  if (name !== undefined && isRetired(name)) {
    throw moved(storeFile, 'this store was moved away by "vanitypool adopt --moved --from"');
  }
  if (name === undefined && anchor === null) return undefined;
  if (name === undefined) {
    throw moved(storeFile, `its anchor (${anchorPath(storeFile, anchor!)}) is missing`);
  }
  const isOurs = more.length === 0 && accepted.includes(name);
  if (!isOurs) throw moved(storeFile, 'it is an older state of the store, put back');
  const path = anchorPath(storeFile, name);
  assertOwnFile(path);
  if (anchorFile !== null && !isOriginal(anchorFile, identityFound(path), isGuarded)) {
    throw moved(storeFile, `its anchor (${path}) is a copy`);
  }
  return name;
}

function assertWitness(
  storeFile: string,
  { storeId, place, number }: Recorded & { readonly place: string },
  directory: string,
): void {
  const path = witnessPath(directory, storeId, placeName(place));
  const testimony = readWitness(path);
  if (testimony?.isMoved) {
    throw moved(storeFile, 'this store was moved away by "vanitypool adopt --moved"');
  }
  if (testimony !== undefined && testimony.number > number) {
    throw moved(storeFile, `it is older than what has left it (witness: ${path})`);
  }
}

function moved(storeFile: string, why: string): VanityError {
  const message =
    `${storeFile}: ${why}, and addresses may have left it elsewhere or since. ` +
    'If it was moved and nothing serves the old one: vanitypool adopt --moved. ' +
    'If it is a copy, or was put back: vanitypool adopt --restored (burns what was available)';
  return new VanityError('DATA_MOVED', message);
}

/** A backup that lies where a store should. */
export function isBackup(storeFile: string): VanityError {
  const remedy = 'move it away, and make a store of it: vanitypool restore FILE';
  return new VanityError('DATA_MOVED', `${storeFile}: this is a backup; ${remedy}`);
}
