/**
 * How the command line reaches a server: a `fetch` for the client, on a TCP port or a Unix socket. It
 * trusts what this machine trusts, or one certificate alone, which is compared before a byte of the
 * request leaves. Nothing is sent twice, and only the signal of a request limits its time.
 *
 * An error says whether anything was sent: only after the connection is there, and its
 * certificate trusted, can the server have seen anything.
 */
import type { IncomingMessage, RequestOptions } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { urlToHttpOptions } from 'node:url';
import type { Fetch, FetchReply } from '../client/client.ts';
import { VanityError } from '../errors.ts';
import { http, https } from '../system/http-module.ts';
import { usage } from './options.ts';
import { NOT_OWN, type OwnCertificate } from './own-certificate.ts';

/** What the client has as its server: where that is, its `fetch` knows. */
export const ORIGIN = 'http://localhost';
export const START_HINT = 'start one with: vanitypool serve';
/** Where a request ends that no server has seen. */
const BEFORE_SENDING = /^(connect|getaddrinfo)$/;
/** How Node.js says that it does not trust a certificate, or hears no TLS: nothing was sent then. */
const NO_TRUST = /CERT|^UNABLE_TO_/;
const NO_TLS = /^(EPROTO|ERR_SSL_.*)$/;
const HTTPS_PORT = 443;

/** The server has seen nothing of the request: nothing was done. */
export class NotSent extends VanityError {}

/** Whether nobody listens where a request was to go: nothing was asked for, nothing was done. */
export function isNobodyThere(error: unknown): boolean {
  const cause = error instanceof NotSent ? error.cause : undefined;
  return cause !== undefined && BEFORE_SENDING.test(syscallOf(cause));
}

/**
 * For requests to ORIGIN, which go to `url`. Errors of its own: USAGE_INVALID for an invalid URL.
 * An error before the request was sent is NotSent; any other comes after it.
 */
export function serverFetch(url: string, certificate?: OwnCertificate): Fetch {
  const to = connectionTo(url);
  const isTls = to.protocol === 'https:';
  return async (at, { method, headers, body = '', signal }) => {
    let isThere = false;
    try {
      const own = isTls ? await certificate?.connect({ ...addressOf(to), signal }) : undefined;
      return await new Promise((resolve, reject) => {
        const sent = (isTls ? https : http).request({
          ...to,
          ...(own !== undefined && { createConnection: () => own }),
          method,
          path: at.slice(ORIGIN.length),
          headers: { ...headers, 'content-length': Buffer.byteLength(body) },
          signal,
        });
        sent
          .on('socket', (socket) => {
            // One that is used again is there already, and so is our own.
            isThere = sent.reusedSocket || own !== undefined;
            if (isThere) return;
            socket.once(isTls ? 'secureConnect' : 'connect', () => {
              isThere = true;
            });
          })
          .on('response', (reply) => resolve(new ServerReply(reply)))
          .on('error', reject)
          .end(body);
      });
    } catch (cause) {
      throw isThere ? cause : notSent(url, cause, certificate);
    }
  };
}

/** What the client reads of a reply. A `Response` of Node.js takes 30 ms to load, once for each command. */
class ServerReply implements FetchReply {
  readonly #message: IncomingMessage;
  readonly status: number;

  constructor(message: IncomingMessage) {
    this.#message = message;
    this.status = message.statusCode!;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  get headers(): FetchReply['headers'] {
    const { headers } = this.#message;
    return { get: (name) => headers[name]?.toString() ?? null };
  }

  /** To be read once. */
  get body(): NonNullable<FetchReply['body']> {
    return Readable.toWeb(this.#message);
  }

  text(): Promise<string> {
    return text(this.#message);
  }
}

function notSent(
  url: string,
  cause: unknown,
  certificate: OwnCertificate | undefined,
): VanityError {
  const reason = reasonOf(cause);
  let what = `nothing was sent (${reason})`;
  if (BEFORE_SENDING.test(syscallOf(cause))) what = `no server answers (${reason}); ${START_HINT}`;
  else if (reason === NOT_OWN) {
    const file = certificate?.file;
    what = `what answers has another certificate than ${file} (${reason}); nothing was sent to it`;
  } else if (NO_TRUST.test(reason)) {
    const trust = 'NODE_EXTRA_CA_CERTS=FILE names one that is trusted';
    what = `its certificate is not trusted (${reason}); ${trust}`;
  } else if (NO_TLS.test(reason)) what = `no TLS there (${reason})`;
  return new NotSent('SERVER_UNREACHABLE', `${url}: ${what}`, { cause });
}

/** A name with several addresses fails with an error for each. */
function syscallOf(cause: unknown): string {
  const { syscall, errors } = cause as NodeJS.ErrnoException & Partial<AggregateError>;
  return syscall ?? errors?.[0]?.syscall ?? '';
}

/** What the system calls it, or says of it. */
export function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return String(code ?? message);
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

function addressOf({ hostname, port }: RequestOptions): { host: string; port: number } {
  return { host: String(hostname), port: Number(port ?? HTTPS_PORT) };
}
