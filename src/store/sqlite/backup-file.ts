/**
 * A backup as a file: the pages of a database, and behind them one line that says that it is
 * complete and what its bytes are. SQLite ignores the line, so that any program that reads a
 * database reads a backup too. Runs in the thread that calls it, in pieces of 1 MiB.
 *
 *     pages of SQLite ...   vanitypool-backup 1 <SHA-256 of all before it, 64 digits>\n
 *
 * What has no such line was never finished, was cut, or is no backup; what has another sum was
 * changed. SQLite itself would notice neither in a row. What a disk refuses to read is tried again, and is
 * STORE_UNAVAILABLE when it refuses all the time.
 */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isRefusal, triedAgainLater } from '../../disk/reads.ts';
import { assertRegular, READ_AT_ONCE } from '../../disk/regular-files.ts';
import { VanityError } from '../../errors.ts';
import { refused } from './error.ts';

const MARK = 'vanitypool-backup 1 ';
const LINE_BYTES = MARK.length + 65;
const PIECE_BYTES = 2 ** 20;

/** Writes the last line of a backup; the file is on disk when this returns. */
export async function completeBackup(path: string, signal?: AbortSignal): Promise<void> {
  await using file = await open(path, constants.O_RDWR);
  const { size } = await file.stat();
  const sum = createHash('sha256');
  await readPieces(file, path, size, sum, signal);
  await file.write(`${MARK}${sum.digest('hex')}\n`, size);
  await file.sync();
}

/** Sees that a file that people name has the last line of a backup. Error: STORE_FOREIGN. */
export async function assertBackup(path: string): Promise<void> {
  await using file = await open(path, READ_AT_ONCE);
  try {
    assertRegular(await file.stat());
  } catch (cause) {
    throw new VanityError('STORE_FOREIGN', `${path}: ${(cause as Error).message}`, { cause });
  }
  await readEnd(file, path);
}

/** Sees that a file is a backup, to its last byte, and on disk. Errors: STORE_FOREIGN, STORE_CORRUPT. */
export async function assertWholeBackup(path: string, signal?: AbortSignal): Promise<void> {
  await using file = await open(path, constants.O_RDWR);
  const { size, digits } = await readEnd(file, path);
  const sum = createHash('sha256');
  await readPieces(file, path, size, sum, signal);
  assertSum(sum, digits, path);
  await file.sync();
}

/**
 * Writes the database of a backup to a new file, mode 0600, which is on disk when this returns.
 * Errors: STORE_FOREIGN, STORE_CORRUPT, those of the system; then the new file is of no use.
 */
export async function copyBackup(path: string, to: string, signal?: AbortSignal): Promise<void> {
  await using from = await open(path, 'r');
  const { size, digits } = await readEnd(from, path);
  await using copy = await open(to, 'wx', 0o600);
  const sum = createHash('sha256');
  await readPieces(from, path, size, sum, signal, copy);
  assertSum(sum, digits, path);
  await copy.sync();
}

function assertSum(sum: Hash, digits: string, path: string): void {
  if (sum.digest('hex') === digits) return;
  const message = `${path}: damaged: not the bytes that were written; restore another backup`;
  throw new VanityError('STORE_CORRUPT', message);
}

/** How long the database is, and what its sum has to be. */
async function readEnd(file: FileHandle, path: string): Promise<{ size: number; digits: string }> {
  const { size: all } = await file.stat();
  const size = all - LINE_BYTES;
  const line = Buffer.alloc(LINE_BYTES);
  if (size > 0) await read(file, path, line, size);
  const [, digits] = /^vanitypool-backup 1 ([0-9a-f]{64})\n$/.exec(line.toString('latin1')) ?? [];
  if (digits !== undefined) return { size, digits };
  const message =
    `${path}: not a backup, or one that was cut short: a file of "vanitypool backup" ends in a ` +
    'line that says that it is complete';
  throw new VanityError('STORE_FOREIGN', message);
}

/** As much as there is of `bytes`, from `at` on. Error: STORE_UNAVAILABLE. */
async function read(
  file: FileHandle,
  path: string,
  bytes: Buffer,
  at: number,
  signal?: AbortSignal,
): Promise<number> {
  try {
    const piece = () => file.read(bytes, 0, bytes.length, at);
    return (await triedAgainLater(piece, isRefusal, signal)).bytesRead;
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw refused(path, `cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** Reads the first `size` bytes of `file` into `sum`, and into `copy` if there is one. */
async function readPieces(
  file: FileHandle,
  path: string,
  size: number,
  sum: Hash,
  signal?: AbortSignal,
  copy?: FileHandle,
): Promise<void> {
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (let at = 0; at < size; ) {
    signal?.throwIfAborted();
    const bytesRead = await read(file, path, piece.subarray(0, size - at), at, signal);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    const found = piece.subarray(0, bytesRead);
    sum.update(found);
    for (let done = 0; copy !== undefined && done < bytesRead; ) {
      const { bytesWritten } = await copy.write(found, done, bytesRead - done, at + done);
      done += bytesWritten;
    }
    at += bytesRead;
  }
}
