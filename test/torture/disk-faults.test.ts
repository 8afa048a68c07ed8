/**
 * A real server on a disk of which now this and now that fails for a moment, alone or two at once:
 * the database, its log and index, the anchor, the directory, the witness, the journals. Clients
 * dispense with and without idempotency keys, and reserve, in both modes of durability. Meanwhile it
 * is killed and stopped, also while something fails, and started again, also while something fails.
 *
 *   nothing comes twice, in any life; all that is left is handed out at the end
 *   an older state that is put back either has leased all that left since, or the anchor shows it
 *   a key that was answered has the same reply in every later life; a reservation is held
 *   what was received is dispensed in the store, and its figures add up
 *   a start on a sound disk is never refused, and burns nothing, whatever failed before
 *   a start on a disk that fails works, or ends with a code that says so
 *   while the store fails the server says so, goes on, and recovers by itself; it never ends by itself
 *
 * Nothing may be burned in `committed` mode, nor in `leased` while the journals can be read: no read
 * fails here, so none is ever lost.
 *
 * FAULTS_SECONDS sets how long it goes on (3), FAULTS_SEED draws the faults and the moments again,
 * though not how threads and processes take turns. A failure prints its seed.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { base58 } from '@scure/base';
import { memoryBase, THIS_MACHINE } from '../../src/pool/journal-places.ts';
import { type Asked, Book } from '../support/clients.ts';
import {
  areFelt,
  assertFailureOfDisk,
  type Blow,
  drawBlows,
  type Paths,
  strike,
  wordsOf,
} from '../support/disk-weather.ts';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { Holds } from '../support/holds.ts';
import { journalsOf, WITHOUT_MEMORY } from '../support/journal-machine.ts';
import { OlderState } from '../support/older-state.ts';
import { SecretSearch } from '../support/secrets.ts';
import { randomOf } from '../support/sequence.ts';
import { assertIdentity, Server, Workspace } from '../support/server.ts';
import { checkStore, withDatabase } from '../support/sqlite-stores.ts';
import { settledBy } from '../support/tampering.ts';

const SECONDS = Number(process.env.FAULTS_SECONDS ?? 3);
const SEED = Number(process.env.FAULTS_SEED ?? Date.now() % 2 ** 31);
const LIMIT_MS = (SECONDS + 120) * 1000;
const POOL = { name: 'pet', suffix: 't', target: 4000, ready: 64, ready_max: 256 };
const CLIENTS = 4;
const COUNT_MAX = 5;
const POLL_MS = 10;
const SPANS_MAX = 5;
const SPAN_MS = 400;
const CALM_MS = 150;
/** From the start of the process: most of those that are to end early end before they listen. */
const START_MS = 700;
/** A clean stop tries again for longer than this. */
const STOPS_UNDER_FAULT_MS = 1500;
/** What a request may hear while the disk fails or the server stops, beside what it always may. */
const REFUSALS = ['JOURNAL_UNAVAILABLE', 'DRAINING', 'OVERLOADED'];
type Random = ReturnType<typeof randomOf>;
type Signal = 'SIGKILL' | 'SIGTERM';

