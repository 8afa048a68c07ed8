/**
 * Refusals of what never becomes a request: bytes that Node.js's parser cannot read, heads that are
 * too large, requests that do not arrive, and CONNECT. They are written by hand, counted as others are,
 * and the last that a connection carries. Runs in the HTTP threads.
 *
 * A refusal says that nothing was handed out, and so must not be read as the reply to another request:
 * while one is being answered, the connection is cut instead.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { VanityError } from '../errors.ts';
import type { Tallies } from '../pool/tallies.ts';
import type { InFlight } from './in-flight.ts';
import { PROBLEM_TYPE, problemOf } from './problems.ts';
import { ERRORS_TYPE, errorsOf, isTransitPath } from './transit.ts';

/** A handshake that failed, for whatever reason: there is no way to say anything. */
const NO_WAY_BACK = /^(ECONNRESET|ERR_SSL_.*|ERR_TLS_.*)$/;
/** Bytes behind a request that its client called the last: its reply goes on, and is the last. */
const BEHIND_THE_LAST = 'HPE_CLOSED_CONNECTION';
/** For a client that was refused to close its side. */
const LINGER_MS = 1000;

interface Options {
  readonly inFlight: InFlight;
  readonly tallies: Tallies;
  /** Headers that every reply carries. */
  readonly lines: string;
}

export class ConnectionRefusals {
  readonly #options: Options;

  constructor(server: Server, options: Options) {
    this.#options = options;
    server.on('connect', (_, socket) => this.#refuseTunnel(socket));
  }

  /** What Node.js's HTTP parser refuses. */
  refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    const { code = '' } = error;
    if (code === BEHIND_THE_LAST) return;
    if (NO_WAY_BACK.test(code) || !socket.writable) {
      socket.destroy();
      return;
    }
    const refusal = connectionError(code);
    const { inFlight, tallies } = this.#options;
    if (inFlight.isAnswering(socket)) {
      tallies.countError(refusal.code);
      socket.destroy();
    } else inFlight.afterReplies(socket, () => this.#end(socket, refusal));
  }

  /** What follows CONNECT is no request. Node.js has taken all its listeners from the connection. */
  #refuseTunnel(socket: Duplex): void {
    const refusal = new VanityError('METHOD_NOT_ALLOWED', 'CONNECT: this is no proxy', {
      allow: '',
    });
    socket.on('error', () => socket.destroy()).resume();
    this.#options.inFlight.afterReplies(socket, () => this.#end(socket, refusal));
  }

  #end(socket: Duplex, refusal: VanityError): void {
    // The reply before it may have been the last.
    if (!socket.writable) return;
    const { inFlight, lines, tallies } = this.#options;
    tallies.countError(refusal.code);
    const isTransit = isTransitPath(inFlight.arriving(socket) ?? '');
    const body = JSON.stringify(isTransit ? errorsOf(refusal) : problemOf(refusal));
    const type = isTransit ? ERRORS_TYPE : PROBLEM_TYPE;
    const allow = refusal.allow === undefined ? '' : `allow: ${refusal.allow}\r\n`;
    socket.end(
      `HTTP/1.1 ${refusal.status} Refused\r\ndate: ${new Date().toUTCString()}\r\n` +
        `content-type: ${type}\r\n${lines}${allow}cache-control: no-store\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }
}

function connectionError(code: string): VanityError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new VanityError('HEADERS_TOO_LARGE', 'headers: at most 16384 bytes and 1000 lines');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new VanityError('REQUEST_TIMEOUT', 'the request did not arrive in time');
    default:
      return new VanityError('REQUEST_INVALID', 'this is not a request in HTTP/1.1');
  }
}
