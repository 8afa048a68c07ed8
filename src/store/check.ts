/**
 * The check of a whole store, behind the thread that asks for it: a process of its own does it
 * (check-process.ts), and a stop ends that at once. Any thread may use it.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, VanityError } from '../errors.ts';
import { storeFileOf } from './data-directory.ts';
import { isDoubtful, undoubted } from './sqlite-error.ts';

const ENTRY = fileURLToPath(new URL('./check-process.ts', import.meta.url));

export interface Check {
  /**
   * True: the store is whole; false: it was stopped. Rejects with what was found: STORE_CORRUPT
   * with the steps to take, STORE_UNAVAILABLE where the disk refuses to be read, errors of opening a
   * store; INTERNAL when the process itself failed.
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

function start(path: string, use: Use): Check {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  let isStopped = false;
  // It needs no secret, so it gets none that the environment may hold.
  const child = execFile(process.execPath, [ENTRY, path, use], { env: {} }, (error, stdout) => {
    if (error === null) resolve(true);
    else if (isStopped) resolve(false);
    else reject(foundBy(stdout, path, error));
  });
  return {
    result: promise,
    stop: () => {
      isStopped = true;
      child.kill('SIGKILL');
    },
  };
}

function foundBy(stdout: string, path: string, error: Error): VanityError {
  try {
    const { code, message } = JSON.parse(stdout) as { code: ErrorCode; message: string };
    return new VanityError(code, message);
  } catch {
    const { code, signal } = error as { code?: unknown; signal?: unknown };
    const end = signal ?? code ?? error.message;
    return new VanityError('INTERNAL', `${path}: the check ended with ${end}`, { cause: error });
  }
}
