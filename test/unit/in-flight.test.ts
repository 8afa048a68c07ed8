/** Over real connections, because when a reply is done is for them to say. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { InFlight } from '../../src/http/in-flight.ts';
import { bytesTaken } from '../../src/http/unsent.ts';

const LIMIT = { timeout: 300_000 };
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** A server that answers when the test says so; its replies, and connections to it. */
async function held(t: TestContext) {
  const replies: ServerResponse[] = [];
  const server = createServer((_, reply) => replies.push(reply));
  const inFlight = new InFlight(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const ask = async (text: string, requests: number): Promise<Socket> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').resume();
    sockets.push(socket);
    const wanted = replies.length + requests;
    socket.write(text);
    while (replies.length < wanted) await sleep(5);
    return socket;
  };
  const until = async (count: number): Promise<void> => {
    while (inFlight.count !== count) await sleep(5);
  };
  return { inFlight, replies, ask, until, server };
}

test('a request is in flight until its reply is written whole', LIMIT, async (t) => {
  const { inFlight, replies, ask, until } = await held(t);
  assert.equal(inFlight.count, 0);
  await ask(REQUEST, 1);
  await ask(REQUEST, 1);
  assert.equal(inFlight.count, 2);
  replies[0]!.write('half');
  await sleep(20);
  assert.equal(inFlight.count, 2);
  replies[0]!.end('whole');
  await until(1);
  replies[1]!.end();
  await until(0);
});

test(
  'requests that came together on one connection are, until the last is answered',
  LIMIT,
  async (t) => {
    const { inFlight, replies, ask, until } = await held(t);
    await ask(REQUEST + REQUEST, 2);
    assert.equal(inFlight.count, 1);
    replies[1]!.end('waits for the first');
    await sleep(20);
    assert.equal(inFlight.count, 1);
    replies[0]!.end();
    await until(0);
  },
);

test('a client that left is not waited for', LIMIT, async (t) => {
  const { inFlight, ask, until } = await held(t);
  const socket = await ask(REQUEST, 1);
  assert.equal(inFlight.count, 1);
  socket.destroy();
  await until(0);
});

test('replies that wait for those before them are counted, by connection', LIMIT, async (t) => {
  const { inFlight, replies, ask, server } = await held(t);
  let near: Socket | undefined;
  server.on('request', ({ socket }) => {
    near = socket;
  });
  await ask(REQUEST, 1);
  const first = near!;
  assert.equal(inFlight.connection(first)!.waiting, 1);
  await ask(REQUEST.repeat(4), 4);
  assert.equal(inFlight.connection(near!)!.waiting, 4);
  assert.equal(inFlight.connection(first)!.waiting, 1);
  replies[0]!.end();
  while (inFlight.connection(first)!.waiting > 0) await sleep(5);
  assert.equal(inFlight.connection(near!)!.waiting, 4);
});

test(
  'a connection is answering as long as other bytes would be taken for a reply',
  LIMIT,
  async (t) => {
    const { inFlight, replies, ask, until, server } = await held(t);
    const sockets: Socket[] = [];
    server.on('request', ({ socket }) => sockets.push(socket));
    const isAnswering = () => sockets.map((socket) => inFlight.isAnswering(socket));
    const unfinished = REQUEST.replace('GET', 'POST').replace(
      '\r\n\r\n',
      '\r\ncontent-length: 5\r\n\r\n1234',
    );
    await ask(REQUEST, 1);
    await ask(unfinished, 1);
    await ask(unfinished, 1);
    await ask(REQUEST + unfinished, 2);
    assert.deepEqual(
      isAnswering(),
      [true, false, false, true, true],
      'what is not whole can be refused',
    );
    replies[2]!.write('half');
    assert.ok(isAnswering()[2], 'its reply has begun');
    for (const index of [0, 2, 3]) replies[index]!.end();
    await until(2);
    while (replies[4]!.socket === null) await sleep(5);
    assert.deepEqual(isAnswering(), [false, false, false, false, false]);
  },
);

test('a reply that is not taken cuts its connection, and no other', LIMIT, async (t) => {
  const { inFlight, replies, ask, until } = await held(t);
  const large = Buffer.alloc(32 * 1024 * 1024);
  const reader = await ask(REQUEST, 1);
  const deaf = await ask(REQUEST, 1);
  deaf.pause();
  const waiting = await ask(REQUEST, 1);
  const events = await ask(REQUEST, 1);
  const streamed = await ask(REQUEST, 1);
  streamed.pause();
  replies[1]!.end(large);
  replies[3]!.write('of a stream that is read, and goes on');
  replies[4]!.write(large);
  inFlight.cutUnread(2);
  inFlight.cutUnread(2);
  await sleep(20);
  assert.ok(!replies[1]!.destroyed, 'it had two looks');
  // A reply that was just given has its looks before it, whatever was on its connection.
  replies[0]!.end('short');
  await until(4);
  // The system of the client goes on taking some for it, until it holds enough.
  for (; inFlight.count > 2; await sleep(20)) inFlight.cutUnread(2);
  for (const reply of [replies[1]!, replies[4]!]) assert.ok(reply.destroyed);
  for (const reply of [replies[2]!, replies[3]!]) reply.end();
  await until(0);
  for (const socket of [reader, waiting, events]) assert.ok(!socket.destroyed);
});

