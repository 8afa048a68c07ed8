/**
 * What one node does while another stands still in the middle of a call, at each of its statements: both calls
 * succeed, or may be made again, none waits for the other in a circle, and every address is in one place.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hit } from '../../src/keypair/signing-key.ts';
import { PostgresServer } from '../support/postgres.ts';
import {
  Hold,
  handOut,
  inserted,
  type PostgresNode,
  PostgresNodes,
  removed,
  told,
  untilDone,
} from '../support/postgres-nodes.ts';
import { withoutPostgres } from '../support/postgres-program.ts';
import { PostgresStores } from '../support/postgres-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';

const skip = await withoutPostgres(18);
/** Longer than anything here takes that is to succeed. */
const LIMIT = { timeout: 300_000, skip };
/** One of each so many statements is held; all of them if it is 1. */
const STEP = Number(process.env.STATEMENT_STEP ?? 7);
/** Who is not done by then is taken to wait. */
const WAIT_MS = 60;

let server: PostgresServer;
let nodes: PostgresNodes;
let one: PostgresNode;
let two: PostgresNode;
const stores = new PostgresStores(() => server);
before(async () => {
  if (skip !== false) return;
  server = await PostgresServer.start();
  nodes = await PostgresNodes.open(stores, server, 2);
  [one, two] = nodes.nodes as [PostgresNode, PostgresNode];
});
after(async () => {
  // Ended also where the check of the nodes fails.
  await using _ = server;
  await nodes?.[Symbol.asyncDispose]();
});

/** What both of them may want at once. */
interface Scene {
  readonly pool: string;
  /** The ready queues. */
  readonly queues: Map<PostgresNode, { readonly head: number; readonly tail: number }>;
  readonly token: number;
  readonly name: string;
  /** Held by the first node. */
  readonly held: string;
  readonly expired: string;
  readonly hits: readonly Hit[];
  readonly key: { readonly key: Uint8Array; readonly body: Uint8Array };
  readonly signer: Uint8Array;
  readonly signPool: string;
}

let made = 0;

async function newScene(): Promise<Scene> {
  const name = `name${made++}`;
  const { store } = one;
  const token = await store.tokens.create({
    ...{ name, hash: randomBytes(32), scopes: ['dispense'], pools: undefined },
    ...{ quota: undefined, expiresAt: undefined },
  });
  const pool = await nodes.pool(name);
  const signPool = await nodes.pool(`${name}-sign`, 'sign-only');
  const [signer] = await inserted(store, signPool, 1);
  await store.turn({ pool: signPool, head: 0, wanted: 1 });
  const record = handOut(0, { token: token.id });
  await store.turn({ pool: signPool, head: 1, wanted: 0, handOuts: told(record) });
  await inserted(store, pool, 12);
  for (const node of [one, two]) await node.store.turn({ pool, head: 0, wanted: 4 });
  const [held, expired] = [0, 1].map(() => randomBytes(16).toString('hex')) as [string, string];
  const handOuts = told(
    handOut(0, { reservation: { id: held, ttlMs: 86_400_000 } }),
    handOut(1, { reservation: { id: expired, ttlMs: -60_000 } }),
  );
  await store.turn({ pool, head: 2, wanted: 0, handOuts });
  return {
    ...{ pool, token: token.id, name, held, expired, signPool, hits: hitsFor(pool, 3) },
    queues: new Map([
      [one, { head: 2, tail: 4 }],
      [two, { head: 0, tail: 4 }],
    ]),
    key: { key: randomBytes(32), body: randomBytes(32) },
    signer: signer!.publicKey,
  };
}

type Call = (scene: Scene, node: PostgresNode) => Promise<unknown>;

