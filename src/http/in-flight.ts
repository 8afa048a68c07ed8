/**
 * Requests that have come and are not answered yet: a stop waits for them, and a client that does
 * not read its replies is cut off. Runs in an HTTP thread.
 *
 * Each connection keeps its replies until they are finished, and drops them when it is next asked for
 * something. A listener on every reply instead took 2 to 4 us more of the 35 that a dispense takes of
 * the processor (best of 18 rounds).
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { cut, Taking } from './unsent.ts';

/** For a client to take 16 KiB: 20 s, and 5 s for each 16 KiB that it took before, 200 s at most (unsent.ts). */
export const UNREAD_LOOK_MS = 5000;
export const UNREAD_LOOKS = 4;

export class Connection {
  /** No request that comes behind is served: the reply that said so is the last one. */
  isEnding = false;
  readonly #socket: Socket;
  /** In the order of their requests; those that are finished are dropped late. */
  readonly #replies: ServerResponse[] = [];
  #document: ServerResponse | undefined;
  /** Since something waits in memory. */
  #taking: Taking | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  add(reply: ServerResponse): void {
    this.#trim();
    this.#replies.push(reply);
  }

  /** Replies that the client has not read yet, or that are not there yet. */
  get waiting(): number {
    this.#trim();
    return this.#replies.length;
  }

  /** The last reply that was asked for, unless all are finished. */
  get latest(): ServerResponse | undefined {
    const reply = this.#replies.at(-1);
    return reply?.writableFinished === false ? reply : undefined;
  }

  /** Whether a document is still on its way. */
  get holdsDocument(): boolean {
    return this.#document?.writableFinished === false;
  }

  carryDocument(reply: ServerResponse): void {
    this.#document = reply;
  }

  /** Bytes in memory that the client has not taken. */
  get unread(): number {
    return this.#replies.reduce((sum, reply) => sum + reply.writableLength, 0);
  }

  /** The lower, the less is lost with it: 0 with a document, 2 with what was handed out. */
  get worth(): number {
    if (this.#replies.some(({ req, writableFinished }) => !writableFinished && changes(req))) {
      return 2;
    }
    return this.holdsDocument ? 0 : 1;
  }

  /** Whether something waits, and the client takes too little of it; asked at each look. */
  isStuck(looks: number): boolean {
    if (this.#socket.writableLength === 0) {
      this.#taking = undefined;
      return false;
    }
    if (this.#taking !== undefined) return !this.#taking.goesOn(looks);
    this.#taking = new Taking(this.#socket, looks);
    return false;
  }

  #trim(): void {
    const replies = this.#replies;
    while (replies[0]?.writableFinished === true) replies.shift();
  }
}

export class InFlight {
  readonly #connections = new Map<Socket, Connection>();

  /** Before anything else sees a request: what serves it finds its connection. */
  constructor(server: Server) {
    server.prependListener('request', ({ socket }, reply) => {
      let connection = this.#connections.get(socket);
      if (connection === undefined) {
        connection = new Connection(socket);
        this.#connections.set(socket, connection);
        socket.once('close', () => this.#connections.delete(socket));
      }
      connection.add(reply);
    });
  }

  /** Undefined before its first request. */
  connection(socket: Socket): Connection | undefined {
    return this.#connections.get(socket);
  }

  /** Connections that wait for an answer, or for the rest of one. */
  get count(): number {
    return [...this.#connections.values()].filter(({ latest }) => latest !== undefined).length;
  }

  /**
   * True if bytes written now could be mistaken for a reply that is still owed, or for part of one.
   * False if every request is answered, or if the only one left is still arriving.
   */
  isAnswering(socket: Socket): boolean {
    const reply = this.#connections.get(socket)?.latest;
    if (reply === undefined) return false;
    // Others of this connection come first.
    if (reply.socket === null) return true;
    return !reply.writableEnded && (reply.headersSent || reply.req.complete);
  }

  /** The target of a request of which the head has come, and not all of the body. */
  arriving(socket: Duplex): string | undefined {
    const request = this.#connections.get(socket as Socket)?.latest?.req;
    return request?.complete === false ? request.url : undefined;
  }

  /**
   * Calls `then` when all that was asked for on the connection, but for a request that is still on its way, is
   * answered and written; never if it closes before.
   */
  afterReplies(socket: Duplex, then: () => void): void {
    const reply = this.#connections.get(socket as Socket)?.latest;
    if (reply !== undefined && (reply.writableEnded || reply.req.complete)) {
      reply.once('finish', then);
    } else then();
  }

  /**
   * Cuts connections on which, from one look on and for so many more, something waited and too little was
   * taken (unsent.ts). A stream of events that is read leaves nothing to wait.
   */
  cutUnread(looks: number): void {
    for (const [socket, connection] of this.#connections) {
      if (connection.isStuck(looks)) cut(socket);
    }
  }

  /**
   * Cuts connections until what waits in memory for clients to take it is at most so much: first those with
   * a document, last those with what was handed out; of those alike the one that holds most.
   */
  boundUnread(bytesMax: number): void {
    const holding: { socket: Socket; connection: Connection; unread: number }[] = [];
    let sum = 0;
    for (const [socket, connection] of this.#connections) {
      const { unread } = connection;
      if (unread === 0) continue;
      sum += unread;
      holding.push({ socket, connection, unread });
    }
    if (sum <= bytesMax) return;
    const ranked = holding.map((one) => ({ ...one, worth: one.connection.worth }));
    ranked.sort((one, other) => one.worth - other.worth || other.unread - one.unread);
    for (const { socket, unread } of ranked) {
      if (sum <= bytesMax) return;
      cut(socket);
      sum -= unread;
    }
  }
}

/** What may hand something out: all but looks, and the ancestor's hand-out is a GET. */
function changes({ method, url }: IncomingMessage): boolean {
  return (method !== 'GET' && method !== 'HEAD') || url!.startsWith('/api/');
}
