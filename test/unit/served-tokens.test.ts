/** Tokens over a real store. HTTP threads are ports of which the test says when they act on a notice. */
import assert from 'node:assert/strict';
import { Hmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { StatementSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel, MessagePort, Worker } from 'node:worker_threads';
import { anchorNames, anchorPath } from '../../src/disk/anchor.ts';
import { Access } from '../../src/http/access.ts';
import type { TokenNotice } from '../../src/pool/calls.ts';
import { answer, Caller } from '../../src/port.ts';
import type { NewToken } from '../../src/store/token-store.ts';
import { inTurn } from '../../src/store-thread/in-turn.ts';
import { ServedTokens } from '../../src/store-thread/served-tokens.ts';
import { ThreadNotices } from '../../src/store-thread/thread-notices.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import { openStoreIn, removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import type { TokenThreadCalls, TokenThreadData } from '../support/token-thread.ts';

const LIMIT = { timeout: 300_000 };
const TOKEN_THREAD = new URL('../support/token-thread.ts', import.meta.url);

const tokenOf = (name: string): NewToken => {
  const none = { pools: undefined, quota: undefined, expiresAt: undefined };
  return { name, scopes: ['read'], hash: randomBytes(32), ...none };
};

async function served(t: TestContext) {
  const directory = temporaryDirectory();
  const store = await openStoreIn(directory);
  const exclusively = inTurn();
  const tokens = new ServedTokens(store, exclusively);
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
    const list = await tokens.connect(port1, notices);
    const { tokens: known, areAny } = list;
    const next = async () => {
      while (told.length === 0) await nextTurn();
      return told.shift()!;
    };
    const heard = ({ notice }: TokenNotice) => notices.heard(notice);
    const follow = (act: (notice: TokenNotice) => void) => {
      told.splice(0).forEach(act);
      port2.on('message', ({ arg }: { arg: TokenNotice }) => act(arg));
    };
    return { list, known, areAny, next, heard, follow, port: port2 };
  };
  return { tokens, exclusively, connect, directory };
}

/** '+shop' where requests with the token are served from now on, '-shop' where they are not. */
const said = ({ token, isValid }: TokenNotice) => `${isValid ? '+' : '-'}${token.name}`;

