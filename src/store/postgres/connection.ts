/**
 * A way to the server that lasts: it opens a session when one is needed, and another when that has ended.
 * Nothing is tried again by itself. Transactions run one after the other, in the order in which they were
 * asked for; each has its time, after which its session ends. Runs in the thread that calls it.
 */
import { ConnectionLost, type Moment, storeError } from './error.ts';
import { Session } from './session.ts';
import type { ConnectionSettings } from './settings.ts';
import { inTransaction, reading, type Transaction } from './transaction.ts';

export interface Limits {
  /** For each lock. */
  readonly lockMs?: number;
  /** For all of the transaction, but not for what is before it. */
  readonly timeoutMs?: number;
}

const LOCK_MS = 2000;
const TIMEOUT_MS = 10_000;

export class Connection implements AsyncDisposable {
  /** The server, in messages. */
  readonly name: string;
  /** What errors mean. */
  moment: Moment = 'opening';
  readonly #settings: ConnectionSettings;
  #session: Session | undefined;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(settings: ConnectionSettings) {
    this.name = settings.name;
    this.#settings = settings;
  }

  /**
   * Runs `work` in one transaction, and gives what it gives once that is committed. Errors: CommitUnknown,
   * after which it may be in; after any other it is not, whatever `work` asked for: CONFIG_INVALID and
   * CERTIFICATE_INVALID of a server that refuses, STORE_CORRUPT, STORE_UNAVAILABLE for all that may pass,
   * and those of `work`.
   */
  transaction<T>(work: (transaction: Transaction) => Promise<T>, limits: Limits = {}): Promise<T> {
    const { lockMs = LOCK_MS, timeoutMs = TIMEOUT_MS } = limits;
    return this.#inTurn((session) => inTransaction(session, work, lockMs), timeoutMs);
  }

  /** The same for work that changes nothing: all that it reads is of one moment. No CommitUnknown. */
  read<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#inTurn((session) => reading(session, work), TIMEOUT_MS);
  }

  /** After what was asked for; what is asked for later fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    await this.#session?.close();
  }

  #inTurn<T>(work: (session: Session) => Promise<T>, timeoutMs: number): Promise<T> {
    if (this.#isClosed) return Promise.reject(this.#errorOf(new ConnectionLost('closed here')));
    const result = this.#last.then(() => this.#run(work, timeoutMs));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #run<T>(work: (session: Session) => Promise<T>, timeoutMs: number): Promise<T> {
    try {
      if (this.#session?.isOpen !== true) this.#session = await Session.open(this.#settings);
      using _ = this.#session.limit(timeoutMs);
      return await work(this.#session);
    } catch (cause) {
      throw this.#errorOf(cause);
    }
  }

  #errorOf(cause: unknown): unknown {
    return storeError(cause, this.name, this.moment);
  }
}
