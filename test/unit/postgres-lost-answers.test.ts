/**
 * A call whose connection is cut, at each of its statements: its caller gets what it asked for, or an error after
 * which the same call is right. Nothing happens twice, and nothing is lost.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { SigningKey } from '../../src/keypair/signing-key.ts';
import type { LastJournal } from '../../src/store/recovery.ts';
import type { Store } from '../../src/store/store.ts';
import { DAY_MS } from '../../src/store/token-store.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  figuresOf,
  handOut,
  inserted,
  type PostgresNode,
  PostgresNodes,
  removed,
  told,
  untilDone,
  whileUnderWay,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import type { Fate } from '../support/postgres-proxy.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { ANY_AGE, hexOf, hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
/** Longer than anything here takes that is to succeed. */
const LIMIT = { timeout: 300_000, skip };
/** Beside commits one of each so many statements is cut; all of them if it is 1. */
const STEP = Number(process.env.STATEMENT_STEP ?? 6);
let server: PostgresServer;
const stores = new PostgresStores(() => server);
/** For all that leaves the pools of other tests alone. */
let shared: PostgresNodes;
before(async () => {
  if (skip !== false) return;
  server = await PostgresServer.start();
  shared = await PostgresNodes.open(stores, server, 1);
});
after(async () => {
  // Ended also where the check of the nodes fails.
  await using _ = server;
  await shared?.[Symbol.asyncDispose]();
});

interface Scene {
  readonly nodes: PostgresNodes;
  readonly node: PostgresNode;
  readonly store: Store;
  readonly pool: string;
  /** A token of this scene alone. */
  readonly token: number;
}

interface Asked {
  readonly call: () => Promise<unknown>;
  /** What is so afterwards, beside the figures of the pool. */
  readonly state?: () => Promise<unknown>;
  /** What it may give when it is made again. */
  readonly again?: (result: unknown, whole: unknown) => boolean;
}

const AT = Date.now();
/** Beyond all that runs here: what expires meanwhile would be another test's. */
const LONG_MS = 86_400_000;
const TODAY = Math.floor(AT / DAY_MS);
const keyed = () => ({ key: randomBytes(32), body: randomBytes(32) });
const newId = () => randomBytes(16).toString('hex');
const limits = { scopes: ['dispense' as const], pools: undefined, quota: undefined };
const tokenNamed = (name: string) => {
  return { name, hash: randomBytes(32), ...limits, expiresAt: undefined };
};

/** Eight addresses, of which five are leased. */
async function leasedIn({ store, pool }: Scene, count = 5): Promise<string[]> {
  const hits = await inserted(store, pool, 8);
  await store.turn({ pool, head: 0, wanted: count });
  return hits.map(hexOf);
}

async function reservedIn(scene: Scene, ttlMs = LONG_MS): Promise<string> {
  const { store, pool, token } = scene;
  await leasedIn(scene);
  const id = newId();
  const handOuts = told(handOut(0, { token, reservation: { id, ttlMs } }));
  await store.turn({ pool, head: 2, wanted: 0, handOuts });
  return id;
}

const signers = (scene: Scene, publicKey: Uint8Array, limit: number) => ({
  limits: new Map([[scene.pool, limit]]),
  publicKey,
  token: scene.token,
});

const signOnly = async (scene: Scene): Promise<SigningKey> => {
  const { store, pool, token } = scene;
  const [hit] = await inserted(store, pool, 1);
  await store.turn({ pool, head: 0, wanted: 1 });
  await store.turn({ pool, head: 1, wanted: 0, handOuts: told(handOut(0, { token })) });
  return hit!;
};

