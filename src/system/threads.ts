/**
 * The one place that starts threads. Any thread may use it.
 *
 * The system may refuse one: `new Worker` then throws at once where no thread can be made, and says
 * it by an event where the new thread gets no file descriptors for its event loop. Here both are an
 * error with a code, which ends nobody but who cannot do without the thread.
 */
import { access } from 'node:fs';
import { type Transferable, Worker, type WorkerOptions } from 'node:worker_threads';
import { VanityError } from '../errors.ts';
import { assertThreads, poolThreads } from './thread-limits.ts';

export interface ThreadOptions {
  readonly name: ThreadName;
  readonly entry: URL;
  /** What it finds as `workerData`. */
  readonly data: object;
  readonly transfer?: Transferable[];
  /**
   * Called when it ends, with the cause: undefined if it ended by itself or was stopped.
   * SYSTEM_LIMIT_REACHED if it could not be started after all: none of it has run.
   */
  readonly onEnd: (reason: Error | undefined) => void;
}

export type ThreadName = 'store' | 'http' | 'grinder' | 'reader' | 'watch';

/** Error: SYSTEM_LIMIT_REACHED. */
export function startThread({ name, entry, data, transfer = [], onEnd }: ThreadOptions): Worker {
  // Node.js's own type lacks some of what it takes.
  const transferList = transfer as NonNullable<WorkerOptions['transferList']>;
  let worker: Worker;
  try {
    worker = new Worker(entry, { name, workerData: data, transferList });
  } catch (error) {
    throw isUnstarted(error) ? unstarted(name, error) : error;
  }
  let reason: Error | undefined;
  worker.on('error', (error) => {
    reason = isUnstarted(error) ? unstarted(name, error) : (error as Error);
  });
  worker.once('exit', () => onEnd(reason));
  return worker;
}

/** Whether the system had no thread, or nothing else for it: later it may. */
export function isLimit(error: unknown): error is VanityError {
  return error instanceof VanityError && error.code === 'SYSTEM_LIMIT_REACHED';
}

/** What of the system's own errors says that one of its limits is reached. */
export function isLimitCode(code: unknown): boolean {
  return code === 'EAGAIN' || code === 'ENOMEM' || code === 'EMFILE' || code === 'ENFILE';
}

/**
 * Starts libuv's pool of threads, which reads files, resolves names and hashes. Its first use starts
 * it, and if a thread cannot be had then, C aborts the process without a message. Main thread,
 * before anything else. Error: SYSTEM_LIMIT_REACHED.
 */
export async function startPool(): Promise<void> {
  assertThreads(poolThreads(), "Node.js's pool of threads");
  await new Promise<void>((started) => access('/', () => started()));
}

function isUnstarted(error: unknown): error is Error {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_INIT_FAILED';
}

function unstarted(name: ThreadName, cause: Error): VanityError {
  // "Worker initialization failure: EAGAIN"
  const code = cause.message.split(': ').at(-1);
  const detail = `the system gives no ${name} thread (${code}): a limit of it is reached`;
  return new VanityError('SYSTEM_LIMIT_REACHED', detail, { cause, retryAfterSeconds: 1 });
}
