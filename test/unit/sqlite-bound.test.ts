/**
 * What who can write the database, and has not the sealing key, can make of it: rows of tokens and
 * pools that are written, changed and taken away by SQL, in a real store.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { createSealingKey, loadSealingKey, sealTo } from '../../src/keypair/sealing-key.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { isSettled } from '../../src/store/sqlite-audit.ts';
import { backupStore } from '../../src/store/sqlite-backup.ts';
import { openDatabase } from '../../src/store/sqlite-database.ts';
import { restoreStore } from '../../src/store/sqlite-restore.ts';
import type { PoolIdentity, Store } from '../../src/store/store.ts';
import { newToken, tokenHash } from '../../src/token.ts';
import {
  adoptIn,
  checkStore,
  removeDirectory,
  temporaryDirectory,
  withDatabase,
} from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-conformance.ts';

const FORGED = { code: 'STORE_FORGED' };
const VAULT: PoolIdentity = { ...poolNamed('vault'), handout: 'sign-only' };

/** A store with a token, a pool and a sign-only one, each with addresses, that somebody gets at. */
class Victim implements AsyncDisposable {
  readonly directory = temporaryDirectory();
  readonly forged: string[] = [];
  readonly bound: string[] = [];
  store!: Store;

  static async make(): Promise<Victim> {
    const victim = new Victim();
    await victim.open();
    for (const pool of [poolNamed('pet'), VAULT]) {
      await victim.store.definePool(pool);
      await victim.store.insert(hitsFor(pool.name, 3));
    }
    await victim.token('shop');
    assert.deepEqual([victim.forged, victim.bound], [[], []]);
    return victim;
  }

  async open(): Promise<void> {
    const { directory } = this;
    this.store = await openSqliteStore({
      directory,
      sealingKey: `file:${join(directory, 'sealing.key')}`,
      onForged: (row) => this.forged.push(row),
      onBound: (rows) => this.bound.push(...rows),
    });
  }

  token(name: string): Promise<unknown> {
    const nothing = { pools: undefined, quota: undefined, expiresAt: undefined };
    const hash = tokenHash(newToken());
    return this.store.tokens.create({ name, hash, scopes: ['read'], ...nothing });
  }

  /** Between two runs. */
  async attack(how: string | ((db: DatabaseSync) => void)): Promise<void> {
    await this.store.close();
    withDatabase(this.directory, (db) => (typeof how === 'string' ? db.exec(how) : how(db)));
    await this.open();
  }

  /** By name: whether it is one. */
  async tokens(): Promise<Record<string, boolean>> {
    const tokens = await this.store.tokens.all();
    return Object.fromEntries(tokens.map(({ name, isForged }) => [name, !isForged]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    checkStore(this.directory);
    removeDirectory(this.directory);
  }
}

suite('tokens', () => {
  test('one that somebody else wrote is none, and is told once', async () => {
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
      await assert.rejects(store.turn('vault', 0, 1), FORGED);
      await assert.rejects(store.insert(hitsFor('vault', 1)), FORGED);
      await assert.rejects(store.changePool('vault', { isPaused: false }), FORGED);
      await assert.rejects(store.removePool('vault'), FORGED);
      assert.equal((await store.turn('pet', 0, 1)).leased.length, 1, 'others are served');
    });
  }
});

suite('a store of an older version', () => {
  /** What such a one is: nothing of it is bound, and its data keys have the purpose of then. */
  async function makeOlder(victim: Victim, isGenuine: boolean): Promise<void> {
    const { directory, store } = victim;
    const key = (await loadSealingKey(`file:${join(directory, 'sealing.key')}`))!;
    await store.close();
    const { binding } = withDatabase(
      directory,
      (db) => db.prepare('SELECT binding FROM meta').get()!,
    );
    const info = (purpose: string) => Buffer.from(`vanitypool data key ${purpose}`);
    const resealed: [number, Uint8Array][] = [];
    const rows = withDatabase(directory, (db) => db.prepare('SELECT * FROM data_keys').all());
    for (const { id, sealed } of isGenuine ? rows : []) {
      const bytes = (await key.open(sealed as Uint8Array, info(`2 ${store.id} ${binding}`)))!;
      resealed.push([Number(id), await sealTo(key.publicKey, bytes, info(`1 ${store.id}`))]);
    }
    withDatabase(directory, (db) => {
      for (const [id, sealed] of resealed) {
        db.prepare('UPDATE data_keys SET sealed = ? WHERE id = ?').run(sealed, id);
      }
      db.exec(`ALTER TABLE meta DROP COLUMN token_id; ALTER TABLE meta DROP COLUMN had_tokens;
        ALTER TABLE meta DROP COLUMN mac; ALTER TABLE meta DROP COLUMN binding; ALTER TABLE pools DROP COLUMN mac;
        ALTER TABLE tokens DROP COLUMN mac; ALTER TABLE tokens DROP COLUMN off_at;
        ALTER TABLE reservations DROP COLUMN ttl; DROP TABLE lost_signatures; PRAGMA user_version = 2`);
    });
  }

  test('takes its rows as they are, names them once, and is bound from then on', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, true);
    await victim.open();
    assert.deepEqual(victim.bound, ['token shop', 'pool pet', 'pool vault']);
    assert.deepEqual(await victim.tokens(), { shop: true });
    assert.equal(await victim.store.tokens.wereMade(), true);
    const { leased, burned } = await victim.store.turn('pet', 0, 3);
    assert.deepEqual([leased.length, burned], [3, 0], 'its keys are there');
    await victim.attack(`UPDATE pools SET handout = 'secret'`);
    assert.deepEqual(victim.bound.length, 3, 'not again');
    await assert.rejects(victim.store.turn('vault', 0, 1), FORGED);
  });

