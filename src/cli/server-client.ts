/**
 * How commands ask a running server: by the client that others use too, with a `fetch` of their own.
 * Nothing is sent twice: a dispense whose reply was lost may have handed an address out, and that is
 * for the user to know.
 *
 * Errors: USAGE_INVALID for an invalid URL or token, SERVER_UNREACHABLE when nobody answers in
 * time or what answers is another program; a problem of the server keeps its code and detail.
 */
import { isToken } from '../client/call.ts';
import {
  type AuditEntry,
  type AuditOptions,
  type BackupOptions,
  type StatusEvent,
  VanitypoolClient,
  VanitypoolError,
} from '../client/client.ts';
import { ERRORS, type ErrorCode, VanityError } from '../errors.ts';
import { usage } from './options.ts';
import type { OwnCertificate } from './own-certificate.ts';
import { NotSent, ORIGIN, reasonOf, START_HINT, serverFetch } from './server-fetch.ts';

const TIMEOUT_MS = 30_000;
/** Without a byte: a large backup is made and checked before the first one. */
const BACKUP_SILENCE_MS = 600_000;
/** Of a stream that has something to say each second. */
const EVENTS_SILENCE_MS = 10_000;
/** What the client says where no server of ours has said anything. */
const OF_CLIENT: ReadonlySet<string> = new Set(['UNREACHABLE', 'TIMEOUT', 'REPLY_INVALID']);

/** Of the server, or of the store without one: all others say that nothing was done. */
const MAY_BE_DONE: ReadonlySet<string> = new Set<ErrorCode>([
  'SERVER_UNREACHABLE',
  'IDEMPOTENCY_IN_FLIGHT',
  'STORE_UNAVAILABLE',
  'JOURNAL_UNAVAILABLE',
  'INTERNAL',
  'DISK_FULL',
  'DATA_NOT_WRITABLE',
  'STORE_LOCKED',
  'STORE_CORRUPT',
]);

/** Whether an error leaves it open if what was asked for was done. */
export function mayBeDone(error: unknown): boolean {
  if (error instanceof NotSent) return false;
  return !(error instanceof VanityError) || MAY_BE_DONE.has(error.code);
}

/** Whether what answered is another program, or a server in front of ours. */
export function isStranger(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return code === 'SERVER_UNREACHABLE' && cause === undefined;
}

export interface ServerAccess {
  /** `VANITYPOOL_TOKEN` when it is not given. */
  readonly token?: string | undefined;
  /** The one certificate to trust; whatever this machine trusts when it is not given. */
  readonly certificate?: OwnCertificate | undefined;
}

/** The message for a reply that did not come whole, for this reason. */
type Lost = (cause: Error, isBegun?: boolean) => string;

const lostReply: Lost = (cause) =>
  `no whole reply (${reasonOf(cause)}); what was asked for may have been done`;
const lostFile: Lost = (cause, isBegun) =>
  isBegun ? `the file broke off (${cause.message})` : `no reply (${reasonOf(cause)})`;
const lostStream: Lost = (cause) => `the stream broke off (${reasonOf(cause)})`;

export class ServerClient {
  readonly url: string;
  readonly #client: VanitypoolClient;

  constructor(url: string, { token = givenToken(), certificate }: ServerAccess = {}) {
    this.url = url;
    const fetch = serverFetch(url, certificate);
    const limits = { timeoutMs: TIMEOUT_MS, retries: 0 };
    this.#client = new VanitypoolClient({ url: ORIGIN, fetch, token, ...limits });
  }

  /** What the client answers. */
  async ask<T>(call: (client: VanitypoolClient) => Promise<T>): Promise<T> {
    try {
      return await call(this.#client);
    } catch (error) {
      throw this.#commandError(error, lostReply);
    }
  }

  /** The audit, page by page. */
  audit(options: AuditOptions): AsyncGenerator<AuditEntry[], void> {
    return this.#each(this.#client.admin.auditPages(options), lostReply);
  }

  /** A backup of the whole store, in pieces. */
  backup(options: BackupOptions): AsyncGenerator<Uint8Array, void> {
    const silenceMs = BACKUP_SILENCE_MS;
    return this.#each(this.#client.admin.backup({ ...options, silenceMs }), lostFile, silenceMs);
  }

  /** The status at once and then each second, until `signal` aborts or the server ends it. */
  follow(signal: AbortSignal): AsyncGenerator<StatusEvent, void> {
    const silenceMs = EVENTS_SILENCE_MS;
    return this.#each(this.#client.events({ signal, silenceMs }), lostStream, silenceMs);
  }

  async *#each<T>(
    pieces: AsyncIterable<T>,
    lost: Lost,
    silenceMs?: number,
  ): AsyncGenerator<T, void> {
    let isBegun = false;
    try {
      for await (const piece of pieces) {
        isBegun = true;
        yield piece;
      }
    } catch (error) {
      if (isEndOfEvents(error)) return;
      throw this.#commandError(error, (cause) => lost(cause, isBegun), silenceMs);
    }
  }

  /** The error of the client as an error of commands; any other error as it is. */
  #commandError(error: unknown, lost: (cause: Error) => string, silenceMs?: number): unknown {
    if (!(error instanceof VanitypoolError)) return error;
    const { code, detail, retryAfterSeconds } = error;
    const cause = transportError(error);
    if (cause instanceof NotSent) return cause;
    if (cause !== undefined) {
      const isSilent = code === 'TIMEOUT' && silenceMs !== undefined;
      const reason = isSilent ? new Error(`nothing came in ${silenceMs} ms`) : cause;
      return this.#unreachable(lost(reason), cause);
    }
    if (OF_CLIENT.has(code)) {
      return this.#unreachable(`what answers is not vanitypool; give --url, or ${START_HINT}`);
    }
    const extras = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    if (Object.hasOwn(ERRORS, code)) return new VanityError(code as ErrorCode, detail, extras);
    return new VanityError('INTERNAL', `${code}: ${detail}`);
  }

  #unreachable(reason: string, cause?: Error): VanityError {
    return new VanityError('SERVER_UNREACHABLE', `${this.url}: ${reason}`, { cause });
  }
}

/** What the connection failed with, or undefined where a whole reply came. */
function transportError(error: VanitypoolError): Error | undefined {
  let cause: unknown = error;
  while (cause instanceof VanitypoolError) cause = cause.cause;
  return cause as Error | undefined;
}

/** A stream of events that was there, and did not break. */
function isEndOfEvents(error: unknown): boolean {
  const { code, status } = error as Partial<VanitypoolError>;
  return code === 'UNREACHABLE' && status === 200;
}

/** Of `VANITYPOOL_TOKEN`: as a file that was read into it ends with a line feed, so may it. */
export function givenToken(): string | undefined {
  const token = process.env.VANITYPOOL_TOKEN?.trim() ?? '';
  if (token === '') return undefined;
  if (isToken(token)) return token;
  throw usage('VANITYPOOL_TOKEN: allowed: one token, printable ASCII without spaces');
}
