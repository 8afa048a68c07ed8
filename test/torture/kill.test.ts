/**
 * A real server with two HTTP threads and two pools, one of each key type, is killed (SIGKILL) again and again on the same
 * data, under clients that dispense with and without idempotency keys, also with one key at once:
 * while it starts, while keys of earlier lives are asked for again, and under load. Over all lives
 * nothing comes twice, every key has one reply, whatever was received is dispensed in the store,
 * and nothing is burned. `TORTURE_CYCLES` sets how often; `TORTURE_SEED` draws the moments and the
 * requests again, though not how threads and processes take turns.
 */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';
import { type Asked, Book } from '../support/clients.ts';
import { trueKey } from '../support/keys.ts';
import { randomOf } from '../support/sequence.ts';
import { assertIdentity, Server, Workspace } from '../support/server.ts';
import { checkStore, openStoreIn, withDatabase } from '../support/sqlite-stores.ts';
import { poolNamed } from '../support/store-subject.ts';

const CYCLES = Number(process.env.TORTURE_CYCLES ?? 4);
const SEED = Number(process.env.TORTURE_SEED ?? Date.now() % 2 ** 31);
const POOLS = ['one', 'two'];
const SUFFIXES = ['t', 'x'];
const CLIENTS = 4;
const RETRIERS = 3;
const COUNT_MAX = 5;
/** From the start of the process: most lives that are to end early end before they listen. */
const START_MS = 700;
const LOAD_MS = 200;
const CLEAN = 'the last run did not stop cleanly';

type Random = ReturnType<typeof randomOf>;
type Moment = 'at the start' | 'at any time' | 'after the retries';

class Lives {
  readonly workspace = new Workspace();
  readonly book = new Book();
  readonly random: Random = randomOf(SEED);
  #keys = 0;

  configure(durability: string): void {
    this.workspace.configure(
      // Small queues are refilled all the time.
      POOLS.map((name, index) => ({
        name,
        suffix: SUFFIXES[index],
        keys: KEY_TYPES[index],
        target: 4000,
        ready: 64,
        ready_max: 256,
      })),
      ...['[http]', 'threads = 2', '[store]', `durability = "${durability}"`],
    );
  }

  /** So much that most requests are answered, in a store that was made without a server. */
  async prepare(): Promise<void> {
    await using store = await openStoreIn(this.workspace.data);
    for (const [index, name] of POOLS.entries()) {
      const keys = KEY_TYPES[index]!;
      await store.definePool({ ...poolNamed(name, keys), suffix: SUFFIXES[index]! });
      const hits = Array.from({ length: 1000 }, () => ({ pool: name, ...trueKey(keys) }));
      await store.insert(hits);
    }
  }

  /** Kills it before it listens, mostly. */
  async dieStarting(): Promise<void> {
    const server = new Server(this.workspace, []);
    await sleep(this.random(0, START_MS));
    await server.kill('SIGKILL');
  }

  async live(moment: Moment): Promise<void> {
    const server = await this.workspace.serve();
    this.book.checkReceived(this.workspace.data);
    for (const name of POOLS) {
      const figures = await server.pool(name);
      assertIdentity(figures);
      assert.equal(figures.burned, 0, name);
    }
    const died = Promise.withResolvers<void>();
    const kill = async () => {
      await sleep(this.random(0, LOAD_MS));
      await server.kill('SIGKILL');
      died.resolve();
    };
    if (moment === 'at any time') void kill();
    const clients = Array.from({ length: CLIENTS }, () => this.#load(server));
    await this.retry(server, this.book.owed());
    if (moment === 'after the retries') void kill();
    await Promise.all([...clients, died.promise]);
    assert.equal(server.process.signalCode, 'SIGKILL', server.output);
    assertNoneBurned(server);
  }

  /** Each of them once, by several clients, until the server is gone. */
  async retry(server: Server, asked: readonly Asked[]): Promise<void> {
    const left = asked.values();
    const retriers = Array.from({ length: RETRIERS }, async () => {
      using agent = keepingAgent();
      for (const one of left) if (!(await this.book.ask(server.url, one, agent.agent))) return;
    });
    await Promise.all(retriers);
  }

  /**
   * One request after the other until the server is gone; with some keys three at once, or one
   * more as soon as the first is answered, when the store may not know of it.
   */
  async #load({ url }: Server): Promise<void> {
    using agent = keepingAgent();
    for (;;) {
      const kind = this.random(1, 10);
      const asked = { pool: POOLS[this.random(0, 1)]!, count: this.random(1, COUNT_MAX) };
      const request = kind <= 5 ? asked : { ...asked, key: `${SEED}-${this.#keys++}` };
      const answered = await Promise.all(
        Array.from({ length: kind === 10 ? 3 : 1 }, (_, index) =>
          this.book.ask(url, request, index === 0 && agent.agent),
        ),
      );
      if (kind > 7) answered.push(await this.book.ask(url, request));
      if (!answered.every((isAnswered) => isAnswered)) return;
    }
  }

