import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { KEY_TYPES } from '../../src/keypair/signing-key.ts';
import { AuditReader, isSettled } from '../../src/store/sqlite/audit-reader.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import {
  AT,
  Audited,
  type AuditedPlace,
  auditConformance,
  KILLED,
  killed,
  many,
} from '../support/audit-conformance.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { ANY_AGE } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

/** Its ids are the numbers of addresses. */
class SqlitePlace implements AuditedPlace {
  readonly directory = temporaryDirectory();
  readonly keySource = `file:${join(this.directory, 'sealing.key')}`;

  open(recover?: Parameters<AuditedPlace['open']>[0]) {
    const { directory, keySource: sealingKey } = this;
    return openSqliteStore({ directory, sealingKey, ...(recover && { recover }) });
  }

  reader(sealingKey = this.keySource) {
    return AuditReader.open(this.directory, sealingKey);
  }

  async spoil(keyHash: Buffer): Promise<void> {
    withDatabase(this.directory, (db) =>
      db.prepare('UPDATE addresses SET sealed = zeroblob(92) WHERE key_hash = ?').run(keyHash),
    );
  }

  async forgeToken(id: number, name: string): Promise<void> {
    this.exec(`INSERT INTO tokens (id, name, hash, scopes, created_at)
      VALUES (${id}, '${name}', zeroblob(32), '[]', 0)`);
  }

  exec(sql: string): void {
    withDatabase(this.directory, (db) => db.exec(sql));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    removeDirectory(this.directory);
  }
}

auditConformance('SQLite', async () => new SqlitePlace());

for (const keys of KEY_TYPES) {
  suite(`of SQLite alone, keys of type ${keys}`, () => {
    test('without a hand-out the time is that of the state', async () => {
      const place = new SqlitePlace();
      await using audited = await killed(place, keys);
      const { changed_at } = withDatabase(
        place.directory,
        (db) => db.prepare('SELECT changed_at FROM segments WHERE first = 1').get()!,
      );
      assert.equal((await audited.list())[2]!.at, changed_at);
    });

    test('a public key that is not the one of its row is not listed', async () => {
      const place = new SqlitePlace();
      await using audited = await killed(place, keys);
      await audited.run((store) => store.destroySecrets(ANY_AGE));
      place.exec(`UPDATE addresses SET sealed = (SELECT sealed FROM addresses WHERE id = 2)
        WHERE id = 1`);
      const [first, second] = await audited.list();
      assert.deepEqual([first!.address, second!.address], [undefined, audited.addresses[2]]);
    });

    test('settled is a store that a crash left nothing to say for', async () => {
      const place = new SqlitePlace();
      await using audited = new Audited(place, keys);
      await audited.run((store) => audited.insert(store, ...many(2)));
      assert.equal(isSettled(place.directory), true);
      await audited.run((store) => turn(store, 'pet', 0, 1));
      assert.equal(isSettled(place.directory), false, 'one is leased');
      await audited.run((store) => store.addJournals([{ pool: 'pet', number: 1 }]));
      assert.equal(isSettled(place.directory), false, 'a journal may have more to say');
      await audited.run(async () => {});
      assert.equal(isSettled(place.directory), true);
    });

    test('of an address that was leased twice in one epoch the newest lease counts', async () => {
      const place = new SqlitePlace();
      await using audited = await killed(place, keys);
      place.exec(`INSERT INTO leases (pool_id, epoch, position, first, last) VALUES (1, 1, 20, 1, 3);
        INSERT INTO hand_outs (pool_id, epoch, position, count, at, token_id)
          VALUES (1, 1, 21, 2, ${AT}, 1)`);
      assert.deepEqual((await audited.lines()).slice(0, 4), [
        '1 dispensed - - -',
        '2 dispensed shop - -',
        '3 dispensed shop - -',
        '4 dispensed shop - -',
      ]);
    });

    test('an address that damage left without a state is not given that of its neighbours', async () => {
      const place = new SqlitePlace();
      await using audited = await killed(place, keys);
      place.exec(`UPDATE segments SET last = last - 1 WHERE state = 'burned'`);
      assert.deepEqual(await audited.lines(), KILLED.slice(0, -1));
    });
  });
}
