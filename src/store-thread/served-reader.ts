/**
 * What those who manage a running server read of its store: the audit, single addresses, who took how many, backups.
 * Runs in the store thread, and only forwards to a reader thread (reader-worker.ts), which starts on
 * demand and ends after 30 s idle.
 *
 * A backup is a file of the data directory, mode 0600, for as long as it is sent; one at a time. It
 * ends when its receiver says so or is gone, when the same token asks for a newer one, and after the
 * retention, as it holds secrets that are destroyed by then. What a crash leaves is removed at the next start.
 *
 * Where the system gives no thread, requests are refused, and none is asked for again until the back-off
 * is over.
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { BackOff } from '../back-off.ts';
import { CalledThread } from '../called-thread.ts';
import { entry } from '../entry.ts';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { AskedBackup, ReadingCalls } from '../store/audit-store.ts';
import { isLimit } from '../system/threads.ts';
import type { ReaderCalls, ReaderData } from './reader-worker.ts';

const ENTRY = entry(import.meta.url, './reader-worker');
const IDLE_MS = 30_000;
const HOUR_MS = 3_600_000;
/** Names in the data directory; `backupStore` adds to them while it writes. */
const BACKUP = /^sent-backup-[0-9a-f]{32}/;

export interface ServedReaderOptions extends Omit<ReaderData, 'port'> {
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** The system gave no thread. */
  readonly onUnstarted: () => void;
}

interface RunningBackup extends AskedBackup {
  readonly path: string;
  readonly made: Promise<void>;
  readonly ended: PromiseWithResolvers<void>;
  readonly timer: NodeJS.Timeout;
  /** The same token has asked for another. */
  isReplaced: boolean;
}

export class ServedReader {
  #options: ServedReaderOptions;
  #thread: CalledThread<ReaderCalls> | undefined;
  /** Calls that are not answered. */
  #asked = 0;
  #idle: NodeJS.Timeout | undefined;
  #backup: RunningBackup | undefined;
  readonly #backOff = new BackOff();
  #notBefore = 0;

  constructor(options: ServedReaderOptions) {
    this.#options = options;
    const { directory } = options.store;
    if (directory === undefined) return;
    for (const name of readdirSync(directory)) {
      if (BACKUP.test(name)) rmSync(join(directory, name), { force: true });
    }
  }

