/**
 * What who can write the database, and has not the sealing key, can make of it: rows of tokens and
 * pools that are written, changed and taken away by SQL, in a real store.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';
import { FORGED, VAULT, Victim } from '../support/victim.ts';

suite('tokens', () => {
  test('one that somebody else wrote is not valid, and is reported once', async () => {
    await using victim = await Victim.make();
    await victim.attack(`INSERT INTO tokens (name, hash, scopes, created_at)
      VALUES ('mine', zeroblob(32), '["admin"]', 1)`);
    assert.deepEqual(await victim.tokens(), { shop: true, mine: false });
    await victim.tokens();
    assert.deepEqual(victim.forged, ['token mine']);
    const [, mine] = await victim.store.tokens.all();
    assert.deepEqual([mine!.scopes, mine!.pools], [[], []], 'nothing that it says is believed');
    for (const change of ['revoke', 'restore'] as const) {
      await assert.rejects(victim.store.tokens[change]('mine'), FORGED);
    }
    await victim.token('next');
    assert.deepEqual(await victim.tokens(), { shop: true, mine: false, next: true });
  });

  const changes = {
    hash: 'zeroblob(32)',
    scopes: `'["admin"]'`,
    pools: `'["pet"]'`,
    quota: '1',
    expires_at: '9e15',
    revoked_at: '1',
    off_at: '1',
    created_at: '1',
    name: `'other'`,
    id: '7',
    mac: 'NULL',
  };
  for (const [column, value] of Object.entries(changes)) {
    test(`one whose ${column} was changed is none`, async () => {
      await using victim = await Victim.make();
      await victim.attack(`UPDATE tokens SET ${column} = ${value}`);
      assert.deepEqual(Object.values(await victim.tokens()), [false]);
    });
  }

  test('a revocation that was taken back', async () => {
    await using victim = await Victim.make();
    await victim.store.tokens.revoke('shop');
    assert.deepEqual(await victim.tokens(), { shop: true });
    await victim.attack('UPDATE tokens SET revoked_at = NULL');
    assert.deepEqual(await victim.tokens(), { shop: false });
  });

  test('the MAC of one token is none of another', async () => {
    await using victim = await Victim.make();
    await victim.token('two');
    await victim.attack(`UPDATE tokens SET mac = (SELECT mac FROM tokens WHERE name = 'shop')`);
    assert.deepEqual(await victim.tokens(), { shop: true, two: false });
  });

  test('without the rows it is known that there were tokens', async () => {
    await using victim = await Victim.make();
    await victim.attack('DELETE FROM tokens');
    assert.equal(await victim.store.tokens.wereMade(), true);
  });

  test('that there were none cannot be written', async () => {
    await using victim = await Victim.make();
    for (const change of ['had_tokens = 0', 'token_id = 0', `mac = x'00'`]) {
      await assert.rejects(
        victim.attack(`DELETE FROM tokens; UPDATE meta SET ${change}`),
        FORGED,
        change,
      );
      withDatabase(victim.directory, (db) =>
        db.exec('UPDATE meta SET had_tokens = 1, token_id = 1'),
      );
      if (!change.startsWith('mac')) await victim.open();
    }
  });

  test('a store with tokens and nothing sealed is bound to its key', async () => {
    await using victim = new Victim();
    await victim.open();
    await victim.token('shop');
    await victim.store.close();
    const key = join(victim.directory, 'sealing.key');
    rmSync(key);
    await assert.rejects(victim.open(), { code: 'SEALING_KEY_INVALID', message: /missing/ });
    const other = temporaryDirectory();
    await assert.rejects(
      openSqliteStore({ directory: victim.directory, sealingKey: `file:${join(other, 'key')}` }),
      { code: 'SEALING_KEY_INVALID' },
    );
    removeDirectory(other);
  });
});

suite('pools', () => {
  const changes = {
    handout: `'secret'`,
    suffix: `'z'`,
    settings: `'{"signLimit":1000}'`,
    is_paused: '1',
    removed_at: '1',
    mac: 'NULL',
  };
  for (const [column, value] of Object.entries(changes)) {
    test(`one whose ${column} was changed gives nothing`, async () => {
      await using victim = await Victim.make();
      const isRemoved = column === 'removed_at';
      if (isRemoved) await victim.store.removePool('vault');
      const change = isRemoved ? 'removed_at = NULL' : `${column} = ${value}`;
      await victim.attack(`UPDATE pools SET ${change} WHERE name = 'vault'`);
      const { store } = victim;
      const pools = await store.pools();
      assert.deepEqual(
        pools.map(({ name, isForged }) => [name, isForged]),
        [
          ['pet', false],
          ['vault', true],
        ],
      );
      assert.deepEqual(victim.forged, ['pool vault']);
      const handout = column === 'handout' ? 'secret' : 'sign-only';
      await assert.rejects(store.definePool({ ...VAULT, handout }), FORGED);
      await assert.rejects(turn(store, 'vault', 0, 1), FORGED);
      await assert.rejects(store.insert(hitsFor('vault', 1)), FORGED);
      await assert.rejects(store.changePool('vault', { isPaused: false }), FORGED);
      await assert.rejects(store.removePool('vault'), FORGED);
      assert.equal((await turn(store, 'pet', 0, 1)).leased.length, 1, 'others are served');
    });
  }
});

suite('a row that names an address of a sign-only pool', () => {
  /** What `pet` handed out by this key is said to have been of `vault`, which has one leased. */
  const key = Buffer.alloc(32, 7);
  const at = 1_800_000_000_000;
  const handOut = { position: 0, count: 1, at, token: 0, key, body: key };

  test('that of an idempotency key of another pool', async () => {
    await using victim = await Victim.make();
    const { store, directory } = victim;
    await turn(store, 'pet', 0, 1);
    await turn(store, 'pet', 1, 0, { records: [handOut], journals: new Map() });
    await turn(store, 'vault', 0, 1);
    assert.equal((await store.handOut(key, 'pet'))!.addresses!.length, 1);
    withDatabase(directory, (db) => db.exec('UPDATE hand_outs SET pool_id = 2'));
    await assert.rejects(store.handOut(key, 'pet'), FORGED);
  });

  test('that of a reservation of another pool', async () => {
    await using victim = await Victim.make();
    const { store, directory } = victim;
    const reservation = { id: 'a'.repeat(32), ttlMs: 86_400_000 };
    const { key: _, body: __, ...held } = handOut;
    await turn(store, 'pet', 0, 1);
    await turn(store, 'pet', 1, 0, { records: [{ ...held, reservation }], journals: new Map() });
    withDatabase(directory, (db) => db.exec('UPDATE reservations SET pool_id = 2'));
    await assert.rejects(store.reservations.dispense(reservation.id, 0, 'pet'), {
      code: 'RESERVATION_NOT_FOUND',
    });
  });
});

