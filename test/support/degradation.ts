/**
 * A trial of a server whose store fails under it, and the judgement of what it did meanwhile: every
 * address of every reply is kept, and at the end the store itself is asked. Waits have no limit of
 * their own: that of the test ends them.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressOf } from '../../src/keypair/address.ts';
import { Journals } from '../../src/pool/journals.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { assertIdentity, type Handed, type LogEntry, type Server, Workspace } from './server.ts';
import { checkStore, openStoreIn, withDatabase } from './sqlite-stores.ts';
import { hitsFor, poolNamed } from './store-subject.ts';
import { returnLease, turn } from './turns.ts';

/** Always short, so that grinding goes on; soon empty when nothing comes after what is ready. */
export const POOL = { name: 'pet', suffix: 't', target: 1_000_000, ready: 64, ready_max: 64 };
const AVAILABLE_MIN = 100;
/** Hits that may wait are four of these: grinding soon pauses. */
const BATCH = 8;
export const PAUSING = 'hits cannot be stored; keeping them in memory';
const POLL_MS = 20;

export interface Readiness {
  readonly http: number;
  /** `ready`, `degraded`, or the code of the problem. */
  readonly status: string;
  /** Joined; of a problem its detail. */
  readonly reasons: string;
}

export class Trial implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly disk = new FaultyDisk(this.workspace.path, this.workspace.data);
  readonly handed: Handed[] = [];
  #server: Server | undefined;

  /** `target`: one that is soon met, where nothing is to be ground meanwhile. */
  constructor(batch = BATCH, target = POOL.target) {
    // At idle priority a busy machine would never find an address.
    const grinder = ['[grinder]', `batch = ${batch}`, 'priority = "normal"'];
    this.workspace.configure([{ ...POOL, target }], ...grinder);
    this.workspace.environment = this.disk.environment;
  }

  /** A server with a full ready queue. */
  static async begin(batch?: number, target?: number): Promise<Trial> {
    const trial = new Trial(batch, target);
    await trial.serve();
    return trial;
  }

  /** A store with so many, before its server is started. */
  async made(count: number): Promise<void> {
    await using store = await openStoreIn(this.workspace.data);
    await store.definePool({ ...poolNamed(POOL.name), suffix: POOL.suffix });
    await store.insert(hitsFor(POOL.name, count));
  }

  /** Starts a server here, again if need be, and waits until its ready queue is full. */
  async serve(...args: string[]): Promise<void> {
    this.#server = await this.workspace.serve(...args);
    await this.untilFull();
  }

  get server(): Server {
    return this.#server!;
  }

  async dispense(count = 1): Promise<void> {
    this.handed.push(...(await this.server.dispense(count)));
  }

  /** One request after the other until one fails: how many did not, and its code. */
  async dispenseUntilRefused(): Promise<{ served: number; code: string }> {
    for (let served = 0; ; served++) {
      try {
        await this.dispense();
      } catch (error) {
        return { served, code: (error as Error).message };
      }
    }
  }

  async untilFull(): Promise<void> {
    await this.server.until(({ available, ready }) => {
      return available >= AVAILABLE_MIN && ready >= POOL.ready;
    });
  }

  async readiness(): Promise<Readiness> {
    const reply = await fetch(new URL('/readyz', this.server.url));
    const body = (await reply.json()) as Record<string, string> & { reasons?: string[] };
    const { status, reasons, code = '', detail = '' } = body;
    if (reasons === undefined) return { http: reply.status, status: code, reasons: detail };
    return { http: reply.status, status: String(status), reasons: reasons.join() };
  }

  async untilReadiness(status: string): Promise<Readiness> {
    for (;;) {
      const readiness = await this.readiness();
      if (readiness.status === status) return readiness;
      await sleep(POLL_MS);
    }
  }

  async metrics(): Promise<string> {
    return (await fetch(new URL('/metrics', this.server.url))).text();
  }

  /** Of the store, so far. */
  async turns(): Promise<number> {
    return Number(/^vanitypool_store_turns_total (\d+)$/m.exec(await this.metrics())![1]);
  }

  lines(msg: string): LogEntry[] {
    return this.server.log.filter((entry) => entry.msg === msg);
  }

  async untilLine(msg: string, times = 1): Promise<void> {
    while (this.lines(msg).length < times) await sleep(POLL_MS);
  }

  /** As many hits wait as may: no thread searches, although the pool is short. */
  async untilGrindingPauses(times = 1): Promise<void> {
    await this.untilLine(PAUSING, times);
    await this.server.until(({ grinding }) => !grinding.active);
  }

  /** Stops the server, which must end well, and asks the store what it knows. */
  async stop(givenUp = 0): Promise<void> {
    assert.equal(await this.server.kill('SIGTERM'), 0, this.server.output);
    checkStore(this.workspace.data);
    const pool = withDatabase(
      this.workspace.data,
      (db) => db.prepare('SELECT * FROM pools').get()!,
    );
    // All that left is dispensed, and beside it only what was popped for a reply that was not sent.
    const { dispensed, burned, leased } = pool;
    assert.deepEqual(
      { dispensed, burned, leased },
      { dispensed: this.handed.length + givenUp, burned: 0, leased: 0 },
    );
  }

  /** The store, opened as a start does it, leases all that is left: nothing that left before. */
  async assertNothingComesTwice(directory = this.workspace.data): Promise<void> {
    this.assertDistinct();
    const ids = new Set(this.handed.map(({ id }) => id));
    const addresses = new Set(this.handed.map(({ address }) => address));
    using journals = new Journals({ dataDirectory: directory });
    const { recover } = journals;
    const witness = join(this.workspace.state, 'vanitypool');
    const sealingKey = `file:${join(directory, 'sealing.key')}`;
    await using store = await openSqliteStore({ directory, sealingKey, recover, witness });
    const { available, burned } = await store.counts('pet');
    assert.equal(burned, 0);
    const { leased } = await turn(store, 'pet', 0, available);
    assert.equal(leased.length, available);
    const again = leased.filter(
      ({ id, publicKey }) => ids.has(id) || addresses.has(addressOf(publicKey)),
    );
    assert.equal(again.length, 0, `${again.length} come again`);
    await returnLease(store, 'pet');
  }

  /** The same by a server on a sound disk, which may have to make a new store. */
  async assertServesOn(directory = this.workspace.data): Promise<void> {
    this.workspace.environment = {};
    this.#server = await this.workspace.serve('--threads', '0', '--data', directory);
    const figures = await this.server.pool();
    assertIdentity(figures);
    assert.equal(figures.burned, 0);
    for (let left = figures.available + figures.leased; left > 0; left -= 1000) {
      await this.dispense(Math.min(left, 1000));
    }
    this.assertDistinct();
    assert.equal(await this.server.kill('SIGTERM'), 0, this.server.output);
  }

  assertDistinct(): void {
    for (const field of ['id', 'address', 'secretKey'] as const) {
      const values = new Set(this.handed.map((handed) => handed[field]));
      assert.equal(values.size, this.handed.length, `an ${field} came twice`);
    }
  }

  /** A path beside the data directory. */
  beside(name: string): string {
    return join(this.workspace.path, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disk[Symbol.dispose]();
    await this.workspace[Symbol.asyncDispose]();
  }
}
