/**
 * The wall clock jumps by hours, ahead and back, while a server grinds, dispenses and refills, and
 * between its runs. Nothing that counts goes by it: ids grow, no address comes twice, nothing
 * hangs, and what a crash leaves is settled as ever. What ends by the store's own clock is in
 * clock-steps.test.ts; here, that the retention ends, and leaves nothing.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WallClock } from '../support/clock.ts';
import { EventReader } from '../support/event-reader.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { type SealedKeypair, SecretSearch, unsealStore } from '../support/secrets.ts';
import { assertIdentity, type Server, Workspace } from '../support/server.ts';
import { openStoreIn, removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const LIMIT = { timeout: 300_000 };
/** Hard enough that grinding does not run far ahead of its target. */
const POOL = { name: 'pet', suffix: '[a-h]t', target: 60, ready: 20 };
const ENOUGH = 30;
const JUMPS_HOURS = [5, 30, -40];
const NONCE_BYTES = 12;
/** Wider than any test takes, narrower than any jump. */
const HOUR_MS = 3_600_000;

/** One client, which gets every address in the order in which they leave. */
class Client {
  readonly #addresses = new Set<string>();
  #lastId = 0;

  get count(): number {
    return this.#addresses.size;
  }

  async take(server: Server, clock: WallClock, total = ENOUGH): Promise<void> {
    await server.until(({ available, leased }) => available + leased >= ENOUGH);
    for (const end = this.count + total; this.count < end; ) {
      for (const { id, address, createdAt } of await server.dispense(Math.min(total, 10))) {
        assert.ok(id > this.#lastId, `id ${id} after ${this.#lastId}`);
        assert.ok(!this.#addresses.has(address), `address ${id} came twice`);
        this.#lastId = id;
        this.#addresses.add(address);
        assertMoment(createdAt, clock);
      }
    }
  }
}

/** One that comes again and again: ids of events only grow, over steps of the clock, restarts and kills. */
class Listener {
  #last = 0n;

  async listen({ url }: Server, clock: WallClock): Promise<void> {
    // Each reader is one of either thread.
    for (const hours of [0, -3, 2]) {
      clock.jump(hours);
      const reader = await EventReader.open(`${url}/v1/events`);
      for (const { id, data } of await reader.until(2)) {
        assert.match(id, /^[1-9]\d*$/);
        assert.ok(BigInt(id) > this.#last, `${id} after ${this.#last}`);
        this.#last = BigInt(id);
        assert.ok(Math.abs(Date.parse(JSON.parse(data).at) - clock.now) < HOUR_MS);
      }
      reader.leave();
    }
  }
}

/** Well formed, and of the years in which the clock stood. */
function assertMoment(text: string, clock: WallClock): void {
  const at = Date.parse(text);
  assert.equal(new Date(at).toISOString(), text);
  const furthestMs = 2 * Math.max(...JUMPS_HOURS.map(Math.abs)) * HOUR_MS;
  assert.ok(Math.abs(at - clock.now) < furthestMs, text);
}

/** Takes addresses until more are ground and turns are taken; one that never is ends the test. */
async function assertGoesOn(
  server: Server,
  client: Client,
  clock: WallClock,
  data: string,
): Promise<void> {
  const progress = async () => [(await server.pool()).ground, await turnsOf(server)] as const;
  const [ground, turns] = await progress();
  for (let now = [ground, turns] as const; now[0] === ground || now[1] === turns; ) {
    await client.take(server, clock);
    now = await progress();
  }
  await server.until(({ grinding, ready }) => !grinding.active && ready >= POOL.ready);
  await client.take(server, clock, 1);
  // Recorded too, though nobody asks for more.
  while (recordedIn(data) < client.count) await sleep(50);
  assertIdentity(await server.pool());
  const { timestamp } = await server.get<{ timestamp: number }>('/api/v1/pet/status');
  assert.ok(Math.abs(timestamp * 1000 - clock.now) < HOUR_MS, 'the server goes by the moved clock');
  const { uptimeSeconds } = await server.get<{ uptimeSeconds: number }>('/healthz');
  assert.ok(uptimeSeconds >= 0 && uptimeSeconds < 3600, `up ${uptimeSeconds} s`);
}

/** What the store itself has as dispensed. */
function recordedIn(directory: string): number {
  using db = new DatabaseSync(join(directory, 'store.db'), { readOnly: true });
  return Number(db.prepare('SELECT dispensed FROM pools').get()!.dispensed);
}

async function turnsOf({ url }: Server): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', url))).text();
  return Number(/turns_total (\d+)/.exec(metrics)?.[1]);
}

test(
  'ids, of events too, grow and nothing comes twice, hangs or burns, whatever the clock does',
  LIMIT,
  async () => {
    using clock = new WallClock();
    await using workspace = new Workspace();
    workspace.environment = clock.environment;
    workspace.configure([POOL], '[http]', 'threads = 2');
    const client = new Client();
    const listener = new Listener();
    const first = await workspace.serve();
    await listener.listen(first, clock);
    await first.until(({ ready }) => ready === POOL.ready);
    await assertGoesOn(first, client, clock, workspace.data);
    for (const hours of JUMPS_HOURS) {
      clock.jump(hours);
      await assertGoesOn(first, client, clock, workspace.data);
    }
    await client.take(first, clock);
    await first.kill('SIGKILL');

    clock.jump(-1);
    const second = await workspace.serve();
    await listener.listen(second, clock);
    const { dispensed, burned } = await second.pool();
    assert.deepEqual([dispensed, burned], [client.count, 0]);
    await assertGoesOn(second, client, clock, workspace.data);
    clock.jump(-1);
    assert.equal(await second.kill('SIGTERM'), 0, second.output);

    const third = await workspace.serve();
    await listener.listen(third, clock);
    await assertGoesOn(third, client, clock, workspace.data);
    const figures = await third.pool();
    assert.deepEqual([figures.dispensed, figures.burned], [client.count, 0]);
  },
);

test(
  'a request that waits for the disk is answered, whatever the clock does meanwhile',
  LIMIT,
  async () => {
    using clock = new WallClock();
    await using workspace = new Workspace();
    const disk = new FaultyDisk(workspace.path, workspace.data);
    workspace.environment = {
      ...disk.environment,
      ...clock.environment,
      LD_PRELOAD: `${disk.environment.LD_PRELOAD} ${clock.environment.LD_PRELOAD}`,
    };
    workspace.configure([{ ...POOL, suffix: 'e' }], '[store]', 'durability = "committed"');
    const server = await workspace.serve();
    await server.until(({ ready }) => ready === POOL.ready);
    for (const hours of [24 * 365, -24 * 365]) {
      disk.hold();
      const first = server.dispense();
      while (!disk.isHeld) await sleep(5);
      // Behind the one that hangs: a key is looked for in the store.
      const path = '/v1/pools/pet/dispense';
      const others = ['a', 'b'].map((key) => server.ask('POST', path, { key: `${key}${hours}` }));
      await sleep(200);
      clock.jump(hours);
      disk.release();
      assert.equal((await first).length, 1);
      for (const { status, text } of await Promise.all(others)) assert.equal(status, 200, text);
    }
    disk[Symbol.dispose]();
  },
);

/** What was dispensed so far and is not destroyed. */
async function dispensedIn(directory: string): Promise<SealedKeypair[]> {
  const all = await unsealStore(directory);
  return all.filter(({ state, keypair }) => state === 'dispensed' && keypair !== undefined);
}

/** Whether any of these bytes stands in a file of the store, in free pages and old log too. */
function isInFiles(directory: string, secrets: readonly SealedKeypair[]): boolean {
  const search = new SecretSearch();
  // The nonce is a counter: others have it too.
  for (const { sealed } of secrets) search.addBytes('sealed', sealed.subarray(NONCE_BYTES));
  return ['store.db', 'store.db-wal', 'store.db-shm'].some((name) => {
    const path = join(directory, name);
    return existsSync(path) && search.find(readFileSync(path)).length > 0;
  });
}

test(
  'after its retention a secret is in no file of the store, asleep or awake',
  LIMIT,
  async () => {
    using clock = new WallClock();
    await using workspace = new Workspace();
    workspace.environment = clock.environment;
    const easy = { ...POOL, suffix: 't', target: 700 };
    workspace.configure([easy], '[store]', 'retention_hours = 24');
    const { data } = workspace;
    const server = await workspace.serve();
    await server.until(({ available, leased }) => available + leased >= easy.target);
    /** Hands addresses out; all secrets that are dispensed and kept then. */
    const take = async (total: number) => {
      for (let left = 200; left > 0; left -= 50) await server.dispense(50);
      while (recordedIn(data) < total) await sleep(50);
      const kept = await dispensedIn(data);
      assert.equal(kept.length, total);
      return kept;
    };
    const due = await take(200);
    assert.ok(isInFiles(data, due), 'while they are kept they can be found');
    clock.suspend(23);
    const soon = (await take(400)).slice(200);
    clock.suspend(2);
    while (isInFiles(data, due)) await sleep(300);
    assert.deepEqual(await dispensedIn(data), soon, 'what is not due is kept');
    const { burned } = await server.pool();
    assert.equal(burned, 0);
    assert.equal((await server.dispense(100)).length, 100);
  },
);

test('a program that reads the store meanwhile delays that, and no more', LIMIT, async () => {
  const directory = temporaryDirectory();
  const store = await openStoreIn(directory);
  await store.definePool(poolNamed('pet'));
  const dispense = async () => {
    await store.insert(hitsFor('pet', 100));
    await turn(store, 'pet', 0, 100);
    await turn(store, 'pet', 100, 0);
    return dispensedIn(directory);
  };
  const first = await dispense();
  const reader = readerOf(directory);
  assert.equal(await store.destroySecrets(ANY_AGE), 100);
  assert.ok(isInFiles(directory, first), 'the reader may still look at them');
  reader.close();
  assert.equal(await store.destroySecrets(ANY_AGE), 0);
  assert.ok(!isInFiles(directory, first));

  const second = await dispense();
  const other = readerOf(directory);
  assert.equal(await store.destroySecrets(ANY_AGE), 100);
  await store.close();
  other.close();
  assert.ok(isInFiles(directory, second), 'as if it had been killed there');
  await using again = await openStoreIn(directory);
  assert.equal(await again.destroySecrets(ANY_AGE), 0);
  assert.ok(!isInFiles(directory, second));
  removeDirectory(directory);
});

test('what is burned is destroyed after its retention too', async () => {
  const directory = temporaryDirectory();
  const store = await openStoreIn(directory);
  await store.definePool(poolNamed('pet'));
  await store.insert(hitsFor('pet', 100));
  await turn(store, 'pet', 0, 40);
  await store.close();
  await using again = await openStoreIn(directory);
  const secrets = await unsealStore(directory);
  const burned = secrets.filter(({ state }) => state === 'burned');
  assert.equal(burned.length, 40, 'no journal says that they did not leave');
  assert.equal(await again.destroySecrets(HOUR_MS), 0);
  assert.ok(isInFiles(directory, burned));
  assert.equal(await again.destroySecrets(ANY_AGE), 40);
  assert.ok(!isInFiles(directory, burned));
  const left = secrets.filter(({ state }) => state === 'available');
  assert.equal((await turn(again, 'pet', 0, 60)).leased.length, left.length);
  removeDirectory(directory);
});

function readerOf(directory: string): DatabaseSync {
  const db = new DatabaseSync(join(directory, 'store.db'), { readOnly: true });
  db.exec('BEGIN');
  db.prepare('SELECT count(*) FROM addresses').get();
  return db;
}
