/**
 * Everything that clients do, at once, at a real server with four HTTP threads: hand-outs with and
 * without keys, a quota, reservations, signatures, pools and tokens that come and go, and a stream of
 * events. Then it is killed (SIGKILL) in the middle of that, and the next start has to know all that was
 * answered. `TORTURE_SEED` draws the same work again, though not how threads take turns.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventReader } from '../support/event-reader.ts';
import { randomOf } from '../support/sequence.ts';
import {
  assertIdentity,
  DILIGENT,
  EASY_POOL,
  type PoolFigures,
  Workspace,
} from '../support/server.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';
import { CutOff, type Held, spread, Traffic, together } from '../support/traffic.ts';

const SEED = Number(process.env.TORTURE_SEED ?? Date.now() % 2 ** 31);
const THREADS = 4;
const TARGETS = { open: 1000, vault: 300 };
const PLAIN = 120;
const KEYS = 30;
const QUOTA = 60;
const RESERVATIONS = 30;
const SIGNERS = 10;
const SIGN_LIMIT = 2;
const SEASONS = 2;
const TOKENS = 3;
/** After so many replies more the server is killed. */
const KILL_MIN = 150;
const KILL_MAX = 300;
const CLIENTS_AT_THE_KILL = 16;
/** Numbers that no client at the kill comes to. */
const LATE_KEYS = 1_000_000;

const MESSAGES = Array.from({ length: SIGN_LIMIT + 2 }, (_, memo) => memo);
const OPEN = '/v1/pools/open';
const DISPENSE = `${OPEN}/dispense`;

type Random = ReturnType<typeof randomOf>;
type Fate = 'dispensed' | 'released' | 'expired' | 'raced' | 'held';
const FATES: readonly Fate[] = ['dispensed', 'released', 'expired', 'raced', 'held'];

/** Texts of tokens. `capped` and `metered` have a quota, and the pool `open` alone. */
interface Tokens {
  readonly shop: string;
  readonly rival: string;
  readonly capped: string;
  readonly metered: string;
  readonly eye: string;
}

class Scene {
  readonly traffic: Traffic;
  readonly random: Random = randomOf(SEED);
  tokens!: Tokens;
  /** Held through the kill. */
  readonly held: Held[] = [];
  /** Released or expired: all that is burned. */
  given = 0;
  /** Of the pool `vault`, which signed as often as they may. */
  readonly spent: string[] = [];

  constructor(workspace: Workspace) {
    this.traffic = new Traffic(workspace);
  }

  async start(): Promise<void> {
    const { traffic } = this;
    await traffic.serve();
    for (const [pool, target] of Object.entries(TARGETS)) {
      await traffic.server.until(({ available, leased }) => available + leased >= target, pool);
    }
    const scopes = ['dispense'];
    const few = { scopes: ['dispense', 'read'], pools: ['open'], quota: QUOTA };
    this.tokens = {
      shop: await this.makeToken({ name: 'shop', scopes }),
      rival: await this.makeToken({ name: 'rival', scopes }),
      capped: await this.makeToken({ ...few, name: 'capped' }),
      metered: await this.makeToken({ ...few, name: 'metered' }),
      eye: await this.makeToken({ name: 'eye', scopes: ['read'] }),
    };
  }

  async makeToken(body: object): Promise<string> {
    const { traffic } = this;
    return (await traffic.expect(201, 'POST', '/v1/tokens', { token: traffic.admin, body })).body
      .token;
  }
}

async function dispensePlain({ traffic, random, tokens }: Scene): Promise<void> {
  const counts = Array.from({ length: PLAIN }, () => random(1, 5));
  await spread(counts, async (count) => {
    const { status, body } = await traffic.dispense('open', count, tokens.shop);
    assert.deepEqual([status, body.addresses.length], [200, count]);
  });
}

async function dispenseKeyed({ traffic, random, tokens }: Scene): Promise<void> {
  const orders = Array.from({ length: KEYS }, (_, index) => [`order ${index}`, random(1, 5)]);
  await spread(orders as [string, number][], async ([key, count]) => {
    const ask = () => traffic.askKeyed(key, DISPENSE, tokens.shop, { count });
    const { status, text } = await together(THREADS, async () => {
      const { status, text } = await ask();
      return { status, text };
    });
    assert.equal(status, 200, text);
  });
}

