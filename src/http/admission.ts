/**
 * Which requests are let in, before anything else is done for them: not those of a connection too
 * many, nor of a client that sends and does not read, nor those without a valid token where one is
 * asked for, nor more of one client than `http.rate_limit`, nor more of one address to what is open to all. Runs in the HTTP threads, each for itself:
 * of limits that are meant for the server it takes its share.
 *
 * A token has 256 random bits: guessing is hopeless at any rate. So a client that sends wrong ones has
 * to wait, and is logged, but valid tokens from the same address are still served: one client
 * with an old token must not lock out those behind the same proxy.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { VanityError } from '../errors.ts';
import type { Log } from '../log.ts';
import { REFUSED_MAX } from '../pool/file-budget.ts';
import type { Tallies } from '../pool/tallies.ts';
import type { Token } from '../token.ts';
import type { Access } from './access.ts';
import type { Connection, InFlight } from './in-flight.ts';
import { networkOf, RateLimit } from './rate-limit.ts';

export interface Limits {
  /** Requests a second of one token, or of one address without; 0 for any number. */
  readonly requestsPerSecond: number;
  /** Open at once. It may change. */
  readonly connections: number;
  /** Beyond those; they get a 503, and any further ones are closed without a reply. 256 if not given. */
  readonly refused?: number;
}

/** Of one address, over which its requests without a valid token get 429 instead of 401. */
export const FAILURES_MAX = 60;
const FAILURES_MS = 60_000;
const TELL_REFUSED_MS = 60_000;
/** Requests a second of one address to routes that ask for no token: a page with its files is ten. */
export const OPEN_MAX = 100;
/** Requests on one connection that wait for the replies before them: a reply can have 330 kB. */
export const BEHIND_MAX = 64;

interface Options {
  readonly access: Access;
  readonly limits: Limits;
  readonly inFlight: InFlight;
  readonly tallies: Tallies;
  readonly log: Log;
}

export class Admission {
  readonly #options: Options;
  readonly #requests = new RateLimit(1000);
  readonly #open = new RateLimit(1000);
  readonly #failures = new RateLimit(FAILURES_MS);
  readonly #surplus = new Set<Socket>();
  #connections = 0;
  #toldRefusedAt = Number.NEGATIVE_INFINITY;

  constructor(options: Options) {
    this.#options = options;
  }

  /** From before it listens; `event` is that of a connection that can carry requests. */
  watch(server: Server, event: 'connection' | 'secureConnection'): void {
    const { limits, tallies } = this.#options;
    const bound = (): number => {
      const { connections, refused = REFUSED_MAX } = limits;
      server.maxConnections = connections + refused;
      return connections;
    };
    bound();
    server.on(event, (socket: Socket) => {
      const connections = bound();
      if (++this.#connections > connections) {
        this.#surplus.add(socket);
        this.#tellRefused(connections);
      }
      socket.once('close', () => {
        this.#connections--;
        this.#surplus.delete(socket);
      });
    });
    server.on('drop', () => {
      tallies.countError('OVERLOADED');
      this.#tellRefused(bound());
    });
  }

  #tellRefused(connections: number): void {
    const now = performance.now();
    if (now - this.#toldRefusedAt < TELL_REFUSED_MS) return;
    this.#toldRefusedAt = now;
    this.#options.log.warn({ connections }, 'connections are refused: the limit is reached');
  }

  /** Errors: OVERLOADED, RATE_LIMITED, and those of `Access.check`. */
  admit(request: FastifyRequest, reply: FastifyReply): Token | undefined {
    const { socket } = request.raw;
    if (this.#surplus.size > 0 && this.#surplus.has(socket)) {
      reply.header('connection', 'close');
      throw overloaded('connections: the server has as many as it takes');
    }
    const connection = this.#options.inFlight.connection(socket);
    if (connection?.isEnding) throw overloaded('connection: a reply before this one ends it');
    if (connection !== undefined && connection.waiting > BEHIND_MAX) {
      throw endConnection(
        connection,
        reply,
        `${BEHIND_MAX} requests wait for replies that are not read`,
      );
    }
    const token = this.check(request);
    this.#countOpen(request);
    const { requestsPerSecond } = this.#options.limits;
    if (requestsPerSecond > 0) {
      const count = this.#requests.count(token?.id ?? networkOf(request.ip));
      if (count > requestsPerSecond) {
        const whose = token === undefined ? 'address' : 'token';
        throw limited(`at most http.rate_limit requests a second of one ${whose}`, this.#requests);
      }
    }
    return token;
  }

  /** Errors: those of `Access.check`; RATE_LIMITED. */
  check(request: FastifyRequest): Token | undefined {
    const { headers, routeOptions } = request;
    try {
      const { scope, isTransit } = routeOptions.config;
      const token = this.#options.access.check(headers, scope, isTransit);
      if (token === undefined && headers.authorization !== undefined) this.#countFailure(request);
      return token;
    } catch (error) {
      if (error instanceof VanityError && error.code === 'TOKEN_REQUIRED') {
        this.#countFailure(request);
      }
      throw error;
    }
  }

  /** What is no route has no limit: to say so is cheap. */
  #countOpen({ ip, is404, routeOptions }: FastifyRequest): void {
    const { scope, isProbe } = routeOptions.config;
    if (scope !== undefined || isProbe || is404) return;
    if (this.#open.count(networkOf(ip)) <= OPEN_MAX) return;
    throw limited(`${OPEN_MAX} requests a second of one address to open routes`, this.#open);
  }

  #countFailure({ ip }: FastifyRequest): void {
    const address = networkOf(ip);
    const count = this.#failures.count(address);
    if (count <= FAILURES_MAX) return;
    if (count === FAILURES_MAX + 1) {
      this.#options.log.warn(
        { address },
        'too many requests without a valid token from one address',
      );
    }
    throw limited(`${FAILURES_MAX} requests a minute without a valid token`, this.#failures);
  }
}

/** The error of the last reply on a connection: what comes behind is not served. */
export function endConnection(
  connection: Connection,
  reply: FastifyReply,
  detail: string,
): VanityError {
  connection.isEnding = true;
  reply.header('connection', 'close');
  return overloaded(`connection: ${detail}`);
}

function overloaded(detail: string): VanityError {
  return new VanityError('OVERLOADED', detail, { retryAfterSeconds: 1 });
}

function limited(detail: string, { secondsLeft }: { secondsLeft: number }): VanityError {
  return new VanityError('RATE_LIMITED', detail, { retryAfterSeconds: secondsLeft });
}
