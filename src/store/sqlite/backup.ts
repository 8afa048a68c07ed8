/**
 * A backup of the store, while a server may hold it and write at full speed. Runs in the thread
 * that calls it; SQLite copies in threads of the system's pool.
 *
 * All pages are read in one read transaction: without it the copy began anew at each commit of the
 * server, and with 300 of them a second never ended. VACUUM INTO gives the same in one
 * statement that nothing can interrupt, and takes 1.6 times as long (0.65 s for a million addresses).
 * What the server writes meanwhile waits in its write-ahead log, which grows by as much.
 *
 * The file is complete or absent: it is made beside its name as `<name>.<random>.partial`, mode
 * 0600 from the start, checked, and gets its name last. What a kill leaves is refused as a backup.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, linkSync, openSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { backup } from 'node:sqlite';
import { triedAgainLater } from '../../disk/reads.ts';
import { syncDirectory } from '../../disk/synced-writes.ts';
import { VanityError } from '../../errors.ts';
import { sealingKeyId } from '../../keypair/sealing-key.ts';
import { assertWholeBackup, completeBackup } from './backup-file.ts';
import { checkFile, judgedInUse } from './check-runner.ts';
import { storeFileOf } from './data-directory.ts';
import { openDatabase, openToRead } from './database.ts';
import { isWriteError, mayPass, storeError } from './error.ts';
import { BACKUP } from './standing.ts';

/** 1 MiB: signals are heard in between. */
const PAGES_PER_STEP = 256;

export interface BackupOptions {
  /** Ends it; then it rejects with the signal's reason, and nothing is left. */
  readonly signal?: AbortSignal;
  /** Called after each step of the copy, with numbers of pages. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes the store in `directory` to the new file `path`, on disk when this returns. Errors:
 * FILE_EXISTS, FILE_NOT_WRITABLE, DISK_FULL, STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER,
 * STORE_LOCKED, STORE_CORRUPT, STORE_UNAVAILABLE where the disk refuses to be read for longer.
 */
export async function backupStore(
  directory: string,
  path: string,
  { signal, onProgress }: BackupOptions = {},
): Promise<void> {
  const storeFile = storeFileOf(directory);
  await makeFile(path, async (partial) => {
    try {
      const copy = () => copyStore(storeFile, partial, { signal, onProgress });
      await triedAgainLater(copy, mayPass, signal);
      markAsBackup(partial);
    } catch (cause) {
      // Damage of the new file is that of the store.
      throw await judgedInUse(storeError(cause, path, 'opening'), storeFile, signal);
    }
    await checkFile(partial, signal);
    await completeBackup(partial, signal);
  });
}

/** The id of the sealing key that a backup needs; undefined if nothing in it is sealed. */
export function neededKey(path: string): string | undefined {
  using db = openToRead(path, true);
  const { sealing_key } = db.prepare('SELECT sealing_key FROM meta').get()!;
  return sealing_key instanceof Uint8Array ? sealingKeyId(sealing_key) : undefined;
}

/**
 * Writes a backup that a server sends to the new file `path`, on disk and proved by its sum when this returns. Errors: FILE_EXISTS, FILE_NOT_WRITABLE, DISK_FULL, STORE_FOREIGN,
 * STORE_CORRUPT, those of `source`.
 */
export async function receiveBackup(
  source: AsyncIterable<Uint8Array>,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  await makeFile(path, async (partial) => {
    await using file = await open(partial, 'r+');
    for await (const piece of source) {
      signal?.throwIfAborted();
      for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
    }
    await assertWholeBackup(partial, signal);
  });
}

/** It gets its name when `write` is done with it. */
async function makeFile(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${resolve(path)}.${randomBytes(4).toString('hex')}.partial`;
  if (existsSync(path)) throw fileExists(path);
  try {
    closeSync(openSync(partial, 'wx', 0o600));
    await write(partial);
    giveName(partial, path);
    syncDirectory(dirname(partial));
  } catch (cause) {
    for (const end of ['', '-journal', '-wal', '-shm']) rmSync(partial + end, { force: true });
    throw fileError(cause, path);
  }
}

/** Errors as of `backupStore`, also in doubt. */
async function copyStore(
  storeFile: string,
  to: string,
  {
    signal,
    onProgress,
  }: { signal: AbortSignal | undefined; onProgress: BackupOptions['onProgress'] },
): Promise<void> {
  try {
    using db = openToRead(storeFile);
    db.exec('BEGIN');
    // The transaction begins with the first read.
    db.prepare('SELECT 1 FROM meta').get();
    const pages = await backup(db, to, {
      rate: PAGES_PER_STEP,
      progress({ totalPages, remainingPages }) {
        signal?.throwIfAborted();
        onProgress?.(totalPages - remainingPages, totalPages);
      },
    });
    onProgress?.(pages, pages);
  } catch (cause) {
    throw storeError(cause, isWriteError(cause) ? to : storeFile, 'opening');
  }
}

/** Its place and its anchor are none that a file can have: only a restore makes a store of it. */
function markAsBackup(path: string): void {
  using db = openDatabase(path);
  db.prepare(`UPDATE meta SET place = ?1, anchor = ?1, anchor_before = ?1, anchor_file = NULL`).run(
    BACKUP,
  );
}

/** Another file of that name stays what it is. */
function giveName(partial: string, path: string): void {
  try {
    linkSync(partial, path);
    rmSync(partial);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw fileExists(path);
    // There are file systems without a second name for a file, on disks to carry away.
    if (existsSync(path)) throw fileExists(path);
    renameSync(partial, path);
  }
}

function fileExists(path: string): VanityError {
  return new VanityError('FILE_EXISTS', `${path}: the file exists and is kept; name a new one`);
}

/** What SQLite says here it says of the new file. */
function fileError(cause: unknown, path: string): unknown {
  const { code, message, syscall } = cause as NodeJS.ErrnoException;
  const error = syscall === undefined ? storeError(cause, path, 'opening') : undefined;
  const isFull = error instanceof VanityError && error.code === 'DISK_FULL';
  if (isFull || code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new VanityError('DISK_FULL', `${path}: the disk is full`, { cause });
  }
  return error ?? new VanityError('FILE_NOT_WRITABLE', `${path}: ${message}`, { cause });
}