/** Each prepares the scene, and says what is asked for then. */
const CALLS: Record<string, (scene: Scene) => Promise<Asked>> = {
  turn: async (scene) => {
    const { store, pool, token } = scene;
    const hits = await leasedIn(scene);
    const [served, other] = [keyed(), keyed()];
    await store.turn({ pool, head: 1, wanted: 0, handOuts: told(handOut(0, served)) });
    const reservation = { id: newId(), ttlMs: LONG_MS };
    const handOuts = told(
      handOut(1, { at: AT, token }),
      handOut(2, { at: AT, token, ...served }),
      handOut(3, { at: AT, token, quota: 1 }),
      handOut(4, { at: AT, token, ...other, reservation }),
    );
    return {
      call: async () => {
        const report = await store.turn({ pool, head: 5, wanted: 3, handOuts });
        const leased = report.leased.map((one) => hits.indexOf(hexOf(one)));
        return { ...report, leased };
      },
      state: async () => [
        (await store.handOut(served.key, pool))!.addresses!.map((one) => hits.indexOf(hexOf(one))),
        (await store.reservations.madeWith(other.key))!.reservation.state,
        await store.tokens.used(token, TODAY),
        (await store.turn({ pool, head: 5, wanted: 1 })).position,
      ],
    };
  },
  insert: async ({ store, pool }) => {
    const [known] = await inserted(store, pool, 1);
    const hits = [known!, ...hitsFor(pool, 4)];
    return {
      call: () => store.insert(hits, 'imported'),
      state: async () => {
        await inserted(store, pool, 1);
        return (await store.counts(pool)).imported;
      },
      // They are known by then.
      again: (result) => isDeepStrictEqual(result, { inserted: 0, duplicates: 5 }),
    };
  },
  addJournals: async (scene) => {
    const { store, pool } = scene;
    await leasedIn(scene);
    const journals = [1, 2].map((number) => ({ pool, number }));
    return { call: () => store.addJournals(journals), state: () => journalsOf(scene) };
  },
  removeJournals: async (scene) => {
    const { store, pool } = scene;
    await store.addJournals([1, 2, 3].map((number) => ({ pool, number })));
    await leasedIn(scene);
    return { call: () => store.removeJournals([1, 3]), state: () => journalsOf(scene) };
  },
  'endQueues, return': (scene) => ended(scene, 'return'),
  'endQueues, burn': (scene) => ended(scene, 'burn'),
  removePool: async (scene) => {
    const { store, pool, token } = scene;
    await reservedIn(scene);
    const handOuts = told(handOut(2, { token }));
    return {
      call: () => removed(store, pool, 3, handOuts),
      state: async () => (await store.pools()).find(({ name }) => name === pool)!.isRemoved,
      // Of the steps that were left.
      again: (result, whole) => Number(result) <= Number(whole),
    };
  },
  definePool: async ({ store, pool }) => {
    const identity = poolNamed(`${pool}-new`);
    return {
      call: async () => (await store.definePool(identity)).isRemoved,
      state: async () => (await store.pools()).filter(({ name }) => name === identity.name).length,
    };
  },
  changePool: async ({ store, pool }) => {
    const stored = async () => (await store.pools()).find(({ name }) => name === pool)!;
    return {
      call: () => store.changePool(pool, { isPaused: true }),
      state: async () => (await stored()).isPaused,
    };
  },
  'a token is made': async ({ store, pool }) => {
    const made = `${pool}-new`;
    return {
      // Another one each time: the first would be nobody's.
      call: async () => (await store.tokens.create(tokenNamed(made))).scopes,
      state: async () => (await store.tokens.all()).filter(({ name }) => name === made).length,
    };
  },
  'a token is revoked': async ({ store, pool }) => ({
    call: async () => (await store.tokens.revoke(pool)).revokedAt !== undefined,
    state: async () => (await store.tokens.find(pool))!.revokedAt !== undefined,
  }),
  'a reservation is dispensed': async (scene) => {
    const { store, pool, token } = scene;
    const id = await reservedIn(scene);
    const call = async () => (await store.reservations.dispense(id, token, pool)).id % 2 ** 20;
    return { call, state: call };
  },
  'a reservation is released': async (scene) => {
    const { store, pool, token } = scene;
    const id = await reservedIn(scene);
    return {
      call: () => store.reservations.release(id, token, true),
      state: async () => (await store.turn({ pool, head: 2, wanted: 9 })).leased.length,
    };
  },
  'a reservation is burned': async (scene) => {
    const id = await reservedIn(scene);
    return { call: () => scene.store.reservations.release(id, scene.token, false) };
  },
  'reservations expire': async (scene) => {
    const { store, pool } = scene;
    await reservedIn(scene, -60_000);
    return {
      call: async () => {
        // What the server still holds of a try that was cut comes with the next call.
        do await store.reservations.expire(() => true);
        while ((await store.counts(pool)).reserved > 0);
      },
    };
  },
  sign: async (scene) => {
    const { store } = scene;
    const { publicKey } = await signOnly(scene);
    let number = 0;
    const sign = () => Buffer.alloc(64, ++number);
    const order = { ...signers(scene, publicKey, 1), messageHash: randomBytes(32), sign };
    const call = () => store.signatures.sign(order);
    return {
      call: async () => (await call()).length,
      state: async () => {
        const same = await call();
        const again = await call();
        const other = store.signatures.sign({ ...order, messageHash: randomBytes(32) });
        await assert.rejects(other, { code: 'SIGN_LIMIT_REACHED' });
        return Buffer.from(same).equals(again);
      },
    };
  },
  destroySecrets: async (scene) => {
    const { store, pool } = scene;
    await leasedIn(scene);
    await store.turn({ pool, head: 3, wanted: 0 });
    while ((await store.dueSecrets(ANY_AGE)) > 3) await store.destroySecrets(ANY_AGE);
    return {
      call: async () => {
        // As with reservations.
        do await store.destroySecrets(ANY_AGE);
        while ((await store.dueSecrets(ANY_AGE)) > 0);
      },
      state: () => store.dueSecrets(ANY_AGE),
    };
  },
  saveCounters: async ({ store }) => {
    const counters = { hits: Math.floor(Math.random() * 2 ** 40) };
    return {
      call: () => store.saveCounters(counters),
      state: async () => (await store.counters()).hits === counters.hits,
    };
  },
  rejoin: async (scene) => {
    const { store, pool } = scene;
    await store.addJournals([{ pool, number: 1 }]);
    await leasedIn(scene);
    return {
      call: async () => (await store.rejoin(() => [handOut(0, { count: 2 })]))[pool],
      // Nothing is leased that the next one would settle.
      state: async () => (await store.turn({ pool, head: 0, wanted: 0 })).position,
      // Of an attempt before that was in.
      again: (result) => result === undefined,
    };
  },
  open: async (scene) => {
    const { node, pool } = scene;
    await scene.store.addJournals([{ pool, number: 1 }]);
    await leasedIn(scene);
    await node.store.close();
    return {
      call: async () => {
        const store = await node.open({ recover: () => [handOut(0, { count: 2 })] });
        return store.recovered[pool];
      },
      again: (result) => result === undefined,
    };
  },
};