test('a change is answered when each thread has acted on it, or is gone', LIMIT, async (t) => {
  const { tokens, connect } = await served(t);
  const threads = [await connect(), await connect(), await connect()] as const;
  let isAnswered = false;
  const made = tokens.create(tokenOf('shop')).then((token) => {
    isAnswered = true;
    return token;
  });
  const told = await Promise.all(threads.map(({ next }) => next()));
  for (const notice of told) assert.equal(said(notice), '+shop');
  threads[0].heard(told[0]!);
  const isGone = once(threads[1].port, 'close');
  threads[1].port.close();
  await isGone;
  for (let turns = 0; turns < 20; turns++) await nextTurn();
  assert.equal(isAnswered, false, 'the third has not acted');
  threads[2].heard(told[2]!);
  assert.equal((await made).name, 'shop');

  const revoked = tokens.revoke('shop');
  for (const { next, heard } of [threads[0], threads[2]]) {
    const notice = await next();
    assert.equal(said(notice), '-shop');
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
    assert.equal(said(first), '+a');
    assert.equal(await exclusively(async () => 'a turn'), 'a turn');
    assert.deepEqual(
      (await tokens.all()).map(({ name }) => name),
      ['a'],
      'the second change has not begun',
    );
    const late = await connect();
    assert.deepEqual([late.known.map(({ name }) => name), late.areAny], [['a'], true]);
    thread.heard(first);
    for (const change of ['+b', '-a']) {
      for (const { next, heard } of [thread, late]) {
        const notice = await next();
        assert.equal(said(notice), change);
        heard(notice);
      }
    }
    await Promise.all(changes);
  },
);

test('a change that fails is sent to nobody, and waits for nobody', LIMIT, async (t) => {
  const { tokens, connect } = await served(t);
  const thread = await connect();
  await assert.rejects(tokens.revoke('nobody'), { code: 'TOKEN_NOT_FOUND' });
  const made = tokens.create(tokenOf('shop'));
  const notice = await thread.next();
  assert.equal(said(notice), '+shop');
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
    assert.equal(said(told), '-shop');
    thread.heard(told);
    await assert.rejects(revoked, { code: 'STORE_UNAVAILABLE' });
    renameSync(join(directory, 'away'), anchor);
    const again = tokens.revoke('shop');
    thread.heard(await thread.next());
    assert.ok((await again).revokedAt, 'asked again, it is answered');
  },
);

test('a thread that starts between changes knows what all know in the end', LIMIT, async (t) => {
  const { tokens, connect } = await served(t);
  const texts = { a: newToken(), b: newToken(), c: newToken() };
  const startAt = async (turns: number) => {
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    const thread = await connect();
    const access = new Access('auto');
    access.setTokens(thread.list);
    // What came meanwhile, and what comes.
    thread.follow((notice) => {
      access.setToken(notice);
      thread.heard(notice);
    });
    return access;
  };
  const threads = Array.from({ length: 40 }, (_, turns) => startAt(turns));
  for (const name of ['a', 'b'] as const) {
    await tokens.create({ ...tokenOf(name), hash: tokenHash(texts[name]) });
  }
  await tokens.revoke('a');
  await tokens.create({ ...tokenOf('c'), hash: tokenHash(texts.c) });
  await tokens.revoke('b');
  for (const access of await Promise.all(threads)) {
    const known = Object.entries(texts).map(([name, text]) => {
      const headers = { host: 'localhost', authorization: `Bearer ${text}` };
      return [name, access.check(headers, undefined)?.name];
    });
    assert.deepEqual(Object.fromEntries(known), { a: undefined, b: undefined, c: 'c' });
  }
});

test('a change reads, sends and hashes one token, however many there are', LIMIT, async (t) => {
  const { tokens, connect } = await served(t);
  const thread = await connect();
  const hear = async <T>(change: Promise<T>): Promise<T> => {
    thread.heard(await thread.next());
    return change;
  };
  const counted = async (change: () => Promise<unknown>) => {
    const rows: string[] = [];
    const isToken = (row: unknown) => Object.hasOwn(row ?? {}, 'scopes');
    const { get, all } = StatementSync.prototype;
    const spies = [
      t.mock.method(
        StatementSync.prototype,
        'get',
        function (this: StatementSync, ...args: Parameters<typeof get>) {
          const row = get.apply(this, args);
          if (isToken(row)) rows.push('row');
          return row;
        },
      ),
      t.mock.method(
        StatementSync.prototype,
        'all',
        function (this: StatementSync, ...args: Parameters<typeof get>) {
          const found = all.apply(this, args);
          rows.push(...found.filter(isToken).map(() => 'row'));
          return found;
        },
      ),
    ];
    const hmac = t.mock.method(Hmac.prototype, 'update');
    const post = t.mock.method(MessagePort.prototype, 'postMessage');
    await hear(change());
    const hashed = hmac.mock.calls.filter(({ arguments: [text] }) =>
      String(text).startsWith('["token"'),
    );
    const sent = post.mock.calls.map(({ arguments: [message] }) => message);
    for (const spy of [...spies, hmac, post]) spy.mock.restore();
    const named = sent.map((message) => JSON.stringify(message).split('"scopes"').length - 1);
    return { read: rows.length, hashed: hashed.length, sent: named };
  };
  const one = { read: 1, hashed: 1, sent: [1] };
  // Its row is compared with its MAC before it is changed, and read and hashed once more after that.
  const changed = { read: 2, hashed: 2, sent: [1] };
  for (const many of [0, 100]) {
    for (let made = 0; made < many; made++) await hear(tokens.create(tokenOf(`other-${made}`)));
    const name = `shop-${many}`;
    assert.deepEqual(await counted(() => tokens.create(tokenOf(name))), one, `${many} others`);
    assert.deepEqual(await counted(() => tokens.revoke(name)), changed, `${many} others`);
  }
});

test('after 10,000 changes a thread holds as much as one that starts with their tokens', {
  timeout: 300_000,
}, async (t) => {
  const { tokens } = await served(t);
  const start = async () => {
    const [asked, mine] = [new MessageChannel(), new MessageChannel()];
    const notices = new ThreadNotices(mine.port1);
    answer(mine.port1, { heard: (notice: number) => notices.heard(notice) }, (error) => {
      throw error;
    });
    const list = await tokens.connect(mine.port1, notices);
    const data: TokenThreadData = { tokens: list, store: mine.port2, port: asked.port2 };
    const transferList = [mine.port2, asked.port2];
    const worker = new Worker(TOKEN_THREAD, { workerData: data, transferList });
    t.after(() => worker.terminate());
    await once(worker, 'message');
    return new Caller<TokenThreadCalls>(asked.port1, 'INTERNAL');
  };
  const first = await start();
  const before = await first.call('heldBytes', undefined);
  const texts = Array.from({ length: 10_000 }, () => newToken());
  for (const [index, text] of texts.entries()) {
    await tokens.create({ ...tokenOf(`shop-${index}`), hash: tokenHash(text) });
  }
  const second = await start();
  for (const thread of [first, second]) {
    assert.equal(await thread.call('idOf', texts.at(-1)!), texts.length);
  }
  const [grown, started] = await Promise.all(
    [first, second].map((thread) => thread.call('heldBytes', undefined)),
  );
  assert.ok(started! > before + 100 * texts.length, `${started} bytes, ${before} without tokens`);
  const apart = Math.abs(grown! - started!) / started!;
  assert.ok(apart <= 0.1, `${grown} bytes after the changes, ${started} with the list`);
});