  test('whose first start was refused is not taken for one that was bound', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, true);
    openDatabase(join(victim.directory, 'store.db')).close();
    assert.equal(
      isSettled(victim.directory),
      false,
      'its list would have no tokens and no addresses',
    );
    await victim.open();
    await victim.store.close();
    assert.equal(isSettled(victim.directory), true);
    await victim.open();
  });

  test('that is restored or adopted names them, too', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, true);
    const file = join(victim.directory, 'backup');
    await backupStore(victim.directory, file, {});
    const directory = temporaryDirectory();
    const sealingKey = `file:${join(victim.directory, 'sealing.key')}`;
    const bound: string[] = [];
    const onBound = (rows: readonly string[]) => bound.push(...rows);
    await restoreStore({ file, directory, sealingKey, onBound });
    removeDirectory(directory);
    await adoptIn({ directory: victim.directory, as: 'restored', onBound });
    const all = ['token shop', 'pool pet', 'pool vault'];
    assert.deepEqual(bound, [...all, ...all]);
    await victim.open();
    assert.deepEqual(victim.bound, []);
  });

  test('that is none, but a newer one that was made to look like it, is refused', async () => {
    await using victim = await Victim.make();
    await makeOlder(victim, false);
    await assert.rejects(victim.open(), FORGED);
    assert.deepEqual(victim.bound, []);
  });

  test('nor is one that lost only what says that it is bound', async () => {
    await using victim = await Victim.make();
    await assert.rejects(victim.attack('UPDATE meta SET mac = NULL'), FORGED);
  });
});