/** In every way that takes an address; true if it got one. */
async function spend({ traffic, tokens }: Scene, name: 'capped' | 'metered', key: string) {
  const token = tokens[name];
  const kind = Number(key) % 3;
  let answer = { status: 0, text: '' };
  if (kind === 0 && name === 'capped') answer = await traffic.dispense('open', 1, token);
  else if (kind === 1) {
    answer = await traffic.askKeyed(`${name} ${key}`, `${OPEN}/reservations`, token);
  } else answer = await traffic.askKeyed(`${name} ${key}`, DISPENSE, token);
  const { status, text } = answer;
  if (status < 300) return true;
  assert.equal(`${status} ${JSON.parse(text).code}`, '429 QUOTA_EXCEEDED');
  return false;
}

async function exhaustQuota(scene: Scene): Promise<void> {
  const { traffic, tokens } = scene;
  const keys = Array.from({ length: QUOTA + 40 }, (_, index) => String(index));
  let handed = 0;
  await spread(keys, async (key) => {
    if (await spend(scene, 'capped', key)) handed++;
  });
  assert.equal(handed, QUOTA);
  const over = () =>
    traffic.expect('429 QUOTA_EXCEEDED', 'POST', DISPENSE, { token: tokens.capped });
  await traffic.everywhere(over);
}

/** A token of one pool meets no other, and nobody another's reservations and addresses. */
async function keepApart({ traffic, tokens }: Scene): Promise<void> {
  const { capped, rival, shop } = tokens;
  const { id } = await traffic.reserve('open', 'mine', shop);
  const { body } = await traffic.askKeyed('signer', '/v1/pools/vault/dispense', shop);
  const [{ address }] = body.addresses;
  assert.equal(await traffic.sign(address, 0, rival), 'ADDRESS_NOT_FOUND');
  for (const token of [capped, rival]) {
    const none = '404 RESERVATION_NOT_FOUND';
    const path = `/v1/reservations/${id}`;
    await traffic.everywhere(() => traffic.expect(none, 'GET', path, { token }));
    await traffic.expect(none, 'POST', `${path}/dispense`, { token });
    await traffic.expect(none, 'DELETE', path, { token });
  }
  const isNone = (method: string, path: string) =>
    traffic.everywhere(() =>
      traffic.expect('404 POOL_NOT_FOUND', method, `/v1/pools/vault${path}`, { token: capped }),
    );
  await isNone('GET', '');
  await isNone('POST', '/dispense');
  await isNone('POST', '/reservations');
  assert.equal(await traffic.sign(address, 0, capped), 'POOL_NOT_FOUND');
  const { pools } = (await traffic.expect(200, 'GET', '/v1/pools', { token: capped })).body;
  assert.deepEqual(
    pools.map(({ name }: { name: string }) => name),
    ['open'],
  );
  await traffic.expect('403 SCOPE_REQUIRED', 'GET', '/v1/tokens', { token: capped });
  await traffic.expect(200, 'GET', `/v1/reservations/${id}`, { token: shop });
}

async function reserve(scene: Scene): Promise<void> {
  const { random } = scene;
  const plans = Array.from({ length: RESERVATIONS }, (_, index) => {
    return [`hold ${index}`, FATES[random(0, FATES.length - 1)]!] as const;
  });
  await spread(plans, ([key, fate]) => holdAndMeet(scene, key, fate));
}

/** One reservation, asked for twice at once, and what becomes of it. */
async function holdAndMeet(scene: Scene, key: string, fate: Fate): Promise<void> {
  const { traffic, tokens } = scene;
  const token = tokens.shop;
  const ttl = fate === 'expired' ? 1 : 600;
  const held = await together(2, () => traffic.reserve('open', key, token, ttl));
  const path = `/v1/reservations/${held.id}`;
  const stateNow = async (): Promise<string> =>
    (await traffic.expect(200, 'GET', path, { token })).body.state;
  const dispense = () => traffic.ask('POST', `${path}/dispense`, { token });
  const release = () => traffic.ask('DELETE', path, { token });
  const over = '410 RESERVATION_OVER';
  if (fate !== 'expired') assert.equal(await stateNow(), 'reserved');
  if (fate === 'held') scene.held.push(held);
  else if (fate === 'dispensed') await takeHeld(scene, held);
  else if (fate === 'released') await together(2, async () => (await release()).status);
  else if (fate === 'expired') while ((await stateNow()) !== 'expired') await sleep(50);
  else {
    const [taken, freed] = await Promise.all([dispense(), release()]);
    const isTaken = taken.status === 200;
    assert.deepEqual([taken.status, freed.status], isTaken ? [200, 410] : [410, 204]);
    assert.equal(await stateNow(), isTaken ? 'dispensed' : 'released');
    if (!isTaken) scene.given++;
  }
  if (fate !== 'released' && fate !== 'expired') return;
  scene.given++;
  assert.equal(await stateNow(), fate);
  await together(2, async () => {
    await traffic.expect(over, 'POST', `${path}/dispense`, { token });
  });
}

