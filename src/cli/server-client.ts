/**
 * How commands talk to a running server: one JSON request over HTTP, or one stream of its status,
 * on a TCP port or a Unix socket. Nothing is sent twice: a dispense whose reply was lost may have
 * handed an address out. An error says whether anything was sent: only after the connection
 * is there, and its certificate trusted, can the server have seen anything.
 *
 * Errors: USAGE_INVALID for a URL or a token that is none, SERVER_UNREACHABLE when nobody answers in
 * time or what answers is another program; a problem of the server keeps its code and detail.
 */
import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { urlToHttpOptions } from 'node:url';
import type { StatusEvent } from '../api/service.ts';
import { ERRORS, type ErrorCode, VanityError } from '../errors.ts';
import { usage } from './options.ts';
import { NOT_OWN, type OwnCertificate } from './own-certificate.ts';
import { eventsIn } from './server-events.ts';

const TIMEOUT_MS = 30_000;
/** Without a byte: a large backup is made and checked before the first one. */
const DOWNLOAD_IDLE_MS = 600_000;
/** Of a stream that has something to say each second. */
const SILENCE_MS = 10_000;
/** Where a request ends that no server has seen. */
const BEFORE_SENDING = /^(connect|getaddrinfo)$/;
/** How Node.js says that it does not trust a certificate, or hears no TLS: nothing was sent then. */
const NO_TRUST = /CERT|^UNABLE_TO_/;
const NO_TLS = /^(EPROTO|ERR_SSL_.*)$/;
const HTTPS_PORT = 443;
const START_HINT = 'start one with: vanitypool serve';
/** What a header can hold. */
const TOKEN = /^[\x21-\x7e]+$/;

export interface ServerAnswer {
  readonly status: number;
  readonly body: object;
  /** Of the `Retry-After` header. */
  readonly retryAfterSeconds: number | undefined;
}

interface Exchange {
  readonly json?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Without a byte of the reply; for the whole of it `signal` counts. */
  readonly idleMs?: number;
}

/** The server has seen nothing of the request: nothing was done. */
export class NotSent extends VanityError {}

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