suite('a store that is made to look like one of an older version', () => {
  /** As who has no key leaves it for one start: its own rows, and nothing that says that others were. */
  const MASKED = `UPDATE meta SET mac = NULL, binding = NULL;
    UPDATE pools SET handout = 'secret', mac = NULL;
    INSERT INTO tokens (name, hash, scopes, created_at) VALUES ('mine', zeroblob(32), '["admin"]', 1)`;

  test('is refused while its data keys are those of another binding', async () => {
    await using victim = await Victim.make();
    await assert.rejects(victim.attack(MASKED), FORGED);
    await assert.rejects(victim.attack('UPDATE data_keys SET sealed = randomblob(80)'), FORGED);
  });

  test('gives nothing of what was in it, also when its data keys are put back', async () => {
    await using victim = await Victim.make();
    const { id } = victim.store;
    const kept = withDatabase(victim.directory, (db) =>
      db.prepare('SELECT * FROM data_keys').all(),
    );
    const source = `file:${join(victim.directory, 'sealing.key')}`;
    const { publicKey } = (await loadSealingKey(source))!;
    // The public half lies in the database.
    const own = await sealTo(
      publicKey,
      Buffer.alloc(32),
      Buffer.from(`vanitypool data key 1 ${id}`),
    );
    const meta = withDatabase(victim.directory, (db) => db.prepare('SELECT * FROM meta').get()!);
    await victim.attack((db) => {
      db.exec(MASKED);
      db.prepare('UPDATE data_keys SET sealed = ?').run(own);
    });
    assert.deepEqual(victim.bound, ['token shop', 'token mine', 'pool pet', 'pool vault']);
    const putBack = (db: DatabaseSync) => {
      for (const { id, sealed } of kept) {
        db.prepare('UPDATE data_keys SET sealed = ? WHERE id = ?').run(sealed!, id!);
      }
    };
    await victim.attack(putBack);
    const { leased, burned } = await victim.store.turn('pet', 0, 3);
    assert.deepEqual([leased.length, burned], [0, 3]);
    await victim.attack((db) => {
      db.prepare('UPDATE meta SET mac = ?, binding = ?, token_id = ?, had_tokens = ?').run(
        ...[meta.mac!, meta.binding!, meta.token_id!, meta.had_tokens!],
      );
    });
    assert.deepEqual(await victim.tokens(), { shop: false, mine: false });
    await assert.rejects(victim.store.turn('vault', 0, 3), FORGED);
  });
});

suite('a row that names an address of a sign-only pool', () => {
  /** What `pet` handed out by this key is said to have been of `vault`, which has one leased. */
  const key = Buffer.alloc(32, 7);
  const at = 1_800_000_000_000;
  const handOut = { position: 0, count: 1, at, token: 0, key, body: key };

  test('that of an idempotency key of another pool', async () => {
    await using victim = await Victim.make();
    const { store, directory } = victim;
    await store.turn('pet', 0, 1);
    await store.turn('pet', 1, 0, { records: [handOut], journals: new Map() });
    await store.turn('vault', 0, 1);
    assert.equal((await store.handOut(key, 'pet'))!.addresses!.length, 1);
    withDatabase(directory, (db) => db.exec('UPDATE hand_outs SET pool_id = 2'));
    await assert.rejects(store.handOut(key, 'pet'), FORGED);
  });

  test('that of a reservation of another pool', async () => {
    await using victim = await Victim.make();
    const { store, directory } = victim;
    const reservation = { id: 'a'.repeat(32), expiresAt: Date.now() + 60_000 };
    const { key: _, body: __, ...held } = handOut;
    await store.turn('pet', 0, 1);
    await store.turn('pet', 1, 0, { records: [{ ...held, reservation }], journals: new Map() });
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
    assert.equal((await victim.store.turn('vault', 0, 1)).leased.length, 1);
  });
});

test('a new key for a backup in which nothing is sealed is its own from the restore on', async () => {
  await using victim = new Victim();
  await victim.open();
  const { id } = victim.store;
  const [file, list] = ['backup', 'list'].map((name) => join(victim.directory, name)) as [
    string,
    string,
  ];
  await backupStore(victim.directory, file, {});
  const directory = temporaryDirectory();
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  await createSealingKey(sealingKey);
  const token = { tokenId: 3, name: 'shop', createdAt: '2026-11-02T08:00:00Z', isValid: true };
  const end = { storeId: id, epoch: 5, addresses: 0, tokens: 1, isComplete: true };
  writeFileSync(list, `${JSON.stringify(token)}\n${JSON.stringify(end)}\n`);
  await restoreStore({ file, list, directory, sealingKey });
  const store = await openSqliteStore({ directory, sealingKey });
  assert.ok(await store.tokens.wereMade());
  await store.close();
  removeDirectory(directory);
});

test('a new key for a store in which nothing is sealed takes its pools along', async () => {
  await using victim = new Victim();
  await victim.open();
  await victim.store.definePool(poolNamed('pet'));
  await victim.store.close();
  rmSync(join(victim.directory, 'sealing.key'));
  await victim.open();
  assert.equal((await victim.store.pools())[0]!.isForged, false);
  await victim.store.definePool(poolNamed('pet'));
});