suite('a trigger that changes rows after the program did', () => {
  const hash = `x'${'07'.repeat(32)}'`;
  const on = (change: string, set: string) => {
    const [table] = / ON (\w+)/.exec(change)!.slice(1);
    return `CREATE TRIGGER theirs AFTER ${change} BEGIN UPDATE ${table} SET ${set} WHERE id = NEW.id; END`;
  };

  test('of a token that is made', async () => {
    await using victim = await Victim.make();
    await victim.attack(on('INSERT ON tokens', `hash = ${hash}, scopes = '["admin"]'`));
    await assert.rejects(victim.token('next'), FORGED);
    assert.deepEqual(await victim.tokens(), { shop: true });
  });

  test('of one that is revoked, or switched on', async () => {
    await using victim = await Victim.make();
    await victim.attack(on('UPDATE OF revoked_at ON tokens', 'revoked_at = NULL'));
    await assert.rejects(victim.store.tokens.revoke('shop'), FORGED);
    withDatabase(victim.directory, (db) => {
      db.exec(`DROP TRIGGER theirs; ${on('UPDATE OF off_at ON tokens', `hash = ${hash}`)}`);
    });
    await assert.rejects(victim.store.tokens.restore('shop'), FORGED);
    assert.deepEqual(await victim.tokens(), { shop: true });
  });

  test('of a pool that is made, changed, or deleted', async () => {
    await using victim = await Victim.make();
    await victim.attack(on('UPDATE OF is_paused ON pools', `handout = 'secret'`));
    await assert.rejects(victim.store.changePool('vault', { isPaused: true }), FORGED);
    await assert.rejects(victim.store.removePool('vault'), FORGED);
    withDatabase(victim.directory, (db) => {
      db.exec(`DROP TRIGGER theirs; ${on('INSERT ON pools', `handout = 'secret'`)}`);
    });
    await assert.rejects(victim.store.definePool({ ...VAULT, name: 'next' }), {
      code: /STORE_FORGED|POOL_MISMATCH/,
    });
    assert.equal((await turn(victim.store, 'vault', 0, 1)).leased.length, 1);
  });
});
