/** Tokens over a real store. HTTP threads are ports of which the test says when they act on a notice. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { anchorNames, anchorPath } from '../../src/disk/anchor.ts';
import type { TokenNotice } from '../../src/pool/calls.ts';
import { inTurn } from '../../src/pool/refill.ts';
import { ServedTokens } from '../../src/pool/served-tokens.ts';
import { ThreadNotices } from '../../src/pool/thread-notices.ts';
import type { NewToken } from '../../src/store/store.ts';
import { openStoreIn, removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 30_000 };

const tokenOf = (name: string): NewToken => {
  const none = { pools: undefined, quota: undefined, expiresAt: undefined };
  return { name, scopes: ['read'], hash: randomBytes(32), ...none };
};

async function served(t: TestContext) {
  const directory = temporaryDirectory();
  const store = await openStoreIn(directory);
  const exclusively = inTurn();
  const tokens = new ServedTokens(store.tokens, exclusively);
  const ports: { close(): void }[] = [];
  t.after(async () => {
    for (const port of ports) port.close();
    await store.close();
    removeDirectory(directory);
  });
  const connect = async () => {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1);
    const notices = new ThreadNotices(port1);
    const told: TokenNotice[] = [];
    port2.on('message', ({ arg }: { arg: TokenNotice }) => told.push(arg));
    const { tokens: known, areAny } = await tokens.connect(port1, notices);
    const next = async () => {
      while (told.length === 0) await nextTurn();
      return told.shift()!;
    };
    const heard = ({ notice }: TokenNotice) => notices.heard(notice);
    return { known, areAny, next, heard, port: port2 };
  };
  return { tokens, exclusively, connect, directory };
}

const namesIn = ({ list }: TokenNotice) => list.tokens.map(({ name }) => name);

test('a change is answered when each thread has acted on it, or is gone', LIMIT, async (t) => {
  const { tokens, connect } = await served(t);
  const threads = [await connect(), await connect(), await connect()] as const;
  let isAnswered = false;
  const made = tokens.create(tokenOf('shop')).then((token) => {
    isAnswered = true;
    return token;
  });
  const told = await Promise.all(threads.map(({ next }) => next()));
  for (const notice of told) assert.deepEqual(namesIn(notice), ['shop']);
  threads[0].heard(told[0]!);
  const isGone = once(threads[1].port, 'close');
  threads[1].port.close();
  await isGone;
  for (let turns = 0; turns < 20; turns++) await nextTurn();
  assert.equal(isAnswered, false, 'the third has yet to act');
  threads[2].heard(told[2]!);
  assert.equal((await made).name, 'shop');

  const revoked = tokens.revoke('shop');
  for (const { next, heard } of [threads[0], threads[2]]) {
    const notice = await next();
    assert.deepEqual([namesIn(notice), notice.list.areAny], [[], true]);
    heard(notice);
  }
  assert.notEqual((await revoked).revokedAt, undefined);
});

test(
  'while a thread is waited for the store goes on, and changes keep their order',
  LIMIT,
  async (t) => {
    const { tokens, exclusively, connect } = await served(t);
    const thread = await connect();
    const changes = [tokens.create(tokenOf('a')), tokens.create(tokenOf('b')), tokens.revoke('a')];
    const first = await thread.next();
    assert.deepEqual(namesIn(first), ['a']);
    assert.equal(await exclusively(async () => 'a turn'), 'a turn');
    assert.deepEqual(
      (await tokens.all()).map(({ name }) => name),
      ['a'],
      'the second change has yet to begin',
    );
    const late = await connect();
    assert.deepEqual([late.known.map(({ name }) => name), late.areAny], [['a'], true]);
    thread.heard(first);
    for (const names of [['a', 'b'], ['b']]) {
      for (const { next, heard } of [thread, late]) {
        const notice = await next();
        assert.deepEqual(namesIn(notice), names);
        heard(notice);
      }
    }
    await Promise.all(changes);
  },
);

test('a change that fails is told to nobody, and waits for nobody', LIMIT, async (t) => {
  const { tokens, connect } = await served(t);
  const thread = await connect();
  await assert.rejects(tokens.revoke('nobody'), { code: 'TOKEN_NOT_FOUND' });
  const made = tokens.create(tokenOf('shop'));
  const notice = await thread.next();
  assert.deepEqual(namesIn(notice), ['shop']);
  thread.heard(notice);
  await made;
  await assert.rejects(tokens.create(tokenOf('shop')), { code: 'TOKEN_EXISTS' });
});

test(
  'a revocation that is stored and cannot be answered for is acted on all the same',
  LIMIT,
  async (t) => {
    const { tokens, connect, directory } = await served(t);
    await tokens.create(tokenOf('shop'));
    const thread = await connect();
    const storeFile = join(directory, 'store.db');
    const anchor = anchorPath(storeFile, anchorNames(storeFile)[0]!);
    renameSync(anchor, join(directory, 'away'));
    const revoked = tokens.revoke('shop');
    const told = await thread.next();
    assert.deepEqual(namesIn(told), []);
    thread.heard(told);
    await assert.rejects(revoked, { code: 'STORE_UNAVAILABLE' });
    renameSync(join(directory, 'away'), anchor);
    assert.ok((await tokens.revoke('shop')).revokedAt, 'asked again, it is answered');
  },
);
