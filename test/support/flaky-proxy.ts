/**
 * What may lie between a client and a server: an HTTP proxy on a real socket that does to each
 * request what the test says, in the order of their coming, and afterwards lets all pass.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Each gets the whole request first. */
export type Fate =
  /** The server gets it, the client its reply. */
  | 'pass'
  /** The connection is cut; the server never hears of it. */
  | 'lose'
  /** The server answers, and the connection is cut before a byte of it, or in the middle. */
  | 'cut-reply'
  | 'halve-reply'
  /** Nothing happens any more; the server never hears of it, or has sent half of its reply. */
  | 'hold'
  | 'hold-reply'
  /** Something else than the server answers. */
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** The server gets it, and then this happens before the connection is cut. */
  | ((reply: Promise<Reply>) => Promise<unknown>);

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly authorization: string | undefined;
}

export class FlakyProxy implements AsyncDisposable {
  /** Of the server. */
  target: string;
  url = '';
  /** Requests, as they came. */
  readonly seen: Seen[] = [];
  readonly fates: Fate[] = [];
  /** Called with the number of each request once its fate has begun. */
  onRequest: (number: number) => void = () => undefined;
  readonly #server = createServer((incoming, reply) => {
    // Cut by the client: that is what some tests are about.
    this.#take(incoming, reply).catch(() => incoming.socket.destroy());
  });

  private constructor(target: string) {
    this.target = target;
  }

  static async before(target: string): Promise<FlakyProxy> {
    const proxy = new FlakyProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    proxy.url = `http://127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #take(incoming: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { method = '', url: path = '', headers, socket } = incoming;
    const body = await buffer(incoming);
    const { authorization } = headers;
    this.seen.push({ method, path, key: headers['idempotency-key'] as string, authorization });
    const fate = this.fates.shift() ?? 'pass';
    this.onRequest(this.seen.length);
    if (fate === 'lose') return void socket.destroy();
    if (fate === 'hold') return;
    if (typeof fate === 'object') {
      reply.writeHead(fate.status, fate.headers).end(fate.body);
      return;
    }
    const answer = this.#forward(incoming, body);
    if (typeof fate === 'function') {
      answer.catch(() => undefined);
      await fate(answer);
      return void socket.destroy();
    }
    const whole = await answer;
    if (fate === 'cut-reply') return void socket.destroy();
    reply.writeHead(whole.status, whole.headers);
    if (fate === 'pass') return void reply.end(whole.body);
    reply.write(whole.body.subarray(0, whole.body.length / 2), () => {
      if (fate === 'halve-reply') socket.destroy();
    });
  }

  #forward({ method, url, headers }: IncomingMessage, body: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const options = { method, headers: { ...headers, host: 'localhost' }, agent: false };
      const call = request(new URL(url!, this.target), options, (answer) => {
        buffer(answer).then(
          (whole) => resolve({ status: answer.statusCode!, headers: answer.headers, body: whole }),
          reject,
        );
      });
      call.on('error', reject).end(body);
    });
  }
}

/** As vanitypool says it. */
export function problem(status: number, code: string, retryAfter?: number): Fate {
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    },
    body: JSON.stringify({ type: 'x', title: 'x', status, code, detail: `said: ${code}` }),
  };
}
