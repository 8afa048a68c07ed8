/**
 * A sealing key whose directory cannot be synced: once it is written and synced itself, nothing takes
 * it away again, and nothing is sealed to it before a power loss leaves it where it is.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FaultyDisk } from '../support/faulty-disk.ts';
import { Looker } from '../support/looker.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };

test('a sealing key whose directory fails stays, and the start is refused', LIMIT, async (t) => {
  const root = temporaryDirectory();
  t.after(() => removeDirectory(root));
  const keys = join(root, 'keys');
  mkdirSync(keys);
  using disk = new FaultyDisk(root, keys);
  const place = disk.places[0]!;
  place.strikeAt(keys);
  await using looker = new Looker(join(root, 'data'), disk.environment);
  const key = () => readFileSync(join(keys, 'sealing.key'), 'latin1');
  place.fail('EIO', 'sync');
  const told = /^SEALING_KEY_INVALID .*\/sealing\.key: the sealing key is in it, .*: EIO/;
  assert.match(await looker.look('startWithKeys'), told);
  const made = key();
  assert.match(made, /^[0-9a-f]{64}\n$/);
  assert.match(await looker.look('startWithKeys'), told, 'the next start is refused, too');
  place.fail('EINVAL', 'sync');
  assert.equal(await looker.look('startWithKeys'), 'ok', 'no program can sync such a directory');
  place.heal();
  assert.equal(await looker.look('startWithKeys'), 'ok');
  assert.equal(key(), made);
});
