/** Who took how many since a moment, while the store goes on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { AuditReader } from '../../src/store/sqlite/audit-reader.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { TestTime } from '../support/test-time.ts';
import { turn } from '../support/turns.ts';

test('each token is counted by its name from that moment on, again and again', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => removeDirectory(directory));
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  const time = new TestTime();
  const since = time.system();
  time.pass(10_000);
  await using store = await openSqliteStore({ directory, sealingKey, time });
  await store.definePool(poolNamed('pet', 'seed'));
  await store.insert(hitsFor('pet', 20, 'seed'));
  const limits = { scopes: ['dispense'], pools: undefined, quota: undefined } as const;
  const { id: shop } = await store.tokens.create({
    ...{ ...limits, name: 'shop', hash: randomBytes(32), expiresAt: undefined },
  });
  withDatabase(directory, (db) =>
    db.exec(`INSERT INTO tokens (id, name, hash, scopes, created_at)
      VALUES (7, 'forged', zeroblob(32), '[]', 0)`),
  );
  await turn(store, 'pet', 0, 20);
  let position = 0;
  const leave = async (...records: [count: number, at: number, token: number][]) => {
    const before = position;
    const handOuts = records.map(([count, at, token]) => {
      const record = { position, count, at, token };
      position += count;
      return record;
    });
    await turn(store, 'pet', position - before, 0, { records: handOuts, journals: new Map() });
  };
  await using reader = await AuditReader.open(directory, sealingKey);
  assert.deepEqual(await reader.taken(since), []);
  await leave([1, since - 1, shop], [2, since, shop], [1, since + 1, 0], [3, since - 5, 0]);
  const first = [
    { token: 'shop', addresses: 2 },
    { token: undefined, addresses: 1 },
  ];
  assert.deepEqual(await reader.taken(since), first);
  assert.deepEqual(await reader.taken(since), first, 'nothing counts twice');
  await leave([4, since + 3000, 0], [1, since + 2000, 7]);
  await leave([1, since - 2, 7], [2, since + 1, shop]);
  assert.deepEqual(await reader.taken(since), [
    { token: undefined, addresses: 5 },
    { token: 'shop', addresses: 4 },
    { token: '#7', addresses: 1 },
  ]);
  assert.deepEqual(await reader.taken(since + 2000), [
    { token: undefined, addresses: 4 },
    { token: '#7', addresses: 1 },
  ]);
});
