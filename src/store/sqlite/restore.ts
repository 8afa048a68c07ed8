/**
 * A store made out of a backup, in a data directory that has none. Runs in the thread that calls it.
 *
 * A backup does not know what left after it was taken. So all that it holds as available, leased or
 * reserved is burned, unless a complete list of what left says which of it did not (listed.ts).
 * Nor does it know what was revoked and signed: tokens are off, and what was dispensed signs no more,
 * unless the list says otherwise. History stays, and ids and epochs go on above all that can have been given (place.ts).
 *
 * All or nothing: the store is made as `store.db.restoring` under the lock of the directory,
 * checked, and renamed last. Whatever ends this before leaves no store, and the next one clears up.
 */
import { renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { anchorNames, anchorPath } from '../../disk/anchor.ts';
import { ownIdentityOf } from '../../disk/identity.ts';
import { isRefusal } from '../../disk/reads.ts';
import { syncDirectory } from '../../disk/synced-writes.ts';
import { VanityError } from '../../errors.ts';
import { sealingKeyId } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, wrongKey } from '../../keypair/sealing-key-files.ts';
import { readList } from '../dispensed-list.ts';
import { OwnClock, type Time } from '../own-clock.ts';
import { assertBackup, copyBackup } from './backup-file.ts';
import { type BoundRows, bindingOf } from './bound-rows.ts';
import { checkFile } from './check-runner.ts';
import { holdWithoutStore } from './data-directory.ts';
import { openDatabase, openToRead, transaction } from './database.ts';
import { decided, isDoubtful, refused, storeError, undoubted } from './error.ts';
import { assertListOf, Listed } from './listed.ts';
import { assertClock, burnAll, distrust, skipAhead, takePlace, tokensOff } from './place.ts';
import { sealingKeyOf } from './sealing.ts';
import { poolRows, prepareStatements } from './statements.ts';

/** Files of SQLite, by what they add to the name of the database. */
const ENDINGS = ['', '-wal', '-shm', '-journal'];