/** Whether nobody listens where a request was to go: nothing was asked for, nothing was done. */
export function isNobodyThere(error: unknown): boolean {
  const cause = error instanceof NotSent ? error.cause : undefined;
  return cause !== undefined && BEFORE_SENDING.test(syscallOf(cause));
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

export class ServerClient {
  readonly url: string;
  readonly #options: RequestOptions;
  readonly #certificate: OwnCertificate | undefined;
  readonly #token: string | undefined;

  constructor(url: string, { token, certificate }: ServerAccess = {}) {
    this.url = url;
    this.#options = connectionTo(url);
    this.#certificate = certificate;
    this.#token = token ?? givenToken();
  }

  /** The body of a reply that says all is well: an object that has `key`. */
  async ask<T>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    key: keyof T & string,
    body?: unknown,
    idempotencyKey?: string,
  ): Promise<T> {
    const reply = await this.send(method, path, body, idempotencyKey);
    if (reply.status < 200 || reply.status > 299) throw this.#problem(reply);
    if (!Object.hasOwn(reply.body, key)) throw this.#stranger();
    return reply.body as T;
  }

  /** Any reply whose body is a JSON object. */
  async send(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    idempotencyKey?: string,
  ): Promise<ServerAnswer> {
    const json = body === undefined ? '' : JSON.stringify(body);
    const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    let reply: IncomingMessage;
    let source: string;
    try {
      reply = await this.#exchange(method, path, { json, headers });
      source = await text(reply);
    } catch (cause) {
      if (cause instanceof VanityError) throw cause;
      const after = '; what was asked for may have been done';
      throw this.#unreachable(`no whole reply (${reasonOf(cause)})${after}`, cause);
    }
    return this.#answer(reply, source);
  }

  #answer({ headers, statusCode }: IncomingMessage, source: string): ServerAnswer {
    const value = parsed(source);
    if (typeof value !== 'object' || value === null) throw this.#stranger();
    const seconds = Number(headers['retry-after']);
    const retryAfterSeconds = Number.isInteger(seconds) ? seconds : undefined;
    return { status: statusCode!, body: value, retryAfterSeconds };
  }

  /** The body of a reply that is a file, as it comes, and its size. */
  async download(
    path: string,
    signal: AbortSignal,
  ): Promise<{ size: number; source: AsyncIterable<Uint8Array> }> {
    const reply = await this.#exchange('POST', path, { signal, idleMs: DOWNLOAD_IDLE_MS }).catch(
      (cause: unknown) => {
        if (cause instanceof VanityError) throw cause;
        throw this.#unreachable(`no reply (${reasonOf(cause)})`, cause);
      },
    );
    const type = String(reply.headers['content-type']);
    if (reply.statusCode === 200 && type.startsWith('application/octet-stream')) {
      return { size: Number(reply.headers['content-length']), source: this.#pieces(reply) };
    }
    throw this.#problem(this.#answer(reply, await text(reply)));
  }

  async *#pieces(reply: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of reply) yield piece;
    } catch (cause) {
      throw this.#unreachable(`the file broke off (${(cause as Error).message})`, cause);
    }
  }

  /** The status at once and then each second, until `signal` aborts or the server ends it. */
  async *follow(signal: AbortSignal): AsyncGenerator<StatusEvent> {
    try {
      const reply = await this.#exchange('GET', '/v1/events', { signal, idleMs: SILENCE_MS });
      if (reply.statusCode !== 200) throw this.#problem(this.#answer(reply, await text(reply)));
      if (reply.headers['content-type'] !== 'text/event-stream') throw this.#stranger();
      for await (const data of eventsIn(reply.setEncoding('utf8'), 'status')) {
        yield JSON.parse(data) as StatusEvent;
      }
    } catch (cause) {
      if (cause instanceof VanityError) throw cause;
      throw this.#unreachable(`the stream broke off (${reasonOf(cause)})`, cause);
    }
  }

  /** Error: NotSent; what is none comes after the request was sent. */
  async #exchange(
    method: string,
    path: string,
    {
      json = '',
      headers = {},
      signal = AbortSignal.timeout(TIMEOUT_MS),
      // Without one of ours Node.js gives up after 5 s.
      idleMs = TIMEOUT_MS,
    }: Exchange,
  ): Promise<IncomingMessage> {
    const own = await this.#ownConnection(signal, idleMs);
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const all = {
      ...headers,
      ...(json !== '' && { 'content-type': 'application/json' }),
      ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
    };
    const isTls = this.#options.protocol === 'https:';
    let isThere = own !== undefined;
    try {
      const sent = (isTls ? requestHttps : requestHttp)({
        ...this.#options,
        ...(own !== undefined && { createConnection: () => own }),
        method,
        path,
        headers: { ...all, 'content-length': Buffer.byteLength(json) },
        signal,
        timeout: idleMs,
      });
      sent
        .on('socket', (socket) => {
          // One that is used again is there already, and our own.
          isThere ||= sent.reusedSocket;
          socket.once(isTls ? 'secureConnect' : 'connect', () => {
            isThere = true;
          });
        })
        .on('response', resolve)
        .on('error', (cause) => reject(isThere ? cause : this.#notSent(cause)))
        .on('timeout', () => sent.destroy(new Error(`nothing came in ${idleMs} ms`)))
        .end(json);
    } catch (cause) {
      throw this.#notSent(cause);
    }
    return promise;
  }

  /** One that is trusted by its certificate alone; undefined where this machine's trust counts. Error: NotSent. */
  async #ownConnection(signal: AbortSignal, idleMs: number): Promise<Duplex | undefined> {
    const { protocol, hostname, port } = this.#options;
    if (this.#certificate === undefined || protocol !== 'https:') return undefined;
    const to = { host: String(hostname), port: Number(port ?? HTTPS_PORT) };
    try {
      return await this.#certificate.connect({ ...to, signal, idleMs });
    } catch (cause) {
      throw this.#notSent(cause);
    }
  }

  #notSent(cause: unknown): VanityError {
    const reason = reasonOf(cause);
    let what = `nothing was sent (${reason})`;
    if (BEFORE_SENDING.test(syscallOf(cause)))
      what = `no server answers (${reason}); ${START_HINT}`;
    else if (reason === NOT_OWN) {
      const file = this.#certificate?.file;
      what = `what answers has another certificate than ${file} (${reason}); nothing was sent to it`;
    } else if (NO_TRUST.test(reason)) {
      const trust = 'NODE_EXTRA_CA_CERTS=FILE names one that is trusted';
      what = `its certificate is not trusted (${reason}); ${trust}`;
    } else if (NO_TLS.test(reason)) what = `no TLS there (${reason})`;
    return new NotSent('SERVER_UNREACHABLE', `${this.url}: ${what}`, { cause });
  }

  #unreachable(reason: string, cause?: unknown): VanityError {
    return new VanityError('SERVER_UNREACHABLE', `${this.url}: ${reason}`, { cause });
  }

  #stranger(): VanityError {
    return this.#unreachable(`what answers is not vanitypool; give --url, or ${START_HINT}`);
  }

  /** An RFC 9457 document becomes the error that it was in the server. */
  #problem({ body, retryAfterSeconds }: ServerAnswer): VanityError {
    const { code, detail } = body as { code?: unknown; detail?: unknown };
    if (typeof code !== 'string' || typeof detail !== 'string') return this.#stranger();
    const extras = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    if (Object.hasOwn(ERRORS, code)) return new VanityError(code as ErrorCode, detail, extras);
    return new VanityError('INTERNAL', `${code}: ${detail}`);
  }
}

/** Of `VANITYPOOL_TOKEN`: as a file that was read into it ends with a line feed, so may it. */
export function givenToken(): string | undefined {
  const token = process.env.VANITYPOOL_TOKEN?.trim() ?? '';
  if (token === '') return undefined;
  if (TOKEN.test(token)) return token;
  throw usage('VANITYPOOL_TOKEN: allowed: one token, printable ASCII without spaces');
}

/** A name with several addresses fails with an error for each. */
function syscallOf(cause: unknown): string {
  const { syscall, errors } = cause as NodeJS.ErrnoException & Partial<AggregateError>;
  return syscall ?? errors?.[0]?.syscall ?? '';
}

function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return String(code ?? message);
}

function parsed(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return undefined;
  }
}

/** Error: USAGE_INVALID. */
export function assertUrl(url: string): void {
  connectionTo(url);
}

function connectionTo(url: string): RequestOptions {
  if (/^unix:./.test(url)) return { socketPath: url.slice('unix:'.length) };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const allowed = 'allowed: http://HOST:PORT, https://HOST:PORT or unix:PATH';
  if (parsed !== undefined && `${parsed.username}${parsed.password}` !== '') {
    // Not shown: it is a secret.
    throw usage(`--url: a user or password in it is not allowed; ${allowed}`);
  }
  const isHttp = parsed?.protocol === 'http:' || parsed?.protocol === 'https:';
  if (!isHttp || `${parsed.pathname}${parsed.search}${parsed.hash}` !== '/') {
    throw usage(`--url: ${JSON.stringify(url)} is not allowed; ${allowed}`);
  }
  const { protocol, hostname, port } = urlToHttpOptions(parsed);
  return { protocol, hostname, port };
}
