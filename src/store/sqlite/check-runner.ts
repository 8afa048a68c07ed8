/**
 * The check of a whole store, behind the thread that asks for it: a process of its own does it
 * (check-process.ts), and a stop ends that at once. Any thread may use it; the process ends with the
 * thread that started it.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { entry } from '../../entry.ts';
import { type ErrorCode, VanityError } from '../../errors.ts';
import { assertThreads, NODE_THREADS } from '../../system/thread-limits.ts';
import { isLimitCode } from '../../system/threads.ts';
import { storeFileOf } from './data-directory.ts';
import { isDoubtful, undoubted } from './error.ts';

const ENTRY = fileURLToPath(entry(import.meta.url, './check-process'));
/** A process without threads of V8 waits for them for ever; one that has begun says so by a line. */
const BEGUN = 'begun\n';
const BEGIN_MAX_MS = 300_000;

export interface Check {
  /**
   * True: the store is whole; false: it was stopped. Rejects with what was found: STORE_CORRUPT
   * with the steps to take, STORE_UNAVAILABLE where the disk refuses to be read, errors of opening a
   * store; or with SYSTEM_LIMIT_REACHED or INTERNAL when it could not run, or not to its end: then
   * nothing is known of the store.
   */
  readonly result: Promise<boolean>;
  readonly stop: () => void;
}

/**
 * 'at-rest': nobody writes the file; 'in-use': a server does; 'in-doubt': one may, and what was read
 * looked damaged, so that all of it is compared.
 */
export type Use = 'at-rest' | 'in-use' | 'in-doubt';

/** Checks the store in `directory`. Error: STORE_NOT_FOUND. */
export function startCheck(directory: string, use: Use = 'in-use'): Check {
  return start(storeFileOf(directory), use);
}

/** Checks the database in a file. Errors: what was found; the signal's reason. */
export async function checkFile(
  path: string,
  signal?: AbortSignal,
  use: Use = 'at-rest',
): Promise<void> {
  signal?.throwIfAborted();
  const check = start(path, use);
  signal?.addEventListener('abort', check.stop, { once: true });
  try {
    await check.result;
  } finally {
    signal?.removeEventListener('abort', check.stop);
  }
  signal?.throwIfAborted();
}

/**
 * What `error`, of a store that a server may hold, is when a process of its own reads all of that: beside
 * other connections of this one.
 */
export async function judgedInUse(
  error: unknown,
  path: string,
  signal?: AbortSignal,
): Promise<unknown> {
  if (!isDoubtful(error)) return error;
  try {
    await checkFile(path, signal, 'in-doubt');
    return undoubted(error);
  } catch (found) {
    return found;
  }
}

/** Whether such an error says nothing of the store: the check did not run to its end. */
export function isUnchecked({ code }: VanityError): boolean {
  return code === 'SYSTEM_LIMIT_REACHED' || code === 'INTERNAL';
}

function start(path: string, use: Use): Check {
  try {
    assertThreads(NODE_THREADS, `${path}: the check`);
    return run(path, use);
  } catch (error) {
    // The callback gets most errors of the system.
    const found = error instanceof VanityError ? error : foundBy('', path, error as Error);
    return { result: Promise.reject(found), stop: () => undefined };
  }
}

function run(path: string, use: Use): Check {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  let isStopped = false;
  // It needs no secret, so it gets none that the environment may hold; only where compiled code is kept.
  const env = { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE };
  const args = [ENTRY, path, use, String(process.pid)];
  const child = execFile(process.execPath, args, { env }, (error, stdout) => {
    clearTimeout(late);
    if (error === null) resolve(true);
    else if (isStopped) resolve(false);
    else reject(foundBy(stdout, path, error));
  });
  const late = setTimeout(() => child.kill('SIGKILL'), BEGIN_MAX_MS).unref();
  child.stdout?.once('data', () => clearTimeout(late));
  return {
    result: promise,
    stop: () => {
      isStopped = true;
      child.kill('SIGKILL');
    },
  };
}

function foundBy(stdout: string, path: string, cause: Error): VanityError {
  const { code, signal } = cause as { code?: unknown; signal?: unknown };
  const end = signal ?? code ?? cause.message;
  if (isLimitCode(code) || (signal != null && stdout === '')) {
    const detail = `${path}: the system lets no process check it (${end}): a limit of it is reached`;
    return new VanityError('SYSTEM_LIMIT_REACHED', detail, { cause, retryAfterSeconds: 1 });
  }
  try {
    const found = JSON.parse(stdout.replace(BEGUN, '')) as { code: ErrorCode; message: string };
    return new VanityError(found.code, found.message);
  } catch {
    return new VanityError('INTERNAL', `${path}: the check ended with ${end}`, { cause });
  }
}
