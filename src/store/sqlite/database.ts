/**
 * Opening the database file of a store: what it must be, its settings, its schema. A store says
 * what it is by its application id, and how new it is by its user version: the number of the last
 * migration that it went through. Runs in the store thread, while the data directory is held.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { triedAgain } from '../../disk/reads.ts';
import { VanityError } from '../../errors.ts';
import { mayPass, storeError } from './error.ts';
import { assertReadHere } from './moved.ts';
import { CHECKPOINT_PAGES } from './write-ahead-log.ts';

/** 'VPOL', in the header of the file. */
const APPLICATION_ID = 0x56504f4c;
const MIGRATIONS = new URL('./migrations/', import.meta.url);

/** For a program that looks at the file for a moment; the store thread stands still meanwhile. */
export const BUSY_TIMEOUT_MS = 250;

/** A rollback journal, as sqlite.org/fileformat2.html has it. A store has one only while it is made. */
const JOURNAL_MAGIC = 'd9d505f920a163d7';
const JOURNAL_HEADER_BYTES = 28;
const PAGES_BEFORE_AT = 16;

const SETTINGS = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA foreign_keys = ON;
  PRAGMA secure_delete = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA temp_store = MEMORY;
  PRAGMA wal_autocheckpoint = 0;
  PRAGMA journal_size_limit = ${CHECKPOINT_PAGES * 4096};
`;

export interface OpenOptions {
  /**
   * For where the database file has no lock of ours (../disk/file-lock.ts): SQLite itself keeps every
   * other process out, lookers too, until this connection is closed. Threads of this process may
   * still open it. It holds only while nothing else in the process opens and closes the file.
   */
  readonly exclusiveProcess?: boolean;
}

/**
 * Opens the store in the file at `path`; an empty file becomes a store. Nothing is written to any
 * other. Errors: STORE_FOREIGN, STORE_NEWER, those of SQLite.
 */
export function openDatabase(path: string, options: OpenOptions = {}): DatabaseSync {
  const file = options.exclusiveProcess ? exclusiveFile(path) : path;
  const again = <T>(work: () => T): T =>
    triedAgain(work, (error) => mayPass(storeError(error, path, 'opening')));
  const db = again(() => new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS }));
  try {
    // On the same connection: to close it takes what is in the log into the file.
    const version = again(() => versionOf(db, path));
    db.exec(SETTINGS);
    migrate(db, version);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Runs `work` in a write transaction, rolled back whole if it throws. `onCommit` hears how many
 * milliseconds it took from its begin until it is on disk.
 */
export function transaction<T>(
  db: DatabaseSync,
  work: () => T,
  onCommit?: (ms: number) => void,
): T {
  const began = performance.now();
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    onCommit?.(performance.now() - began);
    return result;
  } catch (error) {
    // Some failures, a full disk among them, have rolled back already.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Every statement of a table of SQL, prepared, under its name. */
export function prepareAll<T extends Readonly<Record<string, string>>>(
  db: DatabaseSync,
  sql: T,
): { readonly [name in keyof T]: StatementSync } {
  const prepared = Object.entries(sql).map(([name, text]) => [name, db.prepare(text)]);
  return Object.fromEntries(prepared);
}

/**
 * Opens a store that is only looked at. One `isAtRest` is written by nobody: it is taken as the
 * file has it, and no file appears beside it. Errors as of `openDatabase`, and DATA_MOVED; an empty file is foreign.
 */
export function openToRead(path: string, isAtRest = !existsSync(`${path}-wal`)): DatabaseSync {
  const file = pathToFileURL(path);
  if (isAtRest) file.searchParams.set('immutable', '1');
  const db = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, readOnly: true });
  try {
    const version = versionOf(db, path);
    if (version === 0) throw new VanityError('STORE_FOREIGN', `${path}: an empty database`);
    // The first schema had no anchors.
    if (version > 1) assertReadHere(db, path);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Whether the first transaction of the file was cut off: its journal says that the file was empty, and the
 * next opening for writing makes it so again. Until then SQLite refuses to read it.
 */
export function isHalfMade(path: string): boolean {
  const journal = `${path}-journal`;
  if (!existsSync(journal)) return false;
  const header = Buffer.alloc(JOURNAL_HEADER_BYTES);
  const file = openSync(journal, 'r');
  try {
    if (readSync(file, header, 0, header.length, 0) < header.length) return false;
  } finally {
    closeSync(file);
  }
  return (
    header.toString('hex', 0, 8) === JOURNAL_MAGIC && header.readUInt32BE(PAGES_BEFORE_AT) === 0
  );
}

/** `locking_mode = EXCLUSIVE` would shut out other threads of this process as well. */
function exclusiveFile(path: string): URL {
  const file = pathToFileURL(path);
  // Windows has no such variant, and deletes no file that is open, as the lock file is.
  if (process.platform !== 'win32') file.searchParams.set('vfs', 'unix-excl');
  return file;
}

function newer(path: string, version: number, known: number): VanityError {
  const message = `${path}: schema ${version}; this version of vanitypool knows schemas up to ${known}; install a newer one`;
  return new VanityError('STORE_NEWER', message);
}

/**
 * The schema of a store; 0 for an empty database. Errors: STORE_FOREIGN, STORE_NEWER, those of SQLite.
 */
export function versionOf(db: DatabaseSync, path: string): number {
  const applicationId = pragma(db, 'application_id');
  const isEmpty = db.prepare('SELECT 1 FROM sqlite_schema').get() === undefined;
  if (applicationId !== APPLICATION_ID && !(applicationId === 0 && isEmpty)) {
    throw new VanityError('STORE_FOREIGN', `${path}: a database, but not a vanitypool store`);
  }
  const version = pragma(db, 'user_version');
  const known = readdirSync(MIGRATIONS).length;
  if (version > known) throw newer(path, version, known);
  return version;
}

/** Whether the schema of a store is the one of this version. Errors as of `versionOf`. */
export function isNewest(db: DatabaseSync, path: string): boolean {
  return versionOf(db, path) === readdirSync(MIGRATIONS).length;
}

/** Each migration is one transaction. Only migrations may change the text of the schema. */
function migrate(db: DatabaseSync, version: number): void {
  const migrations = readdirSync(MIGRATIONS).sort();
  if (version === migrations.length) return;
  // A Node.js that lacks the call lets everybody.
  db.enableDefensive?.(false);
  for (const [index, name] of migrations.entries()) {
    if (index < version) continue;
    transaction(db, () => {
      db.exec(readFileSync(new URL(name, MIGRATIONS), 'utf8'));
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}`);
    });
  }
  db.enableDefensive?.(true);
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