async function ended(scene: Scene, rest: 'return' | 'burn'): Promise<Asked> {
  const { store, pool } = scene;
  await leasedIn(scene);
  const same = keyed();
  const handOuts = told(handOut(0, { token: scene.token }), handOut(1, same), handOut(2, same));
  return {
    call: async () => {
      const report = await store.endQueues([{ pool, head: 3, handOuts }], rest);
      return { ...report, refused: report.refused.map(({ position, why }) => [position, why]) };
    },
    state: async () => (await store.turn({ pool, head: 3, wanted: 2 })).position,
    // What it had is given back by then.
    again: (result, whole) => isDeepStrictEqual(result, { ...(whole as object), rest: 0 }),
  };
}

async function journalsOf({ node, store }: Scene): Promise<unknown> {
  const text = `SELECT array_agg(key ORDER BY key) AS numbers FROM vanitypool.queues, jsonb_object_keys(journals) AS key
    WHERE epoch = $1 GROUP BY pool_id ORDER BY pool_id DESC LIMIT 1`;
  return server.sql(text, [store.epoch], new URL(node.place.url).pathname.slice(1));
}

let pools = 0;

async function sceneIn(nodes: PostgresNodes, handout: 'secret' | 'sign-only'): Promise<Scene> {
  const [node] = nodes.nodes;
  node!.pass();
  const pool = await nodes.pool(`pool${pools++}`, handout);
  const { store } = node!;
  const { id: token } = await store.tokens.create(tokenNamed(pool));
  return { nodes, node: node!, store, pool, token };
}

