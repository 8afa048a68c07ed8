/**
 * What the store thread sends to one HTTP thread unasked, and the acknowledgement of that thread:
 * a change is answered when every thread has applied it. Runs in the store thread.
 */
import type { MessagePort } from 'node:worker_threads';
import type { StoreNotices } from '../pool/calls.ts';
import { notify } from '../port.ts';

type Told<K extends keyof StoreNotices> = Omit<Parameters<StoreNotices[K]>[0], 'notice'>;

export class ThreadNotices {
  isGone = false;
  readonly #port: MessagePort;
  readonly #unheard = new Map<number, () => void>();
  #last = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.once('close', () => {
      this.isGone = true;
      for (const resolve of this.#unheard.values()) resolve();
      this.#unheard.clear();
    });
  }

  /** Resolves when the thread has acted on it, or is gone. */
  tell<K extends keyof StoreNotices>(name: K, what: Told<K>): Promise<void> {
    if (this.isGone) return Promise.resolve();
    const notice = ++this.#last;
    return new Promise((resolve) => {
      this.#unheard.set(notice, resolve);
      notify<StoreNotices, K>(this.#port, name, { notice, ...what } as never);
    });
  }

  heard(notice: number): void {
    this.#unheard.get(notice)?.();
    this.#unheard.delete(notice);
  }
}