const CALLS: Record<string, Call> = {
  turn: async ({ pool, queues, token, key }, node) => {
    const { head, tail } = queues.get(node)!;
    const records = [handOut(head, { token, ...key }), handOut(head + 1, { token, quota: 2 })];
    const popped = Math.min(records.length, tail - head);
    const handOuts = told(...records.slice(0, popped));
    const order = { pool, head: head + popped, wanted: 2, handOuts };
    const { leased, position } = await node.store.turn(order);
    assert.equal(position, tail);
    queues.set(node, { head: order.head, tail: tail + leased.length });
  },
  insert: ({ hits }, node) => node.store.insert(hits),
  endQueues: (scene, node) => endQueue(scene, node, 'return'),
  removePool: async ({ pool, queues }, node) => {
    const { head } = queues.get(node)!;
    await removed(node.store, pool, head);
    queues.set(node, { head, tail: head });
  },
  definePools: ({ name, pool }, { store }) =>
    store.definePools([poolNamed(`${name}-new`), poolNamed(pool)]),
  changePool: ({ pool }, { store }) => store.changePool(pool, { isPaused: true }),
  'make a token': ({ name }, { store }) =>
    store.tokens.create({
      ...{ name: `${name}-new`, hash: randomBytes(32), scopes: [], pools: undefined },
      ...{ quota: undefined, expiresAt: undefined },
    }),
  'revoke a token': ({ name }, { store }) => store.tokens.revoke(name),
  'note uses': ({ token }, { store }) => store.tokens.noteUse([token, 1, 2, 3]),
  dispense: ({ held, pool }, { store }) => store.reservations.dispense(held, 0, pool),
  release: ({ held }, { store }) => store.reservations.release(held, 0, true),
  expire: (_scene, { store }) => store.reservations.expire(() => true),
  sign: ({ signPool, signer, token }, { store }) =>
    store.signatures.sign({
      ...{ limits: new Map([[signPool, 1]]), publicKey: signer, token },
      ...{ messageHash: randomBytes(32), sign: () => randomBytes(64) },
    }),
  destroySecrets: (_scene, { store }) => store.destroySecrets(ANY_AGE),
};

async function endQueue(
  { pool, queues }: Scene,
  node: PostgresNode,
  rest: 'return' | 'burn',
): Promise<void> {
  const { head } = queues.get(node)!;
  await node.store.endQueues([{ pool, head }], rest);
  queues.set(node, { head, tail: head });
}

/** What a call says of which another came first. */
const REFUSED = new Set([
  ...['POOL_NOT_FOUND', 'TOKEN_EXISTS', 'RESERVATION_OVER', 'SIGN_LIMIT_REACHED'],
  ...['RESERVATION_NOT_FOUND', 'ADDRESS_NOT_FOUND'],
]);

/** Whether it was done, or refused for what another did. */
async function outcome(call: () => Promise<unknown>): Promise<void> {
  const inCircle = (error: unknown) => {
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    assert.notEqual(code, '40P01', 'two calls waited for each other');
  };
  try {
    await untilDone(call, inCircle);
  } catch (error) {
    if (!REFUSED.has((error as { code?: string }).code ?? '')) throw error;
  }
}

/** Who deletes a pool waits until the others have ended their queues. */
async function finish(scene: Scene, calls: Map<PostgresNode, [name: string, done: Promise<void>]>) {
  const removing = [...calls].filter(([, [name]]) => name === 'removePool').map(([node]) => node);
  for (const [node, [, done]] of calls) {
    if (removing.includes(node)) continue;
    await done;
    if (removing.length > 0) await outcome(() => endQueue(scene, node, 'burn'));
  }
  for (const [, [, done]] of calls) await done;
}

async function interleave(name: string, number: number): Promise<void> {
  const scene = await newScene();
  const hold = new Hold(one, (at) => at === number);
  const held = outcome(() => CALLS[name]!(scene, one));
  await Promise.race([hold.reached, held]);
  const others = Object.keys(CALLS);
  for (let index = 0; index < others.length; index++) {
    const other = others[(index + number) % others.length]!;
    const done = outcome(() => CALLS[other]!(scene, two));
    const isDone = await Promise.race([done.then(() => true), sleep(WAIT_MS, false)]);
    if (isDone) continue;
    hold.release();
    return finish(
      scene,
      new Map([
        [one, [name, held]],
        [two, [other, done]],
      ]),
    );
  }
  hold.release();
  await finish(
    scene,
    new Map([
      [one, [name, held]],
      [two, ['none', Promise.resolve()]],
    ]),
  );
}

suite('a call that stands still', { skip }, () => {
  for (const [index, [name, call]] of Object.entries(CALLS).entries()) {
    test(`in: ${name}`, LIMIT, async () => {
      const scene = await newScene();
      if (name === 'removePool') await endQueue(scene, two, 'burn');
      const { length } = await one.statementsOf(() => call(scene, one));
      for (let number = 1 + (index % STEP); number <= length; number += STEP) {
        await interleave(name, number);
        one.pass();
      }
      await nodes.check();
    });
  }
});
