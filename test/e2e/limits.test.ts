/**
 * Clients that are slow, too many or too eager, at a real server. Its own times pass for real, ten
 * seconds for a request, so that all of that is one test; nothing is measured.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { DILIGENT, EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const POST = 'POST /v1/pools/pet/dispense HTTP/1.1\r\nhost: localhost\r\n';
/** Of one connection, below what may wait there. */
const ROW = 50;
/** Of one HTTP thread, for the store. */
const WAITING_MAX = 1000;

class Client implements Disposable {
  text = '';
  readonly closed: Promise<unknown>;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket.on('error', () => undefined).setEncoding('latin1');
    socket.on('data', (chunk) => {
      this.text += chunk;
    });
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  static async to(server: Server): Promise<Client> {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    await once(socket, 'connect');
    return new Client(socket);
  }

  send(text: string): this {
    this.#socket.write(text);
    return this;
  }

  /** Statuses of the replies that have come. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

test(
  'slow requests are cut, whatever is slow about them, and others are served',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    workspace.configure([EASY_POOL]);
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 100);
    using silent = await Client.to(server);
    using headers = await Client.to(server);
    using body = await Client.to(server);
    using second = await Client.to(server);
    body.send(`${POST}content-type: application/json\r\ncontent-length: 11\r\n\r\n{"co`);
    second.send(`${POST}\r\n`);
    while (second.statuses.length === 0) await sleep(10);
    second.send('POST ');
    headers.send(POST);
    const slow = [silent, headers, body, second];
    let isOver = false;
    const all = Promise.all(slow.map(({ closed }) => closed)).then(() => {
      isOver = true;
    });
    // A byte now and then does not help.
    for (let times = 0; !isOver; times++) {
      headers.send(`x-${times}: 1\r\n`);
      assert.equal((await server.dispense()).length, 1);
      await Promise.race([all, sleep(200)]);
    }
    for (const { text } of [headers, body]) {
      assert.match(text, /^HTTP\/1\.1 408 .*"code":"REQUEST_TIMEOUT"/s);
      assert.match(text, /^x-content-type-options: nosniff\r$/m);
    }
    assert.deepEqual(second.statuses, [200, 408]);
  },
);

test('headers and bodies have their limits, to the byte where it is ours', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL]);
  const server = await workspace.serve();
  await server.until(({ ready }) => ready >= 10);
  const statusOf = async (head: string, payload = ''): Promise<number> => {
    using client = await Client.to(server);
    client.send(`${POST}${head}connection: close\r\n\r\n${payload}`);
    await client.closed;
    return client.statuses[0]!;
  };
  const json = (length: number) =>
    statusOf(
      `content-type: application/json\r\ncontent-length: ${length}\r\n`,
      `{"count":1${' '.repeat(length - 11)}}`,
    );
  assert.equal(await json(16_384), 200);
  assert.equal(await json(16_385), 413);
  const chunk = ' '.repeat(0x1000);
  const chunks = `1000\r\n${chunk}\r\n`.repeat(5);
  const chunked = 'content-type: application/json\r\ntransfer-encoding: chunked\r\n';
  assert.equal(await statusOf(chunked, `${chunks}0\r\n\r\n`), 413);
  assert.equal(await statusOf(`x-large: ${'x'.repeat(16_000)}\r\n`), 200);
  assert.equal(await statusOf(`x-large: ${'x'.repeat(16_384)}\r\n`), 431);
  assert.equal(await statusOf(`x-y: z\r\n`.repeat(3000)), 431, 'many small ones');
});

test('http.max_connections holds, and http.rate_limit', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL], '[http]', 'max_connections = 3', 'rate_limit = 5');
  const server = await workspace.serve();
  const look = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';
  using first = await Client.to(server);
  using next = await Client.to(server);
  using third = await Client.to(server);
  using surplus = await Client.to(server);
  surplus.send(look);
  await surplus.closed;
  assert.match(surplus.text, /^HTTP\/1\.1 503 .*^retry-after: 1\r.*"code":"OVERLOADED"/ms);
  for (const client of [first, next, third]) {
    while (!client.statuses.includes(429)) {
      const { length } = client.statuses;
      client.send(look);
      // One at a time: many that wait for their replies are another limit.
      while (client.statuses.length === length) await sleep(1);
    }
    assert.match(client.text, /^retry-after: 1\r/m);
  }
});

test(
  'while the store hangs, a queue for it does not grow, and what is ready is served',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    using disk = new FaultyDisk(workspace.path, workspace.data);
    workspace.environment = disk.environment;
    // More than the requests below take, however slowly the refusal comes.
    workspace.configure([{ ...EASY_POOL, target: 1_000_000, ready: 4000 }], ...DILIGENT);
    const server = await workspace.serve();
    await server.until(({ ready }) => ready >= 3000);
    disk.hold();
    while (!disk.isHeld) await sleep(20);
    const clients: Client[] = [];
    let number = 0;
    const keyed = () => `${POST}idempotency-key: ${number++}\r\n\r\n`;
    try {
      using wrong = await Client.to(server);
      wrong.send(`${keyed()}nonsense\r\n\r\n`);
      await wrong.closed;
      assert.equal(wrong.text, '', 'a refusal would be read as the reply that is still to come');
      for (let sent = 0; sent < WAITING_MAX; sent += ROW) {
        const client = await Client.to(server);
        clients.push(client.send(Array.from({ length: ROW }, keyed).join('')));
      }
      // One more at a time: those above are all there when one is refused.
      for (;;) {
        const one = await Client.to(server);
        clients.push(one.send(keyed()));
        // It comes at once or not at all: nobody waits for the store to see.
        assert.equal((await server.dispense()).length, 1, 'plain requests do not ask the store');
        if (one.statuses.length === 0) continue;
        assert.match(one.text, /^HTTP\/1\.1 503 .*^retry-after: 1\r.*"code":"OVERLOADED"/ms);
        break;
      }
      assert.ok(number > WAITING_MAX, `${number} asked for`);
    } finally {
      disk.release();
    }
    const row = clients[0]!;
    while (row.statuses.length < ROW) await sleep(20);
    assert.equal((await server.dispense()).length, 1);
    for (const client of clients) client[Symbol.dispose]();
  },
);
