/** Journals that no store asks for any more, beside those that one may. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OWNER, removeOrphans } from '../../src/pool/journal-orphans.ts';
import { JournalDirectory } from '../../src/pool/journal-places.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

test('journals are removed of a data directory that is gone for a day, and of no other', (t) => {
  const base = temporaryDirectory();
  const data = temporaryDirectory();
  t.after(() => {
    removeDirectory(base);
    removeDirectory(data);
  });
  const other = join(data, 'other');
  mkdirSync(other);
  const gone = join(data, 'gone');
  const hours = (count: number) => new Date(Date.now() - count * 3_600_000);
  /** A store's, written so many hours ago: its place. */
  const leave = (owner: string | undefined, ownerHours: number, journalHours: number): string => {
    const directory = join(base, randomBytes(16).toString('hex'));
    mkdirSync(directory, { mode: 0o700 });
    const files = { [OWNER]: owner, '5-1.journal': 'x' };
    for (const [name, text] of Object.entries(files)) {
      if (text === undefined) continue;
      writeFileSync(join(directory, name), text);
      const at = hours(name === OWNER ? ownerHours : journalHours);
      utimesSync(join(directory, name), at, at);
    }
    return directory;
  };
  const removed = {
    'its data directory is gone': leave(`${gone}\n`, 30, 25),
    'its data directory has another store': leave(`${data}\n`, 99, 99),
  };
  const kept = {
    'no owner': leave(undefined, 0, 99),
    'an owner that was cut off': leave(gone, 99, 99),
    'an owner that is no absolute path': leave('gone\n', 99, 99),
    'an empty owner': leave('\n', 99, 99),
    'a data directory that is there': leave(`${other}\n`, 99, 99),
    'a parent that is gone too': leave(`${join(gone, 'data')}\n`, 99, 99),
    'a journal that is young': leave(`${gone}\n`, 99, 23),
    'an owner that is young': leave(`${gone}\n`, 23, 99),
    'a young one of a data directory that has another store': leave(`${data}\n`, 99, 23),
    'one that another server has': leave(`${gone}\n`, 99, 99),
    'one that others may enter': leave(`${gone}\n`, 99, 99),
  };
  chmodSync(kept['one that others may enter'], 0o755);
  {
    using owner = new JournalDirectory(kept['one that another server has']);
    assert.ok(owner.hold());
    removeOrphans(base, data, Date.now());
    for (const [name, directory] of Object.entries(removed)) {
      assert.equal(existsSync(directory), false, name);
    }
    for (const [name, directory] of Object.entries(kept)) {
      assert.ok(existsSync(join(directory, '5-1.journal')), name);
    }
  }
  removeOrphans(base, data, Date.now());
  assert.equal(readdirSync(base).length, Object.keys(kept).length - 1, 'it has it no longer');
  removeOrphans(join(base, 'missing'), data, Date.now());
  chmodSync(base, 0o755);
  chmodSync(kept['one that others may enter'], 0o700);
  removeOrphans(base, data, Date.now());
  assert.ok(
    existsSync(kept['one that others may enter']),
    'a base that others may enter is not ours',
  );
});
