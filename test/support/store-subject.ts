/** A store for tests that any database passes: its pools, its keys, and the situations that it can be in. */
import assert from 'node:assert/strict';
import type { Hit, KeyType, SigningKey } from '../../src/keypair/signing-key.ts';
import type { Store } from '../../src/store/store.ts';
import type { PoolIdentity } from '../../src/store/stored-pool.ts';
import { someKey } from './keys.ts';
import { returnLease, turn } from './turns.ts';

export interface StoreMaker {
  /** A store that is new. */
  open(): Promise<Store>;
  /** Closes it and opens the same data again. */
  reopen(store: Store): Promise<Store>;
  /** Closes it and removes its data. */
  destroy(store: Store): Promise<void>;
}

export function poolNamed(name: string, keys: KeyType = 'seed'): PoolIdentity {
  return {
    name,
    prefix: '',
    suffix: '[a-z]Pet',
    ignoreCase: false,
    keys,
    handout: 'secret',
  };
}

export function hitsFor(pool: string, count: number, keyType?: KeyType): Hit[] {
  return Array.from({ length: count }, () => ({ pool, ...someKey(keyType) }));
}

/** All of a key, to be compared. */
export function hexOf({ key, publicKey }: SigningKey): string {
  return [key, publicKey].map((bytes) => Buffer.from(bytes).toString('hex')).join(' ');
}

/** For what is destroyed: also what left in this very moment. */
export const ANY_AGE = -8.64e15;

/** A store with the pools 'pet' and 'pump'. Its data is removed at the end of the test. */
export class Subject implements AsyncDisposable {
  store: Store;
  readonly keyType: KeyType;
  readonly #maker: StoreMaker;

  private constructor(maker: StoreMaker, store: Store, keyType: KeyType) {
    this.#maker = maker;
    this.store = store;
    this.keyType = keyType;
  }

  static async open(maker: StoreMaker, keyType: KeyType): Promise<Subject> {
    const store = await maker.open();
    for (const name of ['pet', 'pump']) await store.definePool(poolNamed(name, keyType));
    return new Subject(maker, store, keyType);
  }

  hits(count: number, pool = 'pet'): Hit[] {
    return hitsFor(pool, count, this.keyType);
  }

  async insert(count: number): Promise<Hit[]> {
    const hits = this.hits(count);
    assert.deepEqual(await this.store.insert(hits), { inserted: count, duplicates: 0 });
    return hits;
  }

  async reopen(): Promise<void> {
    this.store = await this.#maker.reopen(this.store);
  }

  /** Checks that the identity holds, too. */
  async figures(pool = 'pet'): Promise<string> {
    const counts = await this.store.counts(pool);
    const { available, leased, reserved, dispensed, burned, ground, imported } = counts;
    assert.equal(available + leased + reserved + dispensed + burned, ground + imported);
    const stored = (await this.store.pools()).find(({ name }) => name === pool);
    assert.deepEqual(stored?.counts, counts);
    return [available, leased, dispensed, burned].join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#maker.destroy(this.store);
  }
}

/** Ways to have four addresses, of which the last two are as the name says. */
export const SITUATIONS: Record<string, (subject: Subject) => Promise<void>> = {
  available: async (subject) => {
    await subject.insert(4);
  },
  leased: async (subject) => {
    await subject.insert(4);
    await turn(subject.store, 'pet', 0, 4);
  },
  dispensed: async (subject) => {
    await subject.insert(4);
    await turn(subject.store, 'pet', 0, 4);
    await turn(subject.store, 'pet', 4, 0);
  },
  burned: async (subject) => {
    await subject.insert(4);
    await turn(subject.store, 'pet', 0, 4);
    await subject.reopen();
  },
  mixed: async (subject) => {
    await subject.insert(4);
    await turn(subject.store, 'pet', 0, 2);
    await turn(subject.store, 'pet', 1, 0);
  },
};

/** Each returns how many addresses it says that it touched. */
export const OPERATIONS: Record<string, (subject: Subject) => Promise<number>> = {
  insert: async (subject) => (await subject.store.insert(subject.hits(2))).inserted,
  lease: async ({ store }) => (await turn(store, 'pet', 0, 3)).leased.length,
  dispense: async ({ store }) => (await turn(store, 'pet', 1, 0)).leased.length,
  both: async ({ store }) => (await turn(store, 'pet', 1, 1)).leased.length,
  returnLease: ({ store }) => returnLease(store, 'pet'),
  destroy: ({ store }) => store.destroySecrets(ANY_AGE),
  reopen: async (subject) => {
    await subject.reopen();
    return subject.store.recovered.pet?.burned ?? 0;
  },
};

export const REFUSED = 'refused';
/** What an operation returns in a situation, and the figures after it. */
export const GRID: Record<
  string,
  Record<string, readonly [touched: number | string, figures: string]>
> = {
  available: {
    insert: [2, '6 0 0 0'],
    lease: [3, '1 3 0 0'],
    dispense: [REFUSED, '4 0 0 0'],
    both: [REFUSED, '4 0 0 0'],
    returnLease: [0, '4 0 0 0'],
    destroy: [0, '4 0 0 0'],
    reopen: [0, '4 0 0 0'],
  },
  leased: {
    insert: [2, '2 4 0 0'],
    lease: [0, '0 4 0 0'],
    dispense: [0, '0 3 1 0'],
    both: [0, '0 3 1 0'],
    returnLease: [4, '4 0 0 0'],
    destroy: [0, '0 4 0 0'],
    reopen: [4, '0 0 0 4'],
  },
  dispensed: {
    insert: [2, '2 0 4 0'],
    lease: [0, '0 0 4 0'],
    dispense: [REFUSED, '0 0 4 0'],
    both: [REFUSED, '0 0 4 0'],
    returnLease: [0, '0 0 4 0'],
    destroy: [4, '0 0 4 0'],
    reopen: [0, '0 0 4 0'],
  },
  burned: {
    insert: [2, '2 0 0 4'],
    lease: [0, '0 0 0 4'],
    dispense: [REFUSED, '0 0 0 4'],
    both: [REFUSED, '0 0 0 4'],
    returnLease: [0, '0 0 0 4'],
    destroy: [4, '0 0 0 4'],
    reopen: [0, '0 0 0 4'],
  },
  mixed: {
    insert: [2, '4 1 1 0'],
    lease: [2, '0 3 1 0'],
    dispense: [0, '2 0 2 0'],
    both: [1, '1 1 2 0'],
    returnLease: [1, '3 0 1 0'],
    destroy: [1, '2 1 1 0'],
    reopen: [1, '2 0 1 1'],
  },
};
