/**
 * One connection to the server, from its opening to its end. It is never opened again: a statement without an
 * answer ends it, since a late answer would be taken for that of the next. Runs in the thread that calls it.
 *
 * Statements are sent when they are asked for, and answered in that order (pipelining): several of them take
 * one way to the server and back together.
 */
import { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { Client, type QueryResult, types } from 'pg';
import { VanityError } from '../../errors.ts';
import { ConnectionLost, ServerError, sessionError } from './error.ts';
import type { ConnectionSettings } from './settings.ts';
import { tlsOptions } from './tls.ts';

const KEEP_ALIVE_MS = 10_000;
/** How long a goodbye may take. */
const CLOSE_MS = 1000;

/** The type bigint, which pg gives as text. */
const INT8 = types.builtins.INT8;

/** Codes of Node.js and of OpenSSL: a certificate is not accepted, or cannot be used. */
const OF_TLS = /^ERR_(TLS|SSL|OSSL)_|CERT|VERIFY/;
/** Node.js adds a way out of its own, which is none of the product's. */
const ADVICE = /; if the root CA .*/;
/** pg has no code for it. */
const NO_TLS = 'The server does not support SSL connections';

export interface Answer<R> {
  readonly rows: readonly R[];
  /** Rows that were read or changed. */
  readonly count: number;
  /** What the server did: the first word of its tag. */
  readonly command: string;
}

export class Session {
  /** SQLSTATE and text of the last warning; the one who asks forgets it before. */
  warning: string | undefined;
  readonly #client: Client;
  readonly #socket: Socket;
  #isOpen = true;

  /** Errors: CONFIG_INVALID, CERTIFICATE_INVALID, those of `sessionError`. */
  static async open(settings: ConnectionSettings): Promise<Session> {
    try {
      return await Session.#opened(settings, tlsOptions(settings.tls, settings.host));
    } catch (cause) {
      throw openingError(cause, settings);
    }
  }

  static async #opened(
    settings: ConnectionSettings,
    tls: ConnectionOptions | false,
  ): Promise<Session> {
    const session = new Session(settings, tls);
    try {
      await session.#connect(settings.connectTimeoutMs);
      return session;
    } catch (cause) {
      session.#ended();
      const isOptional = settings.tls.mode === 'prefer';
      if (!isOptional || (cause as Error).message !== NO_TLS) throw cause;
      return Session.#opened(settings, false);
    }
  }

  private constructor(settings: ConnectionSettings, tls: ConnectionOptions | false) {
    const { host, port, database, user, password, applicationName, options } = settings;
    this.#socket = new Socket();
    this.#client = new Client({
      ...{ host, port, database, user, password, options },
      application_name: applicationName,
      ssl: tls,
      sslnegotiation: 'postgres',
      stream: () => this.#socket,
      pipeline: true,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      types: { getTypeParser: parserOf },
    });
    this.#client.on('error', () => this.#ended());
    this.#client.on('end', () => this.#ended());
    this.#client.on('notice', ({ code = '', message }) => {
      // Class 00: only said.
      if (!code.startsWith('00')) this.warning = `${code} ${message}`;
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** One statement, or several without values, whose last answer counts. Errors: ServerError, ConnectionLost. */
  query<R extends object>(text: string, values?: readonly unknown[]): Promise<Answer<R>> {
    this.#gather();
    return this.#client.query<R>(text, values as unknown[]).then(lastOf, (cause) => {
      throw sessionError(cause, this.#isOpen);
    });
  }

  /** What is asked for before anything else happens goes out together: the server wakes up once for it. */
  #gather(): void {
    if (this.#socket.writableCorked > 0) return;
    this.#socket.cork();
    process.nextTick(() => this.#socket.uncork());
  }

  /** At once; what waits for an answer fails with `reason`. */
  destroy(reason: ConnectionLost): void {
    this.#isOpen = false;
    this.#socket.destroy(reason);
  }

  /** Ends it when `ms` have passed, unless what is given is disposed of before. */
  limit(ms: number): Disposable {
    const end = () => this.destroy(new ConnectionLost(`no answer within ${ms / 1000} s`));
    const timer = setTimeout(end, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }

  /** When all that was asked for is answered. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    using _ = this.limit(CLOSE_MS);
    await this.#client.end().catch(() => undefined);
    this.#ended();
  }

  async #connect(timeoutMs: number): Promise<void> {
    using _ = this.limit(timeoutMs);
    await this.#client.connect();
  }

  #ended(): void {
    this.#isOpen = false;
    this.#socket.destroy();
  }
}

function lastOf<R extends object>(result: QueryResult<R> | QueryResult<R>[]): Answer<R> {
  const { rows, rowCount, command } = Array.isArray(result) ? result.at(-1)! : result;
  return { rows, count: rowCount ?? 0, command };
}

const parserOf: typeof types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === INT8 && format !== 'binary' ? wholeNumber : types.getTypeParser(oid, format);

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new ServerError('22003', `${text}: a number that nothing here comes near`);
}

/** What is to be put right before the server is even asked has a code of its own. */
function openingError(cause: unknown, { name, tls }: ConnectionSettings): unknown {
  if (cause instanceof VanityError) return cause;
  const error = sessionError(cause, false);
  if (!(error instanceof ConnectionLost)) return error;
  if (error.message === NO_TLS) {
    const detail = `sslmode=${tls.mode}: the server has no TLS; sslmode=disable goes without`;
    return new VanityError('CONFIG_INVALID', `${name}: ${detail}`);
  }
  const { code = '' } = cause as NodeJS.ErrnoException;
  if (!OF_TLS.test(code)) return error;
  const reason = error.message.replace(ADVICE, '');
  const detail = `${name}: TLS, sslmode=${tls.mode}: ${reason}`;
  return new VanityError('CERTIFICATE_INVALID', detail, { cause: error });
}