/** The end of one try, with what happened to one statement. */
async function tried(
  scene: Scene,
  prepare: (scene: Scene) => Promise<Asked>,
  hit: (number: number, text: string) => Fate,
) {
  const asked = await prepare(scene);
  const { node, pool } = scene;
  let failures = 0;
  node.fate(hit);
  const result = await untilDone(asked.call, () => {
    failures++;
  });
  node.pass();
  const { store } = node;
  const figures = await figuresOf(store, pool);
  return { asked, result, failures, figures, state: await asked.state?.() };
}

/** What they do is done to all pools. */
const ALONE = new Set(['removeJournals', 'destroySecrets', 'rejoin', 'open']);

/** What became of their commits they find out by themselves. */
const KNOWN = new Set([
  ...['addJournals', 'removeJournals', 'removePool', 'definePool', 'changePool', 'saveCounters'],
  ...['a reservation is dispensed', 'a reservation is released', 'a reservation is burned'],
  ...['a token is made', 'sign', 'rejoin', 'open'],
]);

const CHANGES = /^(?:WITH\b[^;]*?\b)?(INSERT|UPDATE|DELETE)\b/;

suite('a connection that is cut', { skip }, () => {
  for (const [name, prepare] of Object.entries(CALLS)) {
    test(`at each statement of: ${name}`, LIMIT, async () => {
      await using own = ALONE.has(name) ? await PostgresNodes.open(stores, server, 1) : undefined;
      const nodes = own ?? shared;
      const handout = name === 'sign' ? 'sign-only' : 'secret';
      // Each try finds what one before it left.
      await tried(await sceneIn(nodes, handout), prepare, () => 'pass');
      const statements: string[] = [];
      const whole = await tried(await sceneIn(nodes, handout), prepare, (_number, text) => {
        statements.push(text);
        return 'pass';
      });
      assert.equal(whole.failures, 0);
      const changing = statements.findIndex((text) => CHANGES.test(text));
      assert.ok(changing > 0);
      for (const [index, text] of statements.entries()) {
        // What is only read before it is read again.
        if (index < statements.lastIndexOf('COMMIT', changing)) continue;
        if (text !== 'COMMIT' && index % STEP !== 0) continue;
        const fates: Fate[] =
          text === 'COMMIT'
            ? ['lose', 'cut-answer']
            : [(index / STEP) % 2 === 0 ? 'lose' : 'cut-answer'];
        for (const fate of fates) {
          let hitText: string | undefined;
          const what = `${fate} at ${index + 1} of ${statements.length}: ${text.slice(0, 80)}`;
          const one = await tried(await sceneIn(nodes, handout), prepare, (number, asked) => {
            if (number !== index + 1) return 'pass';
            hitText = asked;
            return fate;
          });
          assert.equal(hitText, text, what);
          if (text === 'COMMIT' && KNOWN.has(name)) assert.equal(one.failures, 0, what);
          assert.equal(one.figures, whole.figures, what);
          assert.deepEqual(one.state, whole.state, what);
          const isOther = one.failures > 0 && one.asked.again?.(one.result, whole.result);
          if (!isOther) assert.deepEqual(one.result, whole.result, what);
        }
      }
    });
  }
});

