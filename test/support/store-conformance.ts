/**
 * What every store must do, with the store and the type of its keys as parameters. A store does not
 * prove its hits: keys are random bytes. A figure line such as '1 0 2 0' is available, leased, dispensed and burned.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { type Hit, KEY_TYPES, type KeyType } from '../../src/keypair/signing-key.ts';
import { someKey } from './keys.ts';
import {
  ANY_AGE,
  GRID,
  hexOf,
  OPERATIONS,
  poolNamed,
  REFUSED,
  SITUATIONS,
  type StoreMaker,
  Subject,
} from './store-subject.ts';
import { turnConformance } from './turn-conformance.ts';
import { returnLease, turn } from './turns.ts';

export function storeConformance(
  name: string,
  maker: StoreMaker,
  keyTypes: readonly KeyType[] = KEY_TYPES,
): void {
  for (const keyType of keyTypes) {
    suite(`${name}, keys of type ${keyType}`, () => {
      conformance(() => Subject.open(maker, keyType), keyType);
    });
  }
}

function conformance(open: () => Promise<Subject>, keyType: KeyType): void {
  suite(`operation by situation`, () => {
    for (const [situation, arrange] of Object.entries(SITUATIONS)) {
      for (const [operation, operate] of Object.entries(OPERATIONS)) {
        const [touched, figures] = GRID[situation]![operation]!;
        test(`${operation} when ${situation}: ${touched}, then ${figures}`, async () => {
          await using subject = await open();
          await arrange(subject);
          const result = await operate(subject).catch((error: unknown) => {
            assert.ok(error instanceof RangeError, String(error));
            return REFUSED;
          });
          assert.equal(result, touched);
          assert.equal(await subject.figures(), figures);
          assert.equal(await subject.figures('pump'), '0 0 0 0', 'the other pool is left alone');
        });
      }
    }
  });

  suite('queues', () => turnConformance(open));

  suite(`leases`, () => {
    test('give the addresses that went in, oldest first, each once', async () => {
      // The clock of a store may be behind by what a millisecond cuts off, and by what its start took to hear of it.
      const before = Date.now() - 1;
      await using subject = await open();
      const hits = await subject.insert(5);
      const { leased, burned, counts } = await turn(subject.store, 'pet', 0, 3);
      assert.equal(burned, 0);
      assert.equal(counts.leased, 3);
      const rest = (await turn(subject.store, 'pet', 3, 9)).leased;
      const all = [...leased, ...rest];
      assert.deepEqual(all.map(hexOf), hits.map(hexOf));
      for (const one of all) {
        assert.ok(one.createdAt >= before && one.createdAt <= Date.now());
        assert.deepEqual([one.origin, one.keyType], ['ground', keyType]);
      }
    });

    test('that are given back are leased again in the same order', async () => {
      await using subject = await open();
      await subject.insert(6);
      const { leased } = await turn(subject.store, 'pet', 0, 4);
      await turn(subject.store, 'pet', 1, 0);
      assert.equal(await returnLease(subject.store, 'pet'), 3);
      const again = (await turn(subject.store, 'pet', 0, 6)).leased;
      assert.deepEqual(
        again.slice(0, 3).map(({ id }) => id),
        leased.slice(1).map(({ id }) => id),
      );
      assert.equal(again.length, 5);
    });

    test('of a run that ended without a return are burned, and nothing else', async () => {
      await using subject = await open();
      await subject.insert(6);
      const { leased } = await turn(subject.store, 'pet', 0, 4);
      await turn(subject.store, 'pet', 1, 0);
      await subject.reopen();
      assert.deepEqual(subject.store.recovered, { pet: { dispensed: 0, returned: 0, burned: 3 } });
      assert.equal(await subject.figures(), '2 0 1 3');
      const given = new Set(leased.map(({ id }) => id));
      const { leased: rest } = await turn(subject.store, 'pet', 0, 9);
      assert.ok(rest.every(({ id }) => !given.has(id)));
      await returnLease(subject.store, 'pet');
      await subject.reopen();
      assert.deepEqual(subject.store.recovered, {}, 'a clean stop burns nothing');
      assert.equal(await subject.figures(), '2 0 1 3');
    });

    test('of one pool leave the others alone', async () => {
      await using subject = await open();
      const mixed = subject.hits(2).flatMap((hit) => [hit, ...subject.hits(2, 'pump')]);
      await subject.store.insert(mixed);
      await turn(subject.store, 'pump', 0, 3);
      await turn(subject.store, 'pump', 2, 0);
      assert.equal(await subject.figures('pump'), '1 1 2 0');
      assert.equal(await subject.figures('pet'), '2 0 0 0');
    });
  });

  suite(`identity`, () => {
    test('ids are positive, grow in the order of insertion over all pools, and never come again', async () => {
      await using subject = await open();
      const ids: number[] = [];
      for (let run = 0; run < 3; run++) {
        const hits = ['pump', 'pet', 'pump', 'pet'].flatMap((pool) => subject.hits(1, pool));
        await subject.store.insert([...hits, hits[0]!]);
        const leased = [];
        for (const pool of ['pet', 'pump']) {
          leased.push(...(await turn(subject.store, pool, 0, 9)).leased);
        }
        ids.push(...leased.map(({ id }) => id).sort((a, b) => a - b));
        await subject.reopen();
      }
      assert.equal(ids.length, 12);
      assert.ok(ids[0]! > 0);
      assert.ok(
        ids.every((id, index) => index === 0 || id > ids[index - 1]!),
        ids.join(),
      );
    });

    test('the store keeps its id, and its epoch grows by one with every opening', async () => {
      await using subject = await open();
      const { id, epoch } = subject.store;
      assert.match(id, /^[0-9a-f]{32}$/);
      await subject.reopen();
      assert.deepEqual([subject.store.id, subject.store.epoch], [id, epoch + 1]);
      await using other = await open();
      assert.notEqual(other.store.id, id);
    });

    test('a pool is made once, and never with another pattern', async () => {
      await using subject = await open();
      await subject.insert(1);
      // A store of one run leaves the target to the configuration.
      const { counts, settings, isPaused, isRemoved, position, target, ...identity } =
        await subject.store.definePool(poolNamed('pet', keyType));
      assert.deepEqual(identity, poolNamed('pet', keyType));
      assert.deepEqual([settings, isPaused, isRemoved, position], [undefined, false, false, 0]);
      assert.equal(counts.ground, 1);
      assert.equal(target, subject.store.isShared ? 0 : undefined);
      const others = [
        { prefix: 'a' },
        { suffix: 'pump' },
        { ignoreCase: true },
        { handout: 'sign-only' },
        { keys: keyType === 'seed' ? 'expanded' : 'seed' },
      ] as const;
      for (const other of others) {
        const define = subject.store.definePool({ ...poolNamed('pet', keyType), ...other });
        await assert.rejects(define, { code: 'POOL_MISMATCH' });
      }
      assert.deepEqual(
        (await subject.store.pools()).map(({ name: pool }) => pool),
        ['pet', 'pump'],
      );
    });
  });

  suite(`imports`, () => {
    test('what is imported counts as that, and leaves as that', async () => {
      await using subject = await open();
      const { store } = subject;
      await subject.insert(2);
      const [one, two] = subject.hits(2) as [Hit, Hit];
      const report = await store.insert([one, two, one], 'imported');
      assert.deepEqual(report, { inserted: 2, duplicates: 1 });
      await subject.insert(1);
      const { ground, imported, available } = await store.counts('pet');
      assert.deepEqual([ground, imported, available], [3, 2, 5]);
      const { leased } = await turn(store, 'pet', 0, 5);
      const origins = leased.map(({ origin }) => origin);
      assert.deepEqual(origins, ['ground', 'ground', 'imported', 'imported', 'ground']);
    });

    test('what was dispensed or burned cannot be imported again', async () => {
      await using subject = await open();
      const hits = await subject.insert(4);
      await turn(subject.store, 'pet', 0, 4);
      await turn(subject.store, 'pet', 2, 0);
      await subject.reopen();
      assert.equal(await subject.figures(), '0 0 2 2');
      const report = await subject.store.insert(hits, 'imported');
      assert.deepEqual(report, { inserted: 0, duplicates: 4 });
      assert.equal((await subject.store.counts('pet')).imported, 0);
    });
  });

  suite(`duplicates`, () => {
    test('within a batch and between batches and pools are dropped and counted', async () => {
      await using subject = await open();
      const [one, two] = subject.hits(2) as [Hit, Hit];
      const first = await subject.store.insert([one, one, two, { ...one, pool: 'pump' }]);
      assert.deepEqual(first, { inserted: 2, duplicates: 2 });
      const again = await subject.store.insert([two, { ...two, pool: 'pump' }]);
      assert.deepEqual(again, { inserted: 0, duplicates: 2 });
      assert.equal(await subject.figures(), '2 0 0 0');
      assert.equal(await subject.figures('pump'), '0 0 0 0');
    });

    test('are known in every state, also after the secret is destroyed', async () => {
      await using subject = await open();
      const hits = await subject.insert(4);
      await turn(subject.store, 'pet', 0, 3);
      await turn(subject.store, 'pet', 2, 0);
      await subject.store.destroySecrets(ANY_AGE);
      assert.deepEqual(await subject.store.insert(hits), { inserted: 0, duplicates: 4 });
      await subject.reopen();
      assert.equal(await subject.figures(), '1 0 2 1');
      assert.deepEqual(await subject.store.insert(hits), { inserted: 0, duplicates: 4 });
    });

    test('are identified by the public key alone', async () => {
      await using subject = await open();
      const [hit] = await subject.insert(1);
      const key = Buffer.from(hit!.key);
      randomBytes(32).copy(key);
      assert.equal((await subject.store.insert([{ ...hit!, key }])).duplicates, 1);
    });
  });

  suite(`failures`, () => {
    test('a batch with a hit for no pool inserts nothing and can be tried again', async () => {
      await using subject = await open();
      const hits = subject.hits(3);
      await assert.rejects(subject.store.insert([...hits, ...subject.hits(1, 'none')]), {
        code: 'POOL_NOT_FOUND',
      });
      assert.equal(await subject.figures(), '0 0 0 0');
      assert.deepEqual(await subject.store.insert(hits), { inserted: 3, duplicates: 0 });
      const { leased } = await turn(subject.store, 'pet', 0, 3);
      assert.deepEqual(leased.map(hexOf), hits.map(hexOf));
    });

    test('a turn that records more than is leased changes nothing', async () => {
      await using subject = await open();
      await subject.insert(3);
      await turn(subject.store, 'pet', 0, 1);
      await assert.rejects(turn(subject.store, 'pet', 2, 1), RangeError);
      assert.equal(await subject.figures(), '2 1 0 0');
    });

    test('a pool that is not there has no counts, no turn and no lease', async () => {
      await using subject = await open();
      const { store } = subject;
      for (const call of [store.counts('no'), turn(store, 'no', 0, 1), returnLease(store, 'no')]) {
        await assert.rejects(call, { code: 'POOL_NOT_FOUND' });
      }
    });

    test('a key of another length or of another type than its pool is refused', async () => {
      await using subject = await open();
      const [hit] = subject.hits(1);
      for (const wrong of [
        { key: randomBytes(63) },
        { publicKey: randomBytes(31) },
        someKey(keyType === 'seed' ? 'expanded' : 'seed'),
      ]) {
        await assert.rejects(subject.store.insert([{ ...hit!, ...wrong }]), RangeError);
      }
      assert.equal(await subject.figures(), '0 0 0 0');
    });
  });

  suite(`the rest`, () => {
    test('counters outlive a run; those that are not named keep their value', async () => {
      await using subject = await open();
      assert.deepEqual(await subject.store.counters(), {});
      await subject.store.saveCounters({ attempts: 2 ** 53 - 1, hits: 1 });
      await subject.store.saveCounters({ hits: 2 });
      await subject.reopen();
      assert.deepEqual(await subject.store.counters(), { attempts: 2 ** 53 - 1, hits: 2 });
    });

    test('only what was dispensed or burned before a time is destroyed, once', async () => {
      await using subject = await open();
      await subject.insert(3);
      await turn(subject.store, 'pet', 0, 3);
      await turn(subject.store, 'pet', 2, 0);
      assert.equal(await subject.store.destroySecrets(60_000), 0);
      assert.equal(await subject.store.destroySecrets(ANY_AGE), 2);
      assert.equal(await subject.store.destroySecrets(ANY_AGE), 0);
      assert.equal(await subject.figures(), '0 1 2 0');
      await subject.reopen();
      assert.equal(await subject.store.destroySecrets(ANY_AGE), 1, 'burned by now');
      assert.equal(await subject.figures(), '0 0 2 1');
    });

    test('an empty batch and an empty turn are nothing', async () => {
      await using subject = await open();
      assert.deepEqual(await subject.store.insert([]), { inserted: 0, duplicates: 0 });
      const { leased, burned } = await turn(subject.store, 'pet', 0, 0);
      assert.deepEqual([leased, burned], [[], 0]);
    });

    test('closing twice is closing once', async () => {
      await using subject = await open();
      await subject.store.close();
      await subject.store.close();
    });
  });
}
