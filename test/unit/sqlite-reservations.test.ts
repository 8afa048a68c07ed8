/** Reservations and signatures in a real store: whose address it is, whatever is held beside it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { sealedBytes } from '../../src/keypair/seal.ts';
import { type Hit, KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import { readyAddress } from '../../src/pool/ready-address.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import type { Time } from '../../src/store/own-clock.ts';
import type { SignatureOrder } from '../../src/store/signature-store.ts';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import type { Store } from '../../src/store/store.ts';
import { adoptIn, SqliteStores, withDatabase } from '../support/sqlite-stores.ts';
import { ANY_AGE, hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const MINUTE_MS = 60_000;
const NOBODY = { token: 0 };

/** The machine's, and what the test lets pass beside. */
class PassedTime implements Time {
  #passedMs = 0;

  pass(ms: number): void {
    this.#passedMs += ms;
  }

  system(): number {
    return Date.now() + this.#passedMs;
  }

  elapsed(): number {
    return performance.now() + this.#passedMs;
  }

  wake(): void {}
}

/** Eight leased addresses, in a store that is checked at the end. */
class Subject implements AsyncDisposable {
  readonly time = new PassedTime();
  readonly stores = new SqliteStores(this.time);
  store!: Store;
  hits!: Hit[];

  static async open(keys: KeyType): Promise<Subject> {
    const subject = new Subject();
    subject.store = await subject.stores.open();
    await subject.store.definePool(poolNamed('pet', keys));
    subject.hits = hitsFor('pet', 20, keys);
    await subject.store.insert(subject.hits);
    await turn(subject.store, 'pet', 0, 8);
    return subject;
  }

  get directory(): string {
    return this.stores.directoryOf(this.store);
  }

  /** Pops as a turn gets them: `held` positions are reserved, the others dispensed. */
  async pop(from: number, count: number, held: readonly number[], ttlMs = MINUTE_MS, token = 0) {
    const at = Date.now();
    const records: HandOut[] = Array.from({ length: count }, (_, index) => {
      const position = from + index;
      const reservation = { id: idOf(position), ttlMs };
      return { position, count: 1, at, token, ...(held.includes(position) && { reservation }) };
    });
    return await turn(this.store, 'pet', count, 0, { records, journals: new Map() });
  }

  address(index: number): string {
    return encodeBase58(this.hits[index]!.publicKey);
  }

  async figures(): Promise<string> {
    const { available, leased, reserved, dispensed, burned } = await this.store.counts('pet');
    return [available, leased, reserved, dispensed, burned].join(' ');
  }

  async reopen(): Promise<void> {
    this.store = await this.stores.reopen(this.store);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stores.destroy(this.store);
  }
}

const idOf = (position: number) => position.toString(16).padStart(32, '0');

