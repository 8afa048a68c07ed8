/**
 * Calls of a store while their effects may not be taken: the anchor is gone for a while, so that it
 * cannot be renamed. And while it is not theirs any more.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, suite, test } from 'node:test';
import { anchorNames, anchorPath } from '../../src/disk/anchor.ts';
import type { HandOut } from '../../src/store/hand-out.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { copyOf, revert } from '../support/copies.ts';
import {
  checkStore,
  openStoreIn,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { returnLease, turn } from '../support/turns.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

const UNAVAILABLE = { code: 'STORE_UNAVAILABLE' };

let directories = 0;

/** A store with 6 addresses in 'pet'. */
class Subject implements AsyncDisposable {
  readonly directory = join(root, `${directories++}`);
  readonly storeFile = join(this.directory, 'store.db');
  readonly commits: number[] = [];
  store!: Store;

  static async open(): Promise<Subject> {
    const subject = new Subject();
    const { directory } = subject;
    const sealingKey = `file:${join(directory, 'sealing.key')}`;
    const onCommit = (ms: number) => subject.commits.push(ms);
    subject.store = await openSqliteStore({ directory, sealingKey, onCommit });
    await subject.store.definePool(poolNamed('pet'));
    await subject.store.insert(hitsFor('pet', 6));
    return subject;
  }

  /** Until it is let go. */
  stick(): () => void {
    const path = anchorPath(this.storeFile, anchorNames(this.storeFile)[0]!);
    const away = join(this.directory, 'away');
    renameSync(path, away);
    return () => renameSync(away, path);
  }

  async figures(): Promise<string> {
    const { available, leased, dispensed, burned } = await this.store.counts('pet');
    return [available, leased, dispensed, burned].join(' ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    checkStore(this.directory);
  }
}

const idsOf = (list: readonly { readonly id: number }[]) => list.map(({ id }) => id);

function handOut(more: Partial<HandOut> = {}): HandOut {
  return { position: 0, count: 1, at: Date.now(), token: 0, ...more };
}

suite('while the anchor is stuck', () => {
  test('leases are durable and wait; they come with the first turn after it', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    const letGo = subject.stick();
    for (let turns = 0; turns < 2; turns++) {
      const { leased, failure, counts } = await turn(store, 'pet', 0, 2);
      assert.deepEqual(leased, []);
      assert.equal(failure?.code, 'STORE_UNAVAILABLE');
      assert.equal(counts.leased, 2, 'no more are leased while some wait');
    }
    letGo();
    const { leased, failure } = await turn(store, 'pet', 0, 2);
    assert.equal(failure, undefined);
    assert.deepEqual(idsOf(leased), [1, 2]);
    assert.ok(leased.every(({ key }) => key.some((byte) => byte !== 0)));
    assert.deepEqual(idsOf((await turn(store, 'pet', 0, 2)).leased), [3, 4]);
    assert.equal(await subject.figures(), '2 4 0 0');
  });

  test('what has left is recorded, with a failure for those who wait for it', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    await turn(store, 'pet', 0, 3);
    const letGo = subject.stick();
    const report = await turn(store, 'pet', 1, 0);
    assert.equal(report.failure?.code, 'STORE_UNAVAILABLE');
    assert.equal(report.counts.dispensed, 1);
    letGo();
    assert.equal((await turn(store, 'pet', 1, 0)).failure, undefined);
    assert.equal(await subject.figures(), '3 1 2 0');
  });

