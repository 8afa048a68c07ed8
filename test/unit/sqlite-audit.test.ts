import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { addressOf, decodeBase58 } from '../../src/keypair/address.ts';
import { KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import type { AuditedAddress } from '../../src/store/audit-store.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import type { Recover } from '../../src/store/recovery.ts';
import { AuditReader, isSettled } from '../../src/store/sqlite/audit-reader.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { TestTime } from '../support/test-time.ts';
import { returnLease, turn } from '../support/turns.ts';

/** Of hand-outs; the store's clock stands at some seconds later. */
const TIME = new TestTime();
const AT = TIME.system();
TIME.pass(10_000);
const KEY = randomBytes(32);

/** A store whose addresses the test knows: the one with id n is `addresses[n]`. */
class Audited implements Disposable {
  readonly directory = temporaryDirectory();
  readonly keySource = `file:${join(this.directory, 'sealing.key')}`;
  readonly addresses: string[] = ['none has id 0'];
  readonly #keys: KeyType;

  constructor(keys: KeyType) {
    this.#keys = keys;
  }

  /** Its epochs end as by a crash, unless `work` returns what is leased. */
  async epoch<T>(work: (store: Store) => Promise<T>, recover?: Recover): Promise<T> {
    const { directory, keySource: sealingKey } = this;
    await using store = await openSqliteStore({
      directory,
      sealingKey,
      time: TIME,
      ...(recover !== undefined && { recover }),
    });
    for (const name of ['pet', 'pump']) await store.definePool(poolNamed(name, this.#keys));
    return await work(store);
  }

  async insert(store: Store, ...pools: string[]): Promise<void> {
    const hits = pools.flatMap((pool) => hitsFor(pool, 1, this.#keys));
    await store.insert(hits);
    this.addresses.push(...hits.map(({ publicKey }) => addressOf(publicKey)));
  }

  exec(sql: string): void {
    withDatabase(this.directory, (db) => db.exec(sql));
  }

  /** In pages of `limit`, which may be empty. */
  async list(filter: { pool?: string; since?: number } = {}, limit = 1000) {
    await using reader = await AuditReader.open(this.directory, this.keySource);
    const found: AuditedAddress[] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await reader.page({ after, limit, ...filter });
      assert.ok(page.addresses.length <= limit);
      found.push(...page.addresses);
      after = page.next;
    }
    return found;
  }

  /** 'id state token key cause', having looked that each address is that of its id. */
  async lines(...args: Parameters<Audited['list']>): Promise<string[]> {
    return (await this.list(...args)).map(({ id, address, state, token, keyHash, cause }) => {
      assert.equal(address, this.addresses[id], `id ${id}`);
      if (keyHash !== undefined) assert.deepEqual(Buffer.from(keyHash), KEY);
      const key = keyHash === undefined ? '-' : 'key';
      return [id, state, token ?? '-', key, cause ?? '-'].join(' ');
    });
  }

  [Symbol.dispose](): void {
    removeDirectory(this.directory);
  }
}

const handOut = (position: number, count: number, rest: Partial<HandOut> = {}): HandOut => ({
  position,
  count,
  at: AT,
  token: 0,
  ...rest,
});
const told = (...records: HandOut[]) => ({ records, journals: new Map() });
const many = (count: number, pool = 'pet') => Array.from({ length: count }, () => pool);

/**
 * Ids 1 to 8 are leased, and of these 1 to 5 left: 1 and 2 for a key, 3 by a thread that could not
 * say for whom, 4 and 5 with a token. Then the run was killed: 6 to 8 are burned, 9 to 12 available.
 */
async function killed(keys: KeyType): Promise<Audited> {
  const audited = new Audited(keys);
  await audited.epoch(async (store) => {
    await audited.insert(store, ...many(12));
    audited.exec(`INSERT INTO tokens (id, name, hash, scopes, created_at)
      VALUES (7, 'shop', zeroblob(32), '[]', 0)`);
    await turn(store, 'pet', 0, 8);
    const first = handOut(0, 2, { key: KEY, body: randomBytes(32) });
    await turn(store, 'pet', 5, 0, told(first, handOut(3, 2, { at: AT + 1000, token: 7 })));
  });
  await audited.epoch(async () => {});
  return audited;
}

const KILLED = [
  '1 dispensed - key -',
  '2 dispensed - key -',
  '3 dispensed - - -',
  '4 dispensed shop - -',
  '5 dispensed shop - -',
  '6 burned - - crash',
  '7 burned - - crash',
  '8 burned - - crash',
];

for (const keys of KEY_TYPES) {
  suite(`keys of type ${keys}`, () => {
    test('what left is listed with whom it went, what is burned with its cause, and nothing else', async () => {
      using audited = await killed(keys);
      assert.deepEqual(await audited.lines(), KILLED);
      const list = await audited.list();
      assert.deepEqual(
        [0, 1, 3, 4].map((index) => list[index]!.at),
        [AT, AT, AT + 1000, AT + 1000],
      );
      const { changed_at } = withDatabase(
        audited.directory,
        (db) => db.prepare('SELECT changed_at FROM segments WHERE first = 1').get()!,
      );
      assert.equal(list[2]!.at, changed_at, 'without a hand-out the time is that of the state');
    });

    test('it says the same after the secrets are destroyed', async () => {
      using audited = await killed(keys);
      await audited.epoch(async (store) => {
        assert.equal(await store.destroySecrets(ANY_AGE), 8);
      });
      assert.deepEqual(await audited.lines(), KILLED);
    });

    test('pages of any size make the same list, and a page looks at no more than its limit', async () => {
      using audited = await killed(keys);
      for (const limit of [1, 3, 8, 12, 13])
        assert.deepEqual(await audited.lines({}, limit), KILLED);
      await using reader = await AuditReader.open(audited.directory, audited.keySource);
      const page = await reader.page({ after: 8, limit: 2 });
      assert.deepEqual(page, { addresses: [], next: 10 });
      // What is full and the last is known to be the last.
      for (const after of [10, 11, 12]) {
        const end = { addresses: [], next: undefined };
        assert.deepEqual(await reader.page({ after, limit: 2 }), end);
      }
    });

    test('what may still leave is never listed, nor unsealed: it is in no page', async () => {
      using audited = new Audited(keys);
      await audited.epoch(async (store) => {
        await audited.insert(store, ...many(6));
        await turn(store, 'pet', 0, 4);
        assert.deepEqual(await audited.lines(), []);
        await turn(store, 'pet', 1, 0, told(handOut(0, 1)));
        assert.deepEqual(await audited.lines(), ['1 dispensed - - -']);
        audited.exec(`UPDATE segments SET state = 'reserved', lease = 0 WHERE state = 'leased'`);
        assert.deepEqual(await audited.lines(), [
          '1 dispensed - - -',
          '2 reserved - - -',
          '3 reserved - - -',
          '4 reserved - - -',
        ]);
      });
    });

    test('an address that came back and left in a later epoch is listed with who got it then', async () => {
      using audited = new Audited(keys);
      const nothingLeft: Recover = () => [];
      await audited.epoch(async (store) => {
        await audited.insert(store, ...many(4));
        await store.addJournals([{ pool: 'pet', number: 1 }]);
        await turn(store, 'pet', 0, 4);
        const first = handOut(0, 1, { key: KEY, body: randomBytes(32) });
        await turn(store, 'pet', 1, 0, told(first));
      });
      await audited.epoch(async (store) => {
        await turn(store, 'pet', 0, 2);
        // Position 0 of this epoch is that of id 2; in the one before it was that of id 1.
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
      using audited = new Audited(keys);
      await audited.epoch(async (store) => {
        await audited.insert(store, 'pump', 'pet', 'pump', 'pet', 'pump', 'pet', 'pet');
        audited.exec('UPDATE addresses SET sealed = zeroblob(92) WHERE id = 4');
        audited.addresses[4] = undefined!;
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
      await audited.epoch(async () => {});
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
      await audited.epoch((store) => store.destroySecrets(ANY_AGE));
      assert.deepEqual(await audited.lines(), expected, 'what could not be read is not made up');
    });

    test('a public key that is not the one of its row is not listed', async () => {
      using audited = await killed(keys);
      await audited.epoch((store) => store.destroySecrets(ANY_AGE));
      audited.exec(`UPDATE addresses SET sealed = (SELECT sealed FROM addresses WHERE id = 2)
    WHERE id = 1`);
      const [first, second] = await audited.list();
      assert.deepEqual([first!.address, second!.address], [undefined, audited.addresses[2]]);
    });

    test('what the store says of itself: the figures that a whole list adds up to', async () => {
      using audited = await killed(keys);
      await using reader = await AuditReader.open(audited.directory, audited.keySource);
      const { storeId, ...rest } = await reader.store();
      assert.match(storeId, /^[0-9a-f]{32}$/);
      assert.deepEqual(rest, { epoch: 2, pools: ['pet', 'pump'], leased: 0, listed: 8 });
    });

    test('another sealing key, or none, is refused before anything is listed', async () => {
      using audited = await killed(keys);
      const other = join(audited.directory, 'other.key');
      const open = () => AuditReader.open(audited.directory, `file:${other}`);
      await assert.rejects(open(), { code: 'SEALING_KEY_INVALID', message: /missing; without/ });
      writeFileSync(other, `${'07'.repeat(32)}\n`, { mode: 0o600 });
      await assert.rejects(open(), {
        code: 'SEALING_KEY_INVALID',
        message: /not the key that the/,
      });
    });

    test('settled is a store that a crash left nothing to say for', async () => {
      using audited = new Audited(keys);
      await audited.epoch((store) => audited.insert(store, ...many(2)));
      assert.equal(isSettled(audited.directory), true);
      await audited.epoch((store) => turn(store, 'pet', 0, 1));
      assert.equal(isSettled(audited.directory), false, 'one is leased');
      await audited.epoch((store) => store.addJournals([{ pool: 'pet', number: 1 }]));
      assert.equal(isSettled(audited.directory), false, 'a journal may have more to say');
      await audited.epoch(async () => {});
      assert.equal(isSettled(audited.directory), true);
    });

    test('of an address that was leased twice in one epoch the newest lease counts', async () => {
      using audited = await killed(keys);
      audited.exec(`INSERT INTO leases (pool_id, epoch, position, first, last) VALUES (1, 1, 20, 1, 3);
    INSERT INTO hand_outs (pool_id, epoch, position, count, at, token_id)
      VALUES (1, 1, 21, 2, ${AT}, 7)`);
      assert.deepEqual((await audited.lines()).slice(0, 4), [
        '1 dispensed - - -',
        '2 dispensed shop - -',
        '3 dispensed shop - -',
        '4 dispensed shop - -',
      ]);
    });

    test('an address that damage left without a state is not given that of its neighbours', async () => {
      using audited = await killed(keys);
      audited.exec(`UPDATE segments SET last = last - 1 WHERE state = 'burned'`);
      assert.deepEqual(await audited.lines(), KILLED.slice(0, -1));
    });

    test('one address is found by its public key, in whatever state, as the pages list it', async () => {
      using audited = await killed(keys);
      await audited.epoch(async (store) => {
        await turn(store, 'pet', 0, 1);
        await using reader = await AuditReader.open(audited.directory, audited.keySource);
        const lines: string[] = [];
        for (const [id, address] of audited.addresses.entries()) {
          if (id === 0) continue;
          const found = (await reader.find(decodeBase58(address)))!;
          const { state, token, keyHash, cause, origin, isDestroyed, pool } = found;
          assert.deepEqual([found.id, pool, origin, isDestroyed], [id, 'pet', 'ground', false]);
          assert.equal(found.at === undefined, state === 'available');
          const key = keyHash === undefined ? '-' : 'key';
          lines.push([id, state, token ?? '-', key, cause ?? '-'].join(' '));
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
        const { isDestroyed, state } = (await reader.find(decodeBase58(audited.addresses[1]!)))!;
        assert.deepEqual([isDestroyed, state], [true, 'dispensed']);
        assert.equal((await reader.find(decodeBase58(audited.addresses[9]!)))!.isDestroyed, false);
      });
    });
  });
}
