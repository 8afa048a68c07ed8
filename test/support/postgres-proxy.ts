/**
 * What may lie between a client and PostgreSQL: a proxy on a real socket that reads the messages of both
 * (protocol 3, without TLS) and does to each statement what the test says. It knows when the server has
 * answered one, so that a connection can be cut after a COMMIT took effect and before its answer leaves.
 *
 * A connection that is stalled stays open while its bytes are lost, as to a machine that is gone.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Fate =
  | 'pass'
  /** The connection is cut on both sides; the server never sees the statement. */
  | 'lose'
  /** The server answers it, and the connection is cut on both sides before a byte of that. */
  | 'cut-answer'
  /** From this statement on nothing arrives any more, in both directions, and the server never sees it. */
  | 'stall';

/** A statement, or a part of one that was sent without values. */
export interface Seen {
  readonly text: string;
  /** Connections count from 1, statements of all of them as well. */
  readonly connection: number;
  readonly number: number;
}

/** A statement is held back until its fate is known, and with it all that its client sends after it. */
export type Judge = (seen: Seen) => Fate | Promise<Fate>;

const SSL_REQUEST = 80_877_103;
const SIMPLE_QUERY = 'Q';
const PARSE = 'P';
const SYNC = 'S';
const READY = 'Z';

export class PostgresProxy implements AsyncDisposable {
  /** Everything passes if not set. */
  judge: Judge = () => 'pass';
  /** New connections are accepted, and nothing comes of them. */
  isSilent = false;
  /** Where new connections lead to: the port of another server, if not of its own. */
  target: number;
  /** In the order in which they came. */
  readonly seen: Seen[] = [];
  readonly #port: number;
  readonly #links = new Set<Link>();
  readonly #server = createServer((client) => this.#take(client));
  #connections = 0;

  /** Before the server that listens on this port of loopback. */
  static async before(port: number): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(port);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor(port: number) {
    this.#port = port;
    this.target = port;
  }

  /** As the server's own, but through here. */
  through(url: string): string {
    const own = (this.#server.address() as AddressInfo).port;
    return url.replace(`127.0.0.1:${this.#port}`, `127.0.0.1:${own}`);
  }

  /** All connections that are open, in the middle of what they do. */
  cut(): void {
    for (const link of this.#links) link.cut();
  }

  /** The same, but nobody notices. */
  stall(): void {
    for (const link of this.#links) link.stall();
  }

  /** Nothing comes through any more, on connections that are open and on new ones. */
  isolate(): void {
    this.isSilent = true;
    this.stall();
  }

  /** New connections come through again; what was said on others is lost. */
  rejoin(): void {
    this.isSilent = false;
    this.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(client: Socket): void {
    const connection = ++this.#connections;
    const server = connect(this.target, '127.0.0.1');
    const link = new Link(client, server, (text) => {
      const seen = { text, connection, number: this.seen.length + 1 };
      this.seen.push(seen);
      return this.judge(seen);
    });
    if (this.isSilent) link.stall();
    this.#links.add(link);
    client.once('close', () => this.#links.delete(link));
  }
}

class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #judge: (text: string) => Fate | Promise<Fate>;
  /** For each answer that the server owes: whether the connection is cut instead. */
  readonly #owed: boolean[] = [];
  #isStalled = false;
  /** Of the statement that is being sent: several messages, if it has values. */
  #isCut = false;

  constructor(client: Socket, server: Socket, judge: (text: string) => Fate | Promise<Fate>) {
    this.#client = client;
    this.#server = server;
    this.#judge = judge;
    // An error comes with 'close', which cuts the other side.
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one
        .setNoDelay()
        .on('error', () => undefined)
        .once('close', () => other.destroy());
    }
    void this.#fromClient();
    void this.#fromServer();
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  stall(): void {
    this.#isStalled = true;
  }

  async #fromClient(): Promise<void> {
    for await (const [type, message] of messages(this.#client, true)) {
      if (type === '' && message.readInt32BE(4) === SSL_REQUEST) {
        if (!this.#isStalled) this.#client.write('N');
        continue;
      }
      const text = statementOf(type, message);
      const fate = text === undefined ? 'pass' : await this.#judge(text);
      if (fate === 'lose') return this.cut();
      if (fate === 'stall') this.stall();
      if (fate === 'cut-answer') this.#isCut = true;
      if (this.#isStalled) continue;
      if (type === SIMPLE_QUERY || type === SYNC) {
        this.#owed.push(this.#isCut);
        this.#isCut = false;
      }
      this.#server.write(message);
    }
  }

  async #fromServer(): Promise<void> {
    let isOpened = false;
    for await (const [type, message] of messages(this.#server, false)) {
      if (this.#isStalled) continue;
      const isReady = type === READY;
      if (isOpened && this.#owed[0]) {
        if (isReady) this.cut();
        continue;
      }
      this.#client.write(message);
      if (!isReady) continue;
      if (isOpened) this.#owed.shift();
      isOpened = true;
    }
  }
}

/** Type and all bytes of each message. The first ones of a client have no type. */
async function* messages(socket: Socket, isClient: boolean): AsyncGenerator<[string, Buffer]> {
  let hasType = !isClient;
  let rest = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      rest = Buffer.concat([rest, chunk as Buffer]);
      for (;;) {
        const start = hasType ? 1 : 0;
        if (rest.length < start + 4) break;
        const length = start + rest.readInt32BE(start);
        if (rest.length < length) break;
        const message = rest.subarray(0, length);
        rest = rest.subarray(length);
        yield [hasType ? String.fromCharCode(message[0]!) : '', message];
        // After a request for TLS the client begins once more.
        if (!hasType) hasType = message.readInt32BE(4) !== SSL_REQUEST;
      }
    }
  } catch {
    // It was cut.
  }
}

function statementOf(type: string, message: Buffer): string | undefined {
  if (type === SIMPLE_QUERY) return message.toString('utf8', 5, message.length - 1);
  if (type !== PARSE) return undefined;
  // A name, which is empty, and then the text; each ends with a zero.
  const start = message.indexOf(0, 5) + 1;
  return message.toString('utf8', start, message.indexOf(0, start));
}
