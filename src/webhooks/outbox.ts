/**
 * The messages of one webhook, sent one after the other, the oldest first. A message whose attempt fails is
 * tried again, after 1 s at first and every 10 minutes at last, until it is accepted or a day old. At most
 * 100 wait: the oldest is dropped for a new one, because the latest news counts most.
 *
 * Runs in the main thread, beside the steering of the grinder. `post` does nothing but queue, and an attempt
 * is a small request now and then, at most one for each webhook at a time: less than 1 ms of the processor,
 * while the thread is free to steer. A thread of its own would take 10 MB and one of the system's threads
 * for that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BackOff } from '../back-off.ts';
import type { Log } from '../log.ts';
import type { Endpoint, Message } from './endpoint.ts';

const WAITING_MAX = 100;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 600_000;
const LIFE_MS = 24 * 3_600_000;

/** Accepted messages, failed attempts, and messages that were given up. */
export type Outcome = 'sent' | 'failed' | 'dropped';

export interface OutboxOptions {
  readonly count: (outcome: Outcome) => void;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Between attempts. */
  readonly backOff?: BackOff;
  /** How long a message is tried again. */
  readonly lifeMs?: number;
}

interface Waiting extends Message {
  readonly since: number;
}

export class Outbox {
  readonly #endpoint: Endpoint;
  readonly #options: OutboxOptions;
  readonly #backOff: BackOff;
  readonly #lifeMs: number;
  readonly #waiting: Waiting[] = [];
  /** Ends the wait between attempts; then an attempt that fails is the last. */
  readonly #closing = new AbortController();
  /** Ends an attempt. */
  readonly #closed = new AbortController();
  #isRunning = false;
  #run = Promise.resolve();
  #isFailing = false;

  constructor(endpoint: Endpoint, options: OutboxOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#backOff = options.backOff ?? new BackOff(FIRST_WAIT_MS, LONGEST_WAIT_MS);
    this.#lifeMs = options.lifeMs ?? LIFE_MS;
  }

  /** Returns at once. */
  post(message: Message): void {
    if (this.#closing.signal.aborted) {
      this.#options.count('dropped');
      return;
    }
    this.#waiting.push({ ...message, since: performance.now() });
    if (this.#waiting.length > WAITING_MAX) {
      this.#waiting.shift();
      this.#options.count('dropped');
    }
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run = this.#sendAll();
  }

  /** One more attempt for each message, as far as `graceMs` allows; the others are dropped. */
  async close(graceMs: number): Promise<void> {
    this.#closing.abort();
    const timer = setTimeout(() => this.#closed.abort(), graceMs);
    await this.#run;
    clearTimeout(timer);
  }

  async #sendAll(): Promise<void> {
    let droppedAtStop = 0;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const isSent = await this.#deliver(next);
      this.#options.count(isSent ? 'sent' : 'dropped');
      if (!isSent && this.#closing.signal.aborted) droppedAtStop++;
    }
    this.#isRunning = false;
    if (droppedAtStop === 0) return;
    const fields = { webhook: this.#endpoint.origin, messages: droppedAtStop };
    this.#options.log.warn(fields, 'webhook messages are dropped: the server stops');
  }

  /** Whether it was accepted. */
  async #deliver(message: Waiting): Promise<boolean> {
    while (!this.#closed.signal.aborted) {
      const { isAccepted, reason } = await this.#endpoint.send(message, this.#closed.signal);
      if (!isAccepted && this.#closed.signal.aborted) return false;
      this.#note(isAccepted, reason);
      if (isAccepted) return true;
      if (performance.now() - message.since >= this.#lifeMs) return false;
      const { signal } = this.#closing;
      if (signal.aborted) return false;
      await sleep(this.#backOff.next(), undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  /** Logs changes alone. */
  #note(isAccepted: boolean, reason: string): void {
    const { count, log } = this.#options;
    const wasFailing = this.#isFailing;
    this.#isFailing = !isAccepted;
    const webhook = this.#endpoint.origin;
    if (isAccepted) {
      this.#backOff.succeeded();
      if (wasFailing) log.info({ webhook }, 'a webhook works again');
      return;
    }
    count('failed');
    if (!wasFailing) log.warn({ webhook, reason }, 'a webhook fails; its messages are sent again');
  }
}
