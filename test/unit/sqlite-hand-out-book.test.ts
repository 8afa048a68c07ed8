import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import type { HandOut } from '../../src/store/hand-out.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { removeDirectory, temporaryDirectory, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { TestTime } from '../support/test-time.ts';
import { turn } from '../support/turns.ts';

const TIME = new TestTime();
const AT = TIME.system();
const LEASED = 16;

/** The rows that are kept of these records: 'position count at token key'. */
async function rowsOf(...records: HandOut[]): Promise<string[]> {
  const directory = temporaryDirectory();
  try {
    const sealingKey = `file:${join(directory, 'sealing.key')}`;
    await using store = await openSqliteStore({ directory, sealingKey, time: TIME });
    await store.definePool(poolNamed('pet'));
    await store.insert(hitsFor('pet', LEASED));
    withDatabase(directory, (db) =>
      db.exec(`INSERT INTO tokens (id, name, hash, scopes, created_at)
        VALUES (7, 'shop', zeroblob(32), '[]', 0)`),
    );
    await turn(store, 'pet', 0, LEASED);
    await turn(store, 'pet', LEASED, 0, { records, journals: new Map() });
    return withDatabase(directory, (db) =>
      db
        .prepare('SELECT position, count, at, token_id, key_hash FROM hand_outs ORDER BY position')
        .all()
        .map(({ position, count, at, token_id, key_hash }) => {
          const key = key_hash === null ? '-' : 'key';
          return [position, count, Number(at) - AT, token_id ?? 0, key].join(' ');
        }),
    );
  } finally {
    removeDirectory(directory);
  }
}

const plain = (position: number, count = 1, at = AT, token = 0): HandOut => {
  return { position, count, at, token };
};
const withKey = (position: number): HandOut => {
  return { ...plain(position), key: randomBytes(32), body: randomBytes(32) };
};

test('replies of one millisecond to one token are one row', async () => {
  const rows = await rowsOf(
    plain(0),
    plain(1, 3),
    plain(4),
    plain(5, 1, AT, 7),
    plain(6, 2, AT, 7),
  );
  assert.deepEqual(rows, ['0 5 0 0 -', '5 3 0 7 -']);
});

test('what has left is recorded, and never free again, though its key was served', async () => {
  const directory = temporaryDirectory();
  try {
    const sealingKey = `file:${join(directory, 'sealing.key')}`;
    await using store = await openSqliteStore({ directory, sealingKey, time: TIME });
    await store.definePool(poolNamed('pet'));
    await store.insert(hitsFor('pet', 5));
    await turn(store, 'pet', 0, 5);
    const first = withKey(0);
    const records = [first, { ...first, position: 1 }];
    const { refused, counts } = await turn(store, 'pet', 2, 0, { records, journals: new Map() });
    assert.deepEqual(refused, []);
    assert.deepEqual([counts.dispensed, counts.available], [2, 0]);
    const { addresses } = (await store.handOut(first.key!, 'pet'))!;
    assert.deepEqual(
      addresses!.map(({ id }) => id),
      [1],
    );
  } finally {
    removeDirectory(directory);
  }
});

test('what differs in time, token or key, or does not follow, has a row of its own', async () => {
  assert.deepEqual(await rowsOf(plain(0), plain(1, 1, AT + 1), plain(2)), [
    '0 1 0 0 -',
    '1 1 1 0 -',
    '2 1 0 0 -',
  ]);
  assert.deepEqual(await rowsOf(plain(0), plain(1, 1, AT, 7), plain(3)), [
    '0 1 0 0 -',
    '1 1 0 7 -',
    '3 1 0 0 -',
  ]);
  assert.deepEqual(await rowsOf(plain(2), plain(0), plain(1)), ['0 2 0 0 -', '2 1 0 0 -']);
  assert.deepEqual(await rowsOf(plain(0), withKey(1), withKey(2), plain(3), plain(4)), [
    '0 1 0 0 -',
    '1 1 0 0 key',
    '2 1 0 0 key',
    '3 2 0 0 -',
  ]);
});
