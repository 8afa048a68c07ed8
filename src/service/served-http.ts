/**
 * The HTTP threads of a server, seen from the main thread: started at the beginning, replaced when one
 * dies, drained at the end. While another serves, a replacement that cannot be had is tried again for
 * as long as it takes; where none serves any more the server cannot go on.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { BackOff } from '../back-off.ts';
import { CalledThread } from '../called-thread.ts';
import { entry } from '../entry.ts';
import { VanityError } from '../errors.ts';
import type { CertificateAndKey } from '../http/certificate.ts';
import type { ListenOn } from '../http/listen.ts';
import type { HttpCalls, HttpWorkerData } from '../http/worker.ts';
import type { Log } from '../log.ts';
import type { Connection } from '../pool/calls.ts';
import { isLimit } from '../system/threads.ts';

const ENTRY = entry(import.meta.url, '../http/worker');
/** For a thread to cut what it could not drain; one that hangs is ended. */
const DRAIN_GRACE_MS = 2000;
/** One that lives no longer would be replaced for ever. */
const LIFE_MIN_MS = 1000;

export interface ServedHttpOptions {
  /** The data for a thread that starts now. */
  readonly data: () => Omit<HttpWorkerData, 'port'>;
  readonly ownToken: Uint8Array;
  /** Connects a thread with the store. */
  readonly connect: (port: MessagePort) => Promise<Connection>;
  /** The server cannot go on. */
  readonly onFailed: (error: VanityError) => void;
  /** The system gave no thread in place of one that ended. */
  readonly onUnstarted: () => void;
  readonly log: Log;
}

type HttpThread = CalledThread<HttpCalls>;

export class ServedHttp {
  readonly #options: ServedHttpOptions;
  readonly #threads = new Set<HttpThread>();
  readonly #listening = new Set<HttpThread>();
  readonly #backOff = new BackOff();
  readonly #nextStarts = new Set<NodeJS.Timeout>();
  #isStopping = false;

  constructor(options: ServedHttpOptions) {
    this.#options = options;
  }

  /** They load from now on, and serve nothing. Error: SYSTEM_LIMIT_REACHED. */
  load(count: number): void {
    for (let started = 0; started < count; started++) this.#start();
  }

  /** All that were loaded; the port. Errors: PORT_IN_USE, BIND_REFUSED, SYSTEM_LIMIT_REACHED, those of `connect`. */
  async listen(on: ListenOn): Promise<number> {
    const ports = await Promise.all([...this.#threads].map((thread) => this.#listen(thread, on)));
    return ports[0]!;
  }

  /** For connections from now on. One that has just died is replaced by one that begins with it. */
  useCertificate(pair: CertificateAndKey): void {
    for (const thread of this.#threads) thread.call('useCertificate', pair).catch(() => undefined);
  }

  /** Answers what has come and ends them; connections still open after `seconds` are cut. */
  async drain(seconds: number): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#nextStarts) clearTimeout(timer);
    const timeoutMs = seconds * 1000 + DRAIN_GRACE_MS;
    await Promise.all(
      [...this.#threads].map(async (thread) => {
        await thread.call('drain', seconds, { timeoutMs }).catch(() => undefined);
        await thread.worker.terminate();
      }),
    );
  }

  /** Error: SYSTEM_LIMIT_REACHED. */
  #start(): HttpThread {
    const thread: HttpThread = CalledThread.start<HttpCalls, HttpWorkerData>({
      name: 'http',
      entry: ENTRY,
      data: this.#options.data(),
      unavailable: 'INTERNAL',
      onEnd: (reason) => {
        this.#threads.delete(thread);
        if (reason === undefined || isLimit(reason)) return;
        this.#options.log.error({ reason: reason.message }, 'an HTTP thread failed');
      },
    });
    this.#threads.add(thread);
    return thread;
  }

  async #listen(thread: HttpThread, on: ListenOn): Promise<number> {
    const { ownToken, connect } = this.#options;
    const { port1, port2 } = new MessageChannel();
    const connection = await connect(port1);
    const what = { on, store: port2, connection, ownToken };
    const port = await thread.call('listen', what, { transfer: [port2] });
    this.#listening.add(thread);
    const since = performance.now();
    thread.worker.once('exit', () => {
      this.#listening.delete(thread);
      if (this.#isStopping) return;
      if (performance.now() - since < LIFE_MIN_MS) {
        this.#fail('an HTTP thread ended as soon as it listened');
        return;
      }
      this.#options.log.error('an HTTP thread ended; it is replaced');
      void this.#replace('path' in on ? on : { ...on, port });
    });
    return port;
  }

  async #replace(on: ListenOn): Promise<void> {
    let thread: HttpThread | undefined;
    try {
      thread = this.#start();
      // Before it is connected: the store makes journals for it.
      await thread.running();
      await this.#listen(thread, on);
      this.#backOff.succeeded();
    } catch (error) {
      void thread?.terminate();
      if (this.#isStopping) return;
      const reason = error instanceof VanityError ? error.message : 'it failed to start';
      if (isLimit(error)) this.#options.onUnstarted();
      if (this.#listening.size === 0) {
        this.#fail(`an HTTP thread cannot be replaced: ${reason}`);
        return;
      }
      const waitMs = this.#backOff.next();
      this.#options.log.error({ reason, waitMs }, 'an HTTP thread cannot be replaced; retrying');
      const timer = setTimeout(() => {
        this.#nextStarts.delete(timer);
        void this.#replace(on);
      }, waitMs);
      this.#nextStarts.add(timer);
    }
  }

  #fail(detail: string): void {
    this.#options.onFailed(new VanityError('INTERNAL', detail));
  }
}