/** On several threads at once: the address that was shown, and the same reply to all. */
async function takeHeld({ traffic }: Scene, { id, address, token }: Held): Promise<void> {
  const path = `/v1/reservations/${id}/dispense`;
  const text = await together(THREADS, async () => {
    return (await traffic.expect(200, 'POST', path, { token })).text;
  });
  assert.equal(JSON.parse(text).addresses[0].address, address);
}

async function sign(scene: Scene): Promise<void> {
  const { traffic, tokens, spent } = scene;
  const keys = Array.from({ length: SIGNERS }, (_, index) => `signer ${index}`);
  await spread(keys, async (key) => {
    const { body } = await traffic.askKeyed(key, '/v1/pools/vault/dispense', tokens.shop);
    const [{ address, secretKey }] = body.addresses;
    assert.equal(secretKey, undefined);
    const signed = (memo: number) => traffic.sign(address, memo, tokens.shop);
    await together(THREADS, () => signed(0));
    // One of these is the last that it may sign.
    const others = await Promise.all(MESSAGES.slice(1).map(signed));
    const refused = others.filter((answer) => answer === 'SIGN_LIMIT_REACHED');
    assert.equal(refused.length, MESSAGES.length - SIGN_LIMIT);
    await together(THREADS, () => signed(0));
    spent.push(address);
  });
}

/** One pool is made at run time, changed, paused, resumed and deleted, and all of that again. */
async function passSeasons(scene: Scene): Promise<void> {
  const { traffic } = scene;
  const path = '/v1/pools/season';
  const asking = { token: traffic.admin };
  const take = () => traffic.dispense('season', 1, scene.tokens.shop);
  const isSaid = async (said: string): Promise<void> => {
    const answers = await traffic.everywhere(take);
    for (const { status, body } of answers) assert.equal(`${status} ${body.code ?? ''}`, said);
  };
  for (let times = 0; times < SEASONS; times++) {
    const body = { name: 'season', suffix: 'y', target: 300, ready: 64, readyMax: 256 };
    await traffic.expect(201, 'POST', '/v1/pools', { ...asking, body });
    await isSaid('200 ');
    await traffic.expect(200, 'PATCH', path, { ...asking, body: { target: 200 } });
    await traffic.everywhere(async () => {
      assert.equal((await traffic.expect(200, 'GET', path, asking)).body.target, 200);
    });
    await traffic.expect(200, 'POST', `${path}/pause`, asking);
    await isSaid('503 POOL_PAUSED');
    await traffic.expect(200, 'POST', `${path}/resume`, asking);
    await isSaid('200 ');
    await traffic.expect(200, 'DELETE', path, { ...asking, body: { burn: 'season' } });
    await isSaid('404 POOL_NOT_FOUND');
  }
}

async function makeAndRevokeTokens(scene: Scene): Promise<void> {
  const { traffic } = scene;
  for (let times = 0; times < TOKENS; times++) {
    const token = await scene.makeToken({ name: `guest-${times}`, scopes: ['read'] });
    const look = (said: number | string) =>
      traffic.everywhere(() => traffic.expect(said, 'GET', OPEN, { token }));
    await look(200);
    await traffic.expect(200, 'DELETE', `/v1/tokens/guest-${times}`, { token: traffic.admin });
    await look('401 TOKEN_REQUIRED');
  }
}

/** Until the server is killed under them. */
async function workUntilKilled(scene: Scene): Promise<void> {
  const { traffic, random, tokens } = scene;
  let number = 0;
  const client = async (): Promise<void> => {
    for (;;) {
      const kind = random(1, 5);
      const key = `late ${number++}`;
      if (kind === 1) await traffic.dispense('open', random(1, 5), tokens.shop);
      else if (kind === 2) {
        const ask = () => traffic.askKeyed(key, DISPENSE, tokens.shop, { count: 2 });
        await Promise.all([ask(), ask()]);
      } else if (kind === 3) scene.held.push(await traffic.reserve('open', key, tokens.shop));
      else if (kind === 4) await spend(scene, 'metered', String(number++));
      else {
        const { body } = await traffic.askKeyed(key, '/v1/pools/vault/dispense', tokens.shop);
        await traffic.sign(body.addresses[0].address, 0, tokens.shop);
      }
    }
  };
  const isCutOff = (error: unknown): undefined => {
    if (!(error instanceof CutOff)) throw error;
  };
  traffic.killAfter(random(KILL_MIN, KILL_MAX));
  const clients = Array.from({ length: CLIENTS_AT_THE_KILL }, () => client().catch(isCutOff));
  await Promise.all(clients);
  await traffic.server.exited;
}