  test('what lets nothing leave goes on', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    await store.addJournals([{ pool: 'pet', number: 1 }]);
    await turn(store, 'pet', 0, 3);
    const letGo = subject.stick();
    await store.insert(hitsFor('pet', 1));
    await store.saveCounters({ some: 1 });
    await store.definePool(poolNamed('pump'));
    assert.equal((await store.pools()).length, 2);
    // A journal says of these that they left.
    const { failure } = await turn(store, 'pet', 1, 0, {
      records: [handOut()],
      journals: new Map([[1, 1]]),
    });
    assert.equal(failure, undefined);
    letGo();
    assert.equal(await subject.figures(), '4 2 1 0');
  });

  test('a call that lets something leave fails, is durable, and can be made again', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    const letGo = subject.stick();
    await assert.rejects(store.addJournals([{ pool: 'pet', number: 1 }]), UNAVAILABLE);
    await turn(store, 'pet', 0, 2);
    await assert.rejects(returnLease(store, 'pet'), UNAVAILABLE);
    assert.equal(await subject.figures(), '6 0 0 0');
    letGo();
    assert.equal(await returnLease(store, 'pet'), 0);
    // They were given back before they left.
    assert.deepEqual(idsOf((await turn(store, 'pet', 0, 3)).leased), [1, 2, 3]);
  });

  test('a journal that cannot be counted on is not counted in', async () => {
    await using subject = await Subject.open();
    const { store, directory } = subject;
    const counted = () =>
      withDatabase(directory, (db) => db.prepare('SELECT number FROM journals').all().length);
    const letGo = subject.stick();
    await assert.rejects(store.addJournals([{ pool: 'pet', number: 1 }]), UNAVAILABLE);
    assert.equal(counted(), 0, 'a start would miss it, and burn all that is leased');
    letGo();
    await store.addJournals([{ pool: 'pet', number: 1 }]);
    assert.equal(counted(), 1);
  });

  test('of a pool that is removed nothing comes any more', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    const letGo = subject.stick();
    await turn(store, 'pet', 0, 2);
    const { burned } = await store.removePool('pet');
    assert.equal(burned, 6, 'the pool is gone, whatever waits');
    letGo();
    await store.definePool(poolNamed('pet'));
    const { leased, counts } = await turn(store, 'pet', 0, 2);
    assert.deepEqual([leased.length, counts.burned], [0, 6]);
  });

  const ENDS: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
    endQueues: (store) => store.endQueues([{ pool: 'pet', head: 0 }], 'return'),
    removePool: (store) => store.removePool('pet'),
  };
  for (const [name, end] of Object.entries(ENDS)) {
    test(`leases wait on when \`${name}\` is rolled back: those after them do not come first`, async () => {
      await using subject = await Subject.open();
      const { store } = subject;
      const letGo = subject.stick();
      await turn(store, 'pet', 0, 2);
      withDatabase(subject.directory, (db) =>
        db.exec(`CREATE TRIGGER full BEFORE UPDATE OF number ON meta
          BEGIN SELECT RAISE(ABORT, 'no room'); END`),
      );
      await assert.rejects(end(store), /no room/);
      withDatabase(subject.directory, (db) => db.exec('DROP TRIGGER full'));
      letGo();
      assert.deepEqual(idsOf((await turn(store, 'pet', 0, 2)).leased), [1, 2]);
    });
  }

  test('a reply is not given again before it could be given once', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    await turn(store, 'pet', 0, 1);
    const [key, body] = [randomBytes(32), randomBytes(32)];
    const letGo = subject.stick();
    const handOuts = { records: [handOut({ key, body })], journals: new Map() };
    assert.equal((await turn(store, 'pet', 1, 0, handOuts)).failure?.code, 'STORE_UNAVAILABLE');
    await assert.rejects(store.handOut(key, 'pet'), UNAVAILABLE);
    letGo();
    const found = await store.handOut(key, 'pet');
    assert.deepEqual(idsOf(found!.addresses!), [1]);
    assert.deepEqual(Buffer.from(found!.body!), body);
  });

  test('a run that ends then has let nothing of it leave: the next one has all of it', async () => {
    const subject = await Subject.open();
    const letGo = subject.stick();
    await turn(subject.store, 'pet', 0, 2);
    letGo();
    const image = copyOf(subject.directory);
    await subject.store.close();
    revert(subject.directory, image);
    await using store = await openStoreIn(subject.directory);
    const { available, burned } = await store.counts('pet');
    assert.deepEqual([available, burned], [4, 2], 'without journals leases are burned');
    assert.deepEqual(idsOf((await turn(store, 'pet', 0, 1)).leased), [3]);
  });
});

suite('a store that is not the one that was opened', () => {
  test('writes nothing when its file was replaced', async () => {
    const subject = await Subject.open();
    const { store, storeFile } = subject;
    renameSync(storeFile, join(subject.directory, 'gone'));
    const message = /removed or replaced/;
    await assert.rejects(turn(store, 'pet', 0, 1), { ...UNAVAILABLE, message });
    writeFileSync(storeFile, '');
    await assert.rejects(store.saveCounters({ some: 1 }), { ...UNAVAILABLE, message });
    renameSync(join(subject.directory, 'gone'), storeFile);
    assert.equal((await turn(store, 'pet', 0, 1)).leased.length, 1);
    await store.close();
  });

  test('writes nothing when another epoch has begun', async () => {
    const subject = await Subject.open();
    withDatabase(subject.directory, (db) => db.exec('UPDATE meta SET epoch = epoch + 1'));
    const ended = (error: Error & { code?: string }) =>
      /epoch 1 is over: 2 has begun/.test(error.message) && error.code === undefined;
    await assert.rejects(turn(subject.store, 'pet', 0, 1), ended);
    await assert.rejects(subject.store.insert(hitsFor('pet', 1)), ended);
    assert.equal(await subject.figures(), '6 0 0 0');
    await subject.store.close();
  });
});

suite('calls', () => {
  test('fail with a code, and change nothing', async () => {
    await using subject = await Subject.open();
    const { store } = subject;
    await assert.rejects(turn(store, 'none', 0, 1), { code: 'POOL_NOT_FOUND' });
    const other = new DatabaseSync(subject.storeFile);
    other.exec('BEGIN IMMEDIATE');
    await assert.rejects(turn(store, 'pet', 0, 1), { code: 'STORE_LOCKED' });
    other.exec('ROLLBACK');
    other.close();
    assert.equal(await subject.figures(), '6 0 0 0');
    assert.deepEqual(idsOf((await turn(store, 'pet', 0, 1)).leased), [1]);
  });

  test('report how long each transaction took, and those that read report nothing', async () => {
    await using subject = await Subject.open();
    const { store, commits } = subject;
    const before = commits.length;
    assert.ok(before >= 2, 'a pool and its addresses');
    await store.counts('pet');
    await store.pools();
    assert.equal(commits.length, before);
    await store.saveCounters({ some: 1 });
    await turn(store, 'pet', 0, 1);
    assert.equal(commits.length, before + 2);
    assert.ok(commits.every((ms) => ms >= 0));
  });
});
