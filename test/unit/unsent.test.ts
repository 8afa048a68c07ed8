/**
 * What is known of real connections; and the rule by itself, over figures as a connection has them. Both together
 * are in in-flight.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { bytesTaken, cut, Taking } from '../../src/http/unsent.ts';
import { makeCertificate } from '../support/certificates.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LOOKS = 4;
const KIB_16 = 16_384;
const NEVER = 1000;

/** Which look, of those after the first, cuts a client that took `before` by the first and then this much by each. */
function cutAt(before: number, takenBy: (look: number) => number): number {
  const figures = { bytesWritten: before, writeQueueSize: 0 };
  const taking = new Taking({ _handle: figures } as unknown as Socket, LOOKS);
  for (let look = 1; look < NEVER; look++) {
    figures.bytesWritten += takenBy(look);
    if (!taking.goesOn(LOOKS)) return look;
  }
  return NEVER;
}

test('16 KiB have to be taken in the looks that are given', () => {
  assert.equal(
    cutAt(0, () => 0),
    LOOKS,
  );
  assert.equal(
    cutAt(0, () => 200),
    LOOKS,
    '40 bytes a second',
  );
  assert.equal(
    cutAt(0, () => KIB_16 / LOOKS - 1),
    LOOKS,
  );
  assert.equal(
    cutAt(0, () => KIB_16 / LOOKS),
    NEVER,
  );
  assert.equal(
    cutAt(0, (look) => (look % LOOKS === 0 ? KIB_16 : 0)),
    NEVER,
  );
});

test('what was taken before gives a look for each 16 KiB, up to ten times as many as are given', () => {
  const nothing = () => 0;
  for (const [before, looks] of [
    [3 * KIB_16, LOOKS],
    [8 * KIB_16, 8],
    [40 * KIB_16, 40],
    [2 ** 30, 40],
  ] as const) {
    assert.equal(cutAt(before, nothing), looks, String(before));
    const atOnce = (look: number) => (look === 1 ? before : 0);
    assert.equal(cutAt(0, atOnce), Math.min(40, Math.max(looks, LOOKS - 1 + before / KIB_16)) + 1);
  }
  // Less than 16 KiB gives none.
  assert.equal(
    cutAt(8 * KIB_16, () => KIB_16 / LOOKS / 4),
    8,
  );
});

test('4 kB/s are enough, in whatever steps the system of the client makes room', () => {
  const perLook = 20_000;
  for (const step of [20_000, 65_536, 108_544, 200_000, 600_000]) {
    // A step is there when the one before is read.
    const taken = (look: number) => Math.ceil((look * perLook) / step) * step;
    assert.equal(
      cutAt(0, (look) => taken(look) - taken(look - 1)),
      NEVER,
      String(step),
    );
  }
});

/** Both ends of a connection, the near one the server's; the far one does not read yet. */
async function connected(t: TestContext, kind: string): Promise<[near: Socket, far: Socket]> {
  const directory = temporaryDirectory();
  const server = kind === 'tls' ? createTlsServer(makeCertificate('localhost')) : createServer();
  t.after(() => {
    server.close();
    removeDirectory(directory);
  });
  const path = join(directory, 'socket');
  const listening = once(server, 'listening');
  if (kind === 'unix') server.listen(path);
  else server.listen(0, '127.0.0.1');
  await listening;
  const address = server.address();
  const at = typeof address === 'object' ? { host: '127.0.0.1', port: address!.port } : { path };
  const come = once(server, kind === 'tls' ? 'secureConnection' : 'connection');
  const far = kind === 'tls' ? connectTls({ ...at, rejectUnauthorized: false }) : connect(at);
  const [near] = (await come) as [Socket];
  far.on('error', () => undefined).pause();
  near.on('error', () => undefined);
  t.after(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

const LARGE = 20e6;
/** A Unix socket counts what the system adds to each part of it. */
const ADDED_MAX = 8192;

for (const kind of ['tcp', 'tls', 'unix']) {
  test(`what was taken is known while one large write is on its way: ${kind}`, async (t) => {
    const [near, far] = await connected(t, kind);
    near.write(Buffer.alloc(LARGE));
    let [read, before] = [0, 0];
    let steps = 0;
    far.on('data', ({ length }) => {
      read += length;
    });
    while (read < LARGE) {
      far.resume();
      await sleep(1);
      far.pause();
      const taken = bytesTaken(near);
      assert.ok(taken >= before - ADDED_MAX, `${taken} after ${before}`);
      assert.ok(taken >= read - ADDED_MAX, `${taken} of ${read} that were read`);
      if (taken > before) steps++;
      before = taken;
    }
    assert.ok(steps > 5, `seen ${steps} times`);
  });

  test(`what is cut ends at once, whatever was not taken: ${kind}`, async (t) => {
    const [near, far] = await connected(t, kind);
    let read = 0;
    far.on('data', ({ length }) => {
      read += length;
    });
    far.pause();
    near.write(Buffer.alloc(LARGE));
    await sleep(20);
    cut(near);
    assert.ok(near.destroyed);
    far.resume();
    await new Promise((resolve) => far.once('close', resolve));
    assert.ok(read < LARGE);
    assert.equal(bytesTaken(near), 0);
  });
}
