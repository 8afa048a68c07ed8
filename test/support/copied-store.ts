/**
 * A store and its client side in one process, for campaigns of copies: what leaves goes the way of
 * the product (a lease that is in effect, a pop, a record in the dispense journal or on disk), and is
 * remembered here over all lives. A life can end as by a kill: everything is as it was at that
 * moment, inodes too. Then files are put back, the store is opened, and `judge` says what is wrong.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Durability } from '../../src/config/config.ts';
import { VanityError } from '../../src/errors.ts';
import { createPart, PartWriter, PROGRESS_WORDS, readPart } from '../../src/pool/journal.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { UnrecordedHandOuts } from '../../src/store-thread/unrecorded-hand-outs.ts';
import { type Copy, copyOf, revert } from './copies.ts';
import { hitsFor, poolNamed } from './store-subject.ts';
import { returnLease, turn } from './turns.ts';
import { addressIn, type IsForgiven, type Leased, signWith, WhatLeft } from './what-left.ts';

/** Of which secrets leave, and one of which none does. */
export const POOLS = ['pet', 'sign'] as const;
export type PoolName = (typeof POOLS)[number];
const HELD_MS = 1e12;
/** Cells of a ready queue, and records of a journal. */
const CELLS = 64;

/** Everything that can be copied, at one moment. */
export interface Moment {
  readonly data: Copy;
  readonly journals: Copy;
  /** Events before it. */
  readonly clock: number;
  readonly epoch: number;
}

export interface Image {
  readonly data: Copy;
  readonly journals: Copy;
  readonly state: Copy;
}

/** One pool's ready queue in one life. */
class Queue {
  readonly ready: Leased[] = [];
  readonly handOuts = new UnrecordedHandOuts();
  writer: PartWriter | undefined;
  /** As the real ones count. */
  head: number;
  position: number;

  constructor(position: number) {
    this.head = position;
    this.position = position;
  }
}

interface Life {
  readonly store: Store;
  readonly durability: Durability;
  readonly queues: ReadonlyMap<PoolName, Queue>;
}

export interface Judged {
  /** The code of an error; undefined if it was opened. */
  readonly refused?: string;
  readonly wrong: string[];
  readonly burned: number;
}

export class CopiedStore implements Disposable {
  readonly root: string;
  readonly data: string;
  /** Where files lie that something else was put in the place of. */
  readonly aside: string;
  readonly out = new WhatLeft();
  readonly #journals: string;
  readonly #state: string;
  readonly #hasWitness: boolean;
  clock = 0;
  /** Of the store, as it was made. */
  #id = '';
  #life: Life | undefined;
  #numbers = 0;
  /** Of this life, with a journal each. */
  #threads = 0;
  /** The name of one that is not revoked. */
  #token: string | undefined;

