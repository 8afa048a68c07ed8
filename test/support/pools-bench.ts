import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Durability } from '../../src/config/config.ts';
import { type PoolConfig, readPool } from '../../src/config/pool-config.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { createLog } from '../../src/log.ts';
import { ChangedPools } from '../../src/pool/changed-pools.ts';
import { Journals } from '../../src/pool/journals.ts';
import { sharePool } from '../../src/pool/shared-pool.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { Thread } from './handing-thread.ts';
import { ServedParts } from './served-parts.ts';
import { checkStore, removeDirectory, temporaryDirectory } from './sqlite-stores.ts';
import { hitsFor } from './store-subject.ts';

const log = createLog('test', 'silent', false);

export function config(name: string, more: object = {}): PoolConfig {
  return readPool(
    { name, suffix: 'x', ready: 10, ready_max: 20, ...more },
    (key) => `pools.${name}.${key}`,
  );
}

export const hash = (text: string) => createHash('sha256').update(text).digest();

export class Bench implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly durability: Durability;
  store!: Store;
  parts!: ServedParts;
  journals!: Journals;
  readonly changes: string[] = [];
  commits = 0;
  readonly #threads: Thread[] = [];

  constructor(durability: Durability = 'leased') {
    this.durability = durability;
  }

  get refiller(): ServedParts['refiller'] {
    return this.parts.refiller;
  }

  get own(): ServedParts['own'] {
    return this.parts.own;
  }

  get pools(): ServedParts['pools'] {
    return this.parts.pools;
  }

  get entries(): ServedParts['entries'] {
    return this.parts.entries;
  }

  get renewed(): ServedParts['renewed'] {
    return this.parts.renewed;
  }

  open(...configured: PoolConfig[]): Promise<this> {
    return this.openFor(0, configured);
  }

  async openFor(threads: number, configured: readonly PoolConfig[]): Promise<this> {
    const changes = new ChangedPools();
    const shared = configured.map((pool, place) => sharePool(pool, { changes, place }));
    const { directory, durability } = this;
    const sealingKey = `file:${directory}/sealing.key`;
    const make = { setting: 'auto', log } as const;
    this.journals = new Journals({ dataDirectory: directory, make });
    const { recover } = this.journals;
    const onCommit = () => this.commits++;
    const store = await openSqliteStore({ directory, sealingKey, recover, durability, onCommit });
    this.journals.begin(store);
    this.store = store;
    this.parts = new ServedParts({
      ...{ store, journals: this.journals, log, changes },
      areNeeded: durability === 'leased',
      onChange: (all) => this.changes.push(all.map(({ name }) => name).join(' ')),
    });
    await this.pools.open(shared, threads);
    return this;
  }

  async connect(): Promise<Thread> {
    const thread = await Thread.connect(this.entries);
    this.#threads.push(thread);
    return thread;
  }

  /** Leases are not returned, and the journals stay: as a process that is killed. */
  async crash(): Promise<void> {
    await this.pools.stop();
    await this.store.close();
    this.journals[Symbol.dispose]();
  }

  async fill(pool: string, count: number): Promise<string[]> {
    const hits = hitsFor(pool, count);
    await this.store.insert(hits);
    this.refiller.publish(pool, await this.store.counts(pool));
    await this.refiller.refill(pool, 10);
    return hits.map(({ publicKey }) => addressOf(publicKey));
  }

  async stored(name: string) {
    return (await this.store.pools()).find((pool) => pool.name === name)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const thread of this.#threads) thread.die();
    await this.crash();
    checkStore(this.directory);
    this.journals.remove();
    this.journals[Symbol.dispose]();
    removeDirectory(this.directory);
  }
}

/** Whether it is settled after whatever could settle it had its turn. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  await sleep(50);
  return settled;
}
