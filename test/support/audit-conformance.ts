/** What a reader of any store says of it, with the store and the type of its keys as parameters. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { addressOf, decodeBase58 } from '../../src/keypair/address.ts';
import { KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import type { AuditedAddress, StoreReader } from '../../src/store/audit-store.ts';
import type { HandOut, HandOuts } from '../../src/store/hand-out.ts';
import type { Recover } from '../../src/store/recovery.ts';
import type { Store } from '../../src/store/store.ts';
import { ANY_AGE, hitsFor, poolNamed } from './store-subject.ts';
import { returnLease, turn } from './turns.ts';

/** Where one store lies. */
export interface AuditedPlace extends AsyncDisposable {
  /** Its next run; what the one before had leased is settled. */
  open(recover?: Recover): Promise<Store>;
  /** With the sealing key of the store, or another one. */
  reader(sealingKey?: string): Promise<StoreReader>;
  /** The sealed row of the public key with this hash can be read no more. */
  spoil(keyHash: Buffer): Promise<void>;
  /** Somebody else writes the row of a token; `id` is free. */
  forgeToken(id: number, name: string): Promise<void>;
  readonly keySource: string;
}

/** Of hand-outs; the stores open some seconds later. */
export const AT = Date.now() - 10_000;
export const KEY = randomBytes(32);
const MINUTE_MS = 60_000;

/** A store whose addresses the test knows: `addresses[n]` is the nth that was inserted, from 1. */
export class Audited implements AsyncDisposable {
  readonly place: AuditedPlace;
  readonly addresses: string[] = ['none is inserted before the first'];
  readonly #keys: KeyType;
  readonly #numbers = new Map<number, number>();

  constructor(place: AuditedPlace, keys: KeyType) {
    this.place = place;
    this.#keys = keys;
  }

