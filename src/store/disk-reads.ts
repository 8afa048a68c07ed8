/**
 * Reads that the disk refuses, told apart from damage. To SQLite a read that fails with EIO is a
 * damaged database: its statements end with SQLITE_CORRUPT, and its check of pages has it as a
 * finding. So what looks damaged is looked at again, and then the file is read: what the system
 * cannot read says nothing of what is in it. Any thread may use it.
 */
import { openSync, readSync, type Stats, statSync } from 'node:fs';

const TRIES = 3;
const REST_MS = 100;
const PIECE_BYTES = 2 ** 20;
/** A file that fails all the time takes no more of its thread's time than one part in so many. */
const SHARE = 20;

/**
 * The files stay open: closing one would give up the locks that SQLite has on it in this process.
 * By device and number.
 */
const kept = new Map<string, number>();
const lately = new Map<string, { readonly until: number; readonly error: Error | undefined }>();

/** What the system says to reading the database at `path` and its log; undefined if it reads both. */
export function readErrorOf(path: string): Error | undefined {
  const began = performance.now();
  const known = lately.get(path);
  if (known !== undefined && began < known.until) return known.error;
  const error = failureOf(() => {
    for (const file of [path, `${path}-wal`]) readThrough(file);
  });
  const ended = performance.now();
  lately.set(path, { until: ended + SHARE * (ended - began), error });
  return error;
}

/** Does `work` again while it fails with what may be the disk's. Its rests stop the thread. */
export function triedAgain<T>(work: () => T): T {
  for (let left = TRIES; ; left--) {
    try {
      return work();
    } catch (error) {
      if (left === 1 || !mayPass(error)) throw error;
      rest();
    }
  }
}

/** The same of a promise. */
export async function triedAgainAsync<T>(work: () => Promise<T>): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 1 || !mayPass(error)) throw error;
      rest();
    }
  }
}

/** `error` is as `storeError` gives it. */
function mayPass(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 'STORE_CORRUPT' || code === 'STORE_UNAVAILABLE';
}

function rest(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REST_MS);
}

function readThrough(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  const file = openKept(path, stats);
  const piece = Buffer.allocUnsafe(PIECE_BYTES);
  for (let at = 0, read = 1; read > 0; at += read) read = readSync(file, piece, 0, PIECE_BYTES, at);
}

function openKept(path: string, { dev, ino }: Stats): number {
  const key = `${dev}:${ino}`;
  const file = kept.get(key) ?? openSync(path, 'r');
  kept.set(key, file);
  return file;
}

function failureOf(action: () => void): Error | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