class Campaign implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly disk = new FaultyDisk(this.workspace.path, this.workspace.data);
  readonly book = new Book(...REFUSALS);
  readonly holds = new Holds(this.book);
  readonly random: Random = randomOf(SEED);
  readonly outputs: string[] = [];
  /** What was done, newest last. */
  readonly done: string[] = [];
  refusedStarts = 0;
  felt = 0;
  /** States of before that a start would have taken for the newest. */
  covered = 0;
  /** From right before something began to fail. */
  #older: OlderState | undefined;
  #keys = 0;
  #server: Server | undefined;
  #isEnding = false;
  #wasClean = false;

  readonly #limit: AbortSignal;

  /** Waits have no limit of their own: that of the test, which aborts `limit`, ends them. */
  constructor(limit: AbortSignal) {
    this.#limit = limit;
    this.workspace.environment = this.disk.environment;
  }

  configure(durability: string, journal: string): void {
    this.done.push(`${durability}, journals in ${journal}`);
    this.workspace.configure(
      [POOL],
      ...['[http]', 'threads = 2', 'drain_seconds = 5'],
      ...['[store]', `durability = "${durability}"`, `journal = "${journal}"`],
    );
  }

  /** A first life on a sound disk, until there is enough that most requests of the others are answered. */
  async prepare(): Promise<void> {
    this.configure('leased', WITHOUT_MEMORY ? 'data' : 'memory');
    const server = await this.workspace.serve();
    await server.until(({ available }) => available >= POOL.target / 2);
    assert.equal(await server.kill('SIGTERM'), 0, server.output);
    this.book.life++;
    this.#wasClean = true;
  }

  async live(): Promise<void> {
    const { random } = this;
    const journal = random(0, 1) === 0 && !WITHOUT_MEMORY ? 'memory' : 'data';
    this.configure(random(1, 3) === 1 ? 'committed' : 'leased', journal);
    const isUnderFault = random(1, 3) === 1;
    if (random(1, 4) === 1) await this.#dieStarting(isUnderFault ? drawBlows(random) : []);
    const server = await this.#start(isUnderFault ? drawBlows(random) : []);
    await this.#assertHonest(server);
    this.#isEnding = false;
    const owed = this.book.owed();
    const clients = [
      ...Array.from({ length: CLIENTS }, (_, index) => this.#load(server, index)),
      this.#retry(server, owed),
      this.#dispenseHolds(server),
    ];
    await Promise.all([...clients, this.#weather(server)]);
    this.book.life++;
  }

  /** With these faults; then, if it is refused, without them. */
  async #start(blows: readonly Blow[]): Promise<Server> {
    if (blows.length > 0) {
      this.#strike(blows, 'a start under ');
      const server = new Server(this.workspace, []);
      this.#server = server;
      const isUp = await server.listening.then(
        () => true,
        () => false,
      );
      if (isUp) return server;
      this.outputs.push(server.output);
      this.#assertFailedStart(server);
      this.refusedStarts++;
    }
    this.#heal();
    this.done.push('a start');
    const server = await this.workspace.serve();
    this.#server = server;
    return server;
  }

  async #dieStarting(blows: readonly Blow[]): Promise<void> {
    this.#strike(blows, 'killed in a start under ');
    const server = new Server(this.workspace, []);
    this.#server = server;
    await Promise.race([sleep(this.random(0, START_MS)), server.exited]);
    if ((await server.kill('SIGKILL')) !== null) this.#assertFailedStart(server);
    this.#heal();
    this.outputs.push(server.output);
    this.#wasClean = false;
  }

  #assertFailedStart(server: Server): void {
    assertFailureOfDisk(server);
    assert.equal(server.process.exitCode, 1, server.output);
    this.#wasClean = false;
  }

  /** What the lives before left is there, all of it. */
  async #assertHonest(server: Server): Promise<void> {
    this.book.checkReceived(this.workspace.data);
    const figures = await server.pool();
    assertIdentity(figures);
    assert.equal(figures.burned, 0, server.output);
    const settled = settledBy(server) as { burned: number }[];
    assert.ok(
      settled.every(({ burned }) => burned === 0),
      server.output,
    );
    if (this.#wasClean) assert.deepEqual(settled, [], 'after a clean stop nothing is settled');
  }

  async #weather(server: Server): Promise<void> {
    const { random } = this;
    await sleep(random(0, CALM_MS));
    this.#heal();
    for (let spans = random(1, SPANS_MAX); spans > 0; spans--) {
      const blows = drawBlows(random);
      await this.#strikeOneByOne(blows);
      if (areFelt(blows) && random(0, 1) === 0) await this.#untilFelt(server);
      await sleep(random(POLL_MS, SPAN_MS));
      this.#judgeOlder();
      await this.#healOneOf(blows);
      this.#heal();
      await sleep(random(0, CALM_MS));
      this.#assertAlive(server);
    }
    if (random(1, 6) === 1) await this.untilReady(server);
    const isUnderFault = random(0, 1) === 0;
    if (isUnderFault) {
      const blows = drawBlows(random);
      await this.#strikeOneByOne(blows);
      await sleep(random(0, SPAN_MS));
      await this.#healOneOf(blows);
    }
    await this.#end(server, random(1, 3) === 1 ? 'SIGTERM' : 'SIGKILL');
  }

  async #end(server: Server, signal: Signal): Promise<void> {
    this.#assertAlive(server);
    this.#isEnding = true;
    this.done.push(signal);
    const ended = server.kill(signal);
    if (signal === 'SIGTERM')
      await Promise.race([ended, sleep(this.random(0, STOPS_UNDER_FAULT_MS))]);
    if (this.random(0, 3) > 0) this.#heal();
    const code = await ended;
    this.#heal();
    this.outputs.push(server.output);
    this.#wasClean = code === 0;
    this.#judgeOlder();
    this.#older = undefined;
    if (signal === 'SIGKILL') return;
    assert.ok(code === 0 || code === 1, server.output);
    if (code === 1) assertFailureOfDisk(server);
  }

  #strike(blows: readonly Blow[], words = ''): void {
    this.done.push(words + wordsOf(blows));
    for (const [number, blow] of blows.entries()) strike(this.disk, this.#paths, blow, number);
  }

  async #strikeOneByOne([first, second]: readonly Blow[]): Promise<void> {
    this.#older = OlderState.of(this.workspace.data, this.book.received);
    this.#strike([first!]);
    if (second === undefined) return;
    if (this.random(0, 2) > 0) await sleep(this.random(0, SPAN_MS));
    this.done.push(`and ${wordsOf([second])}`);
    strike(this.disk, this.#paths, second, 1);
  }

  #heal(): void {
    this.disk.heal();
  }

  #judgeOlder(): void {
    const isTaken = this.#older?.assertCovers(this.workspace.data, this.book.received);
    if (isTaken) this.covered++;
  }

  /** Of a pair, mostly, one fault is over some time before the other. */
  async #healOneOf(blows: readonly Blow[]): Promise<void> {
    const { random } = this;
    if (blows.length === 1 || random(1, 4) === 1) return;
    const index = random(0, 1);
    this.disk.places[index]!.heal();
    this.done.push(`${blows[index]!.target} works again`);
    await sleep(random(0, SPAN_MS));
  }

  get #paths(): Paths {
    const { data, state } = this.workspace;
    return { data, state, memory: WITHOUT_MEMORY ? journalsOf(data) : memoryBase(THIS_MACHINE) };
  }

  /** Until it says that its store fails. */
  async #untilFelt(server: Server): Promise<void> {
    while ((await this.#readiness(server)) === 'ready') await sleep(POLL_MS);
    this.felt++;
  }

  async untilReady(server: Server): Promise<void> {
    while ((await this.#readiness(server)) !== 'ready') await sleep(POLL_MS);
  }

  async #readiness(server: Server): Promise<string> {
    this.#assertAlive(server);
    const reply = await fetch(new URL('/readyz', server.url));
    const { status, code } = (await reply.json()) as { status: unknown; code?: string };
    assert.equal(reply.status, code === undefined ? 200 : 503);
    return code ?? String(status);
  }

  #assertAlive({ process: { exitCode, signalCode }, output }: Server): void {
    this.#limit.throwIfAborted();
    assert.ok(exitCode === null && signalCode === null, `it ended by itself: ${output}`);
  }

  /** One request after the other until the server is gone, which only a signal may be the reason of. */
  async #load({ url }: Server, index: number): Promise<void> {
    const { random, book, holds } = this;
    const { name: pool } = POOL;
    for (;;) {
      const count = random(1, COUNT_MAX);
      let isAnswered: boolean;
      if (index === 0 && random(1, 3) === 1) isAnswered = await holds.make(url, pool);
      else if (index <= 1) {
        const asked = { pool, count, key: `${SEED}-${this.#keys++}` };
        isAnswered = await book.ask(url, asked);
        if (isAnswered && random(1, 3) === 1) isAnswered = await book.ask(url, asked);
      } else isAnswered = await book.ask(url, { pool, count });
      if (!isAnswered) return this.#assertEnding();
      await sleep(random(0, POLL_MS));
    }
  }

  async #retry({ url }: Server, asked: readonly Asked[]): Promise<void> {
    for (const one of asked) if (!(await this.book.ask(url, one))) return this.#assertEnding();
  }

  /** Some of those that are held, and some once more. */
  async #dispenseHolds({ url }: Server): Promise<void> {
    for (const hold of this.holds.all.filter(() => this.random(1, 3) === 1)) {
      if (!(await this.holds.dispense(url, hold))) return this.#assertEnding();
    }
  }

  #assertEnding(): void {
    assert.ok(this.#isEnding, `a reply was cut off: ${this.#server?.output}`);
  }

  /** All that is owed, then all that is left. */
  async end(): Promise<void> {
    const { book, holds, workspace } = this;
    this.configure('leased', 'data');
    let server = await this.#start([]);
    await this.#assertHonest(server);
    await this.untilReady(server);
    await this.#retry(server, book.keys());
    while (book.unanswered().length > 0) await this.#retry(server, book.unanswered());
    await holds.dispenseAll(server.url);
    await this.#end(server, 'SIGTERM');
    assert.ok(this.#wasClean, server.output);
    book.life++;

    server = await workspace.serve('--threads', '0');
    await this.#assertHonest(server);
    const { available, leased } = await server.pool();
    for (let left = available + leased; left > 0; left -= 1000) {
      await book.ask(server.url, { pool: POOL.name, count: Math.min(left, 1000) });
    }
    await this.#end(server, 'SIGTERM');
    book.checkReceived(workspace.data);
    checkStore(workspace.data);
  }

  assertNoSecretIsTold(): void {
    const search = new SecretSearch();
    for (const { secretKey } of this.book.received) search.addKeypair(base58.decode(secretKey));
    assert.deepEqual(search.find(Buffer.from(this.outputs.join('\n'), 'latin1')), []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#heal();
    await this.#server?.kill('SIGKILL');
    await this.workspace[Symbol.asyncDispose]();
    this.disk[Symbol.dispose]();
  }
}

async function failAgainAndAgain(t: TestContext): Promise<void> {
  t.diagnostic(`FAULTS_SEED=${SEED}`);
  await using campaign = new Campaign(t.signal);
  const { workspace, book, holds } = campaign;
  let lives = 0;
  try {
    await campaign.prepare();
    for (const until = Date.now() + SECONDS * 1000; Date.now() < until; lives++) {
      await campaign.live();
    }
    await campaign.end();
  } catch (error) {
    t.diagnostic(campaign.done.slice(-20).join('\n'));
    throw error;
  }
  const figures = withDatabase(workspace.data, (db) => db.prepare('SELECT * FROM pools').get()!);
  const { burned, leased, available, reserved, dispensed } = figures;
  assert.deepEqual({ burned, leased, available }, { burned: 0, leased: 0, available: 0 });
  assert.ok(Number(reserved) <= holds.unheard, `${reserved} are held for nobody`);
  assert.ok(Number(dispensed) >= book.received.length);
  campaign.assertNoSecretIsTold();
  t.diagnostic(
    `${lives} lives, ${campaign.refusedStarts} starts refused, ${campaign.felt} times unready, ` +
      `${campaign.disk.refused} calls failed; ${book.received.length} received, ` +
      `${Number(dispensed) - book.received.length} unheard, ${holds.all.length} reservations, ` +
      `${campaign.covered} older states would be taken, ${book.confirmed} keys asked again in a later life`,
  );
}

test(`faults of the disk come and go for ${SECONDS} s`, { timeout: LIMIT_MS }, failAgainAndAgain);
