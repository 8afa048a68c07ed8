/** Leads from a port of loopback to a socket in the file system, for what knows only ports. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export class Relay implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#take(client));
  readonly #path: string;

  static async to(path: string): Promise<Relay> {
    const relay = new Relay(path);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  private constructor(path: string) {
    this.#path = path;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(client: Socket): void {
    const server = connect(this.#path);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one);
      // An error comes with 'close', which ends the other side.
      one
        .setNoDelay()
        .on('error', () => undefined)
        .once('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        })
        .pipe(other);
    }
  }
}
