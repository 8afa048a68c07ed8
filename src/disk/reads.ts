/**
 * Reads that a disk refuses for a moment: they are tried again. Any thread may use it.
 *
 * Promises: nothing but reading is done again, so `work` must change nothing. It rests for 0.2 s at the
 * most; with a signal that is heard meanwhile, without one the thread stands still.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TRIES = 3;
const REST_MS = 100;
const PIECE_BYTES = 2 ** 20;

/** What a disk, or the way to it, answers that fails: nothing is known of what is on it. */
const REFUSALS: readonly unknown[] = ['EIO', 'ENXIO', 'EREMOTEIO', 'ETIMEDOUT', 'ESTALE', 'ENODEV'];

/** Whether the system says that the disk refuses. */
export function isRefusal(error: unknown): boolean {
  return REFUSALS.includes((error as { code?: unknown }).code);
}

/** Does `work` again while it fails with what may pass. */
export function triedAgain<T>(work: () => T, mayPass: (error: unknown) => boolean = isRefusal): T {
  for (let left = TRIES; ; left--) {
    try {
      return work();
    } catch (error) {
      if (left === 1 || !mayPass(error)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REST_MS);
    }
  }
}

/** The same of a promise. Error, too: the reason of `signal`. */
export async function triedAgainLater<T>(
  work: () => Promise<T>,
  mayPass: (error: unknown) => boolean,
  signal?: AbortSignal,
): Promise<T> {
  for (let left = TRIES; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 1 || !mayPass(error)) throw error;
      signal?.throwIfAborted();
      await sleep(REST_MS);
      signal?.throwIfAborted();
    }
  }
}

/**
 * Reads the file at `path`, if there is one, from its first byte to its last. To close it drops the
 * locks that SQLite has on it in this process (fcntl(2)). Errors are the system's.
 */
export function readThrough(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return;
  const file = openSync(path, 'r');
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let at = 0, read = 1; read > 0; at += read)
      read = readSync(file, piece, 0, PIECE_BYTES, at);
  } finally {
    closeSync(file);
  }
}
