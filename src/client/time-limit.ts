/**
 * The time of one call, and what ends it earlier: the caller's own signal. Both end everything that is
 * open of the call by one signal; `error` says which it was.
 */
import { VanitypoolError } from './error.ts';

/** Of timers: they take a longer time for none at all. */
export const TIME_MAX_MS = 2 ** 31 - 1;

/** Whether a timer can wait so long. */
export function isTime(ms: number): boolean {
  return ms > 0 && ms <= TIME_MAX_MS;
}

export class TimeLimit {
  readonly #timeoutMs: number;
  readonly #outer: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #abort = () => this.#controller.abort();
  #endsAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Throws the reason of a signal that has come already. */
  constructor(timeoutMs: number, outer: AbortSignal | undefined) {
    outer?.throwIfAborted();
    this.#timeoutMs = timeoutMs;
    this.#outer = outer;
    outer?.addEventListener('abort', this.#abort);
    this.restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#controller.signal.aborted;
  }

  get leftMs(): number {
    return this.#endsAt - performance.now();
  }

  /** The full time again, from now. */
  restart(): void {
    clearTimeout(this.#timer);
    this.#endsAt = performance.now() + this.#timeoutMs;
    this.#timer = setTimeout(this.#abort, this.#timeoutMs);
  }

  /** Why it is over: the signal's own reason, or the time, with the error of the last try. */
  error(last?: unknown): unknown {
    if (this.#outer?.aborted) return this.#outer.reason;
    return new VanitypoolError('TIMEOUT', `no reply within ${this.#timeoutMs} ms`, { cause: last });
  }

  /** Cuts what is still open, and lets go of the caller's signal. */
  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#abort);
    this.#controller.abort();
  }
}

/** Returns early when the signal comes. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
    function end(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    }
  });
}
