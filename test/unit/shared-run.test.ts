/**
 * A run that shares its store with others, over a real store: what they were served first, the end of this run
 * by another, its deadline, and what others change.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { readPool } from '../../src/config/pool-config.ts';
import { VanityError } from '../../src/errors.ts';
import type { TokenNotice } from '../../src/pool/calls.ts';
import { monotonicMs } from '../../src/pool/monotonic.ts';
import { settingsBoard } from '../../src/pool/shared-pool.ts';
import { NodeCloned, StoreRewound } from '../../src/store/store.ts';
import { parts } from '../../src/store/stored-pool.ts';
import { ThreadNotices } from '../../src/store-thread/thread-notices.ts';
import { isSettled } from '../support/pools-bench.ts';
import { POOL, SharedServer } from '../support/shared-server.ts';
import { hitsFor } from '../support/store-subject.ts';

const LIMIT = { timeout: 300_000 };
const STORED = 200;
const UNAVAILABLE = { code: 'STORE_UNAVAILABLE' };

suite('what other runs were served first', () => {
  test(
    'a key that another run served gets the reply of that run, and its address stays',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const key = randomBytes(32);
      const first = await server.askOnce(key, 2);
      server.shared.miss('handOut');
      assert.deepEqual(await server.askOnce(key, 2), first);
      const { dispensed, burned } = await server.inner.counts('pet');
      assert.deepEqual([dispensed, burned], [2, 0]);
      server.note(first);
      await server.exhaust(200);
    },
  );

  test(
    'the same key with another body is refused, also when the other run was first',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const key = randomBytes(32);
      await server.askOnce(key, 2);
      server.shared.miss('handOut');
      await assert.rejects(server.askOnce(key, 3), { code: 'IDEMPOTENCY_MISMATCH' });
      assert.equal((await server.inner.counts('pet')).dispensed, 2);
    },
  );

  test('what was counted for it before that is not', LIMIT, async () => {
    await using server = await SharedServer.open();
    const token = { hash: randomBytes(32), scopes: [], pools: undefined, expiresAt: undefined };
    const { id } = await server.inner.tokens.create({ ...token, name: 'shop', quota: 4 });
    const ask = (key: Buffer, count: number) => {
      const receiver = { token: id, key, body: Buffer.alloc(32, count) };
      return server.ask({ count, quota: 4, receiver });
    };
    const key = randomBytes(32);
    const first = await ask(key, 1);
    server.shared.miss('handOut');
    assert.deepEqual(await ask(key, 1), first);
    assert.equal((await ask(randomBytes(32), 3)).length, 3);
  });

  test('a reservation, too', LIMIT, async () => {
    await using server = await SharedServer.open();
    const [key, body] = [randomBytes(32), Buffer.alloc(32)];
    const receiver = { token: 0, key, body };
    const order = { pool: 'pet', ttlMs: 86_400_000, receiver, quota: undefined, until: Infinity };
    const first = await server.served.dispenser.reserve(order);
    server.shared.miss('madeWith');
    assert.deepEqual(await server.served.dispenser.reserve(order), first);
    assert.equal((await server.inner.counts('pet')).reserved, 1);
  });

  test(
    'what other runs handed out counts for a quota, whatever was known here',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const token = { hash: randomBytes(32), scopes: [], pools: undefined, expiresAt: undefined };
      const { id } = await server.inner.tokens.create({ ...token, name: 'shop', quota: 5 });
      const ask = (count: number) => server.ask({ count, quota: 5, receiver: { token: id } });
      await server.until(() => server.status.ready === 20);
      server.pop(0, 4, { token: id });
      await server.served.refiller.commit('pet');
      // As if they came from elsewhere, after this look.
      server.shared.miss('used');
      await assert.rejects(ask(2), { code: 'QUOTA_EXCEEDED', message: /2 asked for, 1 left of 5/ });
      assert.equal((await server.inner.counts('pet')).dispensed, 4, 'its addresses are back');
      assert.equal((await ask(1)).length, 1);
      await assert.rejects(ask(1), { code: 'QUOTA_EXCEEDED' });
    },
  );

  test(
    'a reply with a key waits for the store, and one without waits for nothing',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      await server.until(() => server.status.ready === 20);
      const letGo = server.faults.hang('turn');
      const asked = server.askOnce(randomBytes(32));
      assert.equal((await server.ask()).length, 1);
      const isOver = await isSettled(asked);
      letGo();
      assert.equal(isOver, false);
      assert.equal((await asked).length, 1);
    },
  );
});

suite('a pool that signs', () => {
  test('what it hands out is in the store before it leaves', LIMIT, async () => {
    await using server = await SharedServer.open('leased', 20, { ...POOL, handout: 'sign-only' });
    await server.until(() => server.status.ready === 20);
    const letGo = server.faults.hang('turn');
    const asked = server.ask();
    const isOver = await isSettled(asked);
    letGo();
    assert.equal(isOver, false);
    server.note(await asked);
    assert.equal((await server.inner.counts('pet')).dispensed, 1);
  });
});

suite('a run that another has ended', () => {
  for (const durability of ['leased', 'committed'] as const) {
    test(`${durability}: goes on in a new epoch, and hands nothing out twice`, LIMIT, async () => {
      await using server = await SharedServer.open(durability);
      const { inner, served } = server;
      const take = async (thread: number) => {
        if (server.left.size > STORED / 2) return;
        // Threads hand out by themselves only where a journal says so.
        if (durability === 'leased') server.pop(thread, 1 + thread);
        else server.note(await server.ask());
      };
      let cutOff = 0;
      for (let run = 0; run < 4; run++) {
        await server.until(() => server.status.ready === 20);
        const { epoch } = inner;
        const [queue] = served.entries.all.map(({ queue }) => queue);
        await take(0);
        await take(1);
        const asked = server.askOnce(randomBytes(32));
        server.shared.end();
        await asked.then(
          (addresses) => server.note(addresses),
          (error) => {
            cutOff++;
            assert.equal(error.code, 'STORE_UNAVAILABLE');
          },
        );
        await server.until(async () => {
          // Whatever is asked for meanwhile leaves once, or is refused.
          await take(0).catch((error) => assert.equal(error.code, 'STORE_UNAVAILABLE'));
          await sleep(1);
          return inner.epoch > epoch && server.status.ready > 0;
        });
        const cells = Buffer.from(queue!).subarray(384);
        assert.ok(
          cells.every((byte) => byte === 0),
          'what was ready then is wiped',
        );
      }
      assert.ok(cutOff > 0, 'no request was under way when a run was ended');
      await server.served.refiller.commit('pet');
      const { dispensed, burned } = await inner.counts('pet');
      assert.deepEqual([dispensed, burned], [server.left.size, 0]);
      await server.exhaust(200);
      assert.ok(server.said().includes('a new run has begun'));
    });
  }

  test(
    'what leaves for a key waits for a turn, and is nobody’s when the run is over before',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      await server.until(() => server.status.ready === 20);
      const letGo = server.faults.hang('turn');
      const asked = server.askOnce(randomBytes(32), 3);
      await sleep(20);
      server.shared.end();
      letGo();
      await assert.rejects(asked, UNAVAILABLE);
      await server.until(() => server.said().includes('a new run has begun'));
      const [left] = server.log.lines.filter(({ msg }) =>
        msg.startsWith('what this run had leased'),
      );
      assert.deepEqual([left!.fields.dispensed, left!.fields.burned], [0, 0]);
      assert.equal((await server.inner.counts('pet')).dispensed, 0);
    },
  );

  test('who asks while the next one begins is to come again', LIMIT, async () => {
    await using server = await SharedServer.open();
    const { begun } = server.faults;
    await server.until(() => server.status.ready === 20);
    const letGo = server.faults.hang('counts');
    server.shared.end();
    await assert.rejects(server.askOnce(randomBytes(32)), UNAVAILABLE);
    await server.until(() => begun.slice(begun.indexOf('rejoin')).includes('counts', 1));
    const { code } = await server.ask().catch((error) => error);
    letGo();
    assert.equal(code, 'STORE_UNAVAILABLE');
    await server.until(() => server.said().includes('a new run has begun'));
    assert.equal((await server.askOnce(randomBytes(32))).length, 1);
  });

  test('nothing is settled before every thread has stopped handing out', LIMIT, async () => {
    await using server = await SharedServer.open();
    const { inner, threads } = server;
    await server.until(() => server.status.ready === 20);
    const { epoch } = inner;
    threads[1]!.isPrompt = false;
    server.shared.end();
    await threads[1]!.told();
    await sleep(50);
    const { epoch: before } = inner;
    let popped = 0;
    try {
      popped = server.pop(0);
    } catch (error) {
      assert.equal((error as VanityError).code, 'STORE_UNAVAILABLE');
    }
    threads[1]!.isPrompt = true;
    threads[1]!.act();
    assert.deepEqual([before, popped], [epoch, 0]);
    await server.until(() => server.said().includes('a new run has begun'));
    assert.equal(inner.epoch, epoch + 1);
  });

  test('a store that fails ends none, and neither does a clone of the machine', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    const { epoch } = server.inner;
    for (const error of [new VanityError('STORE_UNAVAILABLE', 'down'), new NodeCloned(epoch)]) {
      server.faults.fail('insert', error);
      await assert.rejects(server.served.insert(hitsFor('pet', 1)), { code: error.code });
      server.faults.fail('counts', error);
      server.shared.events!.stock('pet');
    }
    await sleep(50);
    assert.ok(!server.faults.begun.includes('rejoin'));
    assert.equal(server.pop(0), 1);
  });

  test('it tries again while no run can begin', LIMIT, async () => {
    await using server = await SharedServer.open();
    server.faults.fail('rejoin', new VanityError('STORE_UNAVAILABLE', 'not yet'));
    server.shared.end();
    await server.until(() => server.said().includes('a new run has begun'));
    assert.ok(server.said().includes('no new run can begin now; retrying'));
    await server.until(() => server.status.ready > 0);
    assert.equal(server.pop(0), 1);
  });
});

test('a stop that cannot end its queues leaves the journals to the next start', LIMIT, async () => {
  await using server = await SharedServer.open();
  await server.until(() => server.status.ready === 20);
  server.pop(0, 3);
  server.faults.fail('endQueues', new Error('cut off'));
  await assert.rejects(server.served.stop({}), /cut off/);
  const [memory] = server.journals.directories;
  assert.ok(readdirSync(memory).length > 1);
});

suite('a database that went back in time', () => {
  test('nothing is handed out until every node has said what it did', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    const { epoch } = server.inner;
    const missed = 'node two has not said what it did';
    server.shared.missed = missed;
    server.shared.goBack();
    await assert.rejects(server.askOnce(randomBytes(32)), { code: /STORE_(REWOUND|UNAVAILABLE)/ });
    await server.until(() => server.log.lines.some(({ fields }) => fields.reason === missed));
    for (const thread of [0, 1]) assert.throws(() => server.pop(thread), UNAVAILABLE);
    assert.equal(server.health.failure, 'STORE_REWOUND');
    server.shared.missed = undefined;
    await server.until(() => server.said().includes('a new run has begun'));
    assert.ok(server.inner.epoch > epoch);
    await server.until(() => server.health.failure === undefined && server.status.ready === 20);
    assert.equal(server.pop(0), 1);
    await server.exhaust(200);
  });

  test('a beat or a look that sees it is enough', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    server.shared.goBack();
    server.shared.events!.over(new StoreRewound());
    assert.ok(server.said().includes('the database went back in time; the next begins'));
    await server.until(() => server.said().includes('a new run has begun'));
  });

  test('a pool of the configuration that it lost is made again', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.until(() => server.status.ready === 20);
    server.shared.goBack('pet');
    server.shared.events!.over(new StoreRewound());
    await server.until(() => server.said().includes('a new run has begun'));
    await server.until(() => server.status.ready === 20);
    assert.equal(server.pop(0), 1);
  });
});

suite('the deadline of a run', () => {
  test(
    'past it no thread hands anything out, until the store reports a later one',
    LIMIT,
    async (t) => {
      await using server = await SharedServer.open();
      await server.until(() => server.status.ready === 20);
      const { deadline } = server.shared.events!;
      assert.equal(server.pop(0), 1, 'none was reported');
      deadline(monotonicMs() - 1);
      for (const thread of [0, 1]) assert.throws(() => server.pop(thread), UNAVAILABLE);
      await assert.rejects(server.ask(), UNAVAILABLE);
      await assert.rejects(server.askOnce(randomBytes(32)), UNAVAILABLE);
      const now = Date.now();
      t.mock.method(Date, 'now', () => now - 61_000);
      assert.throws(() => server.pop(0), UNAVAILABLE, 'the time of day was set back');
      t.mock.restoreAll();
      deadline(monotonicMs() + 60_000);
      for (const thread of [0, 1]) assert.equal(server.pop(thread), 1);
      // A machine that was suspended: the monotonic clock stood.
      t.mock.method(Date, 'now', () => now + 61_000);
      assert.throws(() => server.pop(0), UNAVAILABLE);
      t.mock.restoreAll();
      assert.equal(server.pop(0), 1);
    },
  );

  test('a pool that is made later has the same', LIMIT, async () => {
    await using server = await SharedServer.open();
    await server.served.pools.create(readPool({ name: 'late', suffix: 'x' }, String));
    server.shared.events!.deadline(monotonicMs() - 1);
    const late = server.threads[0]!.pools.get('late')!;
    assert.throws(() => late.pop(1), UNAVAILABLE);
  });
});

suite('what other runs change', () => {
  const NEW = readPool({ name: 'new', suffix: 'y', ready: 5 }, String);
  const define = (server: SharedServer) => {
    const { identity, settings } = parts(NEW);
    return server.inner.definePool(identity, settings);
  };

  test('what another run found is leased here', LIMIT, async () => {
    await using server = await SharedServer.open('leased', 0);
    assert.equal(server.pop(0), 0);
    await server.insert(3);
    await server.until(() => server.status.ready === 3);
    assert.equal(server.pop(0, 3), 3);
  });

  test('pools that it makes, changes, pauses and deletes are so here', LIMIT, async () => {
    await using server = await SharedServer.open();
    const { inner, served, threads } = server;
    const { directory } = server.shared.events!;
    await server.until(() => server.status.ready === 20);
    await define(server);
    await directory();
    for (const { pools } of threads) assert.ok(pools.has('new'));
    const pool = threads[1]!.pools.get('new')!;
    const { settings } = parts({ ...NEW, target: 77 });
    await inner.changePool('new', { settings, isPaused: true });
    await inner.changePool('pet', { isPaused: true });
    await directory();
    assert.deepEqual([pool.status().target, pool.status().paused], [77, true]);
    assert.throws(() => server.pop(0), { code: 'POOL_PAUSED' });
    await inner.changePool('pet', { isPaused: false });
    await directory();
    assert.equal(server.pop(0), 1);
    server.shared.remove('new');
    await directory();
    for (const { pools } of threads) assert.ok(!pools.has('new'));
    assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
    assert.equal(served.entries.all.length, 1);
  });

  test(
    'of a pool that it deletes nothing leaves here, and what was ready is burned',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const { inner, threads } = server;
      await server.served.pools.create(NEW);
      await inner.insert(hitsFor('new', 9));
      server.shared.events!.stock('new');
      const pool = threads[0]!.pools.get('new')!;
      await server.until(() => pool.status().ready === 5);
      assert.equal(pool.pop(2)!.length, 2);
      // As a deletion begins that waits for the queues of all runs.
      server.shared.remove('new');
      await server.shared.events!.directory();
      assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
      const { available, leased, dispensed, burned } = await inner.counts('new');
      assert.deepEqual([available, leased, dispensed, burned], [4, 0, 2, 3]);
    },
  );

  /** Of the pool `new`, of which two of nine addresses left, and others are ready. */
  async function popped(server: SharedServer) {
    await server.served.pools.create(NEW);
    await server.inner.insert(hitsFor('new', 9));
    server.shared.events!.stock('new');
    const pool = server.threads[0]!.pools.get('new')!;
    await server.until(() => pool.status().ready === 5);
    assert.equal(pool.pop(2)!.length, 2);
    return pool;
  }

  test('a deletion waits for other runs, and this one goes on meanwhile', LIMIT, async () => {
    await using server = await SharedServer.open();
    const { shared, served } = server;
    const pool = await popped(server);
    shared.haveOthersLeased = true;
    shared.remove('new');
    const removed = served.pools.remove('new');
    await server.until(async () => (await server.inner.counts('new')).burned > 0);
    // They may wait for this one in turn.
    await shared.events!.directory();
    await server.askOnce(randomBytes(32));
    assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
    assert.equal(await isSettled(removed), false);
    shared.haveOthersLeased = false;
    assert.equal(await removed, 7);
  });

  test(
    'of a pool whose deletion fails nothing leaves, and the next look ends it',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const { shared, served, faults } = server;
      const pool = await popped(server);
      faults.fail('removePool', new VanityError('STORE_UNAVAILABLE', 'not now'));
      await assert.rejects(served.pools.remove('new'), UNAVAILABLE);
      shared.remove('new');
      assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
      await shared.events!.directory();
      assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
      const { available, leased, dispensed, burned } = await server.inner.counts('new');
      assert.deepEqual([leased, dispensed, available + burned], [0, 2, 7]);
      assert.ok(burned > 0);
      assert.equal(served.entries.all.length, 1);
    },
  );

  test(
    'a pool whose deletion fails is served anew if it was made anew meanwhile',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const { shared, served, faults } = server;
      const pool = await popped(server);
      faults.fail('removePool', new VanityError('STORE_UNAVAILABLE', 'not now'));
      await assert.rejects(served.pools.remove('new'), UNAVAILABLE);
      await shared.events!.directory();
      const anew = server.threads[0]!.pools.get('new')!;
      assert.notEqual(anew, pool);
      await server.until(() => anew.status().ready === 4);
      assert.equal(anew.pop(4)!.length, 4);
      assert.throws(() => pool.pop(1), { code: 'POOL_NOT_FOUND' });
    },
  );

  test('a configured pool is filled to the target of the run that began last', LIMIT, async () => {
    await using server = await SharedServer.open();
    const [pet] = server.served.entries.all;
    const settings = settingsBoard(pet!);
    assert.notEqual(settings.get('target'), 77);
    server.shared.retarget('pet', 77);
    await server.shared.events!.directory();
    assert.equal(settings.get('target'), 77);
  });
  const any = { scopes: ['read' as const], pools: undefined, quota: undefined };
  const tokenNamed = (name: string) => {
    return { ...any, name, hash: randomBytes(32), expiresAt: undefined };
  };

  /** What a thread hears of tokens. */
  async function toldOf({ served }: SharedServer) {
    const { port1, port2 } = new MessageChannel();
    const notices = new ThreadNotices(port1);
    const told: TokenNotice[] = [];
    port2.on('message', ({ arg }: { arg: TokenNotice }) => {
      told.push(arg);
      notices.heard(arg.notice);
    });
    await served.tokens.connect(port1, notices);
    const seen = () => told.map(({ token: { id }, isValid }) => [id, isValid]);
    return { seen, [Symbol.dispose]: () => port1.close() };
  }

  test(
    'a token that it revokes opens nothing here, and one that it makes does',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const { inner } = server;
      const old = await inner.tokens.create(tokenNamed('old'));
      using told = await toldOf(server);
      const made = await inner.tokens.create(tokenNamed('made'));
      await inner.tokens.revoke('old');
      await server.shared.events!.directory();
      const right = [
        [old.id, false],
        [made.id, true],
      ];
      assert.deepEqual(told.seen(), right);
      await server.shared.events!.directory();
      assert.deepEqual(told.seen(), right, 'nothing is said twice');
    },
  );

  test(
    'a token that was revoked while this run was over opens nothing in the next',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const { inner } = server;
      const { id } = await inner.tokens.create(tokenNamed('old'));
      using told = await toldOf(server);
      await inner.tokens.revoke('old');
      server.shared.end();
      await server.until(
        () => server.status.ready === 20 && server.said().includes('a new run has begun'),
      );
      assert.deepEqual(told.seen(), [[id, false]]);
    },
  );

  test('a change of this run is answered when all others act on it', LIMIT, async () => {
    await using server = await SharedServer.open();
    const { served, shared } = server;
    const token = { name: 'a', hash: randomBytes(32), scopes: ['read' as const] };
    const limits = { pools: undefined, quota: undefined, expiresAt: undefined };
    const changes = [
      () => served.pools.create(NEW),
      () => served.pools.change('new', { target: 5 }),
      () => served.pools.pause('new', true),
      () => served.pools.remove('new'),
      () => served.tokens.create({ ...token, ...limits }),
      () => served.tokens.revoke('a'),
    ];
    shared.areOthersSlow = true;
    for (const change of changes) {
      const changed = change();
      const isOver = () => isSettled(changed);
      await server.until(async () => shared.waiting.length === 1 || (await isOver()));
      assert.equal(await isOver(), false, String(change));
      shared.waiting.pop()!();
      await changed;
    }
  });

  test(
    'what others change is acted on while a change of this run waits for them',
    LIMIT,
    async () => {
      await using server = await SharedServer.open();
      const { served, shared } = server;
      const any = { scopes: ['read' as const], pools: undefined, quota: undefined };
      const token = { ...any, name: 'a', hash: randomBytes(32), expiresAt: undefined };
      shared.areOthersSlow = true;
      const changed = [served.pools.pause('pet', true), served.tokens.create(token)];
      await server.until(() => shared.waiting.length === 2);
      // They may wait for this one in turn.
      await shared.events!.directory();
      for (const letGo of shared.waiting) letGo();
      await Promise.all(changed);
    },
  );
});
