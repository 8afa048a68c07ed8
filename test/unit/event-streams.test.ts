/** Over real connections, because what a reader has taken is for them to say. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../../src/errors.ts';
import { EventIds } from '../../src/http/event-ids.ts';
import { EventStreams, type Sight, STREAMS_MAX } from '../../src/http/event-streams.ts';
import { EventReader } from '../support/event-reader.ts';

const LIMIT = { timeout: 300_000 };
const BEAT_MS = 10;

/**
 * A server whose every request is a stream; `status` is what it sends, made as often as `made` says. `written`
 * are the messages as they were given to the connections.
 */
async function streaming(t: TestContext, status: (sight: Sight) => unknown = (sight) => sight) {
  const made: Sight[] = [];
  let look = (path: string): Sight => (path === '/' ? undefined : path.slice(1).split(','));
  const statusOf = (sight: Sight) => {
    made.push(sight);
    return JSON.stringify({ sees: status(sight) ?? 'all' });
  };
  const ids = new EventIds();
  ids.begin(7);
  const streams = new EventStreams(statusOf, ids, BEAT_MS);
  const replies: ServerResponse[] = [];
  const written: unknown[] = [];
  const server = createServer(({ url }, reply) => {
    replies.push(reply);
    const write = reply.write.bind(reply);
    reply.write = (message: unknown) => {
      written.push(message);
      return write(message);
    };
    try {
      streams.open(reply, { 'x-own': 'yes' }, () => look(url!));
    } catch (error) {
      reply.writeHead((error as VanityError).status).end((error as VanityError).code);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const readers: EventReader[] = [];
  t.after(() => {
    for (const reader of readers) reader.leave();
    server.closeAllConnections();
    server.close();
  });
  const open = async (path = '/'): Promise<EventReader> => {
    const reader = await EventReader.open(`http://127.0.0.1:${port}${path}`);
    readers.push(reader);
    return reader;
  };
  const lookBy = (rule: (path: string) => Sight): void => {
    look = rule;
  };
  return { streams, made, replies, written, port, open, lookBy };
}

test(
  'a reader gets an event at once, and again at each beat, in the form of the standard',
  LIMIT,
  async (t) => {
    const { open } = await streaming(t);
    const reader = await open();
    const { headers } = reader.reply;
    assert.equal(headers['content-type'], 'text/event-stream');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-own'], 'yes', 'those of every reply are kept');
    const events = await reader.until(20);
    assert.match(
      reader.text,
      /^retry: 1000\n: status, once a second\n\nid: 7\d{12}\nevent: status\n/,
    );
    assert.match(reader.text, /\n\n: still here\n\nid: /, 'a comment between events');
    for (const { event, data } of events) {
      assert.equal(event, 'status');
      assert.deepEqual(JSON.parse(data), { sees: 'all' });
    }
    const ids = events.map(({ id }) => BigInt(id));
    for (const [at, id] of ids.slice(1).entries())
      assert.ok(id > ids[at]!, `${id} after ${ids[at]}`);
  },
);

test(
  'what readers see alike is made once a beat, and no reader gets what is for others',
  LIMIT,
  async (t) => {
    const { open, made, lookBy } = await streaming(t);
    const seen: string[] = [];
    lookBy((path) => {
      seen.push(path);
      return path === '/' ? undefined : path.slice(1).split(',');
    });
    const all = [await open(), await open(), await open()];
    const some = [await open('/a,b'), await open('/b,a')];
    const opened = made.length;
    seen.length = 0;
    await Promise.all([...all, ...some].map((reader) => reader.until(10)));
    // Each beat looks at all five, and makes two.
    const beats = seen.length / 5;
    assert.ok(made.length - opened <= 2 * Math.ceil(beats), `${made.length - opened} in ${beats}`);
    for (const { events } of all) {
      for (const { data } of events) assert.equal(data, '{"sees":"all"}');
    }
    for (const { events } of some) {
      for (const { data } of events) assert.match(data, /^\{"sees":\["[ab]","[ab]"\]\}$/);
    }
  },
);

test(
  'what is made becomes bytes once, and each reader gets the bytes of what it sees',
  LIMIT,
  async (t) => {
    const { open, made, written } = await streaming(t);
    const sights = ['/', '/', '/', '/a,b', '/b,a', '/c'];
    const readers: EventReader[] = [];
    for (const path of sights) readers.push(await open(path));
    const opened = { made: made.length, written: written.length };
    await Promise.all(readers.map((reader) => reader.until(reader.events.length + 3)));
    const different = new Set(written);
    for (const message of different)
      assert.ok(Buffer.isBuffer(message), 'text becomes bytes later');
    assert.equal(different.size, made.length);
    const shares = (written.length - opened.written) / (made.length - opened.made);
    assert.ok(shares > 1.5, 'six readers share three');
    const told = ['"all"', '"all"', '"all"', '["a","b"]', '["a","b"]', '["c"]'];
    for (const [index, reader] of readers.entries()) {
      // The first is its own.
      for (const { data } of reader.events.slice(1)) {
        assert.equal(data, `{"sees":${told[index]}}`);
      }
    }
  },
);

test('a reader that may see other pools from now on gets those', LIMIT, async (t) => {
  const { open, lookBy } = await streaming(t);
  const [one, other] = [await open('/a'), await open('/b')];
  await other.until(3);
  lookBy((path) => (path === '/a' ? ['c'] : ['b']));
  const had = one.events.length;
  const { data } = (await one.until(had + 2)).at(-1)!;
  assert.equal(data, '{"sees":["c"]}');
  assert.ok((await other.until(10)).every((event) => event.data === '{"sees":["b"]}'));
});

test(
  'a stream ends when its reader may not read any more, and the others go on',
  LIMIT,
  async (t) => {
    const { open, lookBy, streams } = await streaming(t);
    const [one, other] = [await open('/one'), await open('/other')];
    lookBy((path) => {
      if (path === '/one') throw new VanityError('TOKEN_REQUIRED', 'revoked');
      return [path];
    });
    await one.untilEnded();
    const had = other.events.length;
    await other.until(had + 5);
    assert.equal(other.hasEnded, false);
    assert.equal(streams.count, 1);
  },
);

test('so many streams and no more; one that leaves makes room', LIMIT, async (t) => {
  const { open, streams } = await streaming(t);
  const readers = await Promise.all(Array.from({ length: STREAMS_MAX }, () => open()));
  const refused = await open();
  assert.equal(refused.reply.statusCode, 503);
  await refused.untilEnded();
  assert.equal(refused.text, 'OVERLOADED');
  readers[0]!.leave();
  while (streams.count === STREAMS_MAX) await sleep(5);
  assert.equal((await open()).reply.statusCode, 200);
});

test('a reader that takes nothing costs one message, and is dropped', LIMIT, async (t) => {
  // More than a connection takes by itself, so that it lies in our memory.
  const bulk = 'x'.repeat(16 << 20);
  const { open, streams, port, replies } = await streaming(t, (sight) => (sight ? bulk : 'all'));
  const socket: Socket = connect(port, '127.0.0.1').pause();
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  socket.write('GET /bulk HTTP/1.1\r\nhost: localhost\r\n\r\n');
  while (streams.count === 0) await sleep(1);
  const [reply] = replies;
  const reader = await open();
  let most = 0;
  while (streams.count === 2) {
    most = Math.max(most, reply!.writableLength);
    await sleep(1);
  }
  assert.ok(most > 0 && most < bulk.length + 1000, `${most} bytes waited`);
  assert.ok(reply!.destroyed);
  const had = reader.events.length;
  await reader.until(had + 3);
  assert.equal(reader.hasEnded, false);
});

test(
  'closing ends all at once, also one that takes nothing, and no more are served',
  LIMIT,
  async (t) => {
    const bulk = 'x'.repeat(16 << 20);
    const { open, streams, port, replies } = await streaming(t, (sight) => (sight ? bulk : 'all'));
    const socket: Socket = connect(port, '127.0.0.1').pause();
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
    socket.write('GET /bulk HTTP/1.1\r\nhost: localhost\r\n\r\n');
    while (streams.count === 0) await sleep(1);
    const reader = await open();
    await reader.until(1);
    streams.close();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(replies[0]!.destroyed, 'nothing of it is waited for');
    await reader.untilEnded();
    assert.ok(reader.reply.complete, 'it was ended, not cut off');
    assert.equal(streams.count, 0);
    const late = await open();
    assert.equal(late.reply.statusCode, 503);
    await late.untilEnded();
    assert.equal(late.text, 'DRAINING');
  },
);
