/**
 * Typed calls between two threads over a MessagePort: one side asks by name, the other answers
 * with a value or an error. Order of calls is kept. Errors with a code arrive as VanityError
 * with the same code; anything else arrives as INTERNAL without its text, which could hold a
 * secret. A call that is given up after its time may still be done by the other side, and counts as
 * waiting until it is answered. Any thread may use it.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import { type ErrorCode, VanityError } from './errors.ts';

/** Calls by name: one argument each, any return value or promise of one. */
// biome-ignore lint/suspicious/noExplicitAny: the argument is checked at each use of `call`.
export type Calls<T> = { [K in keyof T]: (arg: any) => unknown };

interface Ask {
  readonly id: number;
  readonly name: string;
  readonly arg: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { code: ErrorCode; message: string; retryAfterSeconds: number | undefined };
}

/** Said by the answering side, of itself. */
interface Notice {
  readonly notice: string;
  readonly arg: unknown;
}

export interface CallOptions {
  /** `Number.POSITIVE_INFINITY` waits for ever. */
  readonly timeoutMs?: number | undefined;
  readonly transfer?: Transferable[];
}

/** What is done with what the answering side says of itself, by its name. */
export type Notices = Readonly<Record<string, (arg: never) => void>>;

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: VanityError) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** Says something to the `Caller` on the other end, who may not answer. */
export function notify<T extends Calls<T>, K extends keyof T & string>(
  port: MessagePort,
  notice: K,
  arg: Parameters<T[K]>[0],
): void {
  port.postMessage({ notice, arg } satisfies Notice);
}

/** The asking side. A closed port or a time-out rejects with `unavailable`. */
export class Caller<T extends Calls<T>> {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  readonly #unavailable: ErrorCode;
  readonly #timeoutMs: number | undefined;
  #nextId = 1;
  #closed = false;

  /**
   * `unavailable` is the code of the error when the other side does not answer; `notices` take what
   * it says of itself; `timeoutMs` is for calls that name no other time, which else have none.
   */
  constructor(
    port: MessagePort,
    unavailable: ErrorCode,
    notices: Notices = {},
    timeoutMs?: number,
  ) {
    this.#port = port;
    this.#timeoutMs = timeoutMs;
    this.#unavailable = unavailable;
    port.on('message', (message: Answer | Notice) => {
      if ('notice' in message) notices[message.notice]?.(message.arg as never);
      else this.#settle(message);
    });
    port.on('close', () => this.#fail('the other thread is gone'));
  }

  call<K extends keyof T & string>(
    name: K,
    arg: Parameters<T[K]>[0],
    { timeoutMs = this.#timeoutMs, transfer = [] }: CallOptions = {},
  ): Promise<Awaited<ReturnType<T[K]>>> {
    if (this.#closed) {
      return Promise.reject(new VanityError(this.#unavailable, 'the other thread is gone'));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer =
        timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY
          ? undefined
          : setTimeout(() => {
              const detail = `${name}: no answer in ${timeoutMs} ms; it may still be done`;
              reject(new VanityError(this.#unavailable, detail));
            }, timeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#port.postMessage({ id, name, arg } satisfies Ask, transfer);
    });
  }

  /** Calls that are not answered yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The other thread is gone, or `close` was called. */
  get isClosed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#port.close();
  }

  #settle({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error === undefined) waiting.resolve(value as never);
    else waiting.reject(new VanityError(error.code, error.message, extrasOf(error)));
  }

  #fail(reason: string): void {
    this.#closed = true;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new VanityError(this.#unavailable, reason));
    }
    this.#waiting.clear();
  }
}

/** The answering side: runs `calls[name](arg)` for each ask; `onError` sees what has no code. */
export function answer<T extends Calls<T>>(
  port: MessagePort,
  calls: T,
  onError: (error: unknown) => void,
): void {
  port.on('message', async ({ id, name, arg }: Ask) => {
    try {
      const value = await calls[name as keyof T](arg);
      port.postMessage({ id, value } satisfies Answer);
    } catch (error) {
      if (!(error instanceof VanityError)) onError(error);
      port.postMessage({ id, error: portable(error) } satisfies Answer);
    }
  });
}

function portable(error: unknown): NonNullable<Answer['error']> {
  if (!(error instanceof VanityError)) {
    return {
      code: 'INTERNAL',
      message: 'a thread of the server failed',
      retryAfterSeconds: undefined,
    };
  }
  const { code, message, retryAfterSeconds } = error;
  return { code, message, retryAfterSeconds };
}

function extrasOf({ retryAfterSeconds }: NonNullable<Answer['error']>) {
  return retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
}
