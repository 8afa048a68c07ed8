/**
 * Stands between a browser and a server as a proxy that serves it under a path, and can be cut like a cable.
 * Keeps what went through: the URLs that were asked for, and the statuses that the server sent.
 */
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { EventParser } from '../../src/client/event-parser.ts';
import type { StatusEvent } from '../../src/client/replies.ts';

/** As no server knows it. */
const PREFIX = '/some/path';

export class PathProxy implements AsyncDisposable {
  readonly urls: string[] = [];
  readonly statuses: StatusEvent[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #isCut = false;

  private constructor(behind: URL) {
    this.#server = createServer((asked, reply) => {
      const { method, headers, url = '' } = asked;
      this.urls.push(url);
      if (!url.startsWith(`${PREFIX}/`)) return void reply.writeHead(404).end();
      const path = url.slice(PREFIX.length);
      const { hostname: host, port } = behind;
      const onward = request({ host, port, method, path, headers }, (answer) => {
        reply.writeHead(answer.statusCode!, answer.rawHeaders);
        if (path === '/v1/events') this.#read(answer);
        answer.pipe(reply);
      });
      onward.once('error', () => reply.destroy());
      reply.once('close', () => onward.destroy());
      asked.pipe(onward);
    });
    this.#server.on('connection', (socket) => {
      if (this.#isCut) return void socket.destroy();
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async before(url: string): Promise<PathProxy> {
    const proxy = new PathProxy(new URL(url));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Of the dashboard. */
  get url(): string {
    return `${this.origin}${PREFIX}/`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #read(answer: NodeJS.ReadableStream): void {
    const parser = new EventParser();
    const decoder = new TextDecoder();
    answer.on('data', (piece: Buffer) => {
      const text = decoder.decode(piece, { stream: true });
      for (const { data } of parser.push(text)) this.statuses.push(JSON.parse(data));
    });
  }
}