/** What was answered before the kill is as it was, and what was not has one answer from now on. */
async function assertNothingForgotten(scene: Scene): Promise<void> {
  const { traffic, tokens, held, spent } = scene;
  await traffic.askAgain();
  await spread(spent, async (address) => {
    const answers = await Promise.all(
      MESSAGES.map((memo) => traffic.sign(address, memo, tokens.shop)),
    );
    const refused = answers.filter((answer) => answer === 'SIGN_LIMIT_REACHED');
    assert.equal(refused.length, MESSAGES.length - SIGN_LIMIT);
  });
  for (let key = LATE_KEYS; await spend(scene, 'metered', String(key)); key++);
  assert.equal(traffic.repliesTo(tokens.metered), QUOTA);
  for (const token of [tokens.capped, tokens.metered]) {
    const over = () => traffic.expect('429 QUOTA_EXCEEDED', 'POST', DISPENSE, { token });
    await traffic.everywhere(over);
  }
  await spread(held, async ({ id, token }) => {
    const { body } = await traffic.expect(200, 'GET', `/v1/reservations/${id}`, { token });
    assert.equal(body.state, 'reserved');
  });
  await spread(held, (one) => takeHeld(scene, one));
  await traffic.expect('404 POOL_NOT_FOUND', 'GET', '/v1/pools/season', { token: tokens.eye });
}

/** Every address is where what was answered says that it is, but for those that nobody heard of. */
async function assertFigures({ traffic, tokens, given }: Scene): Promise<void> {
  let reserved = 0;
  await spread(traffic.reservations(), async ({ id, token }) => {
    const { body } = await traffic.expect(200, 'GET', `/v1/reservations/${id}`, { token });
    if (body.state === 'reserved') reserved++;
  });
  const { pools } = (await traffic.expect(200, 'GET', '/v1/pools', { token: tokens.eye })).body;
  const [open, vault, ...others] = pools as PoolFigures[];
  assert.equal(others.length, 0);
  for (const figures of [open!, vault!]) assertIdentity(figures);
  assert.deepEqual([open!.reserved, open!.burned], [reserved, given]);
  traffic.assertHeard('open', open!.dispensed + reserved + given);
  traffic.assertHeard('vault', vault!.dispensed);
  assert.equal(vault!.burned, 0);
}

/** HTTP threads that handed out of `open` by themselves: each has a journal of its own, and so has the store thread, the first. */
function threadsThatServed({ data }: Workspace): number {
  const sql = `SELECT count(*) AS count FROM journals JOIN pools ON pools.id = pool_id
    WHERE name = 'open' AND recorded > 0
      AND number > (SELECT min(number) FROM journals WHERE pool_id = pools.id)`;
  return withDatabase(data, (db) => Number(db.prepare(sql).get()!.count));
}

async function everythingAtOnce(t: TestContext): Promise<void> {
  t.diagnostic(`TORTURE_SEED=${SEED}`);
  await using workspace = new Workspace();
  workspace.configure(
    [
      { ...EASY_POOL, name: 'open', target: TARGETS.open, ready: 64, ready_max: 256 },
      {
        name: 'vault',
        suffix: 'x',
        target: TARGETS.vault,
        handout: 'sign-only',
        sign_limit: SIGN_LIMIT,
      },
    ],
    ...['[http]', `threads = ${THREADS}`],
    ...DILIGENT,
  );
  const scene = new Scene(workspace);
  const { traffic } = scene;
  await scene.start();
  const headers = { authorization: `Bearer ${scene.tokens.eye}` };
  const stream = await EventReader.open(`${traffic.server.url}/v1/events`, headers);
  const work = [
    ...[dispensePlain, dispenseKeyed, exhaustQuota, keepApart],
    ...[reserve, sign, passSeasons, makeAndRevokeTokens],
  ];
  await Promise.all(work.map((one) => one(scene)));
  while (threadsThatServed(workspace) < THREADS) await sleep(50);
  await assertFigures(scene);
  await stream.until(stream.events.length + 2);
  assert.ok(!stream.hasEnded, stream.text);
  await workUntilKilled(scene);
  await stream.untilEnded();

  await traffic.serve();
  await assertNothingForgotten(scene);
  await assertFigures(scene);
  const failures = traffic.server.log.filter(({ level }) => ['error', 'fatal'].includes(level));
  assert.deepEqual(failures, []);
  assert.equal(await traffic.server.kill('SIGTERM'), 0);
  checkStore(workspace.data);
}

test('four threads serve everything at once, and a kill', { timeout: 300_000 }, everythingAtOnce);
