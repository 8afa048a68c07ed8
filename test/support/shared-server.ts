/**
 * A store thread's whole composition over a store that passes for one of many runs (shared-store.ts), with
 * real journals in memory of its own and threads that hand out. All that left is remembered, over all its
 * runs: nothing may leave twice.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { MessageChannel } from 'node:worker_threads';
import type { Durability } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/config.ts';
import { type PoolConfig, readPool } from '../../src/config/pool-config.ts';
import { keypairOf, signingKeyOf } from '../../src/keypair/keypair.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { Deadline } from '../../src/pool/deadline.ts';
import { StoreHealth } from '../../src/pool/health.ts';
import { Journals } from '../../src/pool/journals.ts';
import { NodeFigures } from '../../src/pool/node-figures.ts';
import { NOBODY, type Receiver } from '../../src/pool/pool.ts';
import type { ReadyAddress } from '../../src/pool/ready-address.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { Tallies } from '../../src/pool/tallies.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { ServedStore } from '../../src/store-thread/served-store.ts';
import { collectedLog } from './collected-log.ts';
import { Thread } from './handing-thread.ts';
import { testMachine } from './journal-machine.ts';
import { SharedStore } from './shared-store.ts';
import { checkStore, removeDirectory, temporaryDirectory } from './sqlite-stores.ts';
import { StoreFaults } from './store-faults.ts';
import { unlimitedFiles } from './unlimited-files.ts';

export const POOL = readPool({ name: 'pet', suffix: 'x', ready: 20 }, String);
const PLAIN = { pool: 'pet', receiver: NOBODY, quota: undefined, until: Number.POSITIVE_INFINITY };

export class SharedServer implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly machine = testMachine();
  readonly log = collectedLog();
  readonly deadline = new Deadline();
  readonly health = new StoreHealth();
  readonly durability: Durability;
  readonly pool: PoolConfig;
  readonly left = new Set<string>();
  /** What others see and change. */
  inner!: Store;
  faults!: StoreFaults;
  shared!: SharedStore;
  served!: ServedStore;
  journals!: Journals;
  threads: Thread[] = [];
  readonly #ports: MessageChannel[] = [];

  static async open(
    durability: Durability = 'leased',
    stored = 200,
    pool = POOL,
  ): Promise<SharedServer> {
    const server = new SharedServer(durability, pool);
    await server.start();
    await server.insert(stored);
    return server;
  }

  private constructor(durability: Durability, pool: PoolConfig) {
    this.durability = durability;
    this.pool = pool;
  }

  async start(): Promise<void> {
    const { directory, machine, log, durability } = this;
    const make = { setting: 'auto', log } as const;
    const isLeased = durability === 'leased';
    this.journals = new Journals({
      ...{ dataDirectory: directory, machine },
      ...(isLeased && { make }),
    });
    const { journals } = this;
    const { store } = loadConfig({ cwd: directory, file: '/dev/null' });
    const sealingKey = `file:${directory}/sealing.key`;
    const { recover } = journals;
    this.inner = await openSqliteStore({ directory, sealingKey, recover, durability });
    this.shared = new SharedStore(this.inner);
    this.faults = new StoreFaults(this.shared.store);
    const changes = new ChangedPools();
    const { health } = this;
    const channel = new MessageChannel();
    this.#ports.push(channel);
    const shared = sharePool(this.pool, { changes, deadline: this.deadline });
    this.served = await ServedStore.serve({
      ...{ store: this.faults.store, journals, health, log },
      data: {
        role: 'all',
        store: { ...store, directory, data: directory, sealingKey, durability },
        port: channel.port1,
        ...{ httpThreads: 2, pools: [shared], logLevel: 'silent', isPretty: false },
        ...{ health: health.buffer, tallies: new Tallies().buffer, changes: changes.buffer },
        files: unlimitedFiles().buffer,
        deadline: this.deadline.buffer,
        nodes: new NodeFigures().buffer,
        lastWarnings: new SharedArrayBuffer(0),
      },
    });
    const { entries } = this.served;
    this.threads = [await Thread.connect(entries), await Thread.connect(entries)];
  }

  /** As others would: this run is not asked. */
  async insert(count: number): Promise<void> {
    const keypairs = Array.from({ length: count }, () => keypairOf(randomBytes(32)));
    await this.inner.insert(keypairs.map((keypair) => ({ pool: 'pet', ...signingKeyOf(keypair) })));
    this.shared.events!.stock('pet');
  }

  /** Through the store thread. */
  async ask(more: Partial<Parameters<ServedStore['dispenser']['dispense']>[0]> = {}) {
    const asked = await this.served.dispenser.dispense({ ...PLAIN, count: 1, ...more });
    return asked;
  }

  /** The same with an idempotency key. */
  askOnce(key: Buffer, count = 1): Promise<ReadyAddress[]> {
    return this.ask({ count, receiver: { token: 0, key, body: Buffer.alloc(32, count) } });
  }

  /** Out of memory, by a thread; how many left. */
  pop(thread: number, count = 1, receiver: Receiver = NOBODY): number {
    const addresses = this.threads[thread]!.pools.get('pet')!.pop(count, receiver) ?? [];
    this.note(addresses);
    return addresses.length;
  }

  note(addresses: readonly ReadyAddress[]): void {
    for (const { address } of addresses) {
      assert.ok(!this.left.has(address), 'an address left twice');
      this.left.add(address);
    }
  }

  /** Hands out what there is to the last: all that was ever stored left once. */
  async exhaust(stored: number): Promise<void> {
    for (;;) {
      await this.served.refiller.refill('pet', 1);
      if (this.status.ready === 0) break;
      this.note(await this.ask());
    }
    assert.equal(this.left.size, stored);
  }

  get status() {
    return this.threads[0]!.pools.get('pet')!.status();
  }

  async figures(): Promise<string> {
    const { available, leased, reserved, dispensed, burned } = await this.inner.counts('pet');
    return [available, leased, reserved, dispensed, burned].join(' ');
  }

  said(): string[] {
    return this.log.lines.map(({ msg }) => msg);
  }

  async until(isReached: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isReached())) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.served.stop({});
    } finally {
      for (const thread of this.threads) thread.die();
      for (const { port1 } of this.#ports.splice(0)) port1.close();
      await this.inner.close();
      this.journals[Symbol.dispose]();
    }
    checkStore(this.directory);
    this.machine[Symbol.dispose]();
    removeDirectory(this.directory);
  }
}
