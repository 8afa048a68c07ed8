import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BoundRows } from '../../src/store/sqlite/bound-rows.ts';
import { openDatabase } from '../../src/store/sqlite/database.ts';
import { skipAhead } from '../../src/store/sqlite/place.ts';
import { metaOf, prepareStatements } from '../../src/store/sqlite/statements.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

const NOW = Date.parse('2026-11-20T12:00:00Z');
const db = openDatabase(join(root, 'store.db'));
const rows = new BoundRows(db, createSecretKey(Buffer.alloc(32, 1)));
const read = () => {
  const { epoch, next_id: id } = metaOf(prepareStatements(db));
  const { journals } = db.prepare('SELECT count(*) AS journals FROM journals').get()!;
  return { epoch, id, token: rows.history.lastId, journals };
};
/** As a store would be, skipped ahead at `now`. */
function skipped(
  epoch: number,
  id: number,
  now: number,
  known?: { epoch: number; id: number; token: number },
) {
  db.exec(`INSERT OR IGNORE INTO pools (id, name, prefix, suffix, ignore_case, keys, handout)
      VALUES (1, 'pet', '', '', 0, 'seed', 'secret');
    INSERT INTO journals (number, pool_id) VALUES (1, 1), (2, 1)`);
  db.prepare('UPDATE meta SET epoch = ?, next_id = ?').run(epoch, id);
  rows.history = { lastId: 3, hadTokens: false };
  skipAhead(db, rows, now, known);
  return read();
}

test('ids and epochs go on far above those that the lost state gave, and no journal is left', () => {
  const { epoch, id, token, journals } = skipped(12, 1001, NOW);
  assert.ok(epoch >= 12 + 2 ** 20 && id >= 1001 + 2 ** 32);
  assert.ok(token >= 3 + 2 ** 16 && token < 2 ** 31);
  assert.ok(Number.isSafeInteger(id + 2 ** 50), 'there is room for thousands of years');
  assert.equal(journals, 0);
});

test('two stores that come out of one backup have different ids, also by a clock that stands', () => {
  for (const now of [NOW, 0]) {
    const found = Array.from({ length: 8 }, () => skipped(12, 1001, now));
    assert.equal(new Set(found.map(({ id }) => id)).size, found.length);
    // Two of eight are the same once in 37,000 times.
    assert.ok(new Set(found.map(({ epoch }) => epoch)).size >= found.length - 1);
    const ids = found.map(({ id }) => id).toSorted((one, other) => one - other);
    assert.ok(ids.at(-1)! - ids[0]! > 2 ** 24, 'they lie far apart');
  }
});

test('a clock that is behind the store does not take it back', () => {
  const ahead = skipped(12, 1001, NOW);
  const again = skipped(ahead.epoch, ahead.id, NOW - 1000);
  assert.ok(again.epoch > ahead.epoch && again.id > ahead.id);
  const atZero = skipped(ahead.epoch, ahead.id, 0);
  assert.ok(atZero.epoch > ahead.epoch && atZero.id > ahead.id);
});

test('what is known of the lost state counts, where it is ahead of the store', () => {
  const known = { epoch: 2 ** 40, id: 2 ** 51, token: 2 ** 31 };
  const { epoch, id, token } = skipped(12, 1001, NOW, known);
  assert.ok(epoch > known.epoch && id > known.id && token > known.token);
  assert.ok(rows.history.hadTokens, 'there were tokens');
});

test('ids of tokens stay below 2^32, also by a clock that is past that', () => {
  for (const year of ['2106', '2200']) {
    const { token } = skipped(12, 1001, Date.parse(`${year}-12-01T00:00:00Z`));
    assert.ok(token > 3 && token < 2 ** 20, `${year}: ${token}`);
  }
});