for (const keys of KEY_TYPES) {
  suite(`keys of type ${keys}`, () => {
    test('what is held in the middle of what is dispensed is the address of its position', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 5, [1, 3]);
      assert.equal(await subject.figures(), '12 3 2 3 0');
      const { reservations } = subject.store;
      assert.equal((await reservations.get(idOf(1), 0)).address, subject.address(1));
      assert.equal((await reservations.get(idOf(3), 0)).address, subject.address(3));
      await subject.pop(5, 2, [5, 6]);
      assert.equal((await reservations.get(idOf(6), 0)).address, subject.address(6));
      const leased = await reservations.dispense(idOf(3), 0, 'pet');
      assert.deepEqual(Buffer.from(leased.key), Buffer.from(subject.hits[3]!.key));
      assert.equal(leased.id, 4);
      assert.equal(await subject.figures(), '12 1 3 4 0');
      await subject.reopen();
      assert.equal(
        await subject.figures(),
        '12 0 3 4 1',
        'a crash burns what was leased, nothing held',
      );
      const again = await subject.store.reservations.dispense(idOf(3), 0, 'pet');
      assert.deepEqual(Buffer.from(again.key), Buffer.from(subject.hits[3]!.key));
    });

    test('a reservation is its own token’s; any other finds none', async () => {
      await using subject = await Subject.open(keys);
      const any = { scopes: [], pools: undefined, quota: undefined, expiresAt: undefined };
      const { id } = await subject.store.tokens.create({
        ...any,
        name: 'a',
        hash: randomBytes(32),
      });
      await subject.pop(0, 1, [0], MINUTE_MS, id);
      const { reservations } = subject.store;
      assert.equal((await reservations.get(idOf(0), id)).token, id);
      for (const other of [0, id + 1]) {
        const none = { code: 'RESERVATION_NOT_FOUND' };
        await assert.rejects(reservations.get(idOf(0), other), none);
        await assert.rejects(reservations.dispense(idOf(0), other, 'pet'), none);
        await assert.rejects(reservations.release(idOf(0), other, false), none);
      }
      assert.equal(await subject.figures(), '12 7 1 0 0');
    });

    test('it ends once: dispensed, released or expired, and stays that', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 3, [0, 1, 2]);
      const { reservations } = subject.store;
      await reservations.dispense(idOf(0), 0, 'pet');
      await reservations.release(idOf(1), 0, false);
      await reservations.release(idOf(1), 0, false);
      assert.equal((await reservations.expire(() => false)).size, 0, 'not yet');
      subject.time.pass(MINUTE_MS);
      assert.deepEqual([...(await reservations.expire(() => false))], [['pet', 1]]);
      assert.equal((await reservations.expire(() => false)).size, 0);
      assert.equal(await subject.figures(), '12 5 0 1 2');
      const over = { code: 'RESERVATION_OVER' };
      await assert.rejects(reservations.release(idOf(0), 0, true), over);
      for (const ended of [1, 2])
        await assert.rejects(reservations.dispense(idOf(ended), 0, 'pet'), over);
      const states = [0, 1, 2].map(async (at) => (await reservations.get(idOf(at), 0)).state);
      assert.deepEqual(await Promise.all(states), ['dispensed', 'released', 'expired']);
      const causes = withDatabase(subject.directory, (db) =>
        db.prepare("SELECT cause FROM segments WHERE state = 'burned' ORDER BY first").all(),
      );
      assert.deepEqual(
        causes.map(({ cause }) => cause),
        ['released', 'expired'],
      );
    });

    test('one whose time is over is not handed out, even before it is ended', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 1, [0], -1);
      await assert.rejects(subject.store.reservations.dispense(idOf(0), 0, 'pet'), {
        code: 'RESERVATION_OVER',
      });
      assert.equal(await subject.figures(), '12 7 1 0 0');
    });

    test('what a pool takes back is leased again, to the one who gets it then', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 8, [2]);
      await subject.store.reservations.release(idOf(2), 0, true);
      const { leased } = await turn(subject.store, 'pet', 0, 2);
      assert.deepEqual(
        leased.map(({ id }) => id),
        [3, 9],
        'the oldest available',
      );
      const key = randomBytes(32);
      const record = { position: 8, count: 2, at: Date.now(), ...NOBODY, key, body: key };
      await turn(subject.store, 'pet', 2, 0, { records: [record], journals: new Map() });
      const again = await subject.store.handOut(key, 'pet');
      assert.deepEqual(
        again!.addresses!.map(({ id }) => id),
        [3, 9],
      );
    });

    test('after its retention it gives no secret, and still its address', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 1, [0]);
      await subject.store.reservations.dispense(idOf(0), 0, 'pet');
      await subject.store.destroySecrets(ANY_AGE);
      await assert.rejects(subject.store.reservations.dispense(idOf(0), 0, 'pet'), {
        code: 'RESERVATION_OVER',
      });
      const { address } = await subject.store.reservations.get(idOf(0), 0);
      assert.equal(address, subject.address(0));
    });

    test('an address that left without its secret is returned again when that is destroyed', async () => {
      await using subject = await Subject.open(keys);
      await subject.store.definePool({ ...poolNamed('vault', keys), handout: 'sign-only' });
      const [hit] = hitsFor('vault', 1, keys);
      await subject.store.insert([hit!]);
      await turn(subject.store, 'vault', 0, 1);
      const key = randomBytes(32);
      const record = { position: 0, count: 1, at: Date.now(), ...NOBODY, key, body: key };
      await turn(subject.store, 'vault', 1, 0, { records: [record], journals: new Map() });
      const told = async () =>
        (await subject.store.handOut(key, 'vault'))!.addresses!.map(readyAddress);
      const before = await told();
      assert.deepEqual(
        before.map(({ address, secret, keyType }) => [address, secret, keyType]),
        [[addressOf(hit!.publicKey), encodeBase58(hit!.key), keys]],
      );
      await subject.store.destroySecrets(ANY_AGE);
      assert.deepEqual(await told(), [{ ...before[0]!, secret: '' }]);
    });

    test('a restored store gives nothing that was held before', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 1, [0]);
      const { directory } = subject;
      await subject.store.close();
      await adoptIn({ directory, as: 'restored' });
      await subject.reopen();
      await assert.rejects(subject.store.reservations.dispense(idOf(0), 0, 'pet'), {
        code: 'RESERVATION_OVER',
      });
      subject.time.pass(MINUTE_MS);
      await subject.store.reservations.expire(() => true);
      assert.equal((await subject.store.reservations.get(idOf(0), 0)).state, 'expired');
      assert.match(await subject.figures(), /^0 0 0 0 20$/);
    });

    const signing = (subject: Subject, index: number, more: Partial<SignatureOrder> = {}) =>
      subject.store.signatures.sign({
        limits: new Map([['pet', 2]]),
        publicKey: subject.hits[index]!.publicKey,
        token: 0,
        messageHash: Buffer.alloc(32, 1),
        sign: () => Buffer.alloc(64, 7),
        ...more,
      });

    test('only a dispensed address signs, and only for whom it was dispensed to', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 3, [1]);
      let asked = 0;
      const count = { sign: () => Buffer.alloc(64, ++asked) };
      for (const index of [1, 5, 15]) {
        await assert.rejects(signing(subject, index, count), { code: 'ADDRESS_NOT_FOUND' });
      }
      await assert.rejects(signing(subject, 0, { ...count, token: 1 }), {
        code: 'ADDRESS_NOT_FOUND',
      });
      await assert.rejects(signing(subject, 0, { ...count, limits: new Map([['pump', 2]]) }), {
        code: 'ADDRESS_NOT_FOUND',
      });
      assert.equal(asked, 0, 'the key was not touched');
      const used: unknown[] = [];
      await signing(subject, 0, {
        sign: ({ keyType, key, publicKey }) => {
          used.push(keyType, Buffer.from(key), Buffer.from(publicKey));
          return Buffer.alloc(64, 7);
        },
      });
      const { key, publicKey } = subject.hits[0]!;
      assert.deepEqual(used, [keys, Buffer.from(key), Buffer.from(publicKey)]);
    });

    test('signatures are counted, repeated for the same message, and end the secret', async () => {
      await using subject = await Subject.open(keys);
      await subject.pop(0, 1, []);
      const hashOf = (message: number) => ({ messageHash: Buffer.alloc(32, message) });
      const first = await signing(subject, 0, { ...hashOf(1), sign: () => Buffer.alloc(64, 1) });
      const failing = {
        ...hashOf(2),
        sign: () => {
          throw new Error('no');
        },
      };
      await assert.rejects(signing(subject, 0, failing), /no/);
      assert.deepEqual(Buffer.from(await signing(subject, 0, hashOf(1))), first);
      await signing(subject, 0, hashOf(2));
      await assert.rejects(signing(subject, 0, hashOf(3)), { code: 'SIGN_LIMIT_REACHED' });
      await subject.reopen();
      assert.deepEqual(Buffer.from(await signing(subject, 0, hashOf(1))), first);
      await assert.rejects(signing(subject, 0, { ...hashOf(3), limits: new Map([['pet', 3]]) }), {
        code: 'ADDRESS_NOT_FOUND',
      });
      const sealed = withDatabase(subject.directory, (db) =>
        db.prepare('SELECT sealed FROM addresses WHERE seq = 1').get(),
      );
      const publicKey = Buffer.from(subject.hits[0]!.publicKey);
      const left = Buffer.concat([publicKey, Buffer.alloc(sealedBytes(keys) - 32)]);
      assert.deepEqual(Buffer.from(sealed!.sealed as Uint8Array), left, 'the secret is gone');
    });

    test('what was held through a restart is its token’s afterwards, too', async () => {
      await using subject = await Subject.open(keys);
      const any = { scopes: [], pools: undefined, quota: undefined, expiresAt: undefined };
      const { id } = await subject.store.tokens.create({
        ...any,
        name: 'a',
        hash: randomBytes(32),
      });
      await subject.pop(0, 2, [0, 1], MINUTE_MS, id);
      await subject.reopen();
      await subject.store.reservations.dispense(idOf(0), id, 'pet');
      await subject.store.reservations.release(idOf(1), id, false);
      await assert.rejects(signing(subject, 0), { code: 'ADDRESS_NOT_FOUND' });
      assert.equal((await signing(subject, 0, { token: id })).length, 64);
      const sealingKey = `file:${join(subject.directory, 'sealing.key')}`;
      await using reader = await AuditReader.open(subject.directory, sealingKey);
      const { addresses } = await reader.page({ after: 0, limit: 2 });
      assert.deepEqual(
        addresses.map(({ state, token }) => `${state} ${token}`),
        ['dispensed a', 'burned a'],
      );
    });
  });
}