  /** Its runs end as by a crash, unless `work` returns what is leased. */
  async run<T>(work: (store: Store) => Promise<T>, recover?: Recover): Promise<T> {
    await using store = await this.place.open(recover);
    for (const name of ['pet', 'pump']) await store.definePool(poolNamed(name, this.#keys));
    const vault = { ...poolNamed('vault', this.#keys), handout: 'sign-only' } as const;
    await store.definePool(vault);
    return await work(store);
  }

  async insert(store: Store, ...pools: string[]): Promise<void> {
    const hits = pools.flatMap((pool) => hitsFor(pool, 1, this.#keys));
    await store.insert(hits);
    await using reader = await this.place.reader();
    for (const { publicKey } of hits) {
      this.#numbers.set((await reader.find(publicKey))!.id, this.addresses.length);
      this.addresses.push(addressOf(publicKey));
    }
  }

  /** The nth that was inserted. */
  publicKey(number: number): Uint8Array {
    return decodeBase58(this.addresses[number]!);
  }

  /** Its id. */
  id(number: number): number {
    return [...this.#numbers].find(([, its]) => its === number)![0];
  }

  async spoil(number: number): Promise<void> {
    await this.place.spoil(createHash('sha256').update(this.publicKey(number)).digest());
    this.addresses[number] = undefined!;
  }

  /** By number, in pages of `limit`, which may be empty. */
  async list(filter: { pool?: string; since?: number } = {}, limit = 1000) {
    await using reader = await this.place.reader();
    const found: (AuditedAddress & { readonly number: number })[] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await reader.page({ after, limit, ...filter });
      assert.ok(page.addresses.length <= limit);
      for (const one of page.addresses) {
        assert.ok(one.id > (found.at(-1)?.id ?? 0));
        found.push({ ...one, number: this.#numbers.get(one.id)! });
      }
      after = page.next;
    }
    return found.sort((one, other) => one.number - other.number);
  }

  /** 'number state token key cause', having looked that each address is the one of its number. */
  async lines(...args: Parameters<Audited['list']>): Promise<string[]> {
    return (await this.list(...args)).map((one) => {
      const { number, address } = one;
      assert.equal(address, this.addresses[number], `number ${number}`);
      return lineOf(number, one);
    });
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.place[Symbol.asyncDispose]();
  }
}

type Shown = Pick<AuditedAddress, 'token' | 'keyHash' | 'cause'> & { readonly state: string };

function lineOf(number: number, { state, token, keyHash, cause }: Shown): string {
  if (keyHash !== undefined) assert.deepEqual(Buffer.from(keyHash), KEY);
  const key = keyHash === undefined ? '-' : 'key';
  return [number, state, token ?? '-', key, cause ?? '-'].join(' ');
}

export const handOut = (position: number, count: number, rest: Partial<HandOut> = {}): HandOut => ({
  position,
  count,
  at: AT,
  token: 0,
  ...rest,
});
export const told = (...records: HandOut[]): HandOuts => ({ records, journals: new Map() });
export const many = (count: number, pool = 'pet') => Array.from({ length: count }, () => pool);

export async function shopOf(store: Store): Promise<number> {
  const limits = { scopes: ['dispense'], pools: undefined, quota: undefined } as const;
  const token = { ...limits, name: 'shop', hash: randomBytes(32), expiresAt: undefined };
  return (await store.tokens.create(token)).id;
}

/**
 * 1 to 8 are leased, and of these 1 to 5 left: 1 and 2 for a key, 3 by a thread that could not say for whom, 4
 * and 5 with a token. Then the run was killed: 6 to 8 are burned, 9 to 12 available.
 */
export async function killed(place: AuditedPlace, keys: KeyType): Promise<Audited> {
  const audited = new Audited(place, keys);
  await audited.run(async (store) => {
    await audited.insert(store, ...many(12));
    const token = await shopOf(store);
    await turn(store, 'pet', 0, 8);
    const first = handOut(0, 2, { key: KEY, body: randomBytes(32) });
    await turn(store, 'pet', 5, 0, told(first, handOut(3, 2, { at: AT + 1000, token })));
  });
  await audited.run(async () => {});
  return audited;
}

export const KILLED = [
  '1 dispensed - key -',
  '2 dispensed - key -',
  '3 dispensed - - -',
  '4 dispensed shop - -',
  '5 dispensed shop - -',
  '6 burned - - crash',
  '7 burned - - crash',
  '8 burned - - crash',
];

export function auditConformance(name: string, newPlace: () => Promise<AuditedPlace>): void {
  for (const keys of KEY_TYPES) {
    suite(`${name}, keys of type ${keys}`, () => conformance(newPlace, keys));
  }
}

function conformance(newPlace: () => Promise<AuditedPlace>, keys: KeyType): void {
  test('what left is listed with whom it went, what is burned with its cause, and nothing else', async () => {
    await using audited = await killed(await newPlace(), keys);
    assert.deepEqual(await audited.lines(), KILLED);
    const list = await audited.list();
    assert.deepEqual(
      [0, 1, 3, 4].map((index) => list[index]!.at),
      [AT, AT, AT + 1000, AT + 1000],
    );
    for (const index of [2, 5]) {
      const { at } = list[index]!;
      assert.ok(at >= AT + 9000 && at <= Date.now() + 1, 'without a hand-out that of the state');
    }
  });

  test('it says the same after the secrets are destroyed', async () => {
    await using audited = await killed(await newPlace(), keys);
    await audited.run(async (store) => {
      assert.equal(await store.destroySecrets(ANY_AGE), 8);
    });
    assert.deepEqual(await audited.lines(), KILLED);
  });

  test('pages of any size make the same list, and a page looks at no more than its limit', async () => {
    await using audited = await killed(await newPlace(), keys);
    for (const limit of [1, 3, 8, 12, 13]) assert.deepEqual(await audited.lines({}, limit), KILLED);
    await using reader = await audited.place.reader();
    const page = await reader.page({ after: audited.id(8), limit: 2 });
    assert.deepEqual(page, { addresses: [], next: audited.id(10) });
    // What is full and the last is known to be the last.
    for (const number of [10, 11, 12]) {
      const end = { addresses: [], next: undefined };
      assert.deepEqual(await reader.page({ after: audited.id(number), limit: 2 }), end);
    }
  });

  test('what may still leave is never listed: it is in no page', async () => {
    await using audited = new Audited(await newPlace(), keys);
    await audited.run(async (store) => {
      await audited.insert(store, ...many(6));
      await turn(store, 'pet', 0, 4);
      assert.deepEqual(await audited.lines(), []);
      await turn(store, 'pet', 1, 0, told(handOut(0, 1)));
      assert.deepEqual(await audited.lines(), ['1 dispensed - - -']);
    });
  });

  test('what is held for a client is listed as that, and afterwards as what became of it', async () => {
    await using audited = new Audited(await newPlace(), keys);
    await audited.run(async (store) => {
      await audited.insert(store, ...many(6));
      const token = await shopOf(store);
      await turn(store, 'pet', 0, 5);
      const held = ['a', 'b', 'c'].map((digit, position) =>
        handOut(position, 1, {
          token,
          reservation: { id: digit.repeat(32), ttlMs: MINUTE_MS },
          mayBeRefused: true,
        }),
      );
      await turn(store, 'pet', 3, 0, told(...held));
      const { address } = await store.reservations.get('a'.repeat(32), token);
      assert.equal(address, audited.addresses[1]);
      assert.deepEqual(await audited.lines(), [
        '1 reserved shop - -',
        '2 reserved shop - -',
        '3 reserved shop - -',
      ]);
      const { key } = await store.reservations.dispense('a'.repeat(32), token, 'pet');
      key.fill(0);
      await store.reservations.release('b'.repeat(32), token, false);
      await store.reservations.release('c'.repeat(32), token, true);
      const lines = ['1 dispensed shop - -', '2 burned shop - released'];
      assert.deepEqual(await audited.lines(), lines);
      await returnLease(store, 'pet');
    });
    assert.equal((await audited.lines()).length, 2);
  });

  test('an address that came back and left in a later run is listed with who got it then', async () => {
    await using audited = new Audited(await newPlace(), keys);
    const nothingLeft: Recover = () => [];
    await audited.run(async (store) => {
      await audited.insert(store, ...many(4));
      await store.addJournals([{ pool: 'pet', number: 1 }]);
      await turn(store, 'pet', 0, 4);
      const first = handOut(0, 1, { key: KEY, body: randomBytes(32) });
      await turn(store, 'pet', 1, 0, told(first));
    });
    await audited.run(async (store) => {
      await turn(store, 'pet', 0, 2);
      // Position 0 of this run is that of the second; in the one before it was that of the first.
      await turn(store, 'pet', 1, 0, told(handOut(0, 1, { at: AT + 5000 })));
      await returnLease(store, 'pet');
      await turn(store, 'pet', 0, 1);
      await turn(store, 'pet', 1, 0, told(handOut(1, 1, { at: AT + 6000 })));
      await returnLease(store, 'pet');
    }, nothingLeft);
    assert.deepEqual(await audited.lines(), [
      '1 dispensed - key -',
      '2 dispensed - - -',
      '3 dispensed - - -',
    ]);
    const times = (await audited.list()).map(({ at }) => at - AT);
    assert.deepEqual(times, [0, 5000, 6000]);
  });

  test('a hand-out across a hole in the lease, and pools that are filled by turns', async () => {
    await using audited = new Audited(await newPlace(), keys);
    await audited.run(async (store) => {
      await audited.insert(store, 'pump', 'pet', 'pump', 'pet', 'pump', 'pet', 'pet');
      await audited.spoil(4);
      await turn(store, 'pet', 0, 9);
      await turn(store, 'pump', 0, 9);
      const record = handOut(0, 2, { key: KEY, body: randomBytes(32) });
      await turn(store, 'pet', 2, 0, told(record));
      await turn(store, 'pump', 1, 0);
    });
    const expected = [
      '1 dispensed - - -',
      '2 dispensed - key -',
      '3 burned - - crash',
      '4 burned - - unsealable',
      '5 burned - - crash',
      '6 dispensed - key -',
      '7 burned - - crash',
    ];
    await audited.run(async () => {});
    assert.deepEqual(await audited.lines(), expected);
    assert.deepEqual(
      await audited.lines({ pool: 'pet' }, 2),
      [1, 3, 5, 6].map((index) => expected[index]),
    );
    assert.deepEqual(await audited.lines({ since: AT + 1 }), [
      ...expected.slice(0, 1),
      ...expected.slice(2, 5),
      ...expected.slice(6),
    ]);
    await audited.run((store) => store.destroySecrets(ANY_AGE));
    assert.deepEqual(await audited.lines(), expected, 'what could not be read is not made up');
  });

  test('what the store says of itself: the figures that a whole list adds up to', async () => {
    await using audited = await killed(await newPlace(), keys);
    await audited.run(async (store) => {
      await using reader = await audited.place.reader();
      const { id: storeId, epoch } = store;
      const said = { storeId, epoch, pools: ['pet', 'pump', 'vault'], listed: 8 };
      await turn(store, 'pet', 0, 3);
      assert.deepEqual(await reader.store(), { ...said, leased: 3 });
      await returnLease(store, 'pet');
      assert.deepEqual(await reader.store(), { ...said, leased: 0 });
    });
  });

  test('another sealing key, or none, is refused before anything is listed', async () => {
    await using audited = await killed(await newPlace(), keys);
    const code = 'SEALING_KEY_INVALID';
    const none = audited.place.reader(`${audited.place.keySource}.missing`);
    await assert.rejects(none, { code, message: /missing; without/ });
    process.env.OTHER_SEALING_KEY = '07'.repeat(32);
    const other = audited.place.reader('env:OTHER_SEALING_KEY');
    await assert.rejects(other, { code, message: /not the key that the/ });
  });

  test('one address is found by its public key, in whatever state, as the pages list it', async () => {
    await using audited = await killed(await newPlace(), keys);
    await audited.run(async (store) => {
      await turn(store, 'pet', 0, 1);
      await using reader = await audited.place.reader();
      const listed = new Map((await audited.list()).map(({ id, at }) => [id, at]));
      const lines: string[] = [];
      for (let number = 1; number < audited.addresses.length; number++) {
        const found = (await reader.find(audited.publicKey(number)))!;
        const { id, pool, state, origin, createdAt, at, isDestroyed } = found;
        assert.deepEqual([id, pool, origin], [audited.id(number), 'pet', 'ground']);
        assert.ok(createdAt >= AT + 9000 && createdAt <= Date.now() + 1);
        assert.deepEqual([isDestroyed, found.isExhausted, found.signatures], [false, false, []]);
        if (state === 'available') assert.equal(at, undefined);
        else if (state !== 'leased') assert.equal(at, listed.get(id));
        lines.push(lineOf(number, found));
      }
      assert.deepEqual(lines, [
        ...KILLED,
        '9 leased - - -',
        '10 available - - -',
        '11 available - - -',
        '12 available - - -',
      ]);
      assert.equal(await reader.find(randomBytes(32)), undefined);
      await returnLease(store, 'pet');
      while ((await store.destroySecrets(ANY_AGE)) > 0);
      const { isDestroyed, state } = (await reader.find(audited.publicKey(1)))!;
      assert.deepEqual([isDestroyed, state], [true, 'dispensed']);
      assert.equal((await reader.find(audited.publicKey(9)))!.isDestroyed, false);
    });
  });

  test('signatures are counted in a list, and shown of one address', async () => {
    await using audited = new Audited(await newPlace(), keys);
    await audited.run(async (store) => {
      await audited.insert(store, ...many(2, 'vault'), 'pet');
      const token = await shopOf(store);
      for (const pool of ['vault', 'pet']) {
        await turn(store, pool, 0, 1);
        await turn(store, pool, 1, 0, told(handOut(0, 1, { token })));
      }
      const publicKey = audited.publicKey(1);
      const limits = new Map([['vault', 2]]);
      for (const byte of [1, 2]) {
        const messageHash = Buffer.alloc(32, byte);
        const sign = () => Buffer.alloc(64, byte);
        await store.signatures.sign({ limits, publicKey, token, messageHash, sign });
      }
      const counts = (await audited.list()).map(({ number, signatures }) => [number, signatures]);
      assert.deepEqual(counts, [
        [1, 2],
        [3, 0],
      ]);
      await using reader = await audited.place.reader();
      const { signatures, isDestroyed } = (await reader.find(publicKey))!;
      const shown = signatures.map((one) => [one.token, one.messageHash[0], one.signature[0]]);
      assert.deepEqual(shown, [
        ['shop', 1, 1],
        ['shop', 2, 2],
      ]);
      for (const { at } of signatures) assert.ok(at >= AT + 9000 && at <= Date.now() + 1);
      assert.equal(isDestroyed, true, 'after the last one');
    });
  });

  test('each token is counted by its name from a moment on, again and again', async () => {
    await using audited = new Audited(await newPlace(), keys);
    await audited.run(async (store) => {
      await audited.insert(store, ...many(20));
      const shop = await shopOf(store);
      await audited.place.forgeToken(7, 'forged');
      await turn(store, 'pet', 0, 20);
      let position = 0;
      const leave = async (...records: [count: number, at: number, token: number][]) => {
        const before = position;
        const handOuts = records.map(([count, at, token]) => {
          const record = { position, count, at, token };
          position += count;
          return record;
        });
        await turn(store, 'pet', position - before, 0, told(...handOuts));
      };
      await using reader = await audited.place.reader();
      assert.deepEqual(await reader.taken(AT), []);
      await leave([1, AT - 1, shop], [2, AT, shop], [1, AT + 1, 0], [3, AT - 5, 0]);
      const first = [
        { token: 'shop', addresses: 2 },
        { token: undefined, addresses: 1 },
      ];
      assert.deepEqual(await reader.taken(AT), first);
      assert.deepEqual(await reader.taken(AT), first, 'nothing counts twice');
      await leave([4, AT + 3000, 0], [1, AT + 2000, 7]);
      await leave([1, AT - 2, 7], [2, AT + 1, shop]);
      assert.deepEqual(await reader.taken(AT), [
        { token: undefined, addresses: 5 },
        { token: 'shop', addresses: 4 },
        { token: '#7', addresses: 1 },
      ]);
      assert.deepEqual(await reader.taken(AT + 2000), [
        { token: undefined, addresses: 4 },
        { token: '#7', addresses: 1 },
      ]);
      await store.tokens.revoke('shop');
      const [token, ...others] = await reader.tokens();
      assert.deepEqual(others, [], 'a row of somebody else is no token');
      const { createdAt, revokedAt, ...rest } = token!;
      assert.deepEqual(rest, { id: shop, name: 'shop', offAt: undefined });
      assert.ok(createdAt >= AT + 9000 && revokedAt! >= createdAt);
    });
  });
}
