/** A program that receives webhooks, over HTTP on a loopback port of its own. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

export const KEY = Buffer.alloc(32, 7);
export const SECRET = `whsec_${KEY.toString('base64')}`;

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  readonly text: string;
}

/** Status and headers; undefined to answer nothing. */
type Reply = readonly [status: number, headers?: Record<string, string>] | undefined;

export class Receiver implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #server: Server;
  #more = Promise.withResolvers<void>();

  private constructor(replies: (index: number, path: string) => Reply) {
    this.#server = createServer(async (request, response) => {
      const text = (await buffer(request)).toString();
      const path = request.url!;
      const reply = replies(this.received.length, path);
      this.received.push({ headers: request.headers, path, text });
      this.#more.resolve();
      if (reply !== undefined) response.writeHead(reply[0], reply[1]).end('thanks');
    });
  }

  /** `replies`: by how many came before; without it all are accepted. */
  static async start(replies: (index: number, path: string) => Reply = () => [204]) {
    const receiver = new Receiver(replies);
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Waits until so many came; the test's own time limit ends it. */
  async until(count: number): Promise<readonly Received[]> {
    while (this.received.length < count) {
      await this.#more.promise;
      this.#more = Promise.withResolvers();
    }
    return this.received;
  }

  /** Each event that came, after the reference implementation has verified its signature. */
  get events(): { type: string; timestamp: string; data: Record<string, unknown> }[] {
    return this.received.map((one) => verified(one));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

export function verified({ headers, text }: Received, secret = SECRET) {
  const all = headers as Record<string, string>;
  return new Webhook(secret).verify(text, all) as Receiver['events'][number];
}