  /** Of the HTTP thread at the other end of the port: with it its backup ends. */
  callsOf(port: MessagePort): ReadingCalls {
    const own = new Set<string>();
    const end = (id: string): void => {
      if (own.delete(id)) void this.#endBackup(id);
    };
    port.once('close', () => {
      for (const id of own) end(id);
    });
    return {
      auditPage: (query) => this.#ask('page', query, 'no audit'),
      findAddress: (publicKey) => this.#ask('find', publicKey, 'no look at an address'),
      taken: (since) => this.#ask('taken', since, 'no look at the hand-outs'),
      nodes: () => this.#ask('nodes', undefined, 'no look at the nodes'),
      makeBackup: async (asked) => {
        own.add(asked.id);
        try {
          const backup = await this.#begin(asked);
          // Its receiver left while the one before was ended.
          if (!own.has(asked.id)) void this.#endBackup(asked.id);
          await backup.made.catch((error: unknown) => {
            throw backup.isReplaced ? replaced() : error;
          });
          return backup.path;
        } catch (error) {
          end(asked.id);
          throw error;
        }
      },
      backupEnded: async (id) => {
        if (this.#backup?.id === id) await this.#backup.ended.promise;
      },
      endBackup: end,
    };
  }

  /** The sealing key was rotated, and is there now. */
  useKey(sealingKey: string): void {
    this.#options = { ...this.#options, store: { ...this.#options.store, sealingKey } };
    this.#thread?.call('useKey', sealingKey).catch(() => undefined);
  }

  async stop(): Promise<void> {
    if (this.#backup !== undefined) await this.#endBackup(this.#backup.id);
    await this.#end();
  }

  async #begin(asked: AskedBackup): Promise<RunningBackup> {
    const { directory, retentionHours } = this.#options.store;
    if (directory === undefined) throw noBackup();
    while (this.#backup !== undefined) {
      if (this.#backup.token !== asked.token) {
        const detail = 'another backup is being made or sent; ask again when that is done';
        throw new VanityError('BACKUP_RUNNING', detail, { retryAfterSeconds: 5 });
      }
      this.#backup.isReplaced = true;
      await this.#endBackup(this.#backup.id);
    }
    const path = join(directory, `sent-backup-${asked.id}`);
    const made = this.#ask('backup', path, 'no backup');
    const end = () => void this.#endBackup(asked.id);
    const timer = setTimeout(end, retentionHours * HOUR_MS).unref();
    const ended = Promise.withResolvers<void>();
    this.#backup = { ...asked, path, made, ended, timer, isReplaced: false };
    return this.#backup;
  }

  /** Frees the place when nothing of it is left. */
  async #endBackup(id: string): Promise<void> {
    const backup = this.#backup;
    if (backup?.id !== id) return;
    clearTimeout(backup.timer);
    backup.ended.resolve();
    this.#thread?.call('stopBackup', undefined).catch(() => undefined);
    await backup.made.catch(() => undefined);
    rmSync(backup.path, { force: true });
    // Another may have ended it at the same time, and the next one may have begun.
    if (this.#backup === backup) this.#backup = undefined;
  }

  async #ask<K extends keyof ReaderCalls>(
    name: K,
    arg: Parameters<ReaderCalls[K]>[0],
    what: string,
  ): Promise<Awaited<ReturnType<ReaderCalls[K]>>> {
    clearTimeout(this.#idle);
    this.#asked++;
    try {
      this.#thread ??= this.#start();
      const answer = await this.#thread.call(name, arg);
      this.#backOff.succeeded();
      return answer;
    } catch (error) {
      if (!(error instanceof VanityError) || (error.status !== 500 && !isLimit(error))) throw error;
      const extras = { cause: error, retryAfterSeconds: 1 };
      throw new VanityError('STORE_UNAVAILABLE', `${what}: ${error.message}`, extras);
    } finally {
      this.#asked--;
      if (this.#asked === 0) this.#idle = setTimeout(() => void this.#end(), IDLE_MS).unref();
    }
  }

  /** Error: SYSTEM_LIMIT_REACHED. */
  #start(): CalledThread<ReaderCalls> {
    if (performance.now() < this.#notBefore) {
      const detail = 'the system gave no reader thread a moment ago';
      throw new VanityError('SYSTEM_LIMIT_REACHED', detail);
    }
    const { log, onUnstarted: _, ...data } = this.#options;
    try {
      const thread = CalledThread.start<ReaderCalls, ReaderData>({
        name: 'reader',
        entry: ENTRY,
        data,
        unavailable: 'STORE_UNAVAILABLE',
        onEnd: (reason) => {
          if (this.#thread === thread) this.#thread = undefined;
          if (isLimit(reason)) this.#unstarted(reason);
          else if (reason !== undefined) {
            log.error({ reason: reason.message }, 'a reader of the store failed');
          }
        },
      });
      return thread;
    } catch (error) {
      if (isLimit(error)) this.#unstarted(error);
      throw error;
    }
  }

  #unstarted({ message: reason }: VanityError): void {
    const { log, onUnstarted } = this.#options;
    const waitMs = this.#backOff.next();
    this.#notBefore = performance.now() + waitMs;
    onUnstarted();
    log.error({ reason, waitMs }, 'a reader of the store cannot be started');
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle);
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }
}

function noBackup(): VanityError {
  const detail = 'the store is a database: back it up with the tools of PostgreSQL';
  return new VanityError('BACKUP_UNSUPPORTED', detail);
}

function replaced(): VanityError {
  return new VanityError('BACKUP_REPLACED', 'the same token has asked for another backup since');
}
