/**
 * A thread that answers calls, and the way to call it. Any thread may start one.
 */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { ErrorCode } from './errors.ts';
import { Caller, type CallOptions, type Calls, type Notices } from './port.ts';
import { isLimit, startThread, type ThreadOptions } from './system/threads.ts';

export interface CalledThreadOptions<D> extends Omit<ThreadOptions, 'data' | 'transfer'> {
  /** Beside the port at which it answers. */
  readonly data: Omit<D, 'port'>;
  /** Of the error of a call when it is gone. */
  readonly unavailable: ErrorCode;
  readonly notices?: Notices;
}

export class CalledThread<T extends Calls<T>> {
  readonly worker: Worker;
  readonly #calls: Caller<T>;
  readonly #ended: Promise<Error | undefined>;

  /** Error: SYSTEM_LIMIT_REACHED; `onEnd` is not called then. */
  static start<T extends Calls<T>, D extends { readonly port: MessagePort }>(
    options: CalledThreadOptions<D>,
  ): CalledThread<T> {
    const { name, entry, data, unavailable, notices, onEnd } = options;
    const { port1, port2 } = new MessageChannel();
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    try {
      const worker = startThread({
        name,
        entry,
        data: { ...data, port: port2 },
        transfer: [port2],
        onEnd: (reason) => {
          resolve(reason);
          onEnd(reason);
        },
      });
      return new CalledThread<T>(worker, new Caller<T>(port1, unavailable, notices), promise);
    } catch (error) {
      port1.close();
      throw error;
    }
  }

  private constructor(worker: Worker, calls: Caller<T>, ended: Promise<Error | undefined>) {
    this.worker = worker;
    this.#calls = calls;
    this.#ended = ended;
  }

  /** It runs. Error: SYSTEM_LIMIT_REACHED, if it could not be started after all. */
  async running(): Promise<void> {
    const reason = await Promise.race([
      once(this.worker, 'online').then(() => undefined),
      this.#ended,
    ]);
    if (isLimit(reason)) throw reason;
  }

  /** As of `Caller.call`. Error: SYSTEM_LIMIT_REACHED, if the thread could not be started after all. */
  async call<K extends keyof T & string>(
    name: K,
    arg: Parameters<T[K]>[0],
    options?: CallOptions,
  ): Promise<Awaited<ReturnType<T[K]>>> {
    try {
      return await this.#calls.call(name, arg, options);
    } catch (error) {
      // A thread that never ran answers nothing; its end carries the reason.
      const reason = this.#calls.isClosed ? await this.#ended : undefined;
      throw isLimit(reason) ? reason : error;
    }
  }

  /** Ends it at whatever it is; calls that are not answered fail. */
  async terminate(): Promise<void> {
    this.#calls.close();
    await this.worker.terminate();
  }
}