  /** Every key once more, and then, in a life without a grinder, all that is left. */
  async end(): Promise<void> {
    const { book, workspace } = this;
    let server = await workspace.serve();
    book.checkReceived(workspace.data);
    await this.retry(server, book.keys());
    // While the pools were empty a key was refused.
    while (book.unanswered().length > 0) await this.retry(server, book.unanswered());
    assertNoneBurned(server);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);

    book.life++;
    server = await workspace.serve('--threads', '0');
    for (const pool of POOLS) {
      const { available, leased } = await server.pool(pool);
      for (let left = available + leased; left > 0; left -= 1000) {
        await book.ask(server.url, { pool, count: Math.min(left, 1000) });
      }
    }
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    book.checkReceived(workspace.data);
    checkStore(workspace.data);
  }
}

/** Of a connection that is used again and again. */
function keepingAgent(): { readonly agent: Agent } & Disposable {
  const agent = new Agent({ keepAlive: true });
  return { agent, [Symbol.dispose]: () => agent.destroy() };
}

function assertNoneBurned(server: Server): void {
  const burned = server.log.filter(({ msg, burned }) => msg === CLEAN && burned !== 0);
  assert.deepEqual(burned, []);
}

function momentOf(random: Random): Moment {
  const drawn = random(1, 10);
  if (drawn <= 2) return 'at the start';
  return drawn <= 6 ? 'at any time' : 'after the retries';
}

async function killAgainAndAgain(t: TestContext): Promise<void> {
  t.diagnostic(`TORTURE_SEED=${SEED}`);
  const lives = new Lives();
  await using workspace = lives.workspace;
  const { book, random } = lives;
  lives.configure('leased');
  await lives.prepare();
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    lives.configure(random(1, 5) === 1 ? 'committed' : 'leased');
    const moment = momentOf(random);
    if (moment === 'at the start') await lives.dieStarting();
    else await lives.live(moment);
    book.life++;
  }
  lives.configure('leased');
  await lives.end();

  const { dispensed, burned, leased, available } = withDatabase(
    workspace.data,
    (db) =>
      db
        .prepare(`SELECT sum(dispensed) AS dispensed, sum(burned) AS burned, sum(leased) AS leased,
          sum(available) AS available FROM pools`)
        .get()!,
  );
  assert.deepEqual({ burned, leased, available }, { burned: 0, leased: 0, available: 0 });
  const unheard = Number(dispensed) - book.received.length;
  assert.ok(unheard >= 0 && unheard <= book.unheard, `${unheard} of ${book.unheard} unheard`);
  const keys = withDatabase(workspace.data, (db) =>
    db.prepare('SELECT count(key_hash) AS count FROM hand_outs').get(),
  );
  assert.equal(keys!.count, book.keys().length);
  t.diagnostic(
    `${book.received.length} received, ${unheard} unheard, ${keys!.count} keys, ` +
      `${book.confirmed} asked again after a kill`,
  );
}

test(
  `killed ${CYCLES} times under load`,
  { timeout: (60 + CYCLES * 10) * 1000 },
  killAgainAndAgain,
);