const WAITING = `SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
const LOCKED = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;

/** Of the commits of one call after the other; 'cut-answer' is one that is in. */
const PATTERNS: readonly (readonly Fate[])[] = [
  ['cut-answer'],
  ['lose'],
  ['cut-answer', 'cut-answer'],
  ['lose', 'lose'],
  ['cut-answer', 'lose'],
  ['lose', 'cut-answer'],
  ['cut-answer', 'lose', 'cut-answer', 'cut-answer', 'lose'],
];

suite('commits without an answer', { skip }, () => {
  for (const fates of PATTERNS) {
    test(`one after the other: ${fates.join(', ')}`, LIMIT, async () => {
      const scene = await sceneIn(shared, 'secret');
      const { node, store, pool, token } = scene;
      const hits = (await inserted(store, pool, 12)).map(hexOf);
      const asked = async <T>(call: () => Promise<T>) => {
        let failures = 0;
        node.commits(...fates);
        const result = await untilDone(call, () => failures++);
        node.pass();
        assert.equal(failures, fates.length);
        return result;
      };
      const turn = async (head: number, wanted: number, handOuts = told()) => {
        const report = await store.turn({ pool, head, wanted, handOuts });
        const leased = report.leased.map((one) => hits.indexOf(hexOf(one)));
        return [
          report.position,
          leased,
          report.refused.map(({ position, why }) => `${position} ${why}`),
        ];
      };
      await turn(0, 0);
      assert.deepEqual(await asked(() => turn(0, 6)), [0, [0, 1, 2, 3, 4, 5], []]);
      const same = keyed();
      const handOuts = told(
        handOut(0, { at: AT, token, ...same }),
        handOut(1, { at: AT, token, ...same }),
        handOut(2, { at: AT, token, quota: 3 }),
        handOut(3, { at: AT, token, quota: 1 }),
        handOut(4, { at: AT, token, ...keyed(), quota: 1 }),
        handOut(5, { at: AT, token }),
      );
      const second = await asked(() => turn(6, 4, handOuts));
      assert.deepEqual(second, [6, [1, 3, 4, 6], ['1 key', '3 quota', '4 quota']]);
      // What is not limited counts first.
      assert.equal(await store.tokens.used(token, TODAY), 3);
      assert.equal(await figuresOf(store, pool), '5 4 0 3 0');
      const queue = { pool, head: 8, handOuts: told(handOut(6, { at: AT, count: 2, token })) };
      const { refused } = await asked(() => store.endQueues([queue], 'return'));
      assert.deepEqual(refused, []);
      assert.equal(await figuresOf(store, pool), '7 0 0 5 0');
      assert.deepEqual(await asked(() => turn(8, 3)), [8, [4, 6, 7], []]);
      assert.equal(await store.tokens.used(token, TODAY), 5);
    });
  }

  test('that are in are found by whatever comes next', LIMIT, async () => {
    const { node, store, pool } = await sceneIn(shared, 'secret');
    const hits = (await inserted(store, pool, 8)).map(hexOf);
    await store.turn({ pool, head: 0, wanted: 0 });
    const unanswered = async (call: Promise<unknown>) => {
      await assert.rejects(call, { code: 'STORE_UNAVAILABLE' });
      node.pass();
    };
    node.commits('cut-answer');
    await unanswered(store.turn({ pool, head: 0, wanted: 3 }));
    await store.addJournals([{ pool, number: 1 }]);
    const { leased, position } = await store.turn({ pool, head: 0, wanted: 0 });
    assert.deepEqual([position, leased.map(hexOf)], [0, hits.slice(0, 3)]);
    node.commits('cut-answer');
    await unanswered(store.endQueues([{ pool, head: 1 }], 'return'));
    node.commits('cut-answer');
    await unanswered(store.turn({ pool, head: 1, wanted: 2 }));
    const next = await store.turn({ pool, head: 1, wanted: 4 });
    assert.deepEqual([next.position, next.leased.map(hexOf)], [1, hits.slice(1, 5)]);
    node.commits('cut-answer');
    await unanswered(store.turn({ pool, head: 3, wanted: 2 }));
    const ended = await store.endQueues([{ pool, head: 4 }], 'return');
    assert.equal(ended.rest, 3, 'what no report had, too');
    assert.equal(await figuresOf(store, pool), '4 0 0 4 0');
  });

  test('that waited for a standby when their session was ended are in', LIMIT, async (t) => {
    t.after(() => server.reset('synchronous_standby_names'));
    const { store, pool } = await sceneIn(shared, 'secret');
    const hits = (await inserted(store, pool, 4)).map(hexOf);
    await store.turn({ pool, head: 0, wanted: 0 });
    const waiting = `SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
    for (const [index, end] of ['pg_cancel_backend', 'pg_terminate_backend'].entries()) {
      await server.holdCommits();
      const order = { pool, head: 2 * index, wanted: 2 };
      const asked = assert.rejects(store.turn(order), { code: 'STORE_UNAVAILABLE' });
      let found: { pid: number }[] = [];
      while (found.length === 0) found = await server.sql(waiting);
      await server.sql(`SET synchronous_commit = local; SELECT ${end}(${found[0]!.pid})`);
      await asked;
      await server.reset('synchronous_standby_names');
      const { leased, position } = await store.turn(order);
      const all = [position, leased.map((one) => hits.indexOf(hexOf(one)))];
      assert.deepEqual(all, [2 * index, [2 * index, 2 * index + 1]], end);
    }
    assert.equal(await figuresOf(store, pool), '0 2 0 2 0');
  });

  test(
    'do not hide records that come with the next order, whatever they are beside',
    LIMIT,
    async () => {
      const { node, store, pool, token } = await sceneIn(shared, 'secret');
      await inserted(store, pool, 8);
      await store.turn({ pool, head: 0, wanted: 8 });
      const record = (position: number) => handOut(position, { at: AT, token });
      node.commits('cut-answer');
      const first = { pool, head: 3, wanted: 0, handOuts: told(record(0), record(2)) };
      await assert.rejects(store.turn(first), { code: 'STORE_UNAVAILABLE' });
      const handOuts = told(record(0), record(1), record(2), record(3));
      await store.turn({ pool, head: 4, wanted: 0, handOuts });
      assert.equal(await store.tokens.used(token, TODAY), 4);
    },
  );

  test('are waited for, as long as the server has not decided', LIMIT, async () => {
    const { node, store, pool } = await sceneIn(shared, 'secret');
    const hits = (await inserted(store, pool, 4)).map(hexOf);
    await store.turn({ pool, head: 0, wanted: 1 });
    const more = hitsFor(pool, 2);
    const calls: (() => Promise<unknown>)[] = [
      async () => (await store.turn({ pool, head: 1, wanted: 2 })).leased.map(hexOf),
      () => store.insert(more),
    ];
    const results: unknown[] = [];
    for (const call of calls) {
      // A commit that is durable here waits for a standby that never comes; its client is gone.
      await server.holdCommits();
      const done = untilDone(call);
      while ((await server.sql(WAITING)).length === 0);
      node.proxy.cut();
      await whileUnderWay(done, async () => (await server.sql(LOCKED)).length > 0);
      await server.reset('synchronous_standby_names');
      results.push(await done);
    }
    assert.deepEqual(results, [hits.slice(1, 3), { inserted: 2, duplicates: 0 }]);
    assert.equal(await figuresOf(store, pool), '3 2 0 1 0');
  });

  test('of an insert may stay unknown: the next one is right', LIMIT, async () => {
    const { node, store, pool } = await sceneIn(shared, 'secret');
    await inserted(store, pool, 1);
    const hits = hitsFor(pool, 4);
    let [isAdded, isLost] = [false, false];
    node.fate((_number, text) => {
      // A look for it afterwards has no answer, either.
      if (isLost) return 'lose';
      isAdded ||= text.includes('INTO vanitypool.keys');
      isLost = isAdded && text === 'COMMIT';
      return isLost ? 'cut-answer' : 'pass';
    });
    await assert.rejects(store.insert(hits), { code: 'STORE_UNAVAILABLE' });
    node.pass();
    assert.deepEqual(await store.insert(hits), { inserted: 0, duplicates: 4 });
    await inserted(store, pool, 2);
    assert.equal(await figuresOf(store, pool), '7 0 0 0 0');
  });
});