test('who takes 16 KiB between looks is not cut, however much still waits', LIMIT, async (t) => {
  const { inFlight, replies, ask, until } = await held(t);
  const reader = await ask(REQUEST, 1);
  reader.pause();
  const piece = Buffer.alloc(16_384);
  let isMore = true;
  const write = (): void => {
    while (isMore && replies[0]!.write(piece));
    if (!isMore) replies[0]!.end();
  };
  replies[0]!.on('drain', write);
  write();
  const near = replies[0]!.socket!;
  let unseen = 0;
  for (let look = 0; look < 6; look++) {
    inFlight.cutUnread(1);
    assert.ok(!replies[0]!.destroyed, `look ${look}`);
    const before = bytesTaken(near);
    const given = near.bytesWritten - near.writableLength;
    while (bytesTaken(near) < before + piece.length) {
      reader.read(piece.length);
      await sleep(1);
    }
    if (near.bytesWritten - near.writableLength === given) unseen++;
  }
  assert.ok(unseen > 0, 'the system holds far more, so that Node.js itself sees nothing leave');
  isMore = false;
  reader.resume();
  await until(0);
});

test('4 kB/s are enough, though a system makes room for much at a time', LIMIT, async (t) => {
  const { inFlight, replies, ask, until } = await held(t);
  const reader = await ask(REQUEST, 1);
  reader.pause();
  const piece = Buffer.alloc(16_384);
  let isMore = true;
  const write = (): void => {
    while (isMore && replies[0]!.write(piece));
    if (!isMore) replies[0]!.end();
  };
  replies[0]!.on('drain', write);
  write();
  const near = replies[0]!.socket!;
  let [taken, without, longest] = [0, 0, 0];
  // Five minutes, looked at every 5 s.
  for (let look = 0; look < 60; look++) {
    for (let due = 20_000; due > 0; ) {
      const got: Buffer | null = reader.read(Math.min(due, reader.readableLength));
      if (got === null) await sleep(1);
      else due -= got.length;
    }
    await sleep(2);
    const now = bytesTaken(near);
    without = now > taken ? 0 : without + 1;
    longest = Math.max(longest, without);
    taken = now;
    inFlight.cutUnread(4);
    assert.ok(!replies[0]!.destroyed, `look ${look}`);
  }
  assert.ok(longest >= 4, 'for longer than the looks that are given nothing seemed to be taken');
  isMore = false;
  reader.resume();
  await until(0);
});

for (const perLook of [0, 200]) {
  const title = `who takes ${perLook} bytes between looks is cut, however much it took before`;
  test(title, LIMIT, async (t) => {
    const { inFlight, replies, ask, until } = await held(t);
    const reader = await ask(REQUEST, 1);
    let read = 0;
    reader.on('data', ({ length }) => {
      read += length;
      if (read >= 4e6) reader.pause();
    });
    replies[0]!.end(Buffer.alloc(64e6));
    while (!reader.isPaused()) await sleep(1);
    let looks = 0;
    for (; !replies[0]!.destroyed; looks++) {
      if (perLook > 0) reader.read(Math.min(perLook, reader.readableLength));
      await sleep(1);
      inFlight.cutUnread(4);
    }
    // The system of the client goes on taking some for it, until it holds enough: a few looks more than 40, and more
    // where each takes longer. What it took before would be enough for 200.
    assert.ok(looks >= 4 && looks < 150, `${looks} looks`);
    await until(0);
  });
}

test(
  'what waits in memory is bounded: documents go first, what was handed out last',
  LIMIT,
  async (t) => {
    const { inFlight, replies, ask, server } = await held(t);
    const sockets: Socket[] = [];
    server.on('request', ({ socket }) => sockets.push(socket));
    const give = REQUEST.replace('GET', 'POST');
    for (const text of [give, REQUEST, REQUEST, REQUEST]) (await ask(text, 1)).pause();
    // A hand-out behind a document counts as one.
    (await ask(REQUEST + give, 2)).pause();
    inFlight.connection(sockets[3]!)!.carryDocument(replies[3]!);
    inFlight.connection(sockets[4]!)!.carryDocument(replies[4]!);
    const [MIB, size] = [2 ** 20, 32];
    for (const reply of replies) reply.write(Buffer.alloc(size * MIB));
    await sleep(20);
    const alive = () => [0, 1, 2, 3, 4].filter((index) => !sockets[index]!.destroyed);
    inFlight.boundUnread(7 * size * MIB);
    assert.deepEqual(alive(), [0, 1, 2, 3, 4]);
    const unread = (index: number) => inFlight.connection(sockets[index]!)!.unread;
    const sum = () => alive().reduce((total, index) => total + unread(index), 0);
    inFlight.boundUnread(sum() - 1);
    assert.deepEqual(alive(), [0, 1, 2, 4]);
    inFlight.boundUnread(unread(0) + unread(4));
    assert.deepEqual(alive(), [0, 4]);
    inFlight.boundUnread(unread(0));
    assert.deepEqual(alive(), [0]);
    inFlight.boundUnread(0);
    assert.deepEqual(alive(), []);
  },
);