export interface RestoreOptions {
  /** The backup. */
  readonly file: string;
  readonly directory: string;
  /** 'file:PATH' or 'env:NAME'. */
  readonly sealingKey: string;
  /** What left the lost store: a file of `vanitypool audit --json`. */
  readonly list?: string | undefined;
  /** Also by a clock that is behind the backup. */
  readonly ignoreClock?: boolean | undefined;
  /** The system's if not given. */
  readonly time?: Time;
  /** Called with the tokens and pools of an older version's store, which are taken as they are. */
  readonly onBound?: (rows: readonly string[]) => void;
  /** Ends it; then it rejects with the signal's reason, and no store is there. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of the addresses of one pool. */
export interface RestoredPool {
  /** By the list; 0 without one. */
  readonly dispensed: number;
  /** By the list; without one all that was not dispensed or burned before. */
  readonly burned: number;
  readonly available: number;
  /** Lines of the list about addresses that the backup does not have. */
  readonly unknown: number;
}

export interface Restored {
  readonly storeId: string;
  /** The names of tokens that are off until they are switched on. */
  readonly tokensOff: readonly string[];
  readonly pools: Readonly<Record<string, RestoredPool>>;
}

/**
 * Errors: STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_CORRUPT for what `file` is;
 * STORE_UNAVAILABLE for a disk that refuses; SEALING_KEY_INVALID; CLOCK_BEHIND; FILE_EXISTS for a
 * directory with a store; LIST_INVALID; those of taking a
 * data directory.
 */
export async function restoreStore(options: RestoreOptions): Promise<Restored> {
  const { file, directory, signal } = options;
  const meta = await lookAt(file);
  await assertSealingKey(meta, options);
  using held = holdWithoutStore(directory);
  const { storeFile } = held;
  assertNoStore(storeFile, directory);
  const made = `${storeFile}.restoring`;
  remove(made);
  try {
    await copyBackup(file, made, signal);
    const built = await build(made, options, meta);
    await checkFile(made, signal);
    for (const name of anchorNames(storeFile)) rmSync(anchorPath(storeFile, name));
    renameSync(made, storeFile);
    syncDirectory(dirname(storeFile));
    return { storeId: meta.store_id, ...built };
  } catch (cause) {
    remove(made);
    throw directoryError(cause, directory, made);
  }
}

interface Meta {
  readonly store_id: string;
  readonly sealing_key: Uint8Array | null;
  readonly epoch: number;
  /** Whether a data key is sealed to the sealing key, or a token was made. */
  readonly is_sealed: 0 | 1;
}

/** What the backup is of. */
async function lookAt(file: string): Promise<Meta> {
  try {
    await assertBackup(file);
    return decided(file, 'opening', () => {
      using db = openToRead(file, true);
      // Every schema has these.
      const meta = db.prepare(`SELECT store_id, sealing_key, epoch,
        EXISTS (SELECT 1 FROM data_keys) OR EXISTS (SELECT 1 FROM tokens) AS is_sealed FROM meta`);
      return meta.get() as unknown as Meta;
    });
  } catch (cause) {
    const { code, message, syscall } = cause as NodeJS.ErrnoException;
    if (syscall === undefined) throw storeError(cause, file, 'opening');
    if (code === 'ENOENT')
      throw new VanityError('STORE_NOT_FOUND', `${file}: there is no such file`);
    if (isRefusal(cause)) throw refused(file, `cannot be read: ${message}`, cause);
    throw new VanityError('STORE_FOREIGN', `${file}: cannot be read: ${message}`, { cause });
  }
}

async function assertSealingKey(
  { sealing_key, is_sealed }: Meta,
  { file, sealingKey }: RestoreOptions,
): Promise<void> {
  const { key } = await findSealingKey(sealingKey, sealing_key);
  if (is_sealed === 0 || (key !== undefined && isKey(key, sealing_key))) return;
  const fault =
    key === undefined
      ? 'missing'
      : `not the key that the backup is sealed with (${wrongKey(sealingKey, key, sealing_key)})`;
  const id = sealing_key === null ? '' : ` (id ${sealingKeyId(sealing_key)})`;
  const message =
    `${sealingKey}: ${fault}; ${file} cannot be read without that key${id}: put your copy of it there ` +
    '(mode 0600), or name its place as store.sealing_key; then restore again';
  throw new VanityError('SEALING_KEY_INVALID', message);
}

/** Not a log either: it would be taken for that of the new database. */
function assertNoStore(storeFile: string, directory: string): void {
  const isThere = ENDINGS.some(
    (ending) => (statSync(storeFile + ending, { throwIfNoEntry: false })?.size ?? 0) > 0,
  );
  if (!isThere) return;
  const remedy = `move it away, and keep it: mkdir ${directory}.old && mv ${storeFile}* ${directory}.old`;
  throw new VanityError('FILE_EXISTS', `${storeFile}: a store is there already; ${remedy}`);
}

async function build(
  made: string,
  { list, sealingKey, signal, ignoreClock, time, onBound }: RestoreOptions,
  meta: Meta,
): Promise<Omit<Restored, 'storeId'>> {
  const identity = ownIdentityOf(made);
  using db = openDatabase(made);
  takePlace(db, identity);
  const { now } = new OwnClock(undefined, time);
  assertClock(db, now, ignoreClock);
  const found = await bindingOf(db, await sealingKeyOf(db, sealingKey));
  let bound: readonly string[] = [];
  const binding = {
    ...found,
    apply() {
      bound = found.apply();
    },
  };
  const pools =
    list === undefined
      ? transaction(db, () => giveUp(db, binding, now))
      : await apply(db, binding, { path: list, meta, now, signal });
  // Whole in one file: what stays in the log would be lost with the name.
  const { busy } = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()!;
  if (busy !== 0) throw new VanityError('STORE_LOCKED', `${made}: another program holds it`);
  if (bound.length > 0) onBound?.(bound);
  return { pools, tokensOff: tokensOff(db) };
}

interface Bound {
  readonly rows: BoundRows;
  apply(): void;
}

/** Without a list nobody knows which of them left. */
function giveUp(db: DatabaseSync, binding: Bound, now: number): Record<string, RestoredPool> {
  binding.apply();
  skipAhead(db, binding.rows, now);
  const burned = Object.entries(burnAll(db, now));
  distrust(db, binding.rows, now);
  return Object.fromEntries(
    burned.map(([pool, count]) => [
      pool,
      { dispensed: 0, burned: count, available: 0, unknown: 0 },
    ]),
  );
}

/** In one transaction, which an error leaves open: the file is removed then. */
async function apply(
  db: DatabaseSync,
  binding: Bound,
  {
    path,
    meta,
    now,
    signal,
  }: { path: string; meta: Meta; now: number; signal: AbortSignal | undefined },
): Promise<Record<string, RestoredPool>> {
  db.exec('BEGIN IMMEDIATE');
  binding.apply();
  distrust(db, binding.rows, now);
  const listed = new Listed(db, path, binding.rows, now);
  const list = await readList(path, listed, signal);
  assertListOf(path, list, meta);
  const changed = listed.end();
  const { epoch, highestId: id, highestToken: token } = list;
  skipAhead(db, binding.rows, now, { epoch, id, token });
  const rows = poolRows(prepareStatements(db));
  db.exec('COMMIT');
  const available = new Map(rows.map(({ name, available }) => [name, available]));
  const names = new Set([...available.keys(), ...changed.keys()]);
  const none = { dispensed: 0, burned: 0, unknown: 0 };
  return Object.fromEntries(
    [...names].map((name) => [
      name,
      { ...none, ...changed.get(name), available: available.get(name) ?? 0 },
    ]),
  );
}

function remove(path: string): void {
  for (const ending of ENDINGS) rmSync(path + ending, { force: true });
}

function directoryError(cause: unknown, directory: string, made: string): unknown {
  const { code, message, syscall } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new VanityError('DISK_FULL', `${directory}: the disk is full`, { cause });
  }
  if (syscall === undefined) {
    const error = storeError(cause, made, 'opening');
    // It was the backup, byte for byte.
    return isDoubtful(error) ? undoubted(error) : error;
  }
  return new VanityError('DATA_NOT_WRITABLE', `${directory}: ${message}`, { cause });
}