/** How the next start goes by what the last run has left: whether it trusts journals, and needs them. */
const ENDS = ['trusted', 'not trusted', 'committed'] as const;

suite('a node that is killed', { skip }, () => {
  const killed = async (
    nodes: PostgresNodes,
    end: (typeof ENDS)[number],
    ask: (scene: Scene) => Promise<unknown>,
    hit: (number: number, text: string) => Fate,
  ): Promise<string> => {
    const [node] = nodes.nodes as [PostgresNode];
    const scene = await sceneIn(nodes, 'secret');
    const { store, pool } = scene;
    await store.addJournals([{ pool, number: 1 }]);
    await leasedIn(scene);
    node.fate(hit);
    await ask(scene).catch(() => undefined);
    // Whatever it still does is lost.
    node.fate(() => 'lose');
    await store.close();
    node.pass();
    // Two left, of which the journal has the records.
    const records = popped(scene.token);
    const recover = ({ recorded }: LastJournal) => records.slice(recorded);
    const next = await node.open(end === 'trusted' ? { recover } : {});
    assert.equal((await next.counts(pool)).leased, 0);
    // The one that is killed next.
    await next.close();
    await node.open({ durability: end === 'committed' ? 'committed' : 'leased' });
    return `${await figuresOf(node.store, pool)}, ${await node.store.tokens.used(scene.token, TODAY)}`;
  };
  const popped = (token: number) => [handOut(0, { at: AT, token }), handOut(1, { at: AT, token })];
  const recorded = (token: number) => ({ ...told(...popped(token)), journals: new Map([[1, 2]]) });
  const asks: Record<string, (scene: Scene) => Promise<unknown>> = {
    turn: ({ store, pool, token }) =>
      store.turn({ pool, head: 2, wanted: 2, handOuts: recorded(token) }),
    endQueues: ({ store, pool, token }) =>
      store.endQueues([{ pool, head: 2, handOuts: recorded(token) }], 'return'),
  };
  /** Before the commit, and after it. */
  const outcomes = {
    turn: {
      trusted: ['6 0 0 2 0, 2', '6 0 0 2 0, 2'],
      'not trusted': ['3 0 0 0 5, 0', '1 0 0 2 5, 2'],
      committed: ['8 0 0 0 0, 0', '6 0 0 2 0, 2'],
    },
    endQueues: {
      trusted: ['6 0 0 2 0, 2', '6 0 0 2 0, 2'],
      'not trusted': ['3 0 0 0 5, 0', '6 0 0 2 0, 2'],
      committed: ['8 0 0 0 0, 0', '6 0 0 2 0, 2'],
    },
  } as const;
  for (const end of ENDS) {
    for (const name of ['turn', 'endQueues'] as const) {
      test(`in ${name}, and whose journals are ${end}`, LIMIT, async () => {
        await using nodes = await PostgresNodes.open(stores, server, 1);
        const [node] = nodes.nodes as [PostgresNode];
        await node.store.close();
        await node.open({ durability: end === 'committed' ? 'committed' : 'leased' });
        const statements: string[] = [];
        const [before, after] = outcomes[name][end];
        const done = await killed(nodes, end, asks[name]!, (_number, text) => {
          statements.push(text);
          return 'pass';
        });
        assert.equal(done, after);
        const commit = statements.lastIndexOf('COMMIT') + 1;
        for (let number = 1; number < commit; number += 3 * STEP) {
          const one = await killed(nodes, end, asks[name]!, (at) =>
            at === number ? 'lose' : 'pass',
          );
          assert.equal(one, before, statements[number - 1]);
        }
        for (const [fate, figures] of [
          ['lose', before],
          ['cut-answer', after],
        ] as const) {
          const one = await killed(nodes, end, asks[name]!, (at) =>
            at === commit ? fate : 'pass',
          );
          assert.equal(one, figures, fate);
        }
      });
    }
  }

  test('in insert', LIMIT, async () => {
    await using nodes = await PostgresNodes.open(stores, server, 1);
    const [node] = nodes.nodes as [PostgresNode];
    const insert = async (hit: (number: number, text: string) => Fate): Promise<string> => {
      let again = async (): Promise<unknown> => undefined;
      const ask = ({ store, pool }: Scene) => {
        const hits = hitsFor(pool, 3);
        again = () => node.store.insert(hits);
        return store.insert(hits);
      };
      // It would find out what became of it.
      let isGone = false;
      const last = (number: number, text: string): Fate => {
        const fate = isGone ? 'lose' : hit(number, text);
        isGone = fate !== 'pass';
        return fate;
      };
      const [figures] = (await killed(nodes, 'trusted', ask, last)).split(',');
      return `${figures}, ${Object.values((await again()) as object).join(' ')}`;
    };
    const statements: string[] = [];
    const done = await insert((_number, text) => {
      statements.push(text);
      return 'pass';
    });
    const [before, after] = ['6 0 0 2 0, 3 0', '9 0 0 2 0, 0 3'];
    assert.equal(done, after);
    const commit = statements.lastIndexOf('COMMIT') + 1;
    for (let number = 1; number < commit; number += STEP) {
      const text = statements[number - 1]!;
      assert.equal(await insert((at) => (at === number ? 'lose' : 'pass')), before, text);
    }
    assert.equal(await insert((at) => (at === commit ? 'lose' : 'pass')), before);
    assert.equal(await insert((at) => (at === commit ? 'cut-answer' : 'pass')), after);
  });
});