  constructor(root: string, hasWitness: boolean) {
    this.root = root;
    this.data = join(root, 'data');
    this.aside = join(root, 'aside');
    this.#journals = join(root, 'journals');
    this.#state = join(root, 'state');
    this.#hasWitness = hasWitness;
    for (const place of [this.#journals, this.#state]) mkdirSync(place, { mode: 0o700 });
  }

  get life(): Life {
    return this.#life!;
  }

  /** The one place that knows how a store is opened for service. */
  #open(durability: Durability): Promise<Store> {
    const recover: Recover = ({ storeId, epoch, number, ...known }) =>
      readPart(this.#journal(epoch, number), identity(storeId, epoch, number), known);
    const options = {
      directory: this.data,
      sealingKey: `file:${join(this.data, 'sealing.key')}`,
      durability,
      recover,
      ...(this.#hasWitness && { witness: this.#state }),
    };
    return openSqliteStore(options);
  }

  #journal(epoch: number, number: number): string {
    return join(this.#journals, `${epoch}-${number}.journal`);
  }

  async begin(durability: Durability): Promise<Store> {
    const store = await this.#open(durability);
    this.#id = store.id;
    // What they said is in the store.
    for (const name of readdirSync(this.#journals)) rmSync(join(this.#journals, name));
    const queues = new Map<PoolName, Queue>();
    for (const name of POOLS) {
      const handout = name === 'sign' ? 'sign-only' : 'secret';
      const { position } = await store.definePool({ ...poolNamed(name), handout });
      queues.set(name, new Queue(position));
    }
    this.#life = { store, durability, queues };
    this.#threads = 0;
    for (const name of POOLS) await this.beginThread(name);
    return store;
  }

  /** Another thread hands out of the pool from now on. */
  async beginThread(pool: PoolName): Promise<void> {
    const { store, durability, queues } = this.life;
    if (durability === 'committed') return;
    const number = ++this.#threads;
    const path = this.#journal(store.epoch, number);
    createPart(path, identity(store.id, store.epoch, number), CELLS);
    const progress = new Int32Array(new SharedArrayBuffer(4 * PROGRESS_WORDS));
    const file = { number, path, progress };
    await store.addJournals([{ pool, number }]);
    const queue = queues.get(pool)!;
    queue.handOuts.follow(file);
    queue.writer?.close();
    queue.writer = new PartWriter(file);
  }

  async insert(pool: PoolName, count: number): Promise<void> {
    await this.life.store.insert(hitsFor(pool, count));
  }

  /** A turn: records, and leases; what it leases is ready when it has returned. */
  async turn(pool: PoolName, wanted: number): Promise<void> {
    const queue = this.life.queues.get(pool)!;
    const handOuts = queue.handOuts.take();
    const { head } = queue;
    const room = Math.min(wanted, CELLS - queue.ready.length);
    const counted = room > 0 ? queue.handOuts.countLease(handOuts) : handOuts;
    const report = await turn(this.life.store, pool, head - queue.position, room, counted);
    queue.position = head;
    queue.handOuts.confirm();
    this.clock++;
    for (const leased of report.leased) {
      queue.ready.push({ address: addressIn(leased), leasedAt: this.clock });
    }
  }

  /** Hands out, if so many are ready: in `committed` mode after a turn, else after a record. */
  async dispense(pool: PoolName, count: number, key?: string): Promise<void> {
    const queue = this.life.queues.get(pool)!;
    if (queue.ready.length < count) return;
    const bytes = key === undefined ? undefined : Buffer.from(key, 'hex');
    const handOut: HandOut = {
      position: queue.head >>> 0,
      count,
      at: Date.now(),
      token: 0,
      ...(bytes !== undefined && { key: bytes, body: Buffer.alloc(32, 1) }),
    };
    queue.writer?.prepare();
    const taken = queue.ready.splice(0, count);
    if (queue.writer !== undefined) queue.writer.write(handOut);
    else queue.handOuts.note(handOut);
    queue.head += count;
    if (queue.writer === undefined) await this.turn(pool, 0);
    this.#leave(taken);
    if (key !== undefined)
      this.out.keys.set(
        key,
        taken.map(({ address }) => address),
      );
  }

  /** Shows an address to a client, when that is on disk. */
  async reserve(): Promise<void> {
    const queue = this.life.queues.get('pet')!;
    const [taken] = queue.ready.splice(0, 1);
    if (taken === undefined) return;
    const id = (++this.#numbers).toString(16).padStart(32, '0');
    queue.handOuts.note({
      ...{ position: queue.head >>> 0, count: 1, at: Date.now(), token: 0 },
      reservation: { id, ttlMs: HELD_MS },
    });
    queue.head++;
    await this.turn('pet', 0);
    this.out.reservations.add(id);
    this.#leave([taken]);
  }

  async dispenseReservation(): Promise<void> {
    for (const id of this.out.reservations.keys()) {
      if (this.out.dispensedReservations.has(id)) continue;
      await this.life.store.reservations.dispense(id, 0, 'pet');
      this.out.dispensedReservations.add(id);
      this.clock++;
      return;
    }
  }

  /** A new message, unless its secret is destroyed by now. */
  async sign(address: string): Promise<void> {
    const message = `${this.clock++}`;
    try {
      await signWith(this.life.store, address, message);
    } catch (error) {
      if (error instanceof VanityError && error.code === 'ADDRESS_NOT_FOUND') return;
      throw error;
    }
    this.out.signed.get(address)!.add(message);
  }

  /** The token that was made the last time; and makes one for the next time. */
  async revoke(): Promise<void> {
    const { tokens } = this.life.store;
    if (this.#token !== undefined) {
      await tokens.revoke(this.#token);
      this.out.revoked.add(this.#token);
    }
    const name = `token ${++this.#numbers}`;
    await tokens.create({
      ...{ name, hash: randomBytes(32), scopes: ['dispense'] },
      ...{ pools: undefined, quota: undefined, expiresAt: undefined },
    });
    this.#token = name;
    this.clock++;
  }

  /** The secrets of what is so old; the log ends at once, and begins anew. */
  async destroy(ageMs: number): Promise<void> {
    while ((await this.life.store.destroySecrets(ageMs)) > 0);
  }

  #leave(taken: readonly Leased[]): void {
    this.clock++;
    const { epoch } = this.life.store;
    for (const one of taken) {
      assert.ok(!this.out.left.has(one.address), 'it left once while all was well');
      this.out.left.set(one.address, { ...one, leftAt: this.clock, epoch });
    }
  }

  /** Of the pool without secrets: from now on they can sign. */
  async dispenseToSign(count: number): Promise<void> {
    const before = new Set(this.out.left.keys());
    await this.dispense('sign', count);
    // A signature needs the hand-out in the store.
    await this.turn('sign', 0);
    for (const address of this.out.left.keys()) {
      if (!before.has(address)) this.out.signed.set(address, new Set());
    }
  }

  copy(): Moment {
    const data = copyOf(this.data);
    const { clock } = this;
    return { data, journals: copyOf(this.#journals), clock, epoch: this.life.store.epoch };
  }

  /** As a server does that is stopped. */
  async stop(): Promise<void> {
    for (const pool of POOLS) {
      await this.turn(pool, 0);
      await returnLease(this.life.store, pool);
    }
    await this.#close();
    for (const name of readdirSync(this.#journals)) rmSync(join(this.#journals, name));
  }

  /** As a kill leaves it; a power cut leaves no journals. */
  async kill(isPowerCut: boolean): Promise<void> {
    const killed = this.image();
    await this.#close();
    this.revert(isPowerCut ? { ...killed, journals: new Map() } : killed);
  }

  async #close(): Promise<void> {
    for (const { handOuts, writer } of this.life.queues.values()) {
      handOuts.close();
      writer?.close();
    }
    await this.life.store.close();
  }

  /** All of it, as it lies there now, what is kept elsewhere too. */
  image(): Image {
    const data = copyOf(this.data);
    return { data, journals: copyOf(this.#journals), state: copyOf(this.#state) };
  }

  revert(image: Image): void {
    revert(this.data, image.data, this.aside);
    revert(this.#state, image.state);
    revert(this.#journals, image.journals);
  }

  putBackJournals(copy: Copy): void {
    revert(this.#journals, copy);
  }

  /**
   * What is wrong with the store as it lies there, in words, or why it is refused. It is another store
   * afterwards. `isForgiven` says of what left that it may come again.
   */
  async judge(durability: Durability, isForgiven: IsForgiven): Promise<Judged> {
    let store: Store;
    try {
      store = await this.#open(durability);
    } catch (error) {
      if (error instanceof VanityError) return { refused: error.code, wrong: [], burned: 0 };
      throw error;
    }
    const wrong: string[] = [];
    // Its tables were in the log alone, which is gone: it is another, and knows of nothing.
    if (store.id !== this.#id) {
      await store.close();
      return { wrong, burned: 0 };
    }
    const burned = Object.values(store.recovered).reduce((sum, one) => sum + one.burned, 0);
    try {
      wrong.push(...(await this.out.wrongIn(store, burned, isForgiven)));
    } catch (error) {
      // It fails instead of giving a wrong answer.
      if (!(error instanceof VanityError)) throw error;
    } finally {
      await store.close();
    }
    return { wrong, burned };
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Of a journal, in words of its own. */
function identity(storeId: string, epoch: number, number: number) {
  return { storeId, epoch, number, bootId: 'boot' };
}
